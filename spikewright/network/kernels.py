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

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Stored, Value
from spikewright.graph.precision import Precision
from spikewright.graph.primitives import CONVERSION, PRODUCT
from spikewright.graph.rule import rule_of
from spikewright.graph.whole_numbers import in_bytes, whole_numbers
from spikewright.network.integers import (
    DIGITS,
    cut_in_digits,
    digit_sums,
    exact_convolution,
)

LARGEST_BYTE = 255
"""Largest count that the exact kernels read."""

LARGEST_BF16 = 256
"""Largest count up to which bfloat16 holds every whole number."""

_LARGEST_FAN_IN = (2**31 - 1) // (128 * LARGEST_BYTE)
"""The number of products that a 32-bit integer can sum, whatever they are."""

_LEAST_FAN_IN = 128
"""The products in a sum from which three digits are faster than float32 without matrix units."""


def integers_are_fast(device: torch.device) -> bool:
    """Whether this processor multiplies 8-bit integers faster than numbers in float32."""
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # pyright: ignore[reportUnknownMemberType]
        and _supports("_is_vnni_supported")
    )


def has_matrix_units() -> bool:
    """Whether this processor multiplies matrices of 8-bit integers at once (AMX)."""
    return _supports("_is_amx_tile_supported")


def _supports(name: str) -> bool:
    supported = getattr(torch.cpu, name, None)
    return supported is not None and bool(supported())


def with_kernels(
    graph: Graph,
    precision: Precision,
    *,
    quick: bool,
    largest: Mapping[str, int],
    signed: frozenset[str] = frozenset(),
) -> Graph:
    """A scale-folded graph whose convolutions and products over whole numbers run faster.

    Args:
        graph: from `fold_scales`, so that neurons emit whole numbers.
        precision: `BF16` rounds the weights that meet whole numbers up to 256, `INT8` all that meet
            whole numbers.
        quick: take exact kernels where the machine has them and is faster with them.
        largest: the largest number that a neuron of each site emits, by its name.
        signed: names of the sites that emit negative numbers too; bytes hold none.

    Returns:
        A graph of the same operations by other means, or the graph itself.
    """
    if precision is Precision.BF16:
        large = beyond(LARGEST_BF16, largest)
        return _Lowering(graph, _in_bf16, torch.bfloat16, without=large).lowered()
    digits = DIGITS
    if precision is Precision.INT8:
        graph, digits = in_bytes(graph), 1
    like = graph.like
    if quick and like.dtype is torch.float32 and integers_are_fast(like.device):
        kernel, without = partial(_exact, digits=digits), signed | beyond(LARGEST_BYTE, largest)
        return _Lowering(graph, kernel, torch.uint8, without=without).lowered()
    return graph


def beyond(limit: int, largest: Mapping[str, int]) -> frozenset[str]:
    """The sites whose neurons emit larger numbers than `limit`."""
    return frozenset(site for site, number in largest.items() if number > limit)


_Lowered = tuple[Operation, dict[str, Tensor]]


class _Lowering:
    """One pass over a graph; one use."""

    def __init__(
        self,
        graph: Graph,
        kernel: Any,
        dtype: torch.dtype,
        *,
        without: frozenset[str],
    ) -> None:
        self._graph = graph
        self._kernel = kernel
        self._dtype = dtype
        self._wide = graph.dtype
        self._whole = whole_numbers(graph, without)
        self._tensors = dict(graph.tensors)

    def lowered(self) -> Graph:
        """The graph with the kernels that there are; the graph itself where there are none."""
        kernels: dict[str, Operation] = {}
        for op in self._graph.operations:
            if op.inputs and op.inputs[0] in self._whole:
                lowered: _Lowered | None = self._kernel(op, self._graph)
                if lowered is not None:
                    kernels[op.name] = lowered[0]
                    self._tensors.update(lowered[1])
        if not kernels:
            return self._graph
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
    fan_in = weight[0].numel()
    least = 1 if digits < DIGITS or has_matrix_units() else _LEAST_FAN_IN
    if not least <= fan_in <= _LARGEST_FAN_IN:
        return None
    cut, scales = cut_in_digits(weight, digits)
    first = weight.new_zeros(len(cut))
    if bias is not None:
        first[: len(weight)] = bias
    arguments = (list(geometry.stride), list(geometry.padding), list(geometry.dilation))
    sample = [1, *graph.shapes[op.inputs[0]]]  # without it, weights are packed anew at every call
    packed = torch.ops.onednn.qconv_prepack(cut, scales, 1.0, 0, *arguments, 1, sample)
    parts = {
        "digits": packed,
        "scales": scales,
        "no_offset": torch.zeros(len(cut), dtype=torch.int32),
        "first": first,
    }
    stored: dict[str, Tensor] = {}
    read = [Stored.made(stored, f"{op.name}.{name}", part) for name, part in parts.items()]
    args = (op.args[0], *read, *arguments)
    target = exact_convolution if digits == DIGITS else digit_sums
    return replace(op, target=target, args=args, kwargs={}), stored


def _weight_and_bias(op: Operation, graph: Graph) -> tuple[Tensor, Tensor | None]:
    """The stored tensors of an operation whose rule says where they stand: after the value."""
    weight, bias = graph.stored(op, 1, "weight"), graph.stored(op, 2, "bias")
    assert weight is not None
    return weight, bias


def _in_bf16(op: Operation, graph: Graph) -> _Lowered | None:
    rule = rule_of(op)
    if not rule.rounds_to_bf16:
        return None
    weight, _ = _weight_and_bias(op, graph)
    stored: dict[str, Tensor] = {}
    narrow = Stored.made(stored, f"{op.name}.weight", weight.to(torch.bfloat16), "bf16")
    about = (op.target, weight.dtype, rule.bias_dim)
    args = (*about, op.args[0], narrow, op.argument(2, "bias"), *op.args[3:])
    options = {key: value for key, value in op.kwargs.items() if key != "bias"}
    lowered = replace(op, target=bf16_product, args=args, kwargs=options)
    return lowered, stored


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
