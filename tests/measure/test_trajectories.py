"""Accuracy after every time step, beside networks asked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from tests.builders import images
from tests.network.nets import net, program

STEPS = 6


@pytest.fixture(scope="module")
def prepared() -> sw.Prepared:
    return sw.prepare(program("residual"), images(32))


def labelled(batches: int = 3) -> list[tuple[Tensor, Tensor]]:
    return [(images(8, seed=seed), torch.arange(8) % 3) for seed in range(batches)]


def test_points_are_the_answers_after_every_step(prepared: sw.Prepared) -> None:
    """Batches that settle at different times stay at their last answers."""
    snn, data = prepared.convert(sw.SpikeTracer(), steps=STEPS), labelled()
    measured = sw.trajectories({"tracer": snn}, data, STEPS, net("residual"))
    whole = [snn.trajectory(x) for x, _ in data]
    last = max(t.times[-1] for t in whole)
    assert [p.time for p in measured.points] == list(range(1, last + 1))
    for point in measured.points:
        given = [t.at(point.time).argmax(1) for t in whole]
        right = sum(int((c == y).sum()) for c, (_, y) in zip(given, data, strict=True))
        with torch.no_grad():
            same = sum(
                int((c == net("residual")(x).argmax(1)).sum())
                for c, (x, _) in zip(given, data, strict=True)
            )
        assert (point.accuracy, point.agreement) == (right / 24, same / 24)
        assert point.low <= point.accuracy <= point.high
    assert measured.samples == 24
    assert measured.at("tracer", 10_000) == measured.points[-1]


def test_the_cutting_of_batches_changes_nothing(prepared: sw.Prepared) -> None:
    snn = prepared.convert(sw.SpikeTracer("unbiased"), steps=STEPS)
    data = labelled()
    one = [(torch.cat([x for x, _ in data]), torch.cat([y for _, y in data]))]
    cut = [sw.trajectories({"tracer": snn}, d, STEPS, seed=3).points for d in (data, one)]
    assert cut[0] == cut[1]


def test_networks_answer_when_they_can(prepared: sw.Prepared) -> None:
    neurons = {"IF": sw.IntegrateFire(), "nearest": sw.TwoPhase("nearest"), "TPP": sw.TPP()}
    networks = {name: prepared.convert(n, steps=STEPS) for name, n in neurons.items()}
    measured = sw.trajectories(networks, labelled(), STEPS)
    times = {name: [p.time for p in measured.of(name)] for name in networks}
    depth = networks["nearest"].layers_that_wait
    late = [depth * STEPS + t for t in range(1, STEPS + 1)]
    assert times == {"IF": list(range(1, STEPS + 1)), "nearest": late, "TPP": late}
    assert measured.at("TPP", depth * STEPS) is None
    assert measured.accuracy is None
    assert all(p.agreement is None for p in measured.points)
    assert "nearest" in str(measured)


def test_the_last_point_is_the_sweep(prepared: sw.Prepared) -> None:
    networks = {"tracer": prepared.convert(sw.SpikeTracer(), steps=STEPS)}
    (row,) = sw.sweep(networks, labelled(), STEPS).rows
    last = sw.trajectories(networks, labelled(), STEPS).points[-1]
    assert last.accuracy == row.accuracy
    assert last.time >= row.latency


def test_what_it_refuses(prepared: sw.Prepared) -> None:
    snn = prepared.convert(sw.IntegrateFire(), steps=STEPS)
    with pytest.raises(sw.AnalysisError, match="at least one network"):
        sw.trajectories({}, labelled(), STEPS)
    with pytest.raises(sw.AnalysisError, match="no sample"):
        sw.trajectories({"IF": snn}, [], STEPS)
    with pytest.raises(sw.AnalysisError, match="has no labels"):
        sw.trajectories({"IF": snn}, [images(3)], STEPS)
    with pytest.raises(sw.AnalysisError, match="the reference is in training mode"):
        sw.trajectories({"IF": snn}, labelled(), STEPS, nn.Sequential(nn.Dropout()))
    other = nn.Sequential(nn.Flatten(), nn.Linear(2, 3)).eval()
    with pytest.raises(sw.AnalysisError, match="the reference cannot answer what the networks are"):
        sw.trajectories({"IF": snn}, labelled(), STEPS, other)
