from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikewright.measure import wilson_interval
from spikewright.report import Report, Run, read_run
from spikewright.report.compare.curves import accuracy_figure
from spikewright.report.compare.page import render_comparison
from spikewright.report.compare.pareto import dominates
from spikewright.report.compare.points import COSTS, data_of, fronts, points_of, sources_of

from .folders import SWEPT, operations_of, sweep_results, write

ENERGIES = {("IF", 4): 10.0, ("TPP", 8): 80.0, ("other", 4): 7.0}


@pytest.fixture
def swept(report: Report, tmp_path: Path) -> Run:
    return read_run(write(tmp_path / "swept", results=sweep_results(report, SWEPT)))


def energy_run(tmp_path: Path, **changed: Any) -> Run:
    operations = operations_of(ENERGIES, {**SWEPT, **changed})
    return read_run(write(tmp_path / "energy", results=operations))


def test_marks_are_letters_and_numbered_where_a_run_has_several(swept: Run) -> None:
    twice = replace(swept.report, studies=swept.report.studies * 2)
    sources = sources_of([swept, replace(swept, name="b", report=twice)])
    assert [s.mark for s in sources] == ["A", "B1", "B2"]
    assert sources_of([swept] * 28)[-1].mark == "AB"


def test_a_sweep_takes_its_energies_from_a_run_with_the_same_options(
    swept: Run, tmp_path: Path
) -> None:
    points = points_of(sources_of([swept, energy_run(tmp_path, neuron="x", steps="4", limit=10)]))
    found = {(p.mark, p.network, p.steps): p for p in points}
    first = found["A", "IF", 4]
    assert first.energies is not None
    assert (first.energies.energy.snn_nj, first.energy_mark) == (10.0, "B")
    assert found["A", "TPP", 4].energies is None
    assert set(found) - {("A", p.network, p.steps) for p in points} == {("B", "other", 4)}
    alone = found["B", "other", 4]
    assert (alone.low, alone.high) == wilson_interval(900, 1000)
    assert alone.ann is None


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 8},
        {"threshold": "maximum"},
        {"units": "elementary"},
        {"frames": True},
        {"inputs": {"model": "another"}},
    ],
)
def test_energies_of_another_network_stay_by_themselves(
    swept: Run, tmp_path: Path, changed: dict[str, Any]
) -> None:
    asked = {**swept.configuration, "inputs": {"model": "this"}}
    known = replace(swept, report=replace(swept.report, configuration=asked))
    points = points_of(sources_of([known, energy_run(tmp_path, **changed)]))
    assert all(p.energies is None for p in points if p.mark == "A")
    assert len([p for p in points if p.mark == "B"]) == len(ENERGIES)


def test_energies_of_the_own_run_go_first(report: Report, tmp_path: Path) -> None:
    own = read_run(write(tmp_path / "own", results=operations_of({("IF", 4): 11.0}, SWEPT)))
    counted = replace(report, operations=own.report.operations)
    both = read_run(write(tmp_path / "both", results=sweep_results(counted, SWEPT)))
    points = points_of(sources_of([energy_run(tmp_path), both]))
    (found,) = [p for p in points if (p.mark, p.network, p.steps) == ("B", "IF", 4)]
    assert found.energies is not None
    assert (found.energies.energy.snn_nj, found.energy_mark) == (11.0, "B")


@pytest.mark.parametrize(
    ("configuration", "name"),
    [
        ({"command": "demo"}, "digits, test split"),
        ({"data": "cifar10:here", "split": "test"}, "cifar10, test split"),
        ({"data": "imagefolder:here"}, "imagefolder:here, test split"),
        (
            {"data": "cifar10dvs:here", "dataset": "cifar10dvs-simulated"},
            "cifar10dvs-simulated:here, test split",
        ),
        ({}, "unknown data, test split"),
    ],
)
def test_a_data_set_of_which_there_is_one_is_the_same_anywhere(
    configuration: dict[str, Any], name: str
) -> None:
    assert data_of(configuration) == name


def test_fronts_hold_within_each_data_set(swept: Run, tmp_path: Path) -> None:
    points = points_of(sources_of([swept, energy_run(tmp_path, data="cifar10:x")]))
    for cost, value in COSTS.items():
        found = fronts(points)[cost]
        for own in found:
            rivals = [p for p in points if p.data == own.data and value(p) is not None]
            costs = [(value(p) or 0.0, -p.accuracy) for p in rivals]
            assert not any(dominates(other, (value(own) or 0.0, -own.accuracy)) for other in costs)
    assert {p.data for p in fronts(points)["latency"]} == {p.data for p in points}
    assert all(p.energies is not None for p in fronts(points)["energy"])


def test_a_point_is_compared_with_the_ann_of_its_own_t(report: Report, tmp_path: Path) -> None:
    (study,) = report.studies
    ann = study.sweep.reference
    assert ann is not None
    moving = replace(study.sweep, references=(ann, replace(ann, accuracy=0.97, high=0.98)))
    changed = replace(report, studies=(replace(study, sweep=moving),))
    run = read_run(write(tmp_path / "moving", results=sweep_results(changed, SWEPT)))
    (read,) = run.report.studies
    assert read.sweep.references == moving.references
    sources = sources_of([run])
    points = points_of(sources)
    assert {(p.steps, p.ann) for p in points} == {(4, 0.95), (8, 0.97)}
    lines = [t for t in accuracy_figure(points, sources)["data"] if t["name"] == "ANN"]
    assert [(line["x"], line["y"]) for line in lines] == [([4, 8], [95.0, 97.0])]
    page = render_comparison([run]).replace("\u00a0", " ")
    assert "95.0 % to 97.0 %, by T" in page
    older = sweep_results(report, SWEPT)
    del older["studies"][0]["sweep"]["references"]
    (read,) = read_run(write(tmp_path / "older", results=older)).report.studies
    assert {read.sweep.reference_at(steps) for steps in (4, 8)} == {ann}
