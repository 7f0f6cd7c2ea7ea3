from __future__ import annotations

import csv
import io

import pytest

from spikewright.cli.commands.demo import demo_outcome
from spikewright.demo import LEVELS, DemoResult, run_demo
from spikewright.report import render

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def result() -> DemoResult:
    return run_demo(seed=0, epochs=4, steps=(2, 8))


def test_every_neuron_is_measured_on_the_test_split(result: DemoResult) -> None:
    for part in (result.relu, result.qcfs):
        assert part.sweep.networks == ("IF", "shuffled IF", "TPP", "unbiased", "nearest")
        assert part.sweep.steps == (2, 8)
        assert {row.samples for row in part.sweep.rows} == {450}


def test_the_qcfs_twin_loses_nothing_at_t_equal_to_its_levels(result: DemoResult) -> None:
    assert result.differing_images == 0
    assert result.qcfs.sweep.row("nearest", LEVELS).agreement == 1
    assert result.qcfs.sweep.row("nearest", 2).agreement != 1


def test_both_networks_learned_something(result: DemoResult) -> None:
    for part in (result.relu, result.qcfs):
        assert part.sweep.reference is not None
        assert part.sweep.reference.accuracy > 0.8


def test_shuffling_keeps_the_spikes_of_the_first_layer(result: DemoResult) -> None:
    assert result.relu.misalignment is not None
    first = result.relu.misalignment.histograms[0]
    assert sum(first.before) == pytest.approx(sum(first.after))


def test_the_outcome_holds_both_parts(result: DemoResult) -> None:
    outcome = demo_outcome(result, {"arguments": ["demo"], "seed": 0})
    rows = list(csv.DictReader(io.StringIO(outcome.csv)))
    assert len(rows) == 2 * 5 * 2
    assert {row["source"] for row in rows} == {"ReLU network", "QCFS twin"}
    ((table, beneath),) = outcome.tables
    assert [str(column.header) for column in table.columns][1:] == ["T = 2", "T = 8"]
    assert any("0 of 450 predictions differ" in line for line in beneath)
    assert "latency of IF: 2, 8 time steps" in beneath
    page = render(outcome.report)
    assert "0 of 450 predictions differ" in page
    assert page.count('class="sortable"') == 2


def test_steps_without_the_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="must hold 8"):
        run_demo(steps=(1, 2))
