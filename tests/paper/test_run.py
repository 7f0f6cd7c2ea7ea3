"""Laws of a run: killed and resumed, or shared by processes, it leaves the same records."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import spikewright as sw
from paper import (
    Cell,
    CellRecord,
    NetworkSource,
    Row,
    Settings,
    page,
    run_experiment,
)
from paper.cell import packed, unpacked
from paper.images import ORDER_SEED
from paper.rows import QCFS_ROWS, RELU_ROWS
from paper.run import plan
from paper.store import NetworkStore
from paper.subject import Subject, open_subject
from paper.tables import table_of
from spikewright.data import open_dataset
from spikewright.errors import AnalysisError, ExperimentError
from spikewright.measure.cells import deal
from spikewright.methods import QCFS
from tests.paper.nets import DATA, LEVELS, RELU, SMALL, records


class Killed(BaseException):
    """What ends a run from outside."""


@pytest.fixture(scope="module")
def whole(qcfs: NetworkSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one undisturbed run."""
    results = tmp_path_factory.mktemp("whole")
    run_experiment([qcfs], DATA, results, SMALL)
    return results


@pytest.mark.parametrize("after", [1, 12])
def test_a_killed_run_goes_on_and_leaves_the_same_records(
    after: int, whole: Path, qcfs: NetworkSource, tmp_path: Path
) -> None:
    told: list[str] = []

    def kill(done: int, total: int, what: str) -> None:
        told.append(what)
        if done == after:
            raise Killed

    with pytest.raises(Killed):
        run_experiment([qcfs], DATA, tmp_path, SMALL, kill)
    assert len(told) == after
    (tmp_path / "qcfs" / ".if-t4-s0.json.00.partial").write_text('{"ce')  # killed while it wrote
    again: list[str] = []
    run_experiment([qcfs], DATA, tmp_path, SMALL, lambda _, __, what: again.append(what))
    assert len(told) + len(again) == len(records(whole)) - 1  # network.json is no cell
    assert records(tmp_path) == records(whole)
    assert page(tmp_path, SMALL.steps) == page(whole, SMALL.steps)


def test_a_finished_run_measures_nothing(whole: Path, qcfs: NetworkSource) -> None:
    told: list[str] = []
    run_experiment([qcfs], DATA, whole, SMALL, lambda _, __, what: told.append(what))
    assert told == []


def test_two_processes_share_the_cells(
    qcfs: NetworkSource, relu: NetworkSource, tmp_path: Path
) -> None:
    both = [qcfs, relu]
    rows = replace(SMALL, rows=("if", "rts-tpp"))
    run_experiment(both, DATA, tmp_path / "one", rows)
    for rank in range(2):
        part = replace(rows, rank=rank, processes=2)
        run_experiment(both, DATA, tmp_path / "two", part)
    assert records(tmp_path / "one") == records(tmp_path / "two")
    assert page(tmp_path / "one", SMALL.steps) == page(tmp_path / "two", SMALL.steps)


def test_a_cell_holds_what_the_network_does(whole: Path, qcfs: NetworkSource) -> None:
    data = open_dataset("digits")
    order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(ORDER_SEED))
    pairs = [data.test[int(i)] for i in order[:60]]
    images, labels = torch.stack([p[0] for p in pairs]), torch.tensor([p[1] for p in pairs])
    model = qcfs.load()
    snn = QCFS.convert(model, images, LEVELS, sw.TPP())  # thresholds are learned: any images do
    right = snn(images, seed=1).argmax(1) == labels
    counts = snn.counts(images, seed=1)
    found = records(whole)[f"qcfs/tpp-t{LEVELS}-s1.json"]
    assert (found["images"], found["right"]) == (60, int(right.sum()))
    assert found["latency"] == snn.latency() == (3 + 1) * LEVELS
    spikes = {site: float(count.sum()) / 60 for site, count in counts.items()}
    assert found["spikes_by_site"] == pytest.approx(spikes)
    assert found["spikes_per_image"] == pytest.approx(sum(spikes.values()))
    assert found["hits"] is None
    first = records(whole)[f"qcfs/if-t{LEVELS}-s0.json"]
    assert first["images"] == 40
    one_phase = QCFS.convert(model, images, LEVELS)
    expected = one_phase(images[:40]).argmax(1) == labels[:40]
    assert torch.equal(unpacked(first["hits"], 40), expected)


def test_nearest_at_t_equal_l_is_the_ann(whole: Path) -> None:
    found = records(whole)
    lossless = found[f"qcfs/nearest-t{LEVELS}-s0.json"]
    assert (lossless["differs"], lossless["p_value"]) == (0, 1.0)
    assert lossless["right"] == found["qcfs/ann.json"]["right"]
    assert any(record.get("differs") for record in found.values()), "no cell tells a difference"
    for cell in ("ann-float64-t0", f"nearest-float64-t{LEVELS}"):
        double = found[f"qcfs/{cell}-s0.json"]
        assert (double["differs"], double["images"]) == (0, 60)


def test_cheap_cells_come_first(qcfs: NetworkSource, tmp_path: Path) -> None:
    subject = open_subject(qcfs, DATA, tmp_path, replace(SMALL, rows=()))
    work = [
        (row, re.fullmatch(r"(.*?)(?:-t\d+-s(\d+))?", task.name))
        for _, row, task in plan([subject])
    ]
    order = [(row is not None and row.expensive, int(name[2] or 0)) for row, name in work if name]
    assert order == sorted(order)  # two seeds here
    assert {name[1] for _, name in work if name} == {
        *("ann", "ann-float64", "nearest-float64"),
        *(row.name for row in QCFS_ROWS),
    }


@pytest.mark.parametrize(
    ("rows", "processes", "passes"),
    [
        ((), 1, [9 * 63]),
        (("if", "srp"), 2, [63, 63]),
        (("if", "srp"), 3, [41, 42, 43]),  # whoever has less of these has a cell of the ANN more
        (("srp",), 3, [15, 16, 32]),  # no better: a cell is the work of one process
    ],
)
def test_processes_share_the_work_and_not_the_number_of_cells(
    rows: tuple[str, ...], processes: int, passes: list[int], qcfs: NetworkSource, tmp_path: Path
) -> None:
    """Of every row at T = 1, 2, 4, 8, 16, 32 that runs step by step: 63 passes."""
    settings = Settings(seeds=(0,), rows=rows, images=4)
    work = plan([open_subject(qcfs, DATA, tmp_path, settings)])
    owners = deal([task for _, _, task in work], processes)
    stepwise, costs = [0] * processes, [0.0] * processes
    for (_, row, task), owner in zip(work, owners, strict=True):
        costs[owner] += task.cost
        if row is not None and row.expensive:
            stepwise[owner] += int(task.cost / 4)
    assert sorted(stepwise) == passes
    assert max(costs) - min(costs) <= max(task.cost for _, _, task in work)


def test_every_row_converts(qcfs: NetworkSource, relu: NetworkSource, tmp_path: Path) -> None:
    few = replace(SMALL, steps=(2,), seeds=(0,), rows=(), images=4, one_phase_images=2)
    run_experiment([qcfs, relu], DATA, tmp_path, few)
    names = {f"qcfs/{row.name}-t2-s0.json" for row in QCFS_ROWS}
    names |= {f"relu/{row.name}-t2-s0.json" for row in RELU_ROWS}
    assert names < set(records(tmp_path))


def test_rows_draw_calibration_images_of_their_own(relu: NetworkSource, tmp_path: Path) -> None:
    rows = ("minerror-nearest", "minerror-nearest-16")
    few = replace(SMALL, steps=(2,), seeds=(0, 1), rows=rows, images=40)
    run_experiment([relu], DATA, tmp_path, few)
    store = NetworkStore(tmp_path / "relu")
    hits = {cell.name: record.hits for cell, record in store.records().items()}
    assert set(hits) == {"ann", *(f"{row}-t2-s0" for row in rows), "minerror-nearest-16-t2-s1"}
    assert hits["minerror-nearest-16-t2-s0"] is not None
    table = table_of(store, (2,))
    assert [row.name for row in table.rows if "from" in row.title] == ["minerror-nearest-16"]
    entry = table.entry("minerror-nearest-16", 2)
    assert entry is not None
    assert entry.seeds == 2
    assert {row.name for row in open_subject(relu, DATA, tmp_path, replace(few, rows=())).rows} == {
        row.name for row in RELU_ROWS
    }


def test_another_configuration_is_refused(whole: Path, qcfs: NetworkSource) -> None:
    other = replace(SMALL, images=50)
    with pytest.raises(AnalysisError, match="images: recorded 60, asked for 50"):
        run_experiment([qcfs], DATA, whole, other)


def test_other_weights_are_refused(whole: Path, qcfs: NetworkSource) -> None:
    with pytest.raises(AnalysisError, match=r"weights_sha256: recorded '[0-9a-f]{64}'"):
        run_experiment([replace(qcfs, sha256="0" * 64)], DATA, whole, SMALL)


def test_more_steps_join_the_same_results(qcfs: NetworkSource, tmp_path: Path) -> None:
    run_experiment([qcfs], DATA, tmp_path, replace(SMALL, steps=(2,), rows=("tpp",)))
    run_experiment([qcfs], DATA, tmp_path, replace(SMALL, rows=("tpp",)))
    apart = tmp_path / "apart"
    run_experiment([qcfs], DATA, apart, replace(SMALL, rows=("tpp",)))
    joined = {n: r for n, r in records(tmp_path).items() if not n.startswith("apart")}
    assert joined == records(apart)


def test_a_damaged_record_is_named(relu: NetworkSource, tmp_path: Path) -> None:
    run_experiment([relu], DATA, tmp_path, replace(RELU, steps=(2,), rows=("rts-nearest",)))
    path = tmp_path / "relu" / "rts-nearest-t2-s0.json"
    path.write_text(json.dumps({"right": 3}))
    with pytest.raises(AnalysisError, match="not the record of a cell; remove it"):
        page(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": 10_000}, "10000 images were asked for; the test split of 'digits' holds"),
        ({"rows": ("if", "tp")}, "no network here has the rows tp; they are if, shuffled"),
        (
            {"calibration_samples": 100_000},
            "100000 calibration images were asked for; the training split of 'digits' holds 1078",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(
    settings: dict[str, object], message: str, qcfs: NetworkSource, tmp_path: Path
) -> None:
    with pytest.raises(ExperimentError, match=message):
        run_experiment([qcfs], DATA, tmp_path, replace(SMALL, **settings))
    assert not list(tmp_path.iterdir())


def test_a_run_that_failed_before_its_first_cell_blocks_no_other(
    qcfs: NetworkSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> CellRecord:
        raise Killed

    few = replace(SMALL, steps=(2,), rows=("nearest",))
    with monkeypatch.context() as context:
        context.setattr(Subject, "measure", kill)
        with pytest.raises(Killed):
            run_experiment([qcfs], DATA, tmp_path, few)
    other = replace(few, images=50)
    run_experiment([qcfs], DATA, tmp_path, other)
    assert records(tmp_path)["qcfs/network.json"]["images"] == 50
    with pytest.raises(AnalysisError, match="images: recorded 50, asked for 60"):
        run_experiment([qcfs], DATA, tmp_path, few)


def test_of_two_configurations_begun_at_once_one_is_kept(
    qcfs: NetworkSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process starts while the first cell is measured, before it is kept."""
    few = replace(SMALL, steps=(2,), rows=("nearest",))
    measure = Subject.measure

    def late(subject: Subject, row: Row | None, cell: Cell) -> CellRecord:
        found = measure(subject, row, cell)
        monkeypatch.setattr(Subject, "measure", measure)
        run_experiment([qcfs], DATA, tmp_path, replace(few, images=50))
        return found

    monkeypatch.setattr(Subject, "measure", late)
    with pytest.raises(AnalysisError, match="images: recorded 50, asked for 60"):
        run_experiment([qcfs], DATA, tmp_path, few)
    found = records(tmp_path).values()
    assert {document["images"] for document in found} == {50}


def test_a_network_without_its_data_is_refused(qcfs: NetworkSource, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="was trained on digits: give --data digits:DIR"):
        run_experiment([qcfs], {"cifar10": "cifar10:x"}, tmp_path, SMALL)
    with pytest.raises(ExperimentError, match="each with a name of its own"):
        run_experiment([qcfs, qcfs], DATA, tmp_path, SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": ()}, "at least one T"),
        ({"seeds": ()}, "begin with 0"),
        ({"seeds": (1, 2)}, r"begin with 0, whose records .* paired tests .*, got \(1, 2\)"),
        ({"seeds": (1, 0)}, "begin with 0"),
        ({"seeds": (0, 1, 1)}, "seeds differ from each other"),
        ({"one_phase_images": 0}, "at least 1"),
        ({"rank": 2, "processes": 2}, "numbered from 0, got rank 2"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Settings(**wrong)


@pytest.mark.parametrize("count", [1, 8, 13])
def test_hits_are_packed_and_unpacked(count: int) -> None:
    right = torch.arange(count) % 3 == 0
    assert torch.equal(unpacked(packed(right), count), right)
