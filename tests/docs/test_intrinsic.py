"""Intrinsic structures: the page is that of the record, and how its figures are measured."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from docs_tools import intrinsic, intrinsic_page, intrinsic_training
from spikewright.recurrent import SequenceData, recall_sequences

from .pages import DOCS, text_of

PAGE = "docs/intrinsic.md"


@pytest.fixture(scope="module")
def record() -> intrinsic.Record:
    found = intrinsic.read(DOCS / "results" / "intrinsic.json")
    assert found is not None
    return found


def test_the_page_repeats_the_record(record: intrinsic.Record) -> None:
    assert len(record.runs) == intrinsic_training.ALL_RUNS
    for table in intrinsic_page.tables(record):
        assert table in text_of(PAGE)


def test_differences_on_the_page_are_those_of_the_record(record: intrinsic.Record) -> None:
    rows, recall = (
        intrinsic_page.difference(record, task, "full, potentials", "full, spikes")
        for task in intrinsic_training.TASKS
    )
    assert f"is {rows} points (rows) and {recall}" in text_of(PAGE)


def test_the_record_holds_what_the_page_says(record: intrinsic.Record) -> None:
    """Eigenvalues to rounding, time constants as calculated, rates below their bound."""
    *exact, drawn = record.modes
    assert max(row.difference for row in exact) < 1e-12
    assert drawn.difference < 1e-3
    for row in record.topology:
        if row.time_constant is not None:
            assert row.simulated == pytest.approx(row.time_constant, abs=1e-3)
        assert (row.spikes > 0) == (row.weight > 1)
    for rate in record.firing:
        bound = (1 - math.exp(-0.1)) * intrinsic.DRIVE / rate.threshold
        assert rate.driven <= 1
        assert rate.width > 0 or rate.driven <= bound


def test_eigenvalues_and_rates_are_measured_anew(record: intrinsic.Record) -> None:
    found = list(intrinsic.eigenvalues(runs=500))
    assert [row.case for row in found] == [row.case for row in record.modes]
    assert max(row.difference for row in found[:3]) < 1e-12
    assert found[3].difference < 0.01
    (kept,) = intrinsic.topologies((0.5,), steps=50)
    assert kept == record.topology[intrinsic.WEIGHTS.index(0.5)]
    rates = list(intrinsic.firings(steps=50, trials=2))
    assert len(rates) == len(record.firing)
    assert all(rate.silent == 0 for rate in rates if rate.width == 0)


def test_the_time_of_a_change_is_that_of_its_exponential() -> None:
    t = torch.arange(60, dtype=torch.float64)
    for tau in (7.5, -7.5):
        assert intrinsic.time_to_change(torch.exp(-t / tau)) == pytest.approx(tau, abs=1e-3)
    assert intrinsic.time_to_change(torch.ones(60)) is None


def test_every_variant_is_trained_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(task: str) -> SequenceData:
        assert task == "recall"
        return recall_sequences(2, sizes=(16, 8, 8))

    monkeypatch.setattr(intrinsic_training, "data_of", small)
    recipe = replace(intrinsic_training.RECIPE, epochs=1)
    found = list(intrinsic_training.runs(("recall",), (0,), recipe))
    assert [run.variant for run in found] == list(intrinsic_training.VARIANTS)
    left = list(intrinsic_training.runs(("recall",), (0,), recipe, done=found[:-1]))
    assert left == found[-1:]


def test_noise_is_drawn_anew_in_training_alone() -> None:
    data = recall_sequences(2, sizes=(4, 4, 4))
    network = intrinsic_training.Network(data, None, intrinsic_training.NOISE)
    x = torch.rand(22, 3, data.features)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_a_record_is_read_as_it_was_written(tmp_path: Path, record: intrinsic.Record) -> None:
    intrinsic.write(record, tmp_path / "record.json")
    assert intrinsic.read(tmp_path / "record.json") == record
    assert intrinsic.read(tmp_path / "none.json") is None
