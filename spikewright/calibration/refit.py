"""Weights fitted to the spikes that they receive, one operation after the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction
from spikewright.calibration.design import Design
from spikewright.calibration.holding_out import HELD_OUT, LEAST_SAMPLES
from spikewright.calibration.layer_simulation import LayerSimulation
from spikewright.calibration.layers import AtLayer, Currents, Layers
from spikewright.calibration.moments import Places, chosen_ridge
from spikewright.calibration.output_means import fitting
from spikewright.calibration.rounding import factors_of_weights, rounded
from spikewright.calibration.samples import MEMORY, Samples, bytes_each
from spikewright.calibration.segments import kept_bytes
from spikewright.errors import CalibrationError
from spikewright.graph.evaluate import apply
from spikewright.graph.ir import Graph, Kind, Operation, Stored, Value, walk
from spikewright.graph.matrix import MatrixView
from spikewright.graph.precision import Precision
from spikewright.graph.primitives import SUM
from spikewright.graph.rule import rule_of

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Ridges to choose from, in mean second moments of an input."""

ENOUGH = 16_384
ENOUGH_PER_INPUT = 128
"""Places of all samples that are enough to fit an operation, the larger of the two."""

MOMENTS = 256 << 20
"""Bytes of the second moments of what an operation reads, at most: 5,792 inputs of one group."""


@dataclass(frozen=True)
class Refit(Correction):
    """Weights and biases by least squares on the spikes that really arrive.

    One weighted operation after the other, in the order of the graph, with everything before it
    refitted and sending spikes. With S what arrives (counts times their unit, and a constant 1
    where the operation has a bias) and Y what the ANN has where the operation's value goes,

        W' = W + R S' (S S' + k m D)^-1,    R = Y - W S,

    with m the mean second moment of an input, and D the identity but 0 for the constant, which is
    free. The ridge k is chosen for each group of the operation on every fourth sample, which is not
    fitted then; where every k makes those worse, W stays. What is added to other values on its way
    to the next units makes up for their errors too. Where these rectify, half of what they cut off
    in both networks is no error.

    This is the layer reconstruction of post-training quantisation (GPTQ, Frantar et al., ICLR 2023;
    the weight calibration of Li et al., ICML 2021, has the same aim by gradients). It needs no
    labels and no training. Weights that several operations share are kept, as are those that read
    the network's input, or more than 5,792 values for one of theirs.

    Weights that stand in 8 bits are then rounded, each in its turn, the others making up for its
    error (GPTQ).

    Neurons without a count law are simulated step by step, on the same samples.

    Args:
        samples: at most so many are looked at, at least 8; fewer where 2 GiB hold fewer.
        places: of each sample's plane at most so many, drawn at random, at least 1; fewer where 128
            for each input of the operation, and 16,384 of all samples, are together already.
        precision: the number format of weights that meet spikes; "int8" rounds them.

    Raises:
        ValueError: for fewer.
        ConversionError: for another format.
    """

    samples: int = 512
    places: int = 400
    precision: Precision | str = field(default=Precision.FLOAT32, repr=False)

    def __post_init__(self) -> None:
        if self.samples < LEAST_SAMPLES or self.places < 1:
            raise ValueError(
                f"Refit needs at least {LEAST_SAMPLES} samples and 1 place of each, got "
                f"{self.samples} and {self.places}"
            )
        Precision.named(self.precision)

    def at_precision(self, precision: Precision) -> Refit:
        return replace(self, precision=precision)

    def corrected(
        self, design: Design, calibration: Calibration, samples: Samples, steps: int, seed: int
    ) -> Design:
        if len(samples) < LEAST_SAMPLES:
            raise CalibrationError(
                f"Refit fits weights on some samples and checks them on others; it needs at least "
                f"{LEAST_SAMPLES} calibration samples, got {len(samples)}: give more, or use "
                "InputMeans"
            )
        graph, neurons = samples.graph, calibration.neurons
        simulation = LayerSimulation(neurons, steps, seed, graph.tensors, calibration.signed)
        most = min(self.samples, fitting(samples, simulation, self.samples), _fitting(graph))
        chosen = samples.spread(max(most, LEAST_SAMPLES), simulation.duration)
        factors = dict[str, Tensor]()
        if self.precision == Precision.INT8:
            factors = factors_of_weights(graph, simulation.worth(graph, design))
        run = _Run(chosen, simulation, self.places, factors)
        return replace(design, weights=run.weights(design))


@dataclass(frozen=True)
class _Weighted:
    """An operation to be refitted, with the names of its weights and bias."""

    operation: Operation
    view: MatrixView
    weight: str
    bias: str | None


class _Run:
    """The network and its ANN side by side, on the same samples; one use.

    Weights of operations that `factors` names are rounded to 8 bits.
    """

    def __init__(
        self,
        samples: Samples,
        simulation: LayerSimulation,
        places: int,
        factors: Mapping[str, Tensor],
    ) -> None:
        self._samples = samples
        self._simulation = simulation
        self._places = places
        self._factors = factors
        self._tensors = dict(samples.graph.tensors)
        """The stored tensors of the network, in which refitted ones take the place of others."""
        self._drawn: dict[tuple[int, int, int], Tensor] = {}
        """Places of samples: by number of the sample, number of places, and how many are drawn."""

    def weights(self, design: Design) -> dict[str, Tensor]:
        """The tensors that take the place of others, by name, on the CPU."""
        graph, parts = self._samples.graph, self._samples.parts
        times = (self._simulation.duration, self._simulation.rehearsal)
        ann = Layers(graph, parts, whole=True)
        snn = Layers(replace(graph, tensors=self._tensors), parts, *times, whole=True)
        weighted = _weighted(graph)
        refitted: dict[str, Tensor] = {}
        for exact, layer in zip(ann.layers(), snn.layers(), strict=True):
            currents = exact.remembered_currents()
            for op in layer.operations:
                if op.name in weighted:
                    new = self._refitted(weighted[op.name], exact, layer, currents)
                    self._tensors.update(new)
                    refitted.update({name: tensor.cpu() for name, tensor in new.items()})
            if layer.operation.site is not None:
                self._activate(exact, currents)
                self._simulation.send(layer, design, self._samples.ids)
            elif layer.lasts:
                exact.merge()
                layer.merge()
        return refitted

    def _activate(self, exact: AtLayer, currents: Currents) -> None:
        """Let the ANN's unit send its activations."""
        for number, current in currents():
            exact.send(number, self._value(exact.operation, current))

    def _refitted(
        self, weighted: _Weighted, exact: AtLayer, layer: AtLayer, currents: Currents
    ) -> dict[str, Tensor]:
        """New weights and bias of an operation, by name."""
        view = weighted.view
        groups, outputs, inputs = view.rows.shape
        fitted, held_out = (
            Places(groups, outputs, inputs, constant=weighted.bias is not None) for _ in range(2)
        )
        enough = max(ENOUGH, ENOUGH_PER_INPUT * inputs)
        most = min(self._places, math.ceil(enough / len(self._samples)))
        start = 0
        for got, missing in self._residuals(weighted, exact, layer, currents):
            which = torch.arange(start, start + len(got)) % HELD_OUT == 0
            for places, some in ((fitted, ~which), (held_out, which)):
                if bool(some.any()):
                    numbers = start + some.nonzero().flatten()
                    drawn = self._places_of(numbers.tolist(), missing.shape[1:-1].numel(), most)
                    places.add(*_at_places(view, got[some], missing[some], drawn))
            start += len(got)
        moments, strengths = fitted.moments(), torch.tensor(STRENGTHS, dtype=torch.float64)
        change = chosen_ridge(moments, held_out.moments(), strengths)
        rows = view.rows.double() + change[..., :inputs].to(view.rows.device)
        factors = self._factors.get(weighted.operation.name)
        if factors is not None:
            rows, of_bias = rounded(rows.cpu(), factors.cpu(), moments)
            change[..., inputs:] += of_bias[..., None]
        new = {weighted.weight: view.stored(rows.to(view.rows))}
        if weighted.bias is not None:
            bias = self._tensors[weighted.bias]
            new[weighted.bias] = bias + change[..., -1].flatten().to(bias)
        return new

    def _places_of(self, numbers: Sequence[int], size: int, most: int) -> Tensor | None:
        """So many of each sample's places, drawn by its number, `[B, P]`; None for all of them."""
        if size <= most:
            return None
        keys = [(number, size, most) for number in numbers]
        for key in keys:
            if key not in self._drawn:
                generator = torch.Generator().manual_seed(key[0])
                draws = torch.rand(size, generator=generator, dtype=torch.float32)
                self._drawn[key] = draws.topk(most).indices
        return torch.stack([self._drawn[key] for key in keys])

    def _residuals(
        self, weighted: _Weighted, exact: AtLayer, layer: AtLayer, currents: Currents
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """What arrives `[B, *S]`, and what is missing `[B, *places, O]`, of each part."""
        op, dim = weighted.operation, rule_of(weighted.operation).bias_dim
        mean = self._simulation.mean_over_steps
        terms = _terms(op, layer)
        if terms:
            ceiling, times = _ceiling(layer), terms[layer.operation.inputs[0]]
            ends = zip(layer.read_and_current(op), currents(), strict=True)
            for (read, given), (_, wanted) in ends:
                missing = _missing(wanted, mean(given), ceiling) / times
                yield mean(read), missing.movedim(dim, -1)
        else:
            for read, wanted in zip(layer.read_by(op), exact.read_by(op), strict=True):
                got = mean(read)
                yield got, (self._value(op, wanted) - self._value(op, got)).movedim(dim, -1)

    def _value(self, op: Operation, read: Tensor) -> Tensor:
        """The value of an operation, with the weights of the ANN."""
        return apply(op, (read,), self._samples.graph.tensors)


def _at_places(
    view: MatrixView, got: Tensor, missing: Tensor, drawn: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Inputs `[G, P, K]` and residuals `[G, P, O / G]` of samples, at some of their places."""
    read = view.read(got)
    if drawn is not None:
        picked = torch.unravel_index(drawn, missing.shape[1:-1])
        index = (torch.arange(len(got))[:, None], *picked)
        read, missing = read[index], missing[index]
    groups, outputs, inputs = view.rows.shape
    return (
        read.reshape(-1, groups, inputs).transpose(0, 1),
        missing.reshape(-1, groups, outputs).transpose(0, 1),
    )


def _weighted(graph: Graph) -> dict[str, _Weighted]:
    """The operations behind a unit whose weights and biases are theirs alone, by name."""
    uses = Counter(name for op in graph.operations for name in op.stored)
    behind, found = set[str](), dict[str, _Weighted]()
    for op in graph.operations:
        if op.kind is not Kind.UNIT and behind.isdisjoint(op.inputs):
            continue
        behind.add(op.name)
        rule = rule_of(op)
        if op.kind is not Kind.LINEAR or rule.weight_at is None:
            continue
        weight, bias = op.argument(rule.weight_at, "weight"), None
        if rule.bias_at is not None:
            bias = op.argument(rule.bias_at, "bias")
        own = all(
            isinstance(leaf, Stored) and uses[leaf.name] == 1 for leaf in (weight, bias or weight)
        )
        view = rule.matrix(op, graph.tensors[weight.name]) if own else None
        if view is not None and _moment_bytes(view) <= MOMENTS:
            found[op.name] = _Weighted(op, view, weight.name, bias and bias.name)
    return found


def _moment_bytes(view: MatrixView) -> int:
    groups, _, inputs = view.rows.shape
    return groups * inputs**2 * torch.float64.itemsize


def _terms(op: Operation, layer: AtLayer) -> dict[str, int]:
    """How often an operation's value is a term of each value on its way to the current, by name.

    Empty where anything else is made of it, or of what it is a term of.
    """
    end, times = layer.operation, {op.name: 1}
    if end.site is None or layer.keeps(op):
        return {}
    for one in layer.operations:
        leaves = walk((one.args, one.kwargs))
        terms = [times[v.name] for v in leaves if isinstance(v, Value) and v.name in times]
        if one is not end and terms:
            last = end.inputs == (one.name,)
            plain = one.target is SUM and not one.kwargs and one.shape == op.shape
            if not plain or (layer.keeps(one) and not last):
                return {}
            times[one.name] = sum(terms)
    return times if len(end.inputs) == 1 and end.inputs[0] in times else {}


def _ceiling(layer: AtLayer) -> float | None:
    """The ceiling of the rectifier that alone reads the current; else None."""
    end = layer.operation
    kept = any(one.name in end.inputs and layer.keeps(one) for one in layer.operations)
    return None if kept or end.site is None or not end.site.rectifies else end.site.ceiling


def _missing(wanted: Tensor, given: Tensor, ceiling: float | None) -> Tensor:
    """What a current is short of the ANN's; of what a rectifier cuts off anyway, half.

    Where the ANN's current is below 0, any other below 0 does as well, and above the ceiling alike.
    The mean of the ANN's and the nearest such current leaves the fit free for what comes through,
    and currents still away from the edges.

    Args:
        wanted: the ANN's current.
        given: the network's.
        ceiling: of the rectifier that alone reads it; None where others read it too, or another
            function does.
    """
    if ceiling is not None:
        nearest = wanted.where(wanted < ceiling, given.clamp(min=ceiling))
        nearest = nearest.where(wanted > 0, given.clamp(max=0))
        wanted = (wanted + nearest) / 2
    return wanted - given


def _fitting(graph: Graph) -> int:
    """How many samples fit into memory with what the ANN has of each between its layers."""
    return MEMORY // (bytes_each(graph) + kept_bytes(graph, graph.dtype.itemsize, narrow=False))
