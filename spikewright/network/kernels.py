"""Faster arithmetic for the operations that read spikes or counts, which are whole numbers.

Three kinds. *Exact* ones compute a float32 convolution in 8-bit integer units: its input is a whole
number up to 255, its weights are cut into three signed 8-bit digits per output channel (24 bits,
as many as a float32 has), and each digit's products are summed without any rounding in 32-bit
integers; only the three sums are rounded, so the answer is as close to the true one as a float32
convolution's is, or closer. The digits stand as three times as many output channels, so one call
does. *bf16* ones round the weights to bfloat16, in which counts up to 256
are exact. *int8* ones round each output channel's weights to one digit, so that a third of the work
is left; where a machine has no such units, or an operation no such kernel, the rounded weights are
read as they are, and the numbers are the same up to the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.ir import Graph, Kind, Operation, Stored, Value
from spikewright.graph.primitives import CONVERSION, PRODUCT
from spikewright.graph.rule import rule_of
from spikewright.network.compiler import fused

LARGEST_BYTE = 255
"""Largest count that the exact kernels read."""

LARGEST_BF16 = 256
"""Largest count up to which bfloat16 holds every whole number."""

_DIGITS = 3
_BASE = 256
_LARGEST_DIGIT = 127
_LEAST_UNIT = torch.finfo(torch.float32).tiny
_LARGEST_FAN_IN = (2**31 - 1) // (128 * LARGEST_BYTE)
"""The number of products that a 32-bit integer can sum, whatever they are."""


class Precision(StrEnum):
    """The number format of weights that meet spikes, and of the currents they make."""

    FLOAT32 = "float32"
    """The model's own precision: float64 stays float64, a bfloat16 model runs as `BF16`, a float16
    model in float32, since charges, counts and sums over time need more than 16 bits."""
    BF16 = "bf16"
    """bfloat16, which holds spikes, and counts up to 256, exactly. Weights that meet them are
    rounded to 8 significant bits, and so is each layer's input current: counts differ from those of
    float32 where a charge lies within some 2**-8 of itself from a decision boundary. Biases, sums
    of branches, neurons, the first layer (its input is no spikes) and what reads averages stay as
    they are. Beyond T = 256 the count engine computes in float32."""

    INT8 = "int8"
    """Weights that meet spikes in 8 bits, those of an output channel in one unit: whole numbers up
    to 127 times a 127th of the largest. Their sums over spikes are whole numbers too, in 32 bits.
    Biases, sums of branches, neurons, the first layer and what reads averages stay as they are."""

    @classmethod
    def named(cls, name: Precision | str) -> Precision:
        """The precision of a name.

        Raises:
            ConversionError: for another name.
        """
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(repr(str(precision)) for precision in cls)
            raise ConversionError(f"precision must be one of {known}, got {name!r}") from None


def integers_are_fast(device: torch.device) -> bool:
    """Whether this machine has matrix units for 8-bit integers that the exact kernels can use."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # pyright: ignore[reportUnknownMemberType]
        and supported is not None
        and bool(supported())
    )


def with_kernels(
    graph: Graph,
    precision: Precision,
    *,
    quick: bool,
    largest: int,
    signed: frozenset[str] = frozenset(),
) -> Graph:
    """A scale-folded graph whose convolutions and products over whole numbers run faster.

    Args:
        graph: from `fold_scales`, so that neurons emit whole numbers.
        precision: `BF16` rounds the weights that meet whole numbers up to 256, `INT8` all that meet
            whole numbers.
        quick: take exact kernels where the machine has them.
        largest: the largest number that a neuron emits.
        signed: names of the sites that emit negative numbers too; bytes hold none.

    Returns:
        A graph of the same operations by other means, or the graph itself.
    """
    if precision is Precision.BF16 and largest <= LARGEST_BF16:
        return _Lowering(graph, _in_bf16, torch.bfloat16).lowered()
    digits = _DIGITS
    if precision is Precision.INT8:
        graph, digits = in_bytes(graph), 1
    sample = next((t for t in graph.tensors.values() if t.is_floating_point()), torch.empty(0))
    exact = quick and largest <= LARGEST_BYTE and sample.dtype is torch.float32
    if exact and integers_are_fast(sample.device):
        kernel = partial(_exact, digits=digits)
        return _Lowering(graph, kernel, torch.uint8, without=signed).lowered()
    return graph


def in_bytes(graph: Graph) -> Graph:
    """A graph whose weights that read whole numbers are rounded to 8 bits an output channel."""
    whole, rounded = _whole_numbers(graph, frozenset()), dict[str, Tensor]()
    operations: list[Operation] = []
    for op in graph.operations:
        at = rule_of(op).weight_at
        weight = None if at is None else op.argument(at, "weight")
        if isinstance(weight, Stored) and op.inputs and whole.issuperset(op.inputs):
            view = rule_of(op).matrix(op, graph.tensors[weight.name])
            if view is not None:
                name = f"{op.name}.int8"
                rounded[name] = view.stored(_in_one_unit(view.rows))
                op = replace(
                    op,
                    args=tuple(Stored(name) if arg == weight else arg for arg in op.args),
                    kwargs={k: Stored(name) if v == weight else v for k, v in op.kwargs.items()},
                )
        operations.append(op)
    tensors = {**graph.tensors, **rounded}
    return replace(graph, operations=tuple(operations), tensors=tensors).pruned()


def _in_one_unit(rows: Tensor) -> Tensor:
    """Rows `[..., K]`, each as whole numbers up to 127 of one unit."""
    wide = rows.double()
    unit = wide.abs().amax(-1, keepdim=True).clamp(min=_LEAST_UNIT) / _LARGEST_DIGIT
    return ((wide / unit).round() * unit).to(rows.dtype)


_Lowered = tuple[Operation, dict[str, Tensor]]


class _Lowering:
    """One pass over a graph; one use."""

    def __init__(
        self,
        graph: Graph,
        kernel: Any,
        dtype: torch.dtype,
        *,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self._graph = graph
        self._kernel = kernel
        self._dtype = dtype
        self._wide = graph.dtype
        self._whole = _whole_numbers(graph, without)
        self._tensors = dict(graph.tensors)

    def lowered(self) -> Graph:
        kernels: dict[str, Operation] = {}
        for op in self._graph.operations:
            if op.inputs and op.inputs[0] in self._whole:
                lowered: _Lowered | None = self._kernel(op, self._graph)
                if lowered is not None:
                    kernels[op.name] = lowered[0]
                    self._tensors.update(lowered[1])
        narrow = {lowered.inputs[0] for lowered in kernels.values()}
        operations: list[Operation] = []
        for op in self._graph.operations:
            kernel = kernels.get(op.name)
            form = "narrow" if kernel is not None or _scales(op) else "wide"
            forms = {name: f"{name}.{form}" for name in op.inputs if name in narrow}
            operations.append((kernel or op).rewired(forms))
            if op.name in narrow:
                operations.append(_converted(op, op.name, "narrow", self._dtype))
                operations.append(_converted(op, f"{op.name}.narrow", "wide", self._wide))
        return replace(self._graph, operations=tuple(operations), tensors=self._tensors).pruned()


def _scales(op: Operation) -> bool:
    """Whether it multiplies by a stored tensor, whose dtype the product then has."""
    return op.target is PRODUCT and isinstance(op.args[1], Stored)


def _whole_numbers(graph: Graph, without: frozenset[str]) -> set[str]:
    """The values that hold whole numbers: what neurons emit, some sites apart, and its largest."""
    whole: set[str] = set()
    for op in graph.operations:
        passes = rule_of(op).keeps_whole_numbers and whole.issuperset(op.inputs)
        emits = op.site is not None and op.site.name not in without
        if emits or (passes and op.kind not in (Kind.CONSTANT, Kind.UNIT)):
            whole.add(op.name)
    return whole


def _converted(op: Operation, source: str, form: str, dtype: torch.dtype) -> Operation:
    return replace(
        op,
        name=f"{op.name}.{form}",
        target=CONVERSION,
        args=(Value(source),),
        kwargs={"dtype": dtype},
        kind=Kind.LINEAR,
        site=None,
        body=(),
    )


def _exact(op: Operation, graph: Graph, digits: int) -> _Lowered | None:
    geometry = rule_of(op).geometry(op, graph)
    if geometry is None:
        return None
    weight, bias = _weight_and_bias(op, graph)
    if weight[0].numel() > _LARGEST_FAN_IN:
        return None
    cut, scales = cut_in_digits(weight, digits)
    first = weight.new_zeros(len(cut))
    if bias is not None:
        first[: len(weight)] = bias
    arguments = (list(geometry.stride), list(geometry.padding), list(geometry.dilation))
    packed = torch.ops.onednn.qconv_prepack(cut, scales, 1.0, 0, *arguments, 1, None)
    stored = {
        f"{op.name}.digits": packed,
        f"{op.name}.scales": scales,
        f"{op.name}.no_offset": torch.zeros(len(cut), dtype=torch.int32),
        f"{op.name}.first": first,
    }
    args = (op.args[0], *(Stored(name) for name in stored), *arguments)
    target = exact_convolution if digits == _DIGITS else torch.ops.spikewright.digit_sums.default
    return replace(op, target=target, args=args, kwargs={}), stored


def cut_in_digits(weight: Tensor, count: int = _DIGITS) -> tuple[Tensor, Tensor]:
    """Weights `[O, ...]` as so many signed 8-bit digits each, most significant first.

    Returns:
        Digits, int8 `[count * O, ...]`, and what a one in them stands for, float32 `[count * O]`,
        such that the sum over a weight's three digits is within half of `2**-23` of the channel's
        largest weight; one digit is within a 254th.
    """
    wide = weight.double()
    largest = _LARGEST_DIGIT * _BASE ** (count - 1)  # so that digits are within -128..127
    unit = wide.abs().flatten(1).amax(1).clamp(min=_LEAST_UNIT) / largest
    rest = (wide / unit.reshape(-1, *[1] * (weight.ndim - 1))).round()
    digits: list[Tensor] = []
    for _ in range(count):
        digit = (rest + _BASE // 2) % _BASE - _BASE // 2
        digits.append(digit.to(torch.int8))
        rest = (rest - digit) / _BASE
    scales = [(unit * _BASE**power).float() for power in range(count)]
    return torch.cat(digits[::-1]), torch.cat(scales[::-1])


def exact_convolution(
    counts: Tensor,
    digits: Tensor,
    scales: Tensor,
    no_offset: Tensor,
    first: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> Tensor:
    """A 2-d convolution over whole numbers, in integers.

    Args:
        counts: uint8 `[B, I, H, W]`.
        digits, scales: of the weights, from `cut_in_digits`, the digits packed.
        no_offset: int32 zeros `[3 * O]`.
        first: the bias, then zeros, float32 `[3 * O]`.
        stride, padding, dilation: two each.

    Returns:
        float32 `[B, O, H, W]`.
    """
    sums = torch.ops.spikewright.digit_sums(
        counts, digits, scales, no_offset, first, stride, padding, dilation
    )
    join = _joined if torch.compiler.is_compiling() else fused(_joined)
    return join(sums)


def _joined(sums: Tensor) -> Tensor:
    """The sum over digits, small ones first; in one pass where it is compiled."""
    high, middle, low = sums.chunk(_DIGITS, dim=1)
    return high + (middle + low)


def _digit_sums(
    counts: Tensor,
    digits: Tensor,
    scales: Tensor,
    no_offset: Tensor,
    first: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """What each digit of the weights contributes to a convolution, float32 `[B, 3 * O, H, W]`."""
    weights = (digits, scales, no_offset, first, stride, padding, dilation, 1)
    return torch.ops.onednn.qconv2d_pointwise(
        counts, 1.0, 0, *weights, 1.0, 0, torch.float32, "none", [], ""
    )


def _digit_sums_shape(
    counts: Tensor,
    digits: Tensor,
    scales: Tensor,
    no_offset: Tensor,
    first: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    shape = [len(counts), len(no_offset)]
    for i in range(2):
        reach = dilation[i] * (digits.shape[2 + i] - 1)
        shape.append((counts.shape[2 + i] + 2 * padding[i] - reach - 1) // stride[i] + 1)
    empty = counts.new_empty(shape, dtype=torch.float32)
    return empty.to(memory_format=torch.channels_last)


# An operator, which the compiler calls as it is, so that it keeps its input, the counts of a layer,
# in memory once, where all their readers find them.
_LIBRARY = torch.library.Library("spikewright", "FRAGMENT")
_LIBRARY.define(
    "digit_sums(Tensor counts, Tensor digits, Tensor scales, Tensor no_offset, Tensor first, "
    "int[] stride, int[] padding, int[] dilation) -> Tensor",
    tags=(torch.Tag.flexible_layout,),
)
_LIBRARY.impl("digit_sums", _digit_sums, "CompositeExplicitAutograd")
torch.library.register_fake("spikewright::digit_sums", _digit_sums_shape, lib=_LIBRARY)


def _weight_and_bias(op: Operation, graph: Graph) -> tuple[Tensor, Tensor | None]:
    """The stored tensors of an operation whose rule says where they stand: after the value."""
    weight, bias = graph.stored(op, 1, "weight"), graph.stored(op, 2, "bias")
    assert weight is not None
    return weight, bias


def _in_bf16(op: Operation, graph: Graph) -> _Lowered | None:
    rule = rule_of(op)
    if not rule.rounds_to_bf16:
        return None
    name = f"{op.name}.bf16"
    weight, _ = _weight_and_bias(op, graph)
    about = (op.target, weight.dtype, rule.bias_dim)
    args = (*about, op.args[0], Stored(name), op.argument(2, "bias"), *op.args[3:])
    options = {key: value for key, value in op.kwargs.items() if key != "bias"}
    lowered = replace(op, target=bf16_product, args=args, kwargs=options)
    return lowered, {name: weight.to(torch.bfloat16)}


def bf16_product(
    target: Any,
    dtype: torch.dtype,
    bias_dim: int,
    counts: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *rest: Any,
    **options: Any,
) -> Tensor:
    """A convolution or matrix product over whole numbers in bfloat16, its bias in float32.

    Args:
        target: the operation.
        dtype: of the result.
        bias_dim: the dimension of the result along which the bias runs.
        counts: bfloat16, exact.
        weight: bfloat16.
        bias: `[O]`, of dtype `dtype`, or None.
        rest, options: the operation's other arguments.
    """
    current = target(counts, weight, None, *rest, **options).to(dtype)
    if bias is None:
        return current
    places = [1] * (current.ndim - 1 - bias_dim % current.ndim)
    return current + bias.reshape(-1, *places)
