"""Reservoirs: the page is that of the record, and how its figures are measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from docs_tools import reservoir, reservoir_page
from docs_tools.intervals import STUDENT_T
from spikewright.reservoir import ReservoirRecipe

from .pages import DOCS, text_of

PAGE = "docs/reservoir.md"
SMALL = ReservoirRecipe(neurons=20, density=0.3)
SHORT = reservoir.Extent(steps=40, runs=4, delays=5, washout=10, exponents=20)


@pytest.fixture(scope="module")
def record() -> reservoir.Record:
    return reservoir.read(DOCS / "results" / "reservoir.json")


def test_the_page_repeats_the_record(record: reservoir.Record) -> None:
    for table in reservoir_page.tables(record):
        assert table in text_of(PAGE)


def test_differences_on_the_page_are_those_of_the_record(record: reservoir.Record) -> None:
    text = text_of(PAGE)
    control, mixed, difference = reservoir_page.best_difference(record, "potentials")
    assert f"potentials: τ = {control} homogeneous, {mixed} gamma" in text
    assert f"the difference is {difference} in potentials" in text
    control, mixed, difference = reservoir_page.best_difference(record, "filtered")
    assert f"filtered spikes: {control} and {mixed})" in text
    assert f"In filtered spikes it is {difference}:" in text
    for kind in reservoir.KINDS:
        for way in reservoir.WAYS[1:]:
            assert reservoir_page.moved_difference(record, kind, way) in text
    for kept in (0.5, 0.2):
        assert reservoir_page.slowest_difference(record, kept, "weight") in text


def test_the_record_is_whole(record: reservoir.Record) -> None:
    for table, setting, _ in reservoir.settings():
        own = reservoir_page.memory_rows(record, table, setting)
        assert [m.seed for m in own] == list(reservoir.SEEDS)
    ways = len(reservoir.WAYS)
    assert len(record.pruned) == len(reservoir.KINDS) * (ways + 1) * len(reservoir.SEEDS)
    assert len(record.linear) == 2 * ways * len(reservoir.SEEDS)


def test_memories_are_measured_anew() -> None:
    wanted = [("drawn", "small", SMALL)]
    first, second = reservoir.memories((0, 1), SHORT, wanted)
    assert (first.setting, first.seed, second.seed) == ("small", 0, 1)
    assert first.potentials > 0
    assert 0 < first.rate < 1
    assert [first] == list(reservoir.memories((0,), SHORT, wanted))


def test_prunings_keep_half_of_the_edges() -> None:
    rows = list(reservoir.prunings((0,), SHORT, SMALL))
    assert [(row.kind, row.way) for row in rows] == [
        (kind, way) for kind in reservoir.KINDS for way in ("none", *reservoir.WAYS)
    ]
    whole, *pruned = rows[:5]
    assert whole.moved == 0
    for row in pruned:
        assert row.edges == pytest.approx(whole.edges / 2, rel=0.3)
        assert row.moved > 0
    net = reservoir.draw_reservoir(replace(SMALL, time_constant=reservoir.Homogeneous(5.0)), 0)
    spikes = net.run(reservoir.signal(0, SHORT)).spikes[10:]
    passed = sum(
        float(spikes[..., j].mean()) * int((net.weights[:, j] != 0).sum()) for j in range(20)
    )
    assert whole.events == pytest.approx(passed, abs=0.01)


def test_the_linear_network_is_dominated_by_its_diagonal() -> None:
    weights = reservoir.clusters(0, size=5)
    assert torch.equal(weights, weights.T)
    network = reservoir.dominant(weights, leak=0.1)
    assert (network.sum(1) + 0.1).abs().max() < 1e-12
    rows = list(reservoir.linear((0,), (0.5, 1.0)))
    assert {row.way for row in rows} == set(reservoir.WAYS)
    assert max(row.error for row in rows if row.kept == 1) < 1e-9
    assert min(row.error for row in rows if row.kept == 0.5) > 0.01


def test_quantiles_are_those_of_student() -> None:
    stats = pytest.importorskip("scipy.stats")
    for count, quantile in STUDENT_T.items():
        assert quantile == pytest.approx(stats.t.ppf(0.975, count - 1), abs=1e-3)


def test_a_record_is_read_as_it_was_written(tmp_path: Path, record: reservoir.Record) -> None:
    reservoir.write(record, tmp_path / "record.json")
    assert reservoir.read(tmp_path / "record.json") == record
