from __future__ import annotations

import csv
import io

import pytest

from spikewright.cli.commands.demo import demo_outcome
from spikewright.demo import LEVELS, DemoResult, run_demo
from spikewright.report import render

pytest.importorskip("sklearn")

IMAGES = 90


@pytest.fixture(scope="module")
def result() -> DemoResult:
    return run_demo(seed=0, epochs=6, steps=(2, 8), images=IMAGES)


def test_every_neuron_is_measured_on_the_test_split(result: DemoResult) -> None:
    for part in (result.relu, result.qcfs):
        names = ("IF", "shuffled IF", "TPP", "unbiased", "nearest", "tracer")
        assert part.sweep.networks == names
        assert part.sweep.steps == (2, 8)
        assert {row.samples for row in part.sweep.rows} == {IMAGES}


def test_the_qcfs_network_loses_nothing_at_t_equal_to_its_levels(result: DemoResult) -> None:
    assert result.differing_images == 0
    assert result.qcfs.sweep.row("nearest", LEVELS).agreement == 1
    assert result.qcfs.sweep.row("nearest", 2).agreement != 1


def test_both_networks_learned_something(result: DemoResult) -> None:
    for part in (result.relu, result.qcfs):
        assert part.sweep.reference is not None
        assert part.sweep.reference.accuracy > 0.8


def test_shuffling_keeps_the_spikes_of_the_first_layer(result: DemoResult) -> None:
    assert result.qcfs.misalignment is not None
    first = result.qcfs.misalignment.histograms[0]
    assert sum(first.before) == pytest.approx(sum(first.after))


def test_it_shows_what_the_paper_found(result: DemoResult) -> None:
    """Far beyond what the choice of images explains, though training was short."""
    at = {name: result.qcfs.sweep.row(name, LEVELS) for name in result.qcfs.sweep.networks}
    assert (at["IF"].high or 1) < (at["shuffled IF"].low or 0)
    assert (at["IF"].high or 1) < (at["TPP"].low or 0)


def test_the_tracer_answers_at_once_and_ends_at_nearest(result: DemoResult) -> None:
    over_time = result.qcfs.trajectories
    assert over_time is not None
    tracer, nearest = over_time.of("tracer"), over_time.of("nearest")
    assert tracer[0].time == 1
    assert nearest[0].time == 19 * LEVELS + 1
    assert tracer[-1].time < nearest[0].time
    assert abs(tracer[-1].accuracy - nearest[-1].accuracy) < 0.03, "up to rounding in float32"


def test_the_outcome_holds_both_parts(result: DemoResult) -> None:
    outcome = demo_outcome(result, {"arguments": ["demo"], "seed": 0})
    rows = list(csv.DictReader(io.StringIO(outcome.csv)))
    assert len(rows) == 2 * 6 * 2
    assert {row["source"] for row in rows} == {"QCFS network", "ReLU twin"}
    ((table, beneath),) = outcome.tables
    assert [str(column.header) for column in table.columns][1:] == ["T = 2", "T = 8"]
    assert any("0 of 90 predictions differ" in line for line in beneath)
    assert "latency of IF: 2, 8 time steps" in beneath
    page = render(outcome.report)
    assert "0 of 90 predictions differ" in page
    assert page.count('class="sortable"') == 2


def test_steps_without_the_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="must hold 8"):
        run_demo(steps=(1, 2))
