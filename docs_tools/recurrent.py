"""The figures of docs/recurrent.md: adaptive neurons, LIF and LSTM on sequences."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from docs_tools import records
from docs_tools.intervals import interval
from paper import markdown
from spikewright.recurrent import (
    ALIF,
    SRNN,
    SequenceData,
    SequenceRecipe,
    digit_sequences,
    recall_sequences,
    recurrent_costs,
    sequence_accuracy,
    train_on_sequences,
)
from spikewright.recurrent.costs import lstm_network_counts
from spikewright.seeding import seeded

RECORD = Path("docs/results/recurrent.json")
SEEDS = (0, 1, 2, 3, 4)


class LSTM(nn.Module):
    """An LSTM whose last hidden state a linear layer reads: logits `[B, C]` of `[T, B, F]`.

    Args:
        inputs: F.
        units: of every layer; all the same.
        classes: C.
    """

    def __init__(self, inputs: int, units: Sequence[int], classes: int) -> None:
        super().__init__()
        self.cells = nn.LSTM(inputs, units[0], num_layers=len(units))
        self.read_out = nn.Linear(units[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.read_out(self.cells(x)[0][-1])


@dataclass(frozen=True)
class Task:
    """Sequences, and how networks are made for them and trained.

    Attributes:
        title: as the page names it.
        data: makes the sequences.
        units: of every network's layers.
        networks: by name; each takes (inputs, units, classes).
        recipe: for every network.
    """

    title: str
    data: Callable[[], SequenceData]
    units: tuple[int, ...]
    networks: Mapping[str, Callable[[int, tuple[int, ...], int], nn.Module]]
    recipe: SequenceRecipe


@dataclass(frozen=True)
class Run:
    """One network trained once.

    Attributes:
        task, network, seed: which.
        parameters: their number.
        validation: accuracy on the validation split in the best epoch, 0 .. 1.
        test: accuracy of that epoch on the test split.
        sequences: of the test split.
        spikes: for the mean test sequence; None of an LSTM.
        rate: spikes of a neuron in a step.
        additions, macs, updates: operations for the mean test sequence.
    """

    task: str
    network: str
    seed: int
    parameters: int
    validation: float
    test: float
    sequences: int
    spikes: float | None
    rate: float | None
    additions: float
    macs: float
    updates: float


def _neurons(
    neuron: ALIF, answer_steps: int, gain: float, *, recurrent: bool = True
) -> Callable[[int, tuple[int, ...], int], nn.Module]:
    return lambda inputs, units, classes: SRNN(
        inputs,
        units,
        classes,
        neuron,
        answer_steps=answer_steps,
        input_gain=gain,
        recurrent=recurrent,
    )


FAST = ALIF(0.3, 0.3, time_constant=(2, 0.5), adaptation_time_constant=(10, 2))
TASKS = {
    "rows": Task(
        "digits, row by row",
        lambda: digit_sequences("rows", shifted=True),
        (128, 128),
        {"ALIF": _neurons(FAST, 1, 10.0), "LSTM": LSTM},
        SequenceRecipe(epochs=11, rate_steps=3),
    ),
    "recall": Task(
        "recall after 250 steps",
        lambda: recall_sequences(250, noise=0.0, sizes=(512, 256, 1024)),
        (32,),
        {
            "ALIF": _neurons(ALIF(), 10, 3.0),
            "LIF": _neurons(ALIF(beta=0.0), 10, 3.0),
            "LSTM": LSTM,
        },
        SequenceRecipe(epochs=10, batch_size=32, rate_steps=5),
    ),
    "alone": Task(
        "recall after 250 steps by neurons that do not hear each other",
        lambda: recall_sequences(250, noise=0.0, sizes=(512, 256, 1024)),
        (32,),
        {
            "ALIF": _neurons(ALIF(), 10, 3.0, recurrent=False),
            "LIF": _neurons(ALIF(beta=0.0), 10, 3.0, recurrent=False),
        },
        SequenceRecipe(epochs=16, batch_size=32, rate_steps=8),
    ),
}


def runs(
    tasks: Mapping[str, Task] = TASKS, seeds: Sequence[int] = SEEDS, done: Sequence[Run] = ()
) -> Iterator[Run]:
    """Train every network of every task with every seed that is not done."""
    finished = {(run.task, run.network, run.seed) for run in done}
    for name, task in tasks.items():
        data = task.data()
        for seed in seeds:
            for network in task.networks:
                if (name, network, seed) not in finished:
                    yield run_once(name, task, data, network, seed)


def run_once(name: str, task: Task, data: SequenceData, network: str, seed: int) -> Run:
    """Train one network, and measure it on the test split."""
    with seeded(seed):
        model = task.networks[network](data.features, task.units, len(data.classes))
    recipe = SequenceRecipe(**{**asdict(task.recipe), "seed": seed})
    trained = train_on_sequences(model, data, recipe)
    count = len(data.test)  # type: ignore[arg-type]
    x = torch.stack([data.test[index][0] for index in range(count)], 1)
    spikes = rate = None
    if isinstance(trained.model, SRNN):
        costs = recurrent_costs(trained.model, x)
        spikes, rate, counted = costs.spikes, costs.rate, costs.snn
    else:
        counted = lstm_network_counts(data.steps, data.features, task.units, len(data.classes))
    return Run(
        name,
        network,
        seed,
        sum(p.numel() for p in model.parameters()),
        trained.best.validation_accuracy,
        sequence_accuracy(trained.model, data.test),
        count,
        spikes,
        rate,
        counted.additions,
        counted.macs,
        counted.updates,
    )


@dataclass(frozen=True)
class Record:
    """What was trained, and by which versions."""

    versions: dict[str, str]
    runs: tuple[Run, ...]


def write(found: Sequence[Run], path: Path = RECORD) -> Path:
    """Write the record; returns its file."""
    return records.write(path, Record(records.versions(), tuple(found)))


def read(path: Path = RECORD) -> tuple[Run, ...]:
    """The runs of the record; none where there is no file."""
    return records.read(path, Record).runs if path.is_file() else ()


HEAD = ("network", "parameters", "test accuracy", "spikes", "rate", "additions", "MACs", "updates")


def table(found: Sequence[Run], task: str) -> str:
    """The rows of a task: the mean over seeds, accuracy with its interval."""
    rows: list[Sequence[str]] = []
    for network in dict.fromkeys(run.network for run in found if run.task == task):
        own = [run for run in found if (run.task, run.network) == (task, network)]
        mean, half = interval([100 * run.test for run in own])
        silent = own[0].spikes is None
        rows.append(
            (
                network,
                f"{own[0].parameters:,}",
                f"{mean:.2f} ± {half:.2f} %",
                "-" if silent else f"{statistics.fmean(run.spikes or 0 for run in own):,.0f}",
                "-" if silent else f"{statistics.fmean(run.rate or 0 for run in own):.3f}",
                f"{statistics.fmean(run.additions for run in own):,.0f}",
                f"{statistics.fmean(run.macs for run in own):,.0f}",
                f"{statistics.fmean(run.updates for run in own):,.0f}",
            )
        )
    return markdown.table(HEAD, rows)


def difference(found: Sequence[Run], task: str, first: str, second: str) -> tuple[float, float]:
    """By how much one network is above another in %, seed by seed: mean and half the interval."""
    tests = {(run.network, run.seed): 100 * run.test for run in found if run.task == task}
    seeds = sorted(seed for network, seed in tests if network == first)
    return interval([tests[first, seed] - tests[second, seed] for seed in seeds])
