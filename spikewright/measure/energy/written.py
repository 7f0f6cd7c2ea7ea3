"""Whose spikes travel on an edge, and how they write the counts of their neurons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Graph
from spikewright.graph.evaluate import call
from spikewright.graph.routes import Chosen, Moved, Route
from spikewright.neurons import Neuron


@dataclass(frozen=True)
class Written:
    """The same counts written by certain neurons.

    Attributes:
        neurons: neurons by site, of the network's own count law.
        steps: T of their windows, in which they count at least as far as the network does.
    """

    neurons: Mapping[str, Neuron]
    steps: int


class Trains:
    """The spike trains of a network: which of them a value is made of, and what they are like.

    Args:
        graph: the network.
        routes: of its operations, by name; None of sites.
        code: its neurons; None of a network without spikes.
    """

    def __init__(
        self, graph: Graph, routes: Mapping[str, Route | None], code: Written | None
    ) -> None:
        self._graph = graph
        self._routes = routes
        self._neurons: Mapping[str, Neuron] = {} if code is None else code.neurons
        self._weights: dict[str, tuple[float, ...]] = {}
        if code is not None:
            self._weights = {
                site: tuple(neuron.step_weights(code.steps).tolist())
                for site, neuron in code.neurons.items()
            }
        self._sources: dict[str, frozenset[str]] = {port.name: frozenset() for port in graph.inputs}
        for op in graph.operations:
            here = self.sites_of(op.inputs) if op.site is None else frozenset({op.site.name})
            self._sources[op.name] = here

    def sites_of(self, names: Iterable[str]) -> frozenset[str]:
        """The sites whose spikes some values are made of, the last ones before them, by name."""
        return frozenset[str]().union(*(self._sources[name] for name in names))

    def steps(self, names: Iterable[str], otherwise: float) -> float:
        """The time steps of the longest window among the trains of values.

        Args:
            names: of the values.
            otherwise: the answer where there is no train.
        """
        known = self.sites_of(names) & self._weights.keys()
        return max((len(self._weights[site]) for site in known), default=otherwise)

    def updates(self, names: Iterable[str]) -> int:
        """How often what takes in values is updated besides additions, as steps weigh unlike.

        Trains of the same weights share a sum.
        """
        known = self.sites_of(names) & self._weights.keys()
        trains = {self._weights[site] for site in known}
        return sum(len(train) for train in trains if len({w for w in train if w}) > 1)

    @cached_property
    def before_maxima(self) -> frozenset[str]:
        """The values whose counts a maximum asks for, by name."""
        wanted: set[str] = set()
        for op in reversed(self._graph.operations):
            route = self._routes[op.name]
            moves = isinstance(route, Moved) and route.counted and op.name in wanted
            if moves or isinstance(route, Chosen):
                wanted.update(op.inputs)
        return frozenset(wanted)

    @cached_property
    def sites_before_maxima(self) -> frozenset[str]:
        """Sites whose counts a maximum asks for, by name."""
        wanted, neurons = self.before_maxima, self._graph.neurons
        return frozenset(op.site.name for op in neurons if op.site and op.name in wanted)

    @cached_property
    def _writers(self) -> dict[str, Any]:
        """The numbers of the neurons that write each element, `[1, *S]`, as far as maxima, by name.

        Of counts that have only moved since they were sent, and the largest of them; a neuron's
        number is that of its site.
        """
        numbers = {site: float(number) for number, site in enumerate(self._neurons)}
        writers: dict[str, Any] = {}
        for op in self._graph.operations if numbers else ():
            route = self._routes[op.name]
            read = {name: writers[name] for name in op.inputs if name in writers}
            if op.site is not None and op.name in self.before_maxima:
                shape = (1, *op.shape)
                writers[op.name] = torch.full(shape, numbers[op.site.name], dtype=torch.float64)
            elif not read or len(read) < len(set(op.inputs)):
                continue
            elif isinstance(route, Chosen):
                writers[op.name] = call(op, read, {}, 1)
            elif isinstance(route, Moved) and route.counted:
                writers[op.name] = route.move(read)
        return writers

    def carries_counts(self, name: str) -> bool:
        """Whether a value is counts that have only moved, or the largest of them."""
        return name in self._writers

    def spikes_of(self, name: str, counts: Tensor) -> Tensor:
        """The number of spikes that carry the counts `[R, *S]` of a value that `carries_counts`."""
        spikes = torch.zeros_like(counts)
        for number, neuron in enumerate(self._neurons.values()):
            own = self._writers[name] == number
            if bool(own.any()):
                spikes = torch.where(own, neuron.spikes_of(counts), spikes)
        return spikes

    def powers(self, name: str) -> Tensor:
        """Where a value that `carries_counts` is written in powers of two, bool `[1, *S]`."""
        numbers = enumerate(self._neurons.values())
        shifted = [float(number) for number, neuron in numbers if neuron.largest_spike > 1]
        return torch.isin(self._writers[name], torch.tensor(shifted, dtype=torch.float64))
