"""The figures of docs/search.md: searches, and their scores beside accuracies after training."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from docs_tools import records
from paper.markdown import table
from spikewright.recurrent import (
    SequenceData,
    SequenceRecipe,
    sequence_accuracy,
    train_on_sequences,
)
from spikewright.search import (
    Architecture,
    Candidate,
    EvolutionRecipe,
    MotifNetwork,
    SearchSpace,
    evaluate,
    evolve,
    still_digits,
)
from spikewright.seeding import seeded

RECORD = Path("docs/results/search.json")
SPACE = SearchSpace(cells=3)
RANDOM, SEARCHES, TRAININGS = 20, 5, 2
"""How many architectures are drawn, searches made, and trainings made of each architecture."""
SCORED = 64
"""Images that a score is of: the first of the training split."""
RECIPE = SequenceRecipe(epochs=6, rate_steps=2)


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        seed: of the search.
        evaluations: of architectures.
        seconds: that they took, in one thread.
        best: the candidate of the highest score.
    """

    seed: int
    evaluations: int
    seconds: float
    best: Candidate


@dataclass(frozen=True)
class Run:
    """One network trained once.

    Attributes:
        origin: "random" or "found".
        number: of the drawn architecture, or the seed of the search.
        training: which of the architecture's, from 0; each draws weights of its own.
        candidate: the architecture, its score before training and its parameters.
        validation: accuracy on the validation split in the best epoch, 0 .. 1.
        test: accuracy of that epoch on the test split.
    """

    origin: str
    number: int
    training: int
    candidate: Candidate
    validation: float
    test: float


@dataclass(frozen=True)
class Record:
    """All searches and runs so far."""

    versions: dict[str, str]
    searches: tuple[Search, ...] = ()
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b of two rankings, with the 95 % bootstrap interval over networks."""

    tau: float
    low: float
    high: float


def progress(
    record: Record,
    data: SequenceData,
    *,
    space: SearchSpace = SPACE,
    random: int = RANDOM,
    searches: int = SEARCHES,
    trainings: int = TRAININGS,
    evolution: EvolutionRecipe | None = None,
    recipe: SequenceRecipe = RECIPE,
) -> Iterator[Record]:
    """Yield the record after each search and each training that it does not have yet."""
    evolution = evolution or EvolutionRecipe()
    x = torch.stack([data.train[index][0] for index in range(SCORED)], 1)
    classes = len(data.classes)
    for seed in range(searches):
        if seed not in {search.seed for search in record.searches}:
            found = searched(space, x, classes, replace(evolution, seed=seed))
            record = replace(record, searches=(*record.searches, found))
            yield record
    draw = torch.Generator().manual_seed(0)
    drawn = [space.draw(draw) for _ in range(random)]
    wanted = [("random", number, architecture) for number, architecture in enumerate(drawn)]
    wanted += [("found", found.seed, found.best.architecture) for found in record.searches]
    for training in range(trainings):
        for origin, number, architecture in wanted:
            if (origin, number, training) not in {_key(run) for run in record.runs}:
                candidate = evaluate(architecture, x, classes, evolution)
                run = trained(origin, number, training, candidate, data, evolution, recipe)
                record = replace(record, runs=(*record.runs, run))
                yield record


def _key(run: Run) -> tuple[str, int, int]:
    return run.origin, run.number, run.training


def searched(space: SearchSpace, x: Tensor, classes: int, recipe: EvolutionRecipe) -> Search:
    """Search once, and take the time."""
    start = time.perf_counter()
    found = evolve(space, x, classes, recipe)
    seconds = time.perf_counter() - start
    return Search(recipe.seed, len(found.candidates), round(seconds, 1), found.best)


def trained(
    origin: str,
    number: int,
    training: int,
    candidate: Candidate,
    data: SequenceData,
    evolution: EvolutionRecipe,
    recipe: SequenceRecipe,
) -> Run:
    """Train the network of a candidate, and measure it on the test split."""
    channels = data.train[0][0].shape[1]
    seed = number + 100 * training
    with seeded(seed):
        network = MotifNetwork(
            candidate.architecture, channels, len(data.classes), channels=evolution.channels
        )
    found = train_on_sequences(network, data, replace(recipe, seed=seed))
    return Run(
        origin,
        number,
        training,
        candidate,
        found.best.validation_accuracy,
        sequence_accuracy(found.model, data.test),
    )


def agreement(
    first: Sequence[float], second: Sequence[float], resamples: int = 10_000
) -> Agreement:
    """Kendall's tau-b with its percentile bootstrap interval."""
    a, b = (np.sign(np.subtract.outer(v, v)) for v in (np.array(first), np.array(second)))
    draw = np.random.default_rng(0)
    picks = draw.integers(len(first), size=(resamples, len(first)))
    taus = [_tau(a[np.ix_(pick, pick)], b[np.ix_(pick, pick)]) for pick in picks]
    low, high = np.nanquantile(taus, (0.025, 0.975))
    return Agreement(_tau(a, b), float(low), float(high))


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    """Tau-b of the signs of all differences; not a number where one ranking is all ties."""
    untied = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / untied if untied else float("nan")


@dataclass(frozen=True)
class Trained:
    """An architecture with the mean test accuracy of its trainings, 0 .. 1."""

    number: int
    candidate: Candidate
    tests: tuple[float, ...]

    @property
    def test(self) -> float:
        """Their mean."""
        return statistics.fmean(self.tests)


def of(record: Record, origin: str) -> list[Trained]:
    """The architectures of one origin."""
    grouped: dict[int, list[Run]] = {}
    for run in record.runs:
        if run.origin == origin:
            grouped.setdefault(run.number, []).append(run)
    return [
        Trained(number, runs[0].candidate, tuple(run.test for run in runs))
        for number, runs in grouped.items()
    ]


def median_interval(values: Sequence[float], resamples: int = 10_000) -> tuple[float, float, float]:
    """The median with its 95 % percentile bootstrap interval."""
    draw = np.random.default_rng(0)
    picks = draw.integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(np.median(np.array(values)[picks], axis=1), (0.025, 0.975))
    return statistics.median(values), float(low), float(high)


def agreement_table(record: Record) -> str:
    """What ranks the drawn networks as their accuracy after training does.

    Where there are several trainings, the last row is one training against the other:
    what is left of a ranking when weights are drawn anew.
    """
    runs = of(record, "random")
    tests = [run.test for run in runs]
    rankings = [
        ("score", [run.candidate.score for run in runs], tests),
        ("number of parameters", [float(run.candidate.parameters) for run in runs], tests),
    ]
    if all(len(run.tests) > 1 for run in runs):
        first, others = [run.tests[0] for run in runs], [run.tests[1:] for run in runs]
        means = list(map(statistics.fmean, others))
        rankings.append(("one training, against the other", first, means))
    rows: list[tuple[str, ...]] = []
    for name, values, against in rankings:
        found = agreement(values, against)
        interval = f"{found.low:+.2f} to {found.high:+.2f}"
        rows.append((name, f"{len(runs)}", f"{found.tau:+.2f}", interval))
    return table(("ranked by", "networks", "Kendall's tau", "95 % interval"), rows)


def accuracy_table(record: Record) -> str:
    """Networks that were found beside drawn ones."""
    head = ("networks", "number", "median test accuracy", "95 % interval", "lowest to highest")
    rows: list[tuple[str, ...]] = []
    for origin in ("random", "found"):
        runs = of(record, origin)
        tests = [100 * run.test for run in runs]
        median, low, high = median_interval(tests)
        rows.append(
            (
                origin,
                f"{len(runs)}",
                f"{median:.1f} %",
                f"{low:.1f} to {high:.1f} %",
                f"{min(tests):.1f} to {max(tests):.1f} %",
                f"{statistics.median(run.candidate.parameters for run in runs):,.0f}",
                f"{statistics.median(run.candidate.score for run in runs):.3f}",
            )
        )
    return table((*head, "median parameters", "median score"), rows)


def search_table(record: Record) -> str:
    """Each search, and what it found."""
    tests = {run.number: run.test for run in of(record, "found")}
    head = ("seed", "evaluations", "time", "best score", "parameters", "test accuracy", "cells")
    rows = [
        (
            f"{s.seed}",
            f"{s.evaluations}",
            f"{s.seconds:.1f} s",
            f"{s.best.score:.3f}",
            f"{s.best.parameters:,}",
            f"{100 * tests[s.seed]:.1f} %",
            words(s.best.architecture),
        )
        for s in record.searches
    ]
    return table(head, rows)


def words(architecture: Architecture) -> str:
    """Motifs with their kernels, and connections: `forward excitation 3 5, ...; 0 to 2`."""
    cells = ", ".join(f"{c.motif} {' '.join(map(str, c.kernels))}" for c in architecture.cells)
    wired = ", ".join(f"{source} to {target}" for source, target in architecture.connections)
    return f"{cells}; {wired}" if wired else cells


def write(record: Record, path: Path = RECORD) -> Path:
    """Write the record; returns its file."""
    return records.write(path, record)


def read(path: Path = RECORD) -> Record:
    """The record; an empty one where there is no file."""
    if not path.is_file():
        return Record(records.versions())
    return records.read(path, Record)


def measured(*, redo: bool = False, path: Path = RECORD) -> Iterator[Record]:
    """Go on with the record of a file, or begin anew; each step is written as it is done."""
    if redo:
        path.unlink(missing_ok=True)
    for record in progress(read(path), still_digits()):
        write(record, path)
        yield record
