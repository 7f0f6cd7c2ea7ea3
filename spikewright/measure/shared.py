"""A measurement shared by several processes: batches go out whole, totals are added up.

Totals are whole numbers, so the sum does not know an order, and draws belong to samples: what comes
out is what one process finds, no sample lost and none counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler

from spikewright.errors import AnalysisError, ProcessError
from spikewright.measure.tally import ReferenceTally, Tally
from spikewright.processes import Processes


def dealt(data: Iterable[Any], processes: Processes) -> Iterable[Any]:
    """This process's part of the batches: every `count`-th, from its rank on.

    A loader in fixed order reads its own batches alone; other data is read by every process, which
    then skips those of the others.

    Args:
        data: batches, the same in every process.
        processes: who shares them.

    Raises:
        ProcessError: for a loader that shuffles, as every process would shuffle in its own way.
    """
    if processes.count == 1:
        return data
    if not isinstance(data, DataLoader):
        return _Turns(data, processes)
    if isinstance(data.sampler, RandomSampler):
        raise ProcessError(
            "a loader that shuffles gives every process another order, and samples would be lost: "
            "pass a DataLoader with shuffle=False"
        )
    cut, in_order = data.batch_sampler, isinstance(data.sampler, SequentialSampler)
    if cut is None or not in_order or isinstance(data.dataset, IterableDataset):
        return _Turns(data, processes)
    return DataLoader(
        data.dataset,
        batch_sampler=list(processes.deal(cut)),
        num_workers=data.num_workers,
        collate_fn=data.collate_fn,
        pin_memory=data.pin_memory,
        worker_init_fn=data.worker_init_fn,
        generator=data.generator,
    )


class _Turns:
    """Data of which all but one's own batches are skipped; it can be gone over again."""

    def __init__(self, data: Iterable[Any], processes: Processes) -> None:
        self._data = data
        self._processes = processes

    def __iter__(self) -> Iterator[Any]:
        return self._processes.deal(self._data)


def add_up(
    tallies: Sequence[Tally],
    against: ReferenceTally | None,
    samples: int,
    processes: Processes,
) -> int:
    """Put the totals of all processes in the place of this process's own.

    Args:
        tallies: the same networks, T and seeds in every process; their seconds are added up too.
        against: the reference's; None in every process or in none.
        samples: how many this process has measured.
        processes: who shares the work.

    Returns:
        How many samples all have measured.

    Raises:
        AnalysisError: when they have measured none.
    """
    if processes.count == 1:
        return samples
    own = {
        "samples": samples,
        "tallies": [tally.totals for tally in tallies],
        "reference": [] if against is None else [against.correct, against.seconds],
    }
    told = [json.loads(message) for message in processes.exchange(json.dumps(own).encode())]
    for number, tally in enumerate(tallies):
        parts = [each["tallies"][number] for each in told]
        tally.totals = {name: _sum([part[name] for part in parts]) for name in parts[0]}
    if against is not None:
        against.correct, against.seconds = _sum([each["reference"] for each in told])
    if not (whole := _sum([each["samples"] for each in told])):
        raise AnalysisError("the data held no sample: pass a list of batches or a DataLoader")
    return whole


def _sum(values: Sequence[Any]) -> Any:
    """Of numbers, or of lists number by number."""
    if isinstance(values[0], list):
        return [sum(numbers) for numbers in zip(*values, strict=True)]
    return sum(values)
