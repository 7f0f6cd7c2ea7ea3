"""Architecture search: the page is that of the record, and how a row is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from docs_tools import search
from spikewright.recurrent import SequenceRecipe
from spikewright.search import EvolutionRecipe, SearchSpace, still_digits

from .pages import DOCS, text_of

PAGE = "docs/search.md"


@pytest.fixture(scope="module")
def record() -> search.Record:
    return search.read(DOCS / "results" / "search.json")


def test_the_page_repeats_the_record(record: search.Record) -> None:
    for table in (search.agreement_table, search.accuracy_table, search.search_table):
        assert table(record) in text_of(PAGE)


def test_the_record_is_whole(record: search.Record) -> None:
    assert [found.seed for found in record.searches] == list(range(search.SEARCHES))
    assert {found.evaluations for found in record.searches} == {100}
    drawn = search.of(record, "random")
    assert [architecture.number for architecture in drawn] == list(range(search.RANDOM))
    for trained in (*drawn, *search.of(record, "found")):
        assert len(trained.tests) == search.TRAININGS
    found = {run.number: run.candidate.architecture for run in search.of(record, "found")}
    assert found == {found.seed: found.best.architecture for found in record.searches}


def test_a_record_grows_run_by_run_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    pytest.importorskip("pymoo", reason="needs the extra 'search'")
    how = {
        "space": SearchSpace(1),
        "random": 2,
        "searches": 1,
        "trainings": 2,
        "evolution": EvolutionRecipe(evaluations=4, population=4, draws=1, channels=2),
        "recipe": SequenceRecipe(epochs=1, batch_size=256),
    }
    data = still_digits(1)
    grown = list(search.progress(search.Record({}), data, **how))
    assert [(len(r.searches), len(r.runs)) for r in grown] == [(1, runs) for runs in range(7)]
    assert [run.origin for run in grown[-1].runs] == ["random", "random", "found"] * 2
    first, *_ = search.of(grown[-1], "random")
    assert first.test == sum(run.test for run in grown[-1].runs[::3]) / 2
    search.write(grown[1], tmp_path / "record.json")
    left = list(search.progress(search.read(tmp_path / "record.json"), data, **how))
    assert left == grown[2:]
    assert search.read(tmp_path / "none.json").runs == ()


def test_an_agreement_is_that_of_scipy() -> None:
    draw = np.random.default_rng(0)
    first = draw.integers(6, size=20).tolist()  # with ties
    second = (np.array(first) + draw.normal(size=20)).tolist()
    found = search.agreement(first, second, resamples=200)
    assert found.tau == pytest.approx(kendalltau(first, second).statistic)
    assert -1 <= found.low < found.tau < found.high <= 1
    assert search.agreement([1, 2, 3, 4], [8, 7, 6, 5], resamples=50).tau == -1


def test_the_interval_of_a_median_holds_it() -> None:
    median, low, high = search.median_interval([1.0, 2.0, 3.0, 4.0, 100.0], resamples=500)
    assert median == 3
    assert 1 <= low < 3 < high <= 100
