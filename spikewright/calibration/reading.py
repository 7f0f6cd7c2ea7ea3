"""Reading calibration data batch by batch, whatever the user calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from spikewright.errors import CalibrationError

Batches = Iterable["Tensor | Sequence[Any]"]
"""Calibration data: batches `[B, *S]`, or (batch, labels) pairs whose labels are ignored."""


def read_batches(data: Tensor | Batches, device: torch.device) -> Iterator[Tensor]:
    """The batches of calibration data on a device; empty ones are left out.

    Args:
        data: batches, pairs of a batch and labels, or one tensor that is one batch.
        device: where they go; what is there already is not copied.

    Raises:
        CalibrationError: for what is no such data, batches that are not finite or of unequal
            samples, or no sample at all.
    """
    shape: torch.Size | None = None
    for number, item in enumerate(_iterated(data)):
        batch = _checked(item[0] if isinstance(item, (tuple, list)) and item else item, number)
        if shape is not None and len(batch) and batch.shape[1:] != shape:
            raise CalibrationError(
                f"calibration batch {number} has samples of shape {list(batch.shape[1:])}, the "
                f"first batch {list(shape)}; all samples must have one shape"
            )
        if len(batch):
            shape = batch.shape[1:]
            yield batch.to(device)
    if shape is None:
        raise CalibrationError(
            "the calibration data is empty; if it is a generator it may already be used up: pass a "
            "list or a DataLoader"
        )


def _iterated(data: Any) -> Iterable[Any]:
    if isinstance(data, Tensor):
        return [data]
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        raise CalibrationError(
            f"the calibration data is a {type(data).__name__}, which gives single samples; give "
            "batches: torch.utils.data.DataLoader(dataset, batch_size=64)"
        )
    if not isinstance(data, Iterable) or isinstance(data, str | bytes | dict):
        raise CalibrationError(
            f"calibration data must be batches [B, *S], such as a tensor, a list of tensors or a "
            f"DataLoader; got {'None' if data is None else f'a {type(data).__name__}'}"
        )
    return data


def _checked(batch: Any, number: int) -> Tensor:
    if not isinstance(batch, Tensor):
        raise CalibrationError(
            f"calibration batch {number} is a {type(batch).__name__}; give tensors [B, *S] or "
            "(tensor, labels) pairs"
        )
    if batch.ndim == 0:
        raise CalibrationError(f"calibration batch {number} is a single number; give [B, *S]")
    if batch.is_floating_point() and not bool(batch.isfinite().all()):
        raise CalibrationError(f"calibration batch {number} holds NaN or infinite values")
    return batch.detach()


def remedy(batch: Tensor, dtypes: Iterable[torch.dtype], accepts: Callable[[Tensor], bool]) -> str:
    """What the user may have meant by a batch that the model does not take; "" if nothing fits.

    Args:
        batch: as it was given.
        dtypes: of the model's weights.
        accepts: whether the model takes a batch; called on a few samples.
    """
    for dtype in dtypes:
        if batch.dtype != dtype and accepts(batch[:2].to(dtype)):
            return f"it takes {dtype}: give batch.to({dtype})"
    if accepts(batch[None]):
        return "it takes this as one sample: give batches [B, *S], such as batch[None]"
    if batch.ndim == 4 and accepts(batch[:2].permute(0, 3, 1, 2)):
        return "it takes channels first: give batch.permute(0, 3, 1, 2)"
    if batch.ndim > 2 and accepts(batch[:2].mean(1)):
        return (
            "these look like frames: thresholds are set on what stands still, so give the mean "
            "frames, batch.mean(1) of [N, T, ...] or batch.mean(0) of [T, N, ...]; the network "
            "itself takes frames as [T, N, ...]"
        )
    return ""
