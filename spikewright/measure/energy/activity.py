"""What the neurons of a network send for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Kind, Operation
from spikewright.graph.inputs import Batch
from spikewright.measure.energy.written import Trains, Written
from spikewright.network import Engine, Observer, SpikingNetwork
from spikewright.network.engine import chosen
from spikewright.network.frames import samples_in
from spikewright.network.plan import Plan


@dataclass(frozen=True)
class Activity:
    """What one site sent.

    Attributes:
        spikes: spikes of every neuron, all steps, of either sign, float64 `[N, *S]`: of every
            sample, or `[1, *S]` of all samples.
        counts: count of every neuron and sample, float64 `[R, *S]`, where a max pool asks for them.
            A rehearsal's counts are rows of their own beside those of the window.
    """

    spikes: Tensor
    counts: Tensor | None

    def of(self, number: int, samples: int) -> Activity:
        """That of one sample of so many."""
        counts = None if self.counts is None else self.counts[number::samples]
        return Activity(self.spikes[number : number + 1], counts)


@dataclass(frozen=True)
class Activities:
    """What a network sent for a batch under one code.

    Attributes:
        sites: the activity of every site, by name.
        maxima: by operation, the events that left maxima, float64, as `Activity.spikes`, where
            counts do not tell it.
        settled: time steps after the window until nothing was sent, of every sample; none where
            nothing is sent then.
    """

    sites: dict[str, Activity] = field(default_factory=dict[str, Activity])
    maxima: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    settled: tuple[int, ...] = ()

    @property
    def settling(self) -> int:
        """Time steps after the window until nothing was sent, all samples together."""
        return sum(self.settled)

    @property
    def latest(self) -> int:
        """The most of one sample."""
        return max(self.settled, default=0)

    def of(self, number: int, samples: int) -> Activities:
        """What was sent for one sample of so many, where they were kept apart."""
        return Activities(
            {site: activity.of(number, samples) for site, activity in self.sites.items()},
            {name: sent[number : number + 1] for name, sent in self.maxima.items()},
            self.settled[number : number + 1],
        )


def observe_activity(
    network: SpikingNetwork,
    shown: Batch,
    steps: int,
    *,
    seed: int,
    engine: Engine | str,
    trains: Trains,
    codes: Sequence[Written],
    apart: bool,
) -> tuple[Any, list[Activities]]:
    """Simulate a batch and add up the spikes of every neuron.

    Args:
        network: the network to run; a compiled one runs uncompiled, to observe single neurons.
        shown: a batch of all inputs, or frames `[T, B, *S]` of the one.
        steps: T.
        seed: the seed of the random draws.
        engine: as in `SpikingNetwork.forward`.
        trains: of the network, which tell what is asked of maxima.
        codes: the neurons of each code, which send the same counts in other numbers of spikes.
        apart: whether every sample's spikes are kept, and not those of all samples added up.

    Returns:
        The network's answer, and the activities under each code.
    """
    plan, pooled = network.plan(steps), trains.sites_before_maxima
    neurons, samples = network.neurons.values(), samples_in(plan.graph, shown)
    if any(neuron.takes_back or neuron.largest_spike > 1 for neuron in neurons):
        answer, activities = _step_by_step(network, plan, shown, seed, engine, trains, apart)
        return answer, [activities]
    counts: dict[str, Tensor] = {}
    by_code = [Activities() for _ in codes]

    def settle(site: str, count: Tensor) -> None:
        rows = count.cpu().double()
        for activities, code in zip(by_code, codes, strict=True):
            spikes = _added_up(code.neurons[site].spikes_of(rows), samples, apart)
            activities.sites[site] = Activity(spikes, rows if site in pooled else None)

    def layer(op: Operation, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        assert op.site is not None
        settle(op.site.name, count)

    def train(op: Operation, start: int, spikes: Tensor) -> None:
        assert op.site is not None
        part = plan.spike_weights(op.site.name, start, len(spikes)).to(spikes)
        rehearsed, counted = (part == 0).to(part.dtype), part
        windows = [rehearsed, counted] if bool((plan.weights == 0).any()) else [counted]
        rows = torch.cat([torch.tensordot(w, spikes, dims=1) for w in windows])
        known = counts.get(op.site.name)
        counts[op.site.name] = rows if known is None else known + rows

    stepwise = chosen(engine, network.neurons) is Engine.STEPS
    observer = Observer(spikes=train) if stepwise else Observer(layer=layer)
    answer = network.observe(shown, observer, steps=steps, engine=engine, seed=seed)
    for site, rows in counts.items():
        settle(site, rows)
    return answer, by_code


def _step_by_step(
    network: SpikingNetwork,
    plan: Plan,
    shown: Batch,
    seed: int,
    engine: Engine | str,
    trains: Trains,
    apart: bool,
) -> tuple[Any, Activities]:
    """What a network sends whose counts do not tell all of it: every spike seen when it leaves.

    Neurons that take spikes back send more than their count. What leaves a maximum of spikes that
    are powers of two need be none: it is written in as many as it takes.
    """
    spikes: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    activities, samples = Activities(), samples_in(plan.graph, shown)

    def train(op: Operation, start: int, sent: Tensor) -> None:
        assert op.site is not None
        site, numbers = op.site.name, sent.cpu().double()
        fired = (numbers != 0).double().flatten(0, 1)
        spikes[site] = spikes.get(site, 0.0) + _added_up(fired, samples, apart)
        if site in trains.sites_before_maxima:
            weights = plan.spike_weights(site, start, len(numbers))
            counts[site] = counts.get(site, 0.0) + torch.tensordot(weights, numbers, dims=1)

    def ran(op: Operation, start: int, steps: int, inputs: tuple[Any, ...], value: Any) -> None:
        again = (op.name, start) in seen  # a layer emits again for a later stage
        if op.kind is Kind.MAX and trains.carries_counts(op.name) and not again:
            seen.add((op.name, start))
            written = trains.spikes_of(op.name, value.cpu().double().abs())
            sent = _added_up(written, samples, apart)
            activities.maxima[op.name] = activities.maxima.get(op.name, 0.0) + sent

    def settled(after: Tensor) -> None:
        settling.extend((after - network.latency(plan.steps)).tolist())

    settling: list[int] = []
    seen: set[tuple[str, int]] = set()
    observer = Observer(spikes=train, ran=ran, settled=settled)
    answer = network.observe(shown, observer, steps=plan.steps, engine=engine, seed=seed)
    sites = {site: Activity(sent, counts.get(site)) for site, sent in spikes.items()}
    return answer, replace(activities, sites=sites, settled=tuple(settling))


def _added_up(rows: Tensor, samples: int, apart: bool) -> Tensor:
    """Numbers `[k * samples, *S]`, sample by sample, added up: of every sample, or of all."""
    return rows.unflatten(0, (-1, samples)).sum(0) if apart else rows.sum(0, keepdim=True)
