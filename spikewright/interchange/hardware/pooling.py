"""Pooling in whole numbers: the mean over a window is its sum, at a scale divided by its size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from spikewright.graph.ir import Operation
from spikewright.graph.operations import argument
from spikewright.interchange.hardware.build import Build, Edge, Refused, Rule, each_dimension

aten = torch.ops.aten


def _even_plane(op: Operation, source: Edge) -> int:
    """The dimensions of the plane that an operation works in, its scales the same all over it."""
    dimensions = int(next(c for c in op.operator if c.isdigit()))
    if any(n != 1 for n in source.scale.shape[-dimensions:]):
        raise Refused("its input has another scale at every place")
    if dimensions > 2:
        raise Refused("only planes of one and two dimensions are described")
    return dimensions


def _average(op: Operation, build: Build) -> Edge:
    """The mean over a window is its sum, at a scale divided by its size."""
    source = build.source(op)
    dimensions = _even_plane(op, source)
    kernel = each_dimension(argument(op, 1, "kernel_size"), dimensions)
    stride = each_dimension(argument(op, 2, "stride") or kernel, dimensions)
    padding = each_dimension(argument(op, 3, "padding", 0), dimensions)
    if argument(op, 4, "ceil_mode", False):
        raise Refused("with ceil_mode=True its windows are not all of one size")
    if any(padding) and not argument(op, 5, "count_include_pad", True):
        raise Refused("with count_include_pad=False its windows are not all of one size")
    size = argument(op, 6, "divisor_override") or math.prod(kernel)
    return _pooled_sum(op, build, source, (kernel, stride, padding), size)


def _adaptive(op: Operation, build: Build) -> Edge:
    source = build.source(op)
    dimensions = _even_plane(op, source)
    planes = build.shape(build.signals(op)[0])[-dimensions:], op.shape[-dimensions:]
    if any(before % after for before, after in zip(*planes, strict=True)):
        raise Refused(f"from {planes[0]} to {planes[1]} its windows are not all of one size")
    kernel = [before // after for before, after in zip(*planes, strict=True)]
    return _pooled_sum(op, build, source, (kernel, kernel, [0] * dimensions), math.prod(kernel))


def _pooled_sum(
    op: Operation,
    build: Build,
    source: Edge,
    window: tuple[list[int], list[int], list[int]],
    size: int,
) -> Edge:
    kernel, stride, padding = window
    bound = source.bound * math.prod(kernel)
    return build.add(
        op,
        "sum pooling",
        [source],
        source.scale / size,
        bound,
        kernel=kernel,
        stride=stride,
        padding=padding,
    )


def _over_dimensions(op: Operation, build: Build) -> Edge:
    """Mean and sum over whole dimensions."""
    source = build.source(op)
    shape = build.shape(build.signals(op)[0])
    dims = sorted(d % (len(shape) + 1) for d in argument(op, 1, "dim"))
    if any(source.scale.shape[d] != 1 for d in dims):
        raise Refused("it adds signals of different scales")
    keep = bool(argument(op, 2, "keepdim", False))
    size = math.prod(shape[d - 1] for d in dims)
    scale = source.scale.amax(dims, keepdim=keep)
    scale = scale / size if op.target is aten.mean.dim else scale
    bound, within = source.bound * size, [d - 1 for d in dims]
    return build.add(op, "total", [source], scale, bound, dims=within, keepdim=keep)


def _max_pool(op: Operation, build: Build) -> Edge:
    source = build.source(op)
    dimensions = _even_plane(op, source)
    if bool(build.offsets[op.name].any()):
        raise Refused(
            "it takes the largest of currents that have a bias; where an activation follows, put "
            "it before the pooling, which changes nothing"
        )
    kernel = each_dimension(argument(op, 1, "kernel_size"), dimensions)
    return build.add(
        op,
        "max pooling",
        [source],
        source.scale,
        source.bound,
        kernel=kernel,
        stride=each_dimension(argument(op, 2, "stride") or kernel, dimensions),
        padding=each_dimension(argument(op, 3, "padding", 0), dimensions),
        dilation=each_dimension(argument(op, 4, "dilation", 1), dimensions),
        ceil_mode=bool(argument(op, 5, "ceil_mode", False)),
    )


POOLING: Mapping[Any, Rule] = {
    aten.avg_pool1d.default: _average,
    aten.avg_pool2d.default: _average,
    aten.adaptive_avg_pool1d.default: _adaptive,
    aten.adaptive_avg_pool2d.default: _adaptive,
    aten.mean.dim: _over_dimensions,
    aten.sum.dim_IntList: _over_dimensions,
    aten.max_pool1d.default: _max_pool,
    aten.max_pool2d.default: _max_pool,
}
"""By operation."""
