"""Neurons that compute functions by their own steps, fitted to the units at which they stand."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from spikewright.calibration.samples import Samples
from spikewright.errors import CalibrationError
from spikewright.graph.evaluate import apply, evaluate
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.units import applies_function, function_of
from spikewright.neurons import Neuron

_INPUTS = 1 << 14
"""Inputs of a unit that are kept of all samples, besides the least and the largest."""


def function_before(
    neuron: Neuron, op: Operation, tensors: Mapping[str, Tensor]
) -> Callable[[Tensor], Tensor] | None:
    """What a unit's current goes through before its neuron counts; None for nothing.

    Neurons that fit functions compute that of the unit by their own steps.
    """
    return None if neuron.fits_function else function_of(op, tensors)


def fitted_neurons(
    neurons: Mapping[str, Neuron], samples: Samples, steps: Sequence[int]
) -> dict[str, Neuron]:
    """The neurons of a network, those that fit functions fitted to their units.

    A neuron that was fitted before is kept as it is, and so is one at a unit of several values,
    which no neuron can be fitted to.

    Args:
        neurons: by site name.
        samples: that show what units are given.
        steps: every T.

    Raises:
        CalibrationError: for a unit whose function cannot be fitted over what it is given.
    """
    units = {
        op.site.name: op
        for op in samples.graph.neurons
        if op.site and op.site.group == 1 and applies_function(op)
    }
    waiting = [
        site
        for site, n in neurons.items()
        if site in units and n.fits_function and not n.fitted_steps
    ]
    inputs = _inputs(samples, waiting) if waiting else {}
    return {
        site: _fitted(neuron, units[site], inputs[site], samples.graph, steps)
        if site in inputs
        else neuron
        for site, neuron in neurons.items()
    }


def _fitted(
    neuron: Neuron, op: Operation, inputs: Tensor, graph: Graph, steps: Sequence[int]
) -> Neuron:
    assert op.site is not None
    tensors = {
        name: t.detach().cpu().double() if t.is_floating_point() else t.cpu()
        for name, t in graph.tensors.items()
        if name in op.stored
    }
    function = function_of(op, tensors)
    assert function is not None

    def of_each(x: Tensor) -> Tensor:
        values = function(x.reshape(-1, *[1] * len(op.shape)))
        if values.numel() != x.numel():
            raise ValueError("its constants differ from neuron to neuron, and it has one table")
        return values.flatten()

    try:
        return neuron.fitted(of_each, inputs, steps)
    except (ValueError, RuntimeError) as error:  # torch's own where shapes do not go together
        raise CalibrationError(
            f"'{neuron.label}' cannot be fitted to {op.function} at '{op.site.name}' "
            f"({op.source or op.module}): {error}"
        ) from error


def _inputs(samples: Samples, sites: Sequence[str]) -> dict[str, Tensor]:
    """What units are given in the ANN, by site name, float64 `[N]` on the CPU.

    Inputs are numbered through all samples, so that the draw does not depend on how these are cut.
    """
    kept: dict[str, list[Tensor]] = {site: [] for site in sites}
    ends: dict[str, list[Tensor]] = {site: [] for site in sites}
    drawn: dict[int, Tensor] = {}
    first = 0

    def keep(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        site = op.site.name
        if site in kept:
            values = inputs[0].detach().flatten()
            each = len(values) // len(inputs[0])
            if each not in drawn:
                drawn[each] = _drawn(len(samples) * each)
            numbers = drawn[each] - first * each
            numbers = numbers[(numbers >= 0) & (numbers < len(values))]
            kept[site].append(values[numbers.to(values.device)].cpu().double())
            ends[site] += [end.cpu().double() for end in torch.aminmax(values)]
        return apply(op, inputs, samples.graph.tensors)

    with torch.no_grad():
        for part in samples.parts:
            evaluate(samples.graph, part, {Kind.UNIT: keep})
            first += len(part)
    return {
        site: torch.cat([*kept[site], torch.stack(torch.aminmax(torch.stack(ends[site])))])
        for site in sites
    }


def _drawn(total: int) -> Tensor:
    """Numbers below one, ascending: all, or as many as are kept, at random.

    A stride could meet the same channels alone.
    """
    return torch.tensor(sorted(random.Random(0).sample(range(total), min(_INPUTS, total))))
