"""Which operations NIR can say, and by which nodes; any other operation or option is refused.

A rule gives the nodes that stand for an operation, one after the other, none for an operation that
changes nothing, or the reason why there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.export.nir.nodes import (
    Node,
    Refusal,
    affine,
    average,
    convolution,
    flatten,
    per_channel,
    scale,
)
from spikewright.graph.ir import Operation, Stored
from spikewright.graph.operations import CONVOLUTIONS, MAX_POOLS, PLANE_MEANS, argument

aten = torch.ops.aten


@dataclass(frozen=True)
class Reading:
    """What a rule may look at besides its operation.

    Attributes:
        shape: of the operation's first input, for one sample.
        tensors: the stored tensors.
    """

    shape: tuple[int, ...]
    tensors: Mapping[str, Tensor]

    def stored(self, op: Operation, position: int, name: str) -> Tensor | None:
        """A stored tensor that an operation names, or None where it names none."""
        reference = argument(op, position, name)
        return self.tensors[reference.name] if isinstance(reference, Stored) else None

    @property
    def like(self) -> Tensor:
        """An empty tensor of the network's dtype, on the CPU."""
        floats = (t for t in self.tensors.values() if t.is_floating_point())
        return torch.empty(0, dtype=next(floats, torch.empty(0)).dtype)


Rule = Callable[[Operation, Reading], "tuple[Node, ...] | Refusal"]


def nodes_of(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    """The nodes that stand for an operation other than a neuron or an addition."""
    rule = RULES.get(op.target)
    if rule is not None:
        return rule(op, reading)
    for targets, refusal in REFUSED:
        if op.target in targets:
            return refusal
    return Refusal("NIR has no node for it", f"make it of {SAYABLE}")


SAYABLE = (
    "convolutions, linear layers, average pooling, additions, products with constants and flatten"
)


def _pair(values: Any, places: int) -> tuple[int, ...]:
    listed = [values] if isinstance(values, int) else list(values)
    return tuple(listed * places if len(listed) == 1 else listed)


def _convolution(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    weight = reading.stored(op, 1, "weight")
    bias = argument(op, 2, "bias")
    if weight is None or not (bias is None or isinstance(bias, Stored)):
        return _COMPUTED
    places = weight.ndim - 2
    if places > 2 or len(reading.shape) != places + 1:
        return Refusal("NIR has convolutions of 1 and 2 dimensions", "convert a model of those")
    kernel = tuple(weight.shape[2:])
    if len(set(kernel)) > 1:
        return Refusal(
            f"nir infers shapes as if its kernel {kernel} were square, and rejects the file",
            "give the convolution a square kernel",
        )
    stride = _pair(argument(op, 3, "stride", 1), places)
    dilation = _pair(argument(op, 5, "dilation", 1), places)
    padding = _symmetric(argument(op, 4, "padding", 0), kernel, dilation)
    if padding is None:
        return Refusal(
            "it pads more on one side than on the other, NIR pads both sides alike",
            "use an odd kernel or padding='valid'",
        )
    one_group = _in_one_group(weight, argument(op, 6, "groups", 1))
    bias = reading.stored(op, 2, "bias")
    return (convolution(reading.shape, one_group, bias, stride, padding, dilation),)


def _symmetric(
    padding: Any, kernel: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...] | None:
    """Zeros on both sides of each dimension; None where 'same' needs uneven ones."""
    if padding == "valid":
        return (0,) * len(kernel)
    if padding != "same":
        return _pair(padding, len(kernel))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return None if any(n % 2 for n in reach) else tuple(n // 2 for n in reach)


def _in_one_group(weight: Tensor, groups: int) -> Tensor:
    """Weights `[O, I / groups, *K]` with the zeros between groups written out, `[O, I, *K]`.

    The type check of nir 1.0.8 takes a grouped convolution to have `I / groups` input channels and
    refuses to read it back.
    """
    rows, per_group = len(weight) // groups, weight.shape[1]
    full = weight.new_zeros(len(weight), per_group * groups, *weight.shape[2:])
    for group in range(groups):
        own = slice(group * rows, (group + 1) * rows)
        full[own, group * per_group : (group + 1) * per_group] = weight[own]
    return full


def _linear(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    weight = reading.stored(op, 1, "weight")
    bias = argument(op, 2, "bias")
    if weight is None or not (bias is None or isinstance(bias, Stored)):
        return _COMPUTED
    if len(reading.shape) != 1:
        return Refusal(
            f"NIR's Affine reads one vector, it reads {list(reading.shape)}",
            "flatten before the linear layer, or use a 1x1 convolution",
        )
    return (affine(weight, reading.stored(op, 2, "bias")),)


def _average_pool(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    kernel = _pair(argument(op, 1, "kernel_size"), 2)
    stride = _pair(argument(op, 2, "stride") or kernel, 2)
    if any(_pair(argument(op, 3, "padding", 0), 2)):
        return Refusal(
            "NIR does not say whether an average counts padded zeros",
            "average without padding, or by a convolution",
        )
    if argument(op, 6, "divisor_override") is not None:
        return Refusal("NIR's averages divide by the size of the window", "drop divisor_override")
    down = [(n - k) // s + 1 for n, k, s in zip(reading.shape[1:], kernel, stride, strict=True)]
    if op.shape != (reading.shape[0], *down):
        return Refusal("NIR's averages take whole windows only", "use ceil_mode=False")
    return (average(kernel, stride),)


def _adaptive_pool(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    _, *before = reading.shape
    _, *after = op.shape
    if any(n % m for n, m in zip(before, after, strict=True)):
        return Refusal(
            f"its windows from {before} to {after} are of uneven size, NIR's are all alike",
            "choose an output size that divides the input's",
        )
    kernel = tuple(n // m for n, m in zip(before, after, strict=True))
    return (average(kernel, kernel),) if before != after else ()


def _mean(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    dims = {d % (len(reading.shape) + 1) for d in argument(op, 1, "dim")}
    if len(reading.shape) != 3 or dims != {2, 3} or argument(op, 3, "dtype") is not None:
        return Refusal("NIR averages over both dimensions of an image only", "use mean((2, 3))")
    pooled = average(reading.shape[1:], reading.shape[1:])
    return (pooled,) if len(op.shape) == 3 else (pooled, flatten((reading.shape[0], 1, 1)))


def _reshape(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    if op.shape == reading.shape:
        return ()
    if len(op.shape) == 1:
        return (flatten(reading.shape),)
    return Refusal(
        f"NIR cannot reshape {list(reading.shape)} to {list(op.shape)}", "flatten to one dimension"
    )


def _slice(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    """Every n-th row or column from the first on is a 1x1 convolution with that stride."""
    if op.shape == reading.shape:
        return ()
    dim = argument(op, 1, "dim", 0) % (len(reading.shape) + 1) - 1
    step = argument(op, 4, "step", 1)
    from_first = argument(op, 2, "start") in (None, 0)
    if dim < 1 or not from_first or op.shape[dim] != (reading.shape[dim] - 1) // step + 1:
        return Refusal(
            "of slices NIR can say every n-th row or column only", "use a convolution with stride"
        )
    stride = [1] * (len(reading.shape) - 1)
    stride[dim - 1] = step
    return (convolution(reading.shape, _identity(reading), stride=stride),)


def _pad(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    """More channels of zeros are a 1x1 convolution; a border of zeros belongs to a convolution."""
    pads = [*argument(op, 1, "pad")]
    places = len(reading.shape) - 1
    plain = op.target is aten.constant_pad_nd.default or argument(op, 2, "mode") in (
        None,
        "constant",
    )
    value = argument(op, 2 if op.target is aten.constant_pad_nd.default else 3, "value")
    if not plain or value not in (None, 0) or any(pads[: 2 * places]) or min(pads) < 0:
        return Refusal(
            "of padding NIR can say whole channels of zeros only",
            "give the padding to the convolution that follows",
        )
    if not any(pads):
        return ()
    before, after = pads[2 * places :]
    identity = _identity(reading)
    rows = (identity.new_zeros(n, *identity.shape[1:]) for n in (before, after))
    return (convolution(reading.shape, torch.cat([next(rows), identity, next(rows)])),)


def _identity(reading: Reading) -> Tensor:
    """Weights of a 1x1 convolution that changes nothing."""
    channels, *places = reading.shape
    identity = torch.eye(channels, dtype=reading.like.dtype)
    return identity.reshape(channels, channels, *[1] * len(places))


def _product(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    divided = op.target in (aten.div.Tensor, aten.div.Scalar)
    factor = reading.stored(op, 1, "other")
    if factor is None:
        factor = reading.stored(op, 0, "self")
    if factor is None:
        plain = argument(op, 1, "other")
        if not isinstance(plain, (int, float)):
            return _COMPUTED
        factor = reading.like.new_full((), plain)
    if op.shape != reading.shape or factor.ndim > len(op.shape) + 1:
        return Refusal("NIR scales value by value, it changes the shape", "repeat the value first")
    return (scale(1 / factor if divided else factor, op.shape),)


def _negation(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    return (scale(reading.like.new_full((), -1.0), op.shape),)


def _affine_of_its_own(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    """`shift + x * scale`, what batch norm becomes that no convolution takes in."""
    shift, factor = reading.stored(op, 0, "input"), reading.stored(op, 2, "tensor2")
    if shift is None or factor is None:
        return _COMPUTED
    channels = op.shape[0]
    if op.shape != reading.shape or {shift.numel(), factor.numel()} - {1, channels}:
        return Refusal("NIR shifts whole channels only", "use batch norm")
    return (per_channel(op.shape, *(t.flatten().expand(channels) for t in (factor, shift))),)


def _nothing(op: Operation, reading: Reading) -> tuple[Node, ...] | Refusal:
    return ()


_COMPUTED = Refusal("its weights are computed, NIR's are stored", "make them parameters")

RULES: dict[Any, Rule] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    aten.linear.default: _linear,
    aten.avg_pool2d.default: _average_pool,
    aten.adaptive_avg_pool2d.default: _adaptive_pool,
    aten.mean.dim: _mean,
    **dict.fromkeys(
        (
            aten.view.default,
            aten._unsafe_view.default,
            aten.reshape.default,
            aten.squeeze.dim,
            aten.squeeze.dims,
        ),
        _reshape,
    ),
    aten.slice.Tensor: _slice,
    aten.constant_pad_nd.default: _pad,
    aten.pad.default: _pad,
    **dict.fromkeys((aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar), _product),
    aten.neg.default: _negation,
    aten.addcmul.default: _affine_of_its_own,
    **dict.fromkeys(
        (aten.clone.default, aten.alias.default, aten.detach.default, aten._to_copy.default),
        _nothing,
    ),
}

REFUSED: tuple[tuple[tuple[Any, ...], Refusal], ...] = (
    (MAX_POOLS, Refusal("NIR has no max pooling", "use average pooling and train the model anew")),
    (
        (aten.cat.default, aten.stack.default),
        Refusal("NIR's nodes sum what reaches them and never join it", "add branches"),
    ),
    (
        tuple(target for target in PLANE_MEANS if "upsample" in str(target)),
        Refusal("NIR has no upsampling", "convert the part of the model before it"),
    ),
)
