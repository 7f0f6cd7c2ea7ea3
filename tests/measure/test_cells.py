"""Stopped anywhere, shared by processes or by jobs, a measurement ends as if nothing had been."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import spikewright as sw
from spikewright.decoding import decoded
from spikewright.errors import AnalysisError
from spikewright.measure import (
    LayerError,
    Operations,
    Sweep,
    SweepProgress,
    decompose,
    operations,
)
from spikewright.measure.answers import Tally
from spikewright.measure.batches import BLOCK_SAMPLES, Labels, blocks_of
from spikewright.measure.cells import Cells, Task, Unfinished, deal, differences, discard

STEPS = (2, 5)
ASKED = {"steps": [2, 5], "seed": 0}

Batches = list[tuple[Tensor, Tensor]]


class Stop(Exception):  # noqa: N818 (not an error: what a kill is in these tests)
    pass


class StopAfter:
    """A progress callback that counts, and stops at the n-th call."""

    def __init__(self, number: float) -> None:
        self.calls = 0
        self.number = number

    def __call__(self, _: SweepProgress) -> None:
        self.calls += 1
        if self.calls == self.number:
            raise Stop


@pytest.fixture
def batches(images: Tensor, labels: Tensor, monkeypatch: pytest.MonkeyPatch) -> Batches:
    """Three batches, each a block of its own."""
    monkeypatch.setattr("spikewright.measure.batches.BLOCK_SAMPLES", 20)
    return list(zip(images.split(16), labels.split(16), strict=True))


def timeless(found: Sweep) -> tuple[Any, Any]:
    reference = found.reference
    assert reference is not None
    return [replace(row, seconds=0.0) for row in found.rows], replace(reference, seconds=0.0)


def resumed(folder: Path, measure: Callable[..., Any], number: int) -> tuple[Any, int]:
    """The result after a stop at the n-th cell, and how many were kept."""
    with pytest.raises(Stop):
        measure(Cells(folder, ASKED), StopAfter(number))
    cells = Cells(folder, ASKED)
    kept = len(list(cells.files()))
    found = measure(cells, None)
    discard(folder)
    return found, kept


def test_a_sweep_goes_on_where_it_was(
    tpp: sw.SpikingNetwork,
    integrate_fire: sw.SpikingNetwork,
    batches: Batches,
    model: nn.Module,
    tmp_path: Path,
) -> None:
    networks = {"IF": integrate_fire, "TPP": tpp}

    def measure(cells: Any, progress: Any) -> Sweep:
        return sw.sweep(networks, batches, STEPS, 2, model, progress=progress, cells=cells)

    whole = timeless(measure(None, None))
    total = 3 * (1 + 2 + 4)  # blocks; the reference, and both T of IF once and of TPP twice
    for number in range(1, total + 1):
        found, kept = resumed(tmp_path / "cells", measure, number)
        assert timeless(found) == whole, number
        assert kept == number


def test_a_sweep_of_frames_goes_on_in_every_pass(
    integrate_fire: sw.SpikingNetwork, batches: Batches, model: nn.Module, tmp_path: Path
) -> None:
    def measure(cells: Any, progress: Any) -> Sweep:
        return sw.sweep(
            {"IF": integrate_fire},
            lambda steps: [(x.expand(steps, *x.shape), labels) for x, labels in batches],
            STEPS,
            reference=model,
            progress=progress,
            cells=cells,
        )

    whole = timeless(measure(None, None))
    for number in (1, 3, 8, 12):
        found, kept = resumed(tmp_path / "cells", measure, number)
        assert timeless(found) == whole
        assert kept == number


def test_misalignment_goes_on_in_every_part(
    integrate_fire: sw.SpikingNetwork, batches: Batches, model: nn.Module, tmp_path: Path
) -> None:
    def measure(cells: Any, progress: Any) -> dict[str, Any]:
        found = sw.misalignment(
            integrate_fire, batches, 2, 1, model, ("late",), progress=progress, cells=cells
        )
        return {**found.to_dict(), "whole": timeless(found.whole)}

    told = StopAfter(inf)
    whole = measure(None, told)
    parts = [9, 12, 3, 3, 3]  # cells, cells of single layers, then batches of three parts
    assert told.calls == sum(parts)
    for number, expected in ((4, 4), (9, 9), (10, 10), (21, 21), (23, 21), (25, 22), (30, 23)):
        found, kept = resumed(tmp_path / "cells", measure, number)
        assert found == whole
        assert kept == expected  # a part that looks into layers is measured again as a whole


@pytest.mark.parametrize("parts", [2, 5])
def test_jobs_of_a_cluster_share_the_cells(
    parts: int,
    tpp: sw.SpikingNetwork,
    integrate_fire: sw.SpikingNetwork,
    batches: Batches,
    model: nn.Module,
    tmp_path: Path,
) -> None:
    networks = {"IF": integrate_fire, "TPP": tpp}
    whole = sw.sweep(networks, batches, STEPS, 2, model)
    numbers: list[int] = []
    for part in range(parts):
        told = StopAfter(inf)
        cells = Cells(tmp_path / "cells", ASKED, part=part, parts=parts)
        last = part == parts - 1
        message = r"of 21 cells in .* the same command without --share"
        with nullcontext() if last else pytest.raises(Unfinished, match=message):
            found = sw.sweep(networks, batches, STEPS, 2, model, progress=told, cells=cells)
            assert timeless(found) == timeless(whole)
        numbers.append(told.calls)
    assert sum(numbers) == 21
    assert max(numbers) - min(numbers) <= 3  # costs are shared evenly, so numbers are not
    gathered = sw.sweep(networks, batches, STEPS, 2, model, cells=Cells(tmp_path / "cells", ASKED))
    assert timeless(gathered) == timeless(whole)


def test_a_block_whose_cells_are_there_is_not_read(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, tmp_path: Path
) -> None:
    class Counted(TensorDataset):
        reads = 0

        def __getitem__(self, index: int) -> Any:
            Counted.reads += 1
            return super().__getitem__(index)

    loader = DataLoader(Counted(images, labels), batch_size=8)
    for _ in range(2):
        sw.sweep({"a": nearest}, loader, 2, cells=Cells(tmp_path / "cells"))
    assert Counted.reads == len(images)


def test_work_is_dealt_by_cost() -> None:
    tasks = [Task(str(n), lambda: None, cost) for n, cost in enumerate((32, 16, 8, 4, 2, 1, 1))]
    assert deal(tasks, 1) == [0] * 7
    assert deal(tasks, 2) == [0, 1, 1, 1, 1, 1, 1]
    groups = [Task(str(n), lambda: None, 1.0, group=n // 3) for n in range(24)]
    owners = deal(groups, 2)
    assert all(len(set(owners[n : n + 3])) == 1 for n in range(0, 24, 3))
    assert owners.count(0) == owners.count(1) == 12
    assert [deal(groups, 5).count(rank) for rank in range(5)] == [5, 5, 5, 5, 4]


def test_blocks_hold_whole_batches(images: Tensor, labels: Tensor, batches: Batches) -> None:
    shape = images.shape[1:]
    pairs = list(zip(images.split(7), labels.split(7), strict=True))
    loader = DataLoader(TensorDataset(images, labels), batch_size=7, shuffle=True)
    for data in (pairs, loader, iter(pairs)):
        found = [list(block) for block in blocks_of(data, shape)]
        assert [len(block) for block in found] == [2, 2, 2]
        read = [batch for block in found for batch in block]
        assert torch.equal(torch.cat([x for x, _ in read]), images)
        assert torch.equal(torch.cat([y for _, y in read]), labels)
    assert [block.first for block in blocks_of(batches, shape, frames=10**9)] == [0, 1, 2]


def test_blocks_are_of_samples_and_not_of_names(images: Tensor, labels: Tensor) -> None:
    """A stream whose labels are a dict of two is read as many samples ahead as any other."""
    read = 0

    def batches() -> Iterator[tuple[Tensor, Any]]:
        nonlocal read
        for _ in range(400):
            read += 1
            yield images, {"one": labels, "other": labels}

    next(iter(blocks_of(batches(), images.shape[1:], wanted=Labels.ANYTHING)))
    assert 1 < read <= BLOCK_SAMPLES // len(images)


def test_results_survive_their_way_through_json(
    integrate_fire: sw.SpikingNetwork, batches: Batches
) -> None:
    counted = operations(integrate_fire, batches, 5)
    assert decoded(Operations, json.loads(json.dumps(asdict(counted))), "counts") == counted
    for error in decompose(integrate_fire, batches, 5):
        assert decoded(LayerError, json.loads(json.dumps(asdict(error))), "error") == error


def test_cells_of_another_configuration_are_refused_by_every_difference(tmp_path: Path) -> None:
    Cells(tmp_path, ASKED).keep("a", Tally(right=1))
    with pytest.raises(AnalysisError) as caught:
        Cells(tmp_path, {"steps": [2], "seed": 0, "limit": 10})
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("holds cells of another configuration:")
    assert lines[1:3] == [
        "  limit: recorded None, asked for 10",
        "  steps: recorded [2, 5], asked for [2]",
    ]
    assert differences(ASKED, ASKED) == []
    assert Cells(tmp_path, {"seed": 0, "steps": (2, 5)}).read("a", Tally) == Tally(right=1)


def test_cells_of_an_unknown_configuration_are_refused(tmp_path: Path) -> None:
    Cells(tmp_path, ASKED).keep("a", 1)
    (tmp_path / "configuration.json").unlink()
    with pytest.raises(AnalysisError, match=r"holds cells, and no 'configuration.json' says of wh"):
        Cells(tmp_path, ASKED)


def test_a_start_that_failed_before_its_first_cell_blocks_no_other(tmp_path: Path) -> None:
    first = Cells(tmp_path, ASKED)
    first.keep("a", 1)
    next(first.files()).unlink()
    other = Cells(tmp_path, {"seed": 3})
    other.keep("a", 2)
    with pytest.raises(AnalysisError, match="seed: recorded 3, asked for 0"):
        first.keep("a", 1)
    assert Cells(tmp_path, {"seed": 3}).read("a", int) == 2


@pytest.mark.parametrize("name", ["if-t4-s0", "IF, hard reset/T", "ä" * 300, "..", "a b"])
def test_every_name_has_a_file_of_its_own(name: str, tmp_path: Path) -> None:
    cells = Cells(tmp_path / "cells", ASKED)
    cells.keep(name, 1)
    cells.within("whole").keep(name, 2)
    again = Cells(tmp_path / "cells", ASKED)
    assert (again.read(name, int), again.within("whole").read(name, int)) == (1, 2)
    assert len(list(again.files())) == 2
    discard(tmp_path / "cells")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[" * 50_000, "[]", '{"right": "1"}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    Cells(tmp_path, ASKED).keep("a", Tally(right=1))
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(AnalysisError, match=r"'.*a.json'.*remove it, and the cell is measured ag"):
        Cells(tmp_path, ASKED).read("a", Tally)


def test_parts_count_from_0() -> None:
    with pytest.raises(AnalysisError, match="the 2 parts of a measurement count from 0, got 2"):
        Cells(part=2, parts=2)
