"""The cells of a sweep, and the rows that they add up to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import nn

from spikewright.errors import AnalysisError
from spikewright.measure.answers import (
    Answers,
    Asked,
    Batches,
    Tally,
    answers_of,
    spiking_answers,
)
from spikewright.measure.batches import (
    NO_SAMPLE,
    Block,
    Labels,
    blocks_of,
    checked_steps,
    require_batches,
    whole_numbers,
)
from spikewright.measure.cells import Cells, Task
from spikewright.measure.memory import Portions
from spikewright.measure.metric import Metric
from spikewright.measure.placement import device_of, placed
from spikewright.measure.reference import check_reference, reference_answer
from spikewright.measure.run_record import RunClock
from spikewright.measure.sweep_results import Sweep, reference_of, row_of
from spikewright.network import SpikingNetwork


@dataclass(frozen=True)
class SweepProgress:
    """How far a measurement is; sent after every finished cell.

    Attributes:
        network: what was simulated.
        steps: its T.
        seed: its seed.
        done: cells that this process has finished.
        total: cells of this process, None when the data has no length.
    """

    network: str
    steps: int
    seed: int
    done: int
    total: int | None


Progress = Callable[[SweepProgress], None]


@dataclass(frozen=True)
class Key:
    """Which cells of several blocks belong together.

    Attributes:
        part: the number of the pass over the data.
        network: its name, or "reference".
        steps: T; 0 for the reference.
        seed: the seed of the random draws.
    """

    part: int
    network: str
    steps: int
    seed: int

    def __str__(self) -> str:
        what = f"{self.network}, T {self.steps}, seed {self.seed}" if self.steps else self.network
        return f"{what}, pass {self.part}" if self.part else what


_ANN = Key(0, "reference", 0, 0)


class SweepPlan:
    """The cells of a sweep: every network at every T with every seed, block by block of the data.

    Make it with `of`, then call `measure`, and `result` when every process and job has measured.

    Attributes:
        seeds: of the draws, in their order.
    """

    def __init__(
        self,
        networks: Mapping[str, SpikingNetwork],
        passes: Sequence[tuple[Iterable[Block], tuple[int, ...]]],
        seeds: tuple[int, ...],
        reference: nn.Module | None,
        asked: Asked,
    ) -> None:
        self._asked_for = asked
        self._clock = RunClock()
        self._networks = networks
        self._passes = passes
        self.seeds = seeds
        self._reference = reference
        self._device = device_of(next(iter(networks.values())))
        self._portions = Portions()
        self._block: Block | None = None
        self._expected: Answers | None = None
        self._keys: dict[str, Key] = {}

    @classmethod
    def of(
        cls,
        networks: Mapping[str, SpikingNetwork],
        data: Batches | Callable[[int], Batches],
        steps: int | Sequence[int],
        seeds: int | Sequence[int] = 1,
        reference: nn.Module | None = None,
        device: torch.device | str | None = None,
        metric: Metric | Callable[[Any, Any], Any] | None = None,
        *,
        labelled: bool = False,
    ) -> SweepPlan:
        """Check the arguments of `sweep`; nothing is measured yet.

        With `labelled`, class numbers must be there, as right answers are counted.
        """
        _check_networks(networks)
        check_reference(reference)
        own = None if metric is None else Metric.of(metric)
        chosen, times = _checked_seeds(seeds), checked_steps(steps)
        for network, t in product(networks.values(), times):
            network.require_own_windows_designed(t)
        first = next(iter(networks.values()))
        place = device_of(first) if device is None else torch.device(device)
        graph = first.graph
        for answer, dim in graph.structure.moved.items():
            raise AnalysisError(
                f"the answer '{answer}' has the batch at dimension {dim}, where samples cannot be "
                "told apart: wrap the model in a module that returns it with the batch first"
            )
        names, shapes = graph.structure.names, [port.shape for port in graph.inputs]
        shape = shapes[0] if len(shapes) == 1 else (sum(map(math.prod, shapes)),)
        wanted = Labels.CLASSES if labelled or reference is None else Labels.IF_ANY
        wanted = wanted if own is None else Labels.ANYTHING
        kept = 0 if reference is None else sum(_size(graph.outputs[n], graph.shapes) for n in names)
        options: dict[str, Any] = {"wanted": wanted, "answer": kept}
        require_batches(data, shapes[0])
        if isinstance(data, Iterable):
            passes = [(blocks_of(data, shape, **options), times)]
        else:
            passes = [(blocks_of(data(t), shape, frames=t, **options), (t,)) for t in times]
        there = {name: placed(network, place) for name, network in networks.items()}
        beside = None if reference is None else placed(reference, place)
        places = () if reference is None else tuple(names.values())
        return cls(there, passes, chosen, beside, Asked(own, places, len(shape)))

    def measure(self, cells: Cells, progress: Progress | None = None) -> None:
        """Measure the cells that are dealt to this process."""
        blocks = (
            (number, block, times)
            for number, (blocks, times) in enumerate(self._passes)
            for block in blocks
        )
        groups: Iterable[list[Task]] = (self._tasks(*one) for one in blocks)
        listed = all(isinstance(blocks, list) for blocks, _ in self._passes)
        if listed:
            groups = [[task for group in groups for task in group]]
        done = 0
        for tasks in groups:
            total = cells.own(tasks) if listed else None
            for task in cells.measure(tasks):
                done += 1
                if progress is not None:
                    key = self._keys[task.name]
                    progress(SweepProgress(key.network, key.steps, key.seed, done, total))
        if self._block is not None:
            self._block.release()

    def result(self, cells: Cells, configuration: Mapping[str, Any]) -> Sweep:
        """The rows, of the cells that all have measured.

        Raises:
            AnalysisError: when there was no sample, another number of them at another T, or cells
                of another job are not finished.
        """
        tallies: dict[Key, Tally] = {}
        records = cells.gather(list(self._keys), Tally)
        for key, record in zip(self._keys.values(), records, strict=True):
            tallies[key] = tallies.get(key, Tally()) + record
        samples = _same_number(tallies)
        numbers = {t: number for number, (_, times) in enumerate(self._passes) for t in times}
        compared, metric = self._reference is not None, self._asked_for.metric
        rows = tuple(
            row_of(
                name,
                network,
                t,
                [tallies[Key(numbers[t], name, t, seed)] for seed in self._seeds_of(network)],
                compared=compared,
                measured=metric is not None,
            )
            for name, network in self._networks.items()
            for t in numbers
        )
        asked = {
            **configuration,
            "networks": {name: _described(network) for name, network in self._networks.items()},
            "steps": list(numbers),
            "seeds": list(self.seeds),
        }
        if metric is not None:
            asked["metric"] = asked.get("metric") or metric.name
        record = self._clock.finish(
            self._device, seed=self.seeds[0], samples=samples, configuration=asked
        )
        answered = [tallies[replace(_ANN, part=n)] for n in numbers.values()] if compared else []
        references = tuple(reference_of(one, measured=metric is not None) for one in answered)
        found = Sweep(rows, references[0] if compared else None, record)
        if metric is not None:
            found = replace(found, metric=metric.name, higher_is_better=metric.higher_is_better)
        alike = len({replace(one, seconds=0.0) for one in references}) < 2
        return found if alike else replace(found, references=references)

    def _tasks(self, number: int, block: Block, times: Sequence[int]) -> list[Task]:
        """The cells of one block of one pass over the data."""
        keys = [] if self._reference is None else [replace(_ANN, part=number)]
        keys += [
            Key(number, name, t, seed)
            for name, network in self._networks.items()
            for t in times
            for seed in self._seeds_of(network)
        ]
        tasks = [self._task(key, block) for key in keys]
        self._keys.update((task.name, key) for task, key in zip(tasks, keys, strict=True))
        return tasks

    def _task(self, key: Key, block: Block) -> Task:
        name = f"{key}, batch {block.first}"
        group = key.part, block.first
        if key.steps == 0:
            return Task(name, lambda: Tally.of(self._asked(block)), group=group)
        network = self._networks[key.network]
        by_count = all(neuron.has_count_law for neuron in network.neurons.values())
        cost = 1 if by_count and not network.settles else key.steps
        return Task(name, lambda: self._simulated(network, key, block), cost, group)

    def _simulated(self, network: SpikingNetwork, key: Key, block: Block) -> Tally:
        """Measure one cell."""
        expected = None if self._reference is None else self._asked(block)
        who = f"network '{key.network}' at T = {key.steps}"
        answers = self._portions.again(
            lambda cut: spiking_answers(network, cut, key.steps, key.seed, who, self._asked_for),
            self._entered(block),
            block.dimensions,
        )
        return Tally.of(answers, expected)

    def _asked(self, block: Block) -> Answers:
        """The reference's answers to a block."""
        batches, model = self._entered(block), self._reference
        assert model is not None

        def ask(images: Any) -> Any:
            return reference_answer(model, images, block.dimensions)

        if self._expected is None:
            self._expected = self._portions.again(
                lambda cut: answers_of(ask, cut, self._device, "the reference", self._asked_for),
                batches,
                block.dimensions,
            )
        return self._expected

    def _entered(self, block: Block) -> Block:
        """The block, which is the only one in memory."""
        if self._block is not block:
            if self._block is not None:
                self._block.release()
            self._block, self._expected = block, None
        return block

    def _seeds_of(self, network: SpikingNetwork) -> tuple[int, ...]:
        return self.seeds if network.stochastic else self.seeds[:1]


def _same_number(tallies: Mapping[Key, Tally]) -> int:
    """The samples of every pass, which must be the same."""
    first, samples = next(((k, t.samples) for k, t in tallies.items()), (_ANN, 0))
    for key, tally in tallies.items():
        if tally.samples != samples:
            of, other = (  # of the networks on the same data, as a reference has no T
                next(k.steps for k in tallies if k.part == part and k.steps)
                for part in (first.part, key.part)
            )
            raise AnalysisError(
                f"data({of}) gave {samples} samples and data({other}) {tally.samples}: give "
                "the same ones at every T"
            )
    if not samples:
        raise AnalysisError(NO_SAMPLE)
    return samples


def _size(output: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many numbers an output has for one sample."""
    return torch.Size(shapes[output]).numel()


def _check_networks(networks: Any) -> None:
    if not isinstance(networks, Mapping) or not networks:
        raise AnalysisError(
            f"sweep needs at least one network by name, got {networks!r}: "
            'call sweep({"TPP": snn}, data)'
        )
    for name, network in networks.items():
        if not isinstance(network, SpikingNetwork):
            raise AnalysisError(
                f"'{name}' is a {type(network).__name__}, not a SpikingNetwork: convert it first, "
                "or pass it as reference="
            )


def _checked_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    chosen = tuple(range(seeds)) if type(seeds) is int else whole_numbers(seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise AnalysisError(
            f"seeds must be a number of seeds, at least 1, or different integers, got {seeds!r}"
        )
    return chosen


def _described(network: SpikingNetwork) -> dict[str, Any]:
    return {
        "neurons": sorted({neuron.label for neuron in network.neurons.values()}),
        "sites": len(network.sites),
        "designed_steps": list(network.designed_steps),
    }
