"""Once over the data of a sweep: every network at every T and seed, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.measure.batches import are_frames, labelled_batches, samples_in
from spikewright.measure.kept import Kept
from spikewright.measure.memory import Portions, portion_of
from spikewright.measure.shared import add_up
from spikewright.measure.sweep_results import Reference
from spikewright.measure.tally import ReferenceTally, Tally
from spikewright.processes import ALONE, Processes

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass
class Pass:
    """How far a pass over data is, and what it has come to.

    Attributes:
        data: batches with labels.
        tallies: what is measured on them.
        samples: of the finished batches.
        batches: finished ones.
        simulations: finished ones of the batch under way.
        processes: who else works on other batches; all counts are of this process's own until
            `run` returns.
    """

    data: Batches
    tallies: list[Tally]
    samples: int = 0
    batches: int = 0
    simulations: int = 0
    processes: Processes = ALONE

    @property
    def per_batch(self) -> int:
        """How often a batch is simulated."""
        return sum(len(tally.seeds) for tally in self.tallies)

    @property
    def done(self) -> int:
        """Simulations finished."""
        return self.batches * self.per_batch + self.simulations

    @property
    def dimensions(self) -> int:
        """Of one sample."""
        return len(self.tallies[0].network.graph.input_shape)

    def run(
        self,
        model: nn.Module | None,
        place: torch.device,
        kept: Kept | None,
        told: Callable[[Tally, int, int], None],
    ) -> Reference | None:
        """Go over the data, from where it was kept on; returns what the reference came to.

        Args:
            model: the reference, on `place`.
            place: where networks and reference are.
            kept: what an earlier start of the same measurement finished.
            told: called after every simulation with its tally, the number of its seed, and the
                samples of the data read so far.
        """
        against = None if model is None else ReferenceTally(model)
        position = _Position(self, against, kept)
        if not position.resume():
            portions = Portions()
            alone = self.processes.count == 1
            batches = labelled_batches(self.data, self.dimensions, required=alone)
            for number, (images, labels) in enumerate(batches):
                if number >= self.batches:
                    self._batch(images.to(place), labels, against, portions, position, told)
            position.keep(finished=True)
        self.samples = add_up(self.tallies, against, self.samples, self.processes)
        return None if against is None else against.result(self.samples)

    def _batch(
        self,
        images: Tensor,
        labels: Tensor,
        against: ReferenceTally | None,
        portions: Portions,
        position: _Position,
        told: Callable[[Tally, int, int], None],
    ) -> None:
        size = samples_in(images, self.dimensions)
        expected = None
        if against is not None:
            expected = self._expected(images, labels, against, portions)
            if not self.simulations:  # else its answers are among those kept
                against.count(expected, labels)
        runs = [(tally, number) for tally in self.tallies for number in range(len(tally.seeds))]
        for tally, number in runs[self.simulations :]:
            self._simulate(tally, number, images, labels, expected, portions)
            self.simulations += 1
            position.keep()
            told(tally, number, self.samples + size)
        self.samples += size
        self.batches += 1
        self.simulations = 0

    def _expected(
        self, images: Tensor, labels: Tensor, against: ReferenceTally, portions: Portions
    ) -> Tensor:
        """What the reference says to a batch, to the mean of its frames."""
        still = images.mean(0) if are_frames(images, self.dimensions) else images
        found: list[Tensor] = []
        portions.work(
            len(still), lambda part: found.append(against.predict(still[part], labels[part]))
        )
        return torch.cat(found)

    def _simulate(
        self,
        tally: Tally,
        number: int,
        images: Tensor,
        labels: Tensor,
        expected: Tensor | None,
        portions: Portions,
    ) -> None:
        def portion(part: slice) -> None:
            shown = portion_of(images, part, self.dimensions)
            tally.add(number, shown, labels[part], None if expected is None else expected[part])

        portions.work(len(labels), portion)


@dataclass
class _Position:
    """Keeps where a pass is, with its totals, and takes it back there."""

    of: Pass
    against: ReferenceTally | None
    kept: Kept | None

    def keep(self, *, finished: bool = False) -> None:
        if self.kept is not None:
            self.kept.keep("position", self._document(finished))

    def _document(self, finished: bool) -> dict[str, Any]:
        against = self.against
        return {
            "finished": finished,
            **{name: getattr(self.of, name) for name in _COUNTERS},
            "tallies": [tally.totals for tally in self.of.tallies],
            "reference": None if against is None else [against.correct, against.seconds],
        }

    def resume(self) -> bool:
        """Whether the pass is finished already."""
        found = None if self.kept is None else self.kept.read("position")
        if found is None:
            return False
        for name in _COUNTERS:
            setattr(self.of, name, found[name])
        for tally, totals in zip(self.of.tallies, found["tallies"], strict=True):
            tally.totals = totals
        if self.against is not None:
            self.against.correct, self.against.seconds = found["reference"]
        return found["finished"]


_COUNTERS = ("samples", "batches", "simulations")
