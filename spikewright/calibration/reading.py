"""Reading calibration data batch by batch, whatever the user calls it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils.data import Dataset, IterableDataset

from spikewright.devices import items_of
from spikewright.errors import CalibrationError
from spikewright.graph.given import Given, given, is_batch, is_sound, left_out

Batches = Iterable["Tensor | Sequence[Any] | Mapping[str, Any]"]
"""Calibration data: batches `[B, *S]`, (batch, labels) pairs whose labels are ignored, dicts of
arguments by name, or tuples of the positional arguments that a model requires."""


def read_batches(
    data: Any, model: nn.Module | ExportedProgram, device: torch.device
) -> Iterator[Given]:
    """The batches of calibration data on a device; empty ones are left out.

    Args:
        data: batches, pairs of a batch and labels, or one tensor or dict that is one batch.
        model: what they are for.
        device: where they go; what is there already is not copied.

    Raises:
        CalibrationError: for what is no such data, batches that are not finite or of unequal
            samples or dtypes, or no sample at all.
    """
    shapes: list[torch.Size] | None = None
    dtypes: list[torch.dtype] = []
    inputs = set[str]()
    for number, item in enumerate(items_of(_iterated(data))):
        if number == 0:
            _warn_of_what_is_left_out(item, model)
        batch = _checked(given(item, model), number)
        tensors = batch.named(model)
        if shapes is None:
            inputs = {name for name, tensor in tensors.items() if is_batch(tensor, batch.batch)}
        _require_sound(tensors, inputs, number)
        own = [tensor.shape[1:] for tensor in batch.tensors]
        if shapes is not None and batch.batch and own != shapes:
            raise CalibrationError(
                f"calibration batch {number} has samples of shape {_listed(own)}, the first batch "
                f"{_listed(shapes)}; all samples must have one shape"
            )
        kinds = [tensor.dtype for tensor in batch.tensors]
        if shapes is not None and batch.batch and kinds != dtypes:
            raise CalibrationError(
                f"calibration batch {number} is of {', '.join(map(str, kinds))}, the first batch "
                f"of {', '.join(map(str, dtypes))}; all batches must have one dtype"
            )
        if batch.batch:
            shapes, dtypes = own, kinds
            yield batch.on(device)
    if shapes is None:
        raise CalibrationError(
            "the calibration data is empty; if it is a generator it may already be used up: pass a "
            "list or a DataLoader"
        )


def _warn_of_what_is_left_out(item: Any, model: nn.Module | ExportedProgram) -> None:
    name = left_out(item, model)
    if name is None:
        return
    fate = f"so its argument '{name}' stays None; if it is among them"
    instead = f"dicts of arguments by name ({{..., '{name}': ...}})"
    if name.startswith("*"):
        fate = f"so its '{name}' is the first alone; if there are more inputs"
        instead = "tuples of all inputs before them, ((x, y), labels)"
    warnings.warn(
        f"the calibration data are tuples, whose entries behind the arguments that the model "
        f"requires are taken for labels, {fate}, give {instead}, and else the inputs "
        "without the labels",
        stacklevel=5,
    )


def _listed(shapes: list[torch.Size]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)


def _iterated(data: Any) -> Iterable[Any]:
    if isinstance(data, Tensor | Mapping):
        return [data]
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        raise CalibrationError(
            f"the calibration data is a {type(data).__name__}, which gives single samples; give "
            "batches: torch.utils.data.DataLoader(dataset, batch_size=64)"
        )
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise CalibrationError(
            f"calibration data must be batches [B, *S], such as a tensor, a list of tensors or a "
            f"DataLoader; got {'None' if data is None else f'a {type(data).__name__}'}"
        )
    return data


def _checked(batch: Given, number: int) -> Given:
    if not batch.tensors:
        what = batch.args[0] if batch.args else batch.keywords
        raise CalibrationError(
            f"calibration batch {number} is a {type(what).__name__}; give tensors [B, *S], "
            "(tensor, labels) pairs, or dicts of the model's arguments"
        )
    if batch.alone is not None and batch.alone.ndim == 0:
        raise CalibrationError(f"calibration batch {number} is a single number; give [B, *S]")
    return batch


def _require_sound(tensors: Mapping[str, Tensor], inputs: Set[str], number: int) -> None:
    """Refuse NaN, and infinity in inputs; constants may hold that, as masks do.

    Args:
        tensors: of a batch, by name.
        inputs: the names of those that are no constants: the first batch tells.
        number: of the batch.
    """
    for name, tensor in tensors.items():
        constant = name not in inputs
        if not is_sound(tensor, constant=constant):
            raise CalibrationError(
                f"calibration batch {number} holds NaN or infinite values in '{name}': "
                + (
                    "a constant may hold infinity, as masks do, and no NaN"
                    if constant
                    else "see how it was read, or leave out the samples in which it is not finite"
                )
            )


def remedy(batch: Given, dtypes: Iterable[torch.dtype], accepts: Callable[[Given], bool]) -> str:
    """What the user may have meant by a batch that the model does not take; "" if nothing fits.

    Args:
        batch: as it was given.
        dtypes: of the model's weights.
        accepts: whether the model takes a batch; called on a few samples.
    """
    return (
        ""
        if batch.alone is None
        else _remedy(batch.alone, dtypes, lambda other: accepts(Given((other,))))
    )


def _remedy(batch: Tensor, dtypes: Iterable[torch.dtype], accepts: Callable[[Tensor], bool]) -> str:
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
