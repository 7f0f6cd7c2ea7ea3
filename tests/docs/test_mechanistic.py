"""Differential equations: the page is that of the record, and how its figures are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_tools import mechanistic

from .pages import DOCS, text_of

PAGE = "docs/mechanistic.md"


@pytest.fixture(scope="module")
def record() -> mechanistic.Record:
    return mechanistic.read(DOCS / "results" / "mechanistic.json")


def test_the_page_repeats_the_record(record: mechanistic.Record) -> None:
    for table in (*mechanistic.tables(record), mechanistic.lorenz_table(record)):
        assert table in text_of(PAGE)


def test_the_record_holds_what_the_page_says(record: mechanistic.Record) -> None:
    """Linear from 10^3 to 10^5 points, 10^5 in seconds, and dense least squares below 1e-8."""
    for name in mechanistic.PROBLEMS:
        own = [cost for cost in record.costs if cost.problem == name]
        assert [cost.points for cost in own] == list(mechanistic.POINTS)
        assert own[-1].forward_seconds + own[-1].backward_seconds < 20
        for value in ("forward_seconds", "peak_mib"):
            found = mechanistic.exponent(mechanistic.POINTS, [getattr(c, value) for c in own])
            assert found < 1.15, (name, value)
    assert max(row.difference for row in record.dense) < 1e-8
    assert record.lorenz[0].error < 0.1


def test_costs_are_measured_anew() -> None:
    rows = list(mechanistic.costs(points=(20, 40), rounds=1))
    assert [(row.problem, row.points) for row in rows] == [
        (name, points) for name in mechanistic.PROBLEMS for points in (20, 40)
    ]
    assert all(row.forward_seconds >= 0 and row.peak_mib >= 0 for row in rows)


def test_dense_least_squares_and_blocks_solve_one_problem() -> None:
    (row,) = mechanistic.dense(points=(30,))
    assert row.difference < 1e-8


def test_membranes_come_closer_with_every_order() -> None:
    first, second = mechanistic.membranes(orders=(1, 4), steps=50)
    assert all(b < a / 10 for a, b in zip(first.differences, second.differences, strict=True))


def test_an_exponent_is_the_slope_of_logarithms() -> None:
    assert mechanistic.exponent((10, 100, 1000), (3, 30, 300)) == pytest.approx(1)
    assert mechanistic.exponent((10, 100), (1, 1000)) == pytest.approx(3)


def test_a_record_is_read_as_it_was_written(tmp_path: Path, record: mechanistic.Record) -> None:
    path = tmp_path / "record.json"
    mechanistic.write(record, path)
    assert mechanistic.read(path) == record
