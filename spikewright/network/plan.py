"""What an engine runs: a scale-folded graph with its neurons, at one T."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.design import Design
from spikewright.calibration.fitted_neurons import function_before
from spikewright.graph.affines import with_affines_in_weights
from spikewright.graph.ir import Graph, Operation
from spikewright.graph.per_channel import placed
from spikewright.graph.precision import Precision
from spikewright.graph.scales import fold_scales
from spikewright.graph.widened import wide
from spikewright.network.byte_cache import ByteCache
from spikewright.network.kernels import with_kernels
from spikewright.network.mixing import step_weights
from spikewright.neurons import Draws, Layer, Neuron
from spikewright.neurons.counter_random import Fuse, unfused


@dataclass(frozen=True)
class Plan:
    """A network ready to be simulated at one T.

    Attributes:
        source: the captured graph, scales not folded; that of a 16-bit network in float32, as
            charges, counts and sums over time are.
        neurons: by site name.
        thresholds: by site name, broadcastable to `[B, *S]`.
        corrections: by site name, added to the current at every step; may be empty.
        steps: T, of every window but those of neurons with steps of their own.
        weights: of the time steps of a window, `[duration]`; see `step_weights`.
        precision: of weights and currents.
        quick: take the machine's fastest exact kernels.
        fuse: applied to the time loops of the step engine.
        potentials: by site name, charge before the first step, of neurons without a count law; to
            the others it is a current, and part of `corrections`.
        signed: names of the sites whose counts run from -L to L.
    """

    source: Graph
    neurons: Mapping[str, Neuron]
    thresholds: Mapping[str, Tensor]
    corrections: Mapping[str, Tensor]
    steps: int
    weights: Tensor
    precision: Precision = Precision.FLOAT32
    quick: bool = False
    fuse: Fuse = unfused
    potentials: Mapping[str, Tensor] = field(default_factory=dict)
    signed: frozenset[str] = frozenset()

    @cached_property
    def graph(self) -> Graph:
        """The network on spikes as they are `emitted`: scales are in the weights."""
        return self._on_spikes()

    @property
    def graph_with_affines(self) -> Graph:
        """`graph`, but with the affines of channels by themselves, for what has no bias a place."""
        return fold_scales(self.source, self._worth)

    @cached_property
    def step_graph(self) -> Graph:
        """`graph` as the step engine runs it."""
        graph = self.__dict__.get("graph") or self._on_spikes()
        largest = {
            site: int(factors.abs().max()) * self.neurons[site].largest_spike
            for site, factors in self.factors.items()
        }
        # spikes that have signs though their counts may have none
        both = {s for s, n in self.neurons.items() if n.takes_back or n.largest_spike > 1}
        lowered = self._lowered(graph, largest, self.signed | both)
        if lowered is graph:  # one copy of the weights serves as both
            self.__dict__["graph"] = graph
        return lowered

    @cached_property
    def count_graph(self) -> Graph:
        """The network on counts, as the count engine runs it: neuron operations emit them."""
        folded = fold_scales(self._folded, self.worth_of_counts)
        return self._lowered(folded, self.reach, self.signed)

    @property
    def worth_of_counts(self) -> Mapping[str, Tensor]:
        """By site name, what a count of one stands for: theta / L, rounded once."""
        return {site: theta / self.levels[site] for site, theta in self.thresholds.items()}

    @cached_property
    def sum_graph(self) -> Graph:
        """`graph` for trains that appear as their sums so far, from -L to L."""
        return self._lowered(self.graph, self.reach, self.signed)

    @cached_property
    def _folded(self) -> Graph:
        """The source with the affines of channels in the weights that read them."""
        return with_affines_in_weights(self.source)

    def _on_spikes(self) -> Graph:
        return fold_scales(self._folded, self._worth)

    @property
    def _worth(self) -> Mapping[str, Tensor]:
        """By site name, what a spike stands for."""
        shares = {site: self.total_weight / levels for site, levels in self.levels.items()}
        return {site: theta * shares[site] for site, theta in self.thresholds.items()}

    def _lowered(self, graph: Graph, largest: Mapping[str, int], signed: frozenset[str]) -> Graph:
        """A graph whose neurons emit numbers up to the largest of their site, by faster kernels."""
        signed |= {site for site, factors in self.factors.items() if bool((factors < 0).any())}
        return with_kernels(graph, self.precision, quick=self.quick, largest=largest, signed=signed)

    @property
    def made_bytes(self) -> int:
        """Bytes of the weights made for this plan so far, beside those of its source."""
        shared = {id(tensor) for tensor in self.source.tensors.values()}
        names = ("graph", "step_graph", "count_graph", "sum_graph")
        graphs = (self.__dict__.get(name) for name in names)
        made = {id(t): t.nbytes for graph in graphs if graph for t in graph.tensors.values()}
        return sum(size for tensor, size in made.items() if tensor not in shared)

    @property
    def duration(self) -> int:
        """Time steps of the longest window."""
        return len(self.weights)

    @cached_property
    def levels(self) -> Mapping[str, int]:
        """L by site name, the largest count that thresholds are fitted for."""
        return {site: neuron.levels(self.steps) for site, neuron in self.neurons.items()}

    @cached_property
    def reach(self) -> Mapping[str, int]:
        """The largest count by site name; L, or more where a code leaves room."""
        return {site: neuron.reach(self.steps) for site, neuron in self.neurons.items()}

    @cached_property
    def factors(self) -> Mapping[str, Tensor]:
        """By site name, what its spikes at each step of its own window are multiplied by.

        So each step weighs the same for all that arrives in it: where all neurons share their
        steps' weights these are ones, and else the weights themselves, as `weights` is ones then.
        """
        trains = {site: n.step_weights(self.steps) for site, n in self.neurons.items()}
        return {
            site: torch.where(train != 0, train / self.weights[: len(train)], 1.0)
            for site, train in trains.items()
        }

    @cached_property
    def shares_steps(self) -> bool:
        """Whether all neurons share the weights of their steps: spikes are sent as they are."""
        neurons = self.neurons.values()
        return all(torch.equal(n.step_weights(self.steps), self.weights) for n in neurons)

    @property
    def settling(self) -> int | None:
        """The most time steps after the window in which neurons settle; see `Neuron.settling`."""
        return next((neuron.settling for neuron in self.neurons.values()), 0)

    @property
    def total_weight(self) -> float:
        """The sum of the steps' weights; T for rate codes, L for the binary code too."""
        return float(self.weights.sum())

    def weights_at(self, start: int, steps: int) -> Tensor:
        """What each of these steps weighs, `[steps]`; after the window it is 1."""
        return _padded(self.weights[start : start + steps], steps)

    def factors_at(self, site: str, start: int, steps: int) -> Tensor:
        """What spikes of a site at these steps are multiplied by, `[steps]`; after its window 1."""
        return _padded(self.factors[site][start : start + steps], steps)

    def spike_weights(self, site: str, start: int, steps: int) -> Tensor:
        """What a spike of a site at each of these steps counts for, `[steps]`."""
        return self.weights_at(start, steps) * self.factors_at(site, start, steps)

    def emitted(self, site: str, start: int, spikes: Tensor) -> Tensor:
        """What a layer sends on of its spikes `[t, B, *S]`, the first of them at step `start`."""
        factors = self.factors_at(site, start, len(spikes))
        if bool((factors == 1).all()):
            return spikes
        return spikes * factors.to(spikes).reshape(-1, *[1] * (spikes.ndim - 1))

    def layer(self, site: str, seed: int, sample_ids: Tensor) -> Layer:
        """The layer of neurons at a site, with its random numbers."""
        draws = Draws(seed, site, sample_ids)
        potential = self.potentials.get(site, 0.0)
        function, signed = self.functions[site], site in self.signed
        held = (self.thresholds[site], self.steps, draws, self.fuse, potential)
        return Layer(*held, function, signed)

    @cached_property
    def functions(self) -> Mapping[str, Callable[[Tensor], Tensor] | None]:
        """What neurons round, from the mean current, by site name; None for the current itself.

        It is None too for neurons that compute the function by their own steps.
        """
        tensors = self.source.tensors
        return {
            op.site.name: function_before(self.neurons[op.site.name], op, tensors)
            for op in self.source.neurons
            if op.site
        }

    def gain(self, site: str) -> Tensor:
        """Charge, in counts, for a unit of mean current: L / theta."""
        return self.levels[site] / self.thresholds[site]

    def charge(self, site: str, current: Tensor) -> Tensor:
        """`x = L * f(mean current + correction) / theta`, `[B, *S]`, from the mean current.

        f is the unit's function; of a rectifier it is left to the neurons, which count from 0.
        """
        return self.rounded(site, self.corrected(site, current)) * self.gain(site)

    def rounded(self, site: str, current: Tensor) -> Tensor:
        """What the neurons of a site round, in the unit of its threshold, `[B, *S]`."""
        function = self.functions[site]
        return current if function is None else function(current)

    def corrected(self, site: str, current: Tensor) -> Tensor:
        """A site's current with its bias correction."""
        correction = self.corrections.get(site)
        return current if correction is None else current + correction


def _padded(weights: Tensor, steps: int) -> Tensor:
    return torch.cat([weights, weights.new_ones(steps - len(weights))])


def plan_cache() -> ByteCache[Plan]:
    """Keeps the plans of the T used last."""
    return ByteCache(lambda plan: plan.made_bytes)


def spikes_per_sample(neuron: Neuron, count: Tensor) -> Tensor:
    """Spikes that a layer's counts `[B, *S]` take, `[B]`; exact up to 2**53 in float64."""
    return summed(neuron.spikes_of(count))


def summed(values: Tensor, dtype: torch.dtype | None = torch.float64) -> Tensor:
    """The sums over all but the first dimension, `[B]`; in the dtype of the values if None.

    Not of rows made flat: compiled, that reads images in another order than the one in which they
    lie, element by element.
    """
    return values.sum(dim=tuple(range(1, values.ndim)), dtype=dtype)


@dataclass(frozen=True)
class Observer:
    """Callbacks into a running simulation; those that are None cost nothing.

    Attributes:
        layer: called once a site with its operation, total charge `x = L * mean current / theta`
            `[B, *S]`, counts `[B, *S]` and, from the step engine, the residual charge left in the
            neurons, in counts (else None).
        sent: called once a site with its operation and how many spikes each sample's neurons sent,
            `[B]`. The compiled engine serves this one, `answer` and `settled`.
        spikes: called by the step engine with the operation, the first step and the spikes
            `[t, B, *S]` of each time chunk.
        ran: called by the step engine for each time chunk with an operation whose value varies in
            time, the first step, their number t, the values of `Operation.inputs` and its own,
            `[t * B, *S]`; without inputs where a layer emits.
        answer: called by the step engine after every time step from which on all outputs are
            there, with the steps since the first input and the outputs, as means so far; where the
            neurons do not share the weights of their steps, once, at the end.
        settled: called once by the step engine with the time steps, int64 `[B]`, after which
            nothing is sent for each sample; those until the answer at least.
    """

    layer: Callable[[Operation, Tensor, Tensor, Tensor | None], None] | None = None
    sent: Callable[[Operation, Tensor], None] | None = None
    spikes: Callable[[Operation, int, Tensor], None] | None = None
    ran: Callable[[Operation, int, int, tuple[Any, ...], Any], None] | None = None
    answer: Callable[[int, tuple[Tensor, ...]], None] | None = None
    settled: Callable[[Tensor], None] | None = None

    @property
    def only_in_steps(self) -> bool:
        """Whether it watches what the step engine alone can tell."""
        watched = (self.spikes, self.ran, self.answer, self.settled)
        return any(callback is not None for callback in watched)


SILENT = Observer()
"""An observer that watches nothing."""


def prepared(
    graph: Graph,
    neurons: Mapping[str, Neuron],
    design: Design,
    steps: int,
    like: Tensor,
    precision: Precision,
    signed: frozenset[str] = frozenset(),
) -> Plan:
    """A network made ready for one T.

    Args:
        graph: scales not folded, `widened`.
        neurons: by site name.
        design: thresholds and corrections at this T.
        steps: T.
        like: tells the network's dtype and device.
        precision: of weights and currents; that of a bfloat16 network is `BF16` in any case.
        signed: names of the sites whose counts run from -L to L.

    Raises:
        ConversionError: when neurons cannot stand in one network; see `step_weights`.
    """
    dtype = wide(like.dtype)
    units = {op.site.name: op for op in graph.neurons if op.site}

    def here(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows = {site: placed(of_site, units[site]) for site, of_site in values.items()}
        return {site: row.to(like.device, dtype) for site, row in rows.items()}

    thresholds, corrections = here(design.thresholds), here(design.corrections)
    potentials: dict[str, Tensor] = {}
    for site, charge in design.potentials.items():
        charge = charge.to(like.device, dtype)[None]
        if neurons[site].has_count_law:  # it knows its total charge only: T equal shares do as well
            corrections[site] = corrections.get(site, 0.0) + charge / steps
        else:
            potentials[site] = charge
    weights = {name: tensor.to(like.device, dtype) for name, tensor in design.weights.items()}
    if like.dtype is torch.bfloat16:
        precision = Precision.BF16  # its weights hold no more
    return Plan(
        source=replace(graph, tensors={**graph.tensors, **weights}) if weights else graph,
        neurons=neurons,
        thresholds=thresholds,
        corrections=corrections,
        steps=steps,
        weights=step_weights(neurons, steps),
        precision=precision,
        potentials=potentials,
        signed=signed,
    )
