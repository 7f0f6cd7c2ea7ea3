"""sweep(): the accuracy and the spikes of networks at every T, with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from spikewright.errors import AnalysisError
from spikewright.measure.batches import checked_steps, length_of, whole_numbers
from spikewright.measure.kept import Kept, within
from spikewright.measure.placement import device_of, placed
from spikewright.measure.run_record import RunClock
from spikewright.measure.shared import dealt
from spikewright.measure.sweep_pass import Batches, Pass
from spikewright.measure.sweep_results import Sweep
from spikewright.measure.tally import Tally
from spikewright.network import SpikingNetwork
from spikewright.processes import ALONE, Processes


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is; told after every simulation of a batch.

    Attributes:
        network: what was simulated.
        steps: its T.
        seed: its seed.
        samples: samples of the data read so far.
        done: simulations finished.
        total: simulations in all, None when the data has no length.
    """

    network: str
    steps: int
    seed: int
    samples: int
    done: int
    total: int | None


def sweep(
    networks: Mapping[str, SpikingNetwork],
    data: Batches | Callable[[int], Batches],
    steps: int | Sequence[int] = (1, 2, 4, 8, 16, 32),
    seeds: int | Sequence[int] = 3,
    reference: nn.Module | None = None,
    *,
    device: torch.device | str | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
    configuration: Mapping[str, Any] | None = None,
    kept: Kept | None = None,
    processes: Processes = ALONE,
) -> Sweep:
    """Measure networks at every T, in one pass over the data (or one for each T, see `data`).

    Args:
        networks: by the name that tables show.
        data: batches (images `[B, *S]`, labels `[B]`, class numbers from 0), gone over once. The
            result does not depend on how they were cut. Or a function of T that gives such batches
            of frames `[T, B, *S]`, the same samples at every T: it is called once for each, and
            the reference sees the mean frame.
        steps: every T to simulate, at least 1 each.
        seeds: how many (0, 1, ...) or which; networks without random draws run once.
        reference: the source model, in eval mode, to compare predictions with.
        device: where to run. Networks and reference elsewhere are copied there, never moved. By
            default everything runs where the first network is.
        progress: called after every simulation of a batch.
        configuration: what else belongs in the run record, as plain JSON values.
        kept: where finished work is kept, and what an earlier start of the same sweep left there:
            it is not done again, and the result is that of an uninterrupted sweep.
        processes: who shares the batches, each with the same networks and data: every process
            returns the result of all, which is that of one. Each needs a `kept` of its own.

    A batch that does not fit into memory is halved, see `Portions`; the result is the same.

    Returns:
        A row for every network and T.

    Raises:
        AnalysisError: without networks, steps, seeds or data; for missing labels or labels that
            the networks have no class for; for answers that are not finite; for a reference in
            training mode; when `data` gives another number of samples at another T.
        ConversionError: when a batch is not of the shape or dtype that a network takes.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), steps=(4, 8))
        >>> data = [(torch.rand(10, 4), torch.arange(10) % 3)]
        >>> sw.sweep({"nearest": snn}, data, steps=(4, 8), reference=model).steps
        (4, 8)
    """
    clock = RunClock()
    _check_networks(networks)
    _check_reference(reference)
    chosen, times = _checked_seeds(seeds), checked_steps(steps)
    place = device_of(next(iter(networks.values()))) if device is None else torch.device(device)
    model = None if reference is None else placed(reference, place)
    tallies = _tallies(networks, place, times, chosen)
    passes = _passes(data, tallies, times, processes)
    told = _Told(progress, passes)
    against = [
        part.run(model, place, within(kept, f"pass {number}"), told)
        for number, part in enumerate(passes)
    ]
    samples = _same_number(passes)
    asked = {
        **(configuration or {}),
        "networks": {name: _described(network) for name, network in networks.items()},
        "steps": list(times),
        "seeds": list(chosen),
    }
    return Sweep(
        tuple(tally.row(samples, model is not None) for tally in tallies),
        against[0],
        clock.finish(place, seed=chosen[0], samples=samples, configuration=asked),
    )


def _passes(
    data: Batches | Callable[[int], Batches],
    tallies: list[Tally],
    times: Sequence[int],
    processes: Processes,
) -> list[Pass]:
    """One pass over data that is the same at every T, else one for each T."""
    if isinstance(data, Iterable):
        return [Pass(dealt(data, processes), tallies, processes=processes)]
    passes: list[Pass] = []
    for t in times:
        of_t = [tally for tally in tallies if tally.steps == t]
        passes.append(Pass(dealt(data(t), processes), of_t, processes=processes))
    return passes


def _same_number(passes: Sequence[Pass]) -> int:
    """The samples of every pass, which must be the same."""
    for part in passes:
        if part.samples != passes[0].samples:
            first, other = passes[0].tallies[0].steps, part.tallies[0].steps
            raise AnalysisError(
                f"data({first}) gave {passes[0].samples} samples and data({other}) "
                f"{part.samples}: give the same ones at every T"
            )
    return passes[0].samples


def _tallies(
    networks: Mapping[str, SpikingNetwork],
    place: torch.device,
    times: Sequence[int],
    seeds: tuple[int, ...],
) -> list[Tally]:
    tallies: list[Tally] = []
    for name, network in networks.items():
        used = seeds if network.stochastic else seeds[:1]
        there = placed(network, place)
        tallies += [Tally(name, there, steps, used) for steps in times]
    return tallies


class _Told:
    """Tells the caller of every simulation."""

    def __init__(
        self,
        progress: Callable[[SweepProgress], None] | None,
        passes: Sequence[Pass],
    ) -> None:
        self._progress = progress
        self._passes = passes
        lengths = [length_of(part.data) for part in passes]
        totals = [n * p.per_batch for n, p in zip(lengths, passes, strict=True) if n is not None]
        self._total = sum(totals) if len(totals) == len(passes) else None

    def __call__(self, tally: Tally, number: int, samples: int) -> None:
        if self._progress is not None:
            done = sum(part.done for part in self._passes)
            seed = tally.seeds[number]
            self._progress(SweepProgress(tally.name, tally.steps, seed, samples, done, self._total))


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


def _check_reference(reference: nn.Module | None) -> None:
    if reference is None:
        return
    training = [name or "itself" for name, part in reference.named_modules() if part.training]
    if training:
        raise AnalysisError(
            f"the reference is in training mode ({', '.join(training[:3])}): call model.eval()"
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
