"""The nodes of a NIR graph while it is drawn: primitives by name, fields as plain arrays.

NIR is the Neuromorphic Intermediate Representation (Pedersen et al., Nature Communications 15,
8122, 2024). Its package is not needed here: rules say by which nodes their operations are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


@dataclass(frozen=True)
class Node:
    """A node to be.

    Attributes:
        kind: the primitive, the name of a class of the package `nir`.
        fields: its arguments.
        metadata: what the primitive has no field for.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def with_bias_added(self, offset: Array) -> Node:
        """An affine node that gives `offset` `[C]` more on every channel, added in float64."""
        bias: Array = self.fields["bias"]
        moved = (bias.astype(np.float64) + offset.astype(np.float64)).astype(bias.dtype)
        return replace(self, fields={**self.fields, "bias": moved})


@dataclass(frozen=True)
class Meeting:
    """No node: edges meet, and what they bring adds up there.

    Attributes:
        values: the names of what meets, each as often as it is added.
    """

    values: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Why something has no place in a NIR graph, and what to do."""

    reason: str
    remedy: str


AFFINE = ("Affine", "Conv1d", "Conv2d")
"""Primitives that have a bias."""


def array(tensor: Tensor) -> Array:
    """A copy of a tensor, in row-major order."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy()).copy()


def convolution(
    shape: Sequence[int],
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
) -> tuple[Node, ...] | Refusal:
    """A Conv1d or Conv2d node, or why there is none.

    Args:
        shape: of the input; of `[I, L]` and `[I, H, W]` there is one.
        weight: `[O, I, *K]`, one group.
        bias: `[O]`; zeros when None.
        stride, padding, dilation: as many as the input has places; those of 1-d take the first.
    """
    places = len(shape) - 1
    if places not in (1, 2):
        return Refusal(
            f"NIR would say it by a convolution, and has none over samples of shape {list(shape)}",
            "let it read sequences [C, L] or images [C, H, W]",
        )
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    geometry = {
        name: tuple(int(n) for n in values[:places])
        for name, values in (("stride", stride), ("padding", padding), ("dilation", dilation))
    }
    common = {"weight": array(weight), "bias": array(bias), "groups": 1}
    if places == 1:
        single = {name: values[0] for name, values in geometry.items()}
        return (Node("Conv1d", {"input_shape": int(shape[1]), **common, **single}),)
    plane = tuple(int(n) for n in shape[1:])
    return (Node("Conv2d", {"input_shape": plane, **common, **geometry}),)


def identity(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Weights `[C, C, 1, ...]` of a 1x1 convolution that leaves a value `[C, *places]` as it is."""
    channels, *places = shape
    return torch.eye(channels, dtype=dtype).reshape(channels, channels, *[1] * len(places))


def affine(weight: Tensor, bias: Tensor | None = None) -> Node:
    """An Affine node: weight `[O, I]`, bias `[O]` or zeros."""
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return Node("Affine", {"weight": array(weight), "bias": array(bias)})


def per_channel(
    shape: Sequence[int], factor: Tensor, offset: Tensor | None = None
) -> tuple[Node, ...] | Refusal:
    """`factor * x + offset`, both `[C]`, of a value `[C, *places]`: a 1x1 convolution."""
    if len(shape) == 1:
        return (affine(torch.diag(factor), offset),)
    weight = torch.diag(factor).reshape(len(factor), len(factor), *[1] * (len(shape) - 1))
    return convolution(shape, weight, offset)


def average(kernel: Sequence[int], stride: Sequence[int]) -> Node:
    """An AvgPool2d node without padding."""
    fields = {"kernel_size": kernel, "stride": stride, "padding": (0, 0)}
    return Node("AvgPool2d", {name: np.array(values) for name, values in fields.items()})


def flatten(shape: Sequence[int]) -> Node:
    """A Flatten node of all dimensions but the batch.

    Counted from the last one, they are the same to readers that count a batch and to NIR, which
    counts none.
    """
    fields = {"input_type": {"input": np.array(shape)}, "start_dim": -len(shape), "end_dim": -1}
    return Node("Flatten", fields)


def scale(factor: Tensor, shape: Sequence[int]) -> Node:
    """A Scale node: one factor a value."""
    return Node("Scale", {"scale": array(factor.expand(1, *shape)[0])})
