"""Operations that move values, in whole numbers: the scales move with the values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.graph.evaluate import call
from spikewright.graph.ir import Operation
from spikewright.graph.operations import REARRANGING, argument
from spikewright.interchange.hardware.build import Build, Edge, Refused, Rule, whole
from spikewright.interchange.hardware.rounding import common_unit, compressed

aten = torch.ops.aten

_LEFT_TO_WEIGHTS = 2.0
"""Signals side by side whose scales lie at most so far apart are left to the weights that read
them, which lose a bit at most; others are brought to one scale."""


def _rearranged(op: Operation, build: Build) -> Edge:
    """Whatever moves values, told by where each value comes from."""
    source, name = build.source(op), build.signals(op)[0]
    shape = build.shape(name)
    index, scale = (
        call(op, {**build.constants, name: values}, {}, 1)
        for values in (_places(shape), source.scale.expand(1, *shape).contiguous())
    )
    if not isinstance(index, Tensor):
        raise Refused("it gives several values; slice the signal instead")
    return _gathered(op, build, source, index, compressed(scale))


def _padded(op: Operation, build: Build) -> Edge:
    source, name = build.source(op), build.signals(op)[0]
    plain = op.target is not aten.pad.default or argument(op, 2, "mode", "constant") == "constant"
    value = argument(op, 3 if op.target is aten.pad.default else 2, "value", 0)
    if not plain or value not in (None, 0):
        raise Refused("only padding with zeros is described")
    pad = list(argument(op, 1, "pad"))
    index = F.pad(_places(build.shape(name)), pad, value=-1.0)
    uneven = [n if source.scale.shape[-1 - i // 2] > 1 else 0 for i, n in enumerate(pad)]
    return _gathered(op, build, source, index, F.pad(source.scale, uneven, value=1.0))


def _places(shape: tuple[int, ...]) -> Tensor:
    """Every value's place in a flattened sample, `[1, *S]`, in the dtype of signals."""
    return torch.arange(math.prod(shape), dtype=torch.float64).reshape(1, *shape)


def _gathered(op: Operation, build: Build, source: Edge, index: Tensor, scale: Tensor) -> Edge:
    shape, places = build.shape(build.signals(op)[0]), index.round()[0]
    if torch.equal(places.flatten(), _places(shape).flatten()):
        if op.shape == shape:
            return Edge(source.node, scale, source.bound)
        return build.add(op, "reshape", [source], scale, source.bound)
    return build.add(op, "gather", [source], scale, source.bound, {"index": whole(places)})


def _concatenated(op: Operation, build: Build) -> Edge:
    parts = [part.name for part in op.args[0]]
    if any(name not in build.edges for name in parts):
        raise Refused("it joins a signal with a constant")
    dim = argument(op, 1, "dim", 0) % (len(op.shape) + 1)
    edges = [build.edges[name] for name in parts]
    full = [e.scale.expand(1, *build.shape(n)) for e, n in zip(edges, parts, strict=True)]
    scale = torch.cat(full, dim)
    if float(scale.amax() / scale.amin()) <= _LEFT_TO_WEIGHTS:
        bound = max(edge.bound for edge in edges)
        return build.add(op, "concatenate", edges, compressed(scale), bound, dim=dim - 1)
    unit, _ = common_unit(list(scale.unique()))
    factors = [compressed((part / unit).round())[0] for part in full]
    bounds = (int(f.amax()) * edge.bound for f, edge in zip(factors, edges, strict=True))
    arrays = {f"factor_{i}": whole(f) for i, f in enumerate(factors)}
    unit = unit.reshape([1] * scale.ndim)
    return build.add(op, "concatenate", edges, unit, max(bounds), arrays, dim=dim - 1)


def _passed(op: Operation, build: Build) -> Edge:
    return build.source(op)


MOVES: Mapping[Any, Rule] = {
    **dict.fromkeys(REARRANGING, _rearranged),
    aten.upsample_nearest1d.vec: _rearranged,
    aten.upsample_nearest2d.vec: _rearranged,
    aten.pixel_shuffle.default: _rearranged,
    aten.cat.default: _concatenated,
    aten.pad.default: _padded,
    aten.constant_pad_nd.default: _padded,
    aten._to_copy.default: _passed,
}
"""By operation."""
