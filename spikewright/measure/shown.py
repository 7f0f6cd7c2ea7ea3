"""What networks are shown: a batch of their one input, or of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from spikewright.devices import callers_default
from spikewright.graph.given import is_batch, is_sound

Shown = Any
"""A tensor `[B, *S]`, a dict of a model's arguments by name, or a tuple of its positional ones. Of
several tensors those whose first size is that of the first one are batches."""


def is_shown(item: Any) -> bool:
    """Whether it can be shown to a network: a tensor, or named or positional ones."""
    if isinstance(item, Tensor):
        return item.ndim > 0
    return isinstance(item, (Mapping, tuple, list)) and bool(tensors_in(item))


def size_of(shown: Shown) -> int:
    """B of a batch that is no frames."""
    tensors = tensors_in(shown)
    return len(tensors[0]) if tensors else 0


def bytes_of(shown: Shown) -> int:
    """What it takes in memory."""
    return sum(tensor.nbytes for tensor in tensors_in(shown))


def unsound(shown: Shown) -> str | None:
    """The argument, by name or place, that holds NaN, or infinity in a batch; None if none does."""
    size = size_of(shown)
    named = shown.items() if isinstance(shown, Mapping) else enumerate(shown, 1)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    for name, argument in named:  # pyright: ignore[reportUnknownVariableType]
        for tensor in tensors_in(argument):
            if not is_sound(tensor, constant=not is_batch(tensor, size)):
                return f"argument {name}" if isinstance(name, int) else f"'{name}'"
    return None


def moved(shown: Shown, device: torch.device) -> Shown:
    """The same on a device."""
    return _changed(shown, lambda tensor: tensor.to(device))


def some_of(shown: Shown, part: slice) -> Shown:
    """Some samples of a batch of several inputs."""
    size = size_of(shown)
    return _changed(shown, lambda tensor: tensor[part] if len(tensor) == size else tensor)


def answer_to(model: Callable[..., Any], shown: Shown) -> Any:
    """What a model answers."""
    with callers_default():
        if isinstance(shown, Mapping):
            named: dict[str, Any] = {str(name): value for name, value in shown.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            return model(**named)
        return model(*shown) if isinstance(shown, (tuple, list)) else model(shown)


def tensors_in(shown: Shown) -> list[Tensor]:
    """Its tensors, but single numbers."""
    plain = dict(shown) if isinstance(shown, Mapping) else shown  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    leaves = (leaf for leaf in tree_leaves(plain) if isinstance(leaf, Tensor))
    return [tensor for tensor in leaves if tensor.ndim]


def _changed(shown: Shown, change: Callable[[Tensor], Tensor]) -> Shown:
    def other(leaf: Any) -> Any:
        return change(leaf) if isinstance(leaf, Tensor) and leaf.ndim else leaf

    return tree_map(other, dict(shown) if isinstance(shown, Mapping) else shown)  # pyright: ignore[reportUnknownArgumentType]
