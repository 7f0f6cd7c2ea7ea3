"""The order in which a tensor's dimensions lie in memory: part of what makes sums bit-identical."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spikewright.artefact.fields import items, mapping
from spikewright.errors import InterchangeError


def orders_of(tensors: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """The dimensions of dense tensors that are not in row-major order, from slow to fast."""
    return {
        name: sorted(range(t.ndim), key=lambda d: -t.stride(d))
        for name, t in tensors.items()
        if not t.is_contiguous() and _is_dense(t)
    }


def _is_dense(tensor: Tensor) -> bool:
    order = sorted(range(tensor.ndim), key=lambda d: -tensor.stride(d))
    return tensor.permute(order).is_contiguous()


def laid_out(tensor: Tensor, order: Any, name: str) -> Tensor:
    """A tensor of the same values, its dimensions in memory in this order.

    Raises:
        InterchangeError: if it is no order of its dimensions.
    """
    listed = items(order, f"the layout of '{name}'")
    if any(type(d) is not int for d in listed) or sorted(listed) != list(range(tensor.ndim)):
        raise InterchangeError(
            f"the layout of '{name}' is no order of its {tensor.ndim} dimensions"
        )
    back = [listed.index(d) for d in range(tensor.ndim)]
    return tensor.permute(*listed).contiguous().permute(*back)


def checked(document: Any, tensors: Mapping[str, Tensor]) -> Mapping[str, Any]:
    """The layouts of a file.

    Raises:
        InterchangeError: when one names no tensor of the graph.
    """
    layouts = mapping(document, "the layouts")
    for name in layouts:
        if name not in tensors:
            raise InterchangeError(f"a layout names '{name}', which is no tensor of the graph")
    return layouts
