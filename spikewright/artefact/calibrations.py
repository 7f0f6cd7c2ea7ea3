"""Designs and calibration as tensors beside the weights, and a little JSON.

Histograms are stored in the narrowest integers that hold them: a quarter to a half of int64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.artefact import configurations
from spikewright.artefact.fields import items, mapping, named, typed, whole
from spikewright.calibration import Calibration, SiteStatistics
from spikewright.calibration.design import Design
from spikewright.calibration.statistics import BINS
from spikewright.errors import InterchangeError
from spikewright.graph.ir import Graph, Operation
from spikewright.graph.per_channel import channels_of
from spikewright.graph.widened import wide

_INTEGERS = (torch.uint8, torch.int16, torch.int32, torch.int64)
_PARTS = {"threshold": "thresholds", "correction": "corrections", "potential": "potentials"}
_FIGURES = ("held_out", "expected")
_MOST_STEPS = 1 << 20
_EXPONENTS = (-1100, 1100)

Take = Callable[[str], Tensor]
"""A function that gives the tensor of a name, once."""


def narrowest(counts: Tensor) -> Tensor:
    """Counts, at least 0, in the narrowest integers that hold them."""
    largest = int(counts.max()) if counts.numel() else 0
    return counts.to(next(d for d in _INTEGERS if largest <= torch.iinfo(d).max))


def encoded_designs(
    designs: Mapping[int, Design], graph: Graph
) -> tuple[list[Any], dict[str, Tensor]]:
    """Designs by T, as plain values and tensors; weights as the graph's are computed in."""
    listed: list[Any] = []
    tensors: dict[str, Tensor] = {}
    for steps, design in designs.items():
        parts = {part: getattr(design, field) for part, field in _PARTS.items()}
        named_in = {part: list(sites) for part, sites in parts.items()}
        figures = {part: _figures(getattr(design, part)) for part in _FIGURES}
        more = {"weight": list(design.weights), **figures}
        listed.append({"steps": steps, **named_in, **more})
        for part, sites in parts.items():
            tensors |= {f"design/{steps}/{part}/{site}": t for site, t in sites.items()}
        for name, weight in design.weights.items():
            weight = weight.to("cpu", wide(graph.tensors[name].dtype)).contiguous()
            tensors[f"design/{steps}/weight/{name}"] = weight
    return listed, tensors


def decoded_designs(document: Any, graph: Graph, take: Take) -> dict[int, Design]:
    """The designs that `encoded_designs` wrote.

    Raises:
        InterchangeError: for anything else, and thresholds that are not positive and finite.
    """
    layers = layers_of(graph)
    designs: dict[int, Design] = {}
    for entry in items(document, "the designs"):
        values = named(
            mapping(entry, "a design"), ("steps", *_PARTS, "weight", *_FIGURES), "a design"
        )
        steps = whole(values[0], "a design's T", 1, _MOST_STEPS)
        parts: dict[str, dict[str, Tensor]] = {}
        for part, sites in zip(_PARTS, values[1:-3], strict=True):
            tensors = parts[_PARTS[part]] = {}
            for site in items(sites, f"the {part}s at T = {steps}"):
                what = f"the {part} of {site!r} at T = {steps}"
                op = _layer(layers, site, what)
                tensors[site] = _checked(take(f"design/{steps}/{part}/{site}"), op, part, what)
        if set(parts["thresholds"]) != set(layers) or steps in designs:
            raise InterchangeError(f"the design at T = {steps} must hold every site, once")
        weights = {
            typed(name, str, "a weight's name"): _checked_weight(
                take(f"design/{steps}/weight/{name}"), graph.tensors.get(name), name, steps
            )
            for name in items(values[-3], f"the weights at T = {steps}")
        }
        held_out, expected = (
            _read_figures(mapping(value, f"{part} at T = {steps}"), part)
            for part, value in zip(_FIGURES, values[-2:], strict=True)
        )
        _require(
            not expected or {"samples", "error", "unexplained", "relative_error"} <= set(expected),
            f"what is expected at T = {steps} lacks figures",
        )
        designs[steps] = Design(**parts, weights=weights, held_out=held_out, expected=expected)
    return designs


def _figures(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(figure) for name, figure in tensors.items()}


def _read_figures(values: Mapping[str, Any], part: str) -> dict[str, Tensor]:
    return {
        name: torch.tensor(typed(figure, float, f"{name!r} of {part}"), dtype=torch.float64)
        for name, figure in values.items()
    }


def _checked_weight(weight: Tensor, before: Tensor | None, name: str, steps: int) -> Tensor:
    """A weight that takes the place of a stored one."""
    what = f"the weight '{name}' at T = {steps}"
    _require(before is not None, f"{what} takes the place of none")
    assert before is not None
    if weight.dtype != wide(before.dtype) or weight.shape != before.shape:
        raise InterchangeError(
            f"{what} must be {wide(before.dtype)} {list(before.shape)}, got "
            f"{_type_and_shape(weight)}"
        )
    _require_finite(weight, what)
    return weight


def _checked(values: Tensor, op: Operation, part: str, what: str) -> Tensor:
    shapes = [op.shape] if part == "potential" else [(1,), (channels_of(op),)]
    if values.dtype is not torch.float64 or tuple(values.shape) not in shapes:
        raise InterchangeError(f"{what} must be float64 {shapes}, got {_type_and_shape(values)}")
    _require_finite(values, what)
    if part == "threshold":
        _require(bool((values > 0).all()), f"{what} must be positive")
    return values


def encoded_calibration(calibration: Calibration) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Statistics, strategy and neurons, as plain values and tensors."""
    tensors: dict[str, Tensor] = {}
    groups = {s.group_name: calibration.statistics[s.name] for s in calibration.sites}
    for site, statistics in groups.items():
        tensors[f"statistics/{site}/maximum"] = statistics.maximum
        tensors[f"statistics/{site}/exponent"] = statistics.exponent
        tensors[f"statistics/{site}/histogram"] = narrowest(statistics.histogram)
        tensors[f"statistics/{site}/input_sum"] = statistics.input_sum
    tensors |= {f"learned/{site}": t for site, t in calibration.learned.items()}
    document = {
        "neurons": configurations.encoded_neurons(calibration.neurons),
        "threshold": configurations.encoded(calibration.threshold),
        "values": {group: statistics.values for group, statistics in groups.items()},
        "signed": sorted(calibration.signed),
        "learned": list(calibration.learned),
    }
    return document, tensors


def decoded_calibration(document: Any, graph: Graph, take: Take) -> Calibration:
    """The calibration that `encoded_calibration` wrote.

    Raises:
        InterchangeError: for anything else.
    """
    neurons, threshold, values, signed, learned = named(
        mapping(document, "the calibration"),
        ("neurons", "threshold", "values", "signed", "learned"),
        "the calibration",
    )
    layers = layers_of(graph)
    values = mapping(values, "the numbers of values")
    groups = _alike(graph)
    if set(values) != set(groups):
        raise InterchangeError("the calibration must hold statistics of every site, and no other")
    negative = {_signed(layers, site) for site in items(signed, "the signed sites")}
    known = {
        group: replace(
            _statistics(ops[0], group, values[group], take),
            signed=any(op.site is not None and op.site.name in negative for op in ops),
        )
        for group, ops in groups.items()
    }
    return Calibration(
        graph.sites,
        {site.name: known[site.group_name] for site in graph.sites},
        configurations.decoded_neurons(neurons, graph.sites, "the calibration's neurons"),
        configurations.decoded_threshold(threshold, "the calibration's strategy"),
        {site: _learned(layers, site, take) for site in items(learned, "learned thresholds")},
    )


def _alike(graph: Graph) -> dict[str, list[Operation]]:
    """The neuron operations by what their statistics are kept under."""
    groups: dict[str, list[Operation]] = {}
    for op in graph.neurons:
        assert op.site is not None
        members = groups.setdefault(op.site.group_name, [op])
        if members[0] is not op:
            first = members[0].site
            same = first is not None and channels_of(members[0]) == channels_of(op)
            _require(same and bool(op.site.alike), f"'{op.site.name}' is not like '{first}'")
            members.append(op)
    return groups


def _statistics(op: Operation, site: str, values: Any, take: Take) -> SiteStatistics:
    what, channels = f"the statistics of '{site}'", channels_of(op)
    tensors = {
        part: take(f"statistics/{site}/{part}")
        for part in ("maximum", "exponent", "histogram", "input_sum")
    }
    expected = {"histogram": (channels, BINS)}
    for part, tensor in tensors.items():
        shape = expected.get(part, (channels,))
        right = tensor.dtype in {
            "exponent": (torch.int64,),
            "histogram": _INTEGERS,
        }.get(part, (torch.float64,))
        if not right or tuple(tensor.shape) != shape:
            raise InterchangeError(
                f"{what}: {part} must be of shape {shape}, got {_type_and_shape(tensor)}"
            )
        _require_finite(tensor, f"{what}: {part}")
    maximum, exponent, histogram = (tensors[p] for p in ("maximum", "exponent", "histogram"))
    histogram = histogram.to(torch.int64)
    values = whole(values, f"{what}: its values", 1, 1 << 53)
    low, high = _EXPONENTS
    _require(bool((maximum >= 0).all() and (maximum > 0).any()), f"{what}: no activation was seen")
    _require(bool(((exponent >= low) & (exponent <= high)).all()), f"{what}: exponent out of range")
    _require(
        bool((histogram >= 0).all() and (histogram <= values).all())
        and bool((histogram.sum(1) <= values).all()),
        f"{what}: its histogram holds more than the {values} activations seen",
    )
    return SiteStatistics(maximum, exponent, histogram, values, tensors["input_sum"])


def _signed(layers: Mapping[str, Operation], site: Any) -> str:
    what = f"the signed site {site!r}"
    op = _layer(layers, site, what)
    _require(op.site is not None and not op.site.rectifies, f"{what} is a rectifier")
    return site


def _learned(layers: Mapping[str, Operation], site: Any, take: Take) -> Tensor:
    what = f"the learned threshold of {site!r}"
    _layer(layers, site, what)
    threshold = take(f"learned/{site}")
    _require(threshold.is_floating_point() and threshold.numel() == 1, f"{what} must be one number")
    _require_finite(threshold, what)
    return threshold


def layers_of(graph: Graph) -> dict[str, Operation]:
    """The neuron operations by site name."""
    return {op.site.name: op for op in graph.neurons if op.site is not None}


def _layer(layers: Mapping[str, Operation], site: Any, what: str) -> Operation:
    if typed(site, str, what) not in layers:
        raise InterchangeError(f"{what}: the graph has no such site")
    return layers[site]


def _require_finite(values: Tensor, what: str) -> None:
    _require(bool(values.isfinite().all()), f"{what} must be finite")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InterchangeError(message)


def _type_and_shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
