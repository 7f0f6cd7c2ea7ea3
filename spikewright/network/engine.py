"""The choice between the two engines, and the identities that random draws are keyed by."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from spikewright.checks import whole_number
from spikewright.errors import ConversionError
from spikewright.network.plan import SILENT, Observer
from spikewright.neurons import Neuron, sample_ids_of
from spikewright.neurons.counter_random import Fuse


class Engine(StrEnum):
    """How a network is simulated."""

    AUTO = "auto"
    """The count engine when every neuron has a count law, else the step engine."""
    COUNTS = "counts"
    STEPS = "steps"


def chosen(
    engine: Engine | str, neurons: Mapping[str, Neuron], observer: Observer = SILENT
) -> Engine:
    """The engine that will run: `COUNTS` or `STEPS`.

    Args:
        engine: what was asked for.
        neurons: of the network, by site name.
        observer: what is watched; spikes that may be taken back are seen step by step alone.

    Raises:
        ConversionError: for another name, or the count engine with neurons that have no count law,
            or where it cannot tell what is watched.
    """
    try:
        engine = Engine(engine)
    except ValueError:
        raise ConversionError(
            f"engine must be 'auto', 'counts' or 'steps', got {engine!r}"
        ) from None
    lawless = [name for name, n in neurons.items() if not n.has_count_law]
    if engine is Engine.COUNTS and lawless:
        label = neurons[lawless[0]].label
        raise ConversionError(
            f"the count engine needs neurons whose count depends on their total charge alone; "
            f"'{label}' at {lawless[0]} does not: use engine='steps'"
        )
    stepwise = observer.only_in_steps or (
        observer.sent is not None and any(n.takes_back for n in neurons.values())
    )
    if engine is Engine.COUNTS and stepwise:
        raise ConversionError(
            "the count engine has no time steps, and what is asked for is seen in them: spike "
            "times, answers on the way, or spikes that may be taken back; use engine='steps'"
        )
    if engine is Engine.AUTO:
        return Engine.STEPS if lawless or stepwise else Engine.COUNTS
    return engine


def checked_t(steps: int | None, default: int) -> int:
    """T of a call.

    Raises:
        ConversionError: for anything but a whole number, at least 1.
    """
    steps = default if steps is None else steps
    whole = whole_number(steps, least=1)
    if whole is None:
        raise ConversionError(f"steps must be a whole number, at least 1, got {steps!r}")
    return whole


def checked_points(steps: Any) -> tuple[int, ...]:
    """Every T of a conversion, which names one or several, each once.

    Raises:
        ConversionError: for anything but whole numbers, at least 1.
    """
    if isinstance(steps, Tensor):
        raise ConversionError(f"steps must be whole numbers, at least 1, not a tensor: {steps!r}")
    points = tuple(steps) if isinstance(steps, Iterable) else (steps,)
    whole = [t for t in (whole_number(p, least=1) for p in points) if t is not None]
    if not whole or len(whole) < len(points):
        raise ConversionError(f"steps must be whole numbers, at least 1, got {steps!r}")
    return tuple(dict.fromkeys(whole))


def checked_seed(seed: Any) -> int:
    """The seed of a call; integers of numpy, and tensors of one, are integers too.

    Raises:
        ConversionError: for anything else.
    """
    try:
        return operator.index(seed)
    except TypeError:
        raise ConversionError(f"seed must be an integer, got {seed!r}") from None


def checked_ids(sample_ids: Tensor | None, content: Tensor, fuse: Fuse, *, needed: bool) -> Tensor:
    """The identities of a batch's samples, int64 `[B]`, on its device.

    Args:
        sample_ids: as the caller gave them; when None they are derived from each sample's content.
        content: all that samples hold, `[B, ...]`.
        fuse: applied to what takes time.
        needed: whether any random number is drawn; if not, content is not read.

    Raises:
        ConversionError: for no tensor, or one of another shape or dtype.
    """
    if sample_ids is None:
        if needed:
            return sample_ids_of(content, fuse)
        return torch.zeros(len(content), dtype=torch.int64, device=content.device)
    if not isinstance(sample_ids, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConversionError(
            f"sample_ids must be a tensor of integers [{len(content)}], got a "
            f"{type(sample_ids).__name__}: give torch.tensor(sample_ids)"
        )
    whole = not (sample_ids.is_floating_point() or sample_ids.is_complex())
    if sample_ids.shape != (len(content),) or not whole or sample_ids.dtype is torch.bool:
        raise ConversionError(
            f"sample_ids must be integers of shape [{len(content)}], got {sample_ids.dtype} "
            f"{list(sample_ids.shape)}"
        )
    return sample_ids.to(content.device, torch.int64)
