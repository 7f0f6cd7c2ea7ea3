"""Recurrent networks: the page is that of the record, and how a row is measured."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from docs_tools import recurrent
from spikewright.recurrent import SRNN, SequenceRecipe, recall_sequences, recurrent_costs

from .pages import DOCS, text_of

PAGE = "docs/recurrent.md"


@pytest.fixture(scope="module")
def found() -> tuple[recurrent.Run, ...]:
    return recurrent.read(DOCS / "results" / "recurrent.json")


@pytest.mark.parametrize("task", recurrent.TASKS)
def test_the_page_repeats_the_record(found: tuple[recurrent.Run, ...], task: str) -> None:
    assert recurrent.table(found, task) in text_of(PAGE)
    for run in found:
        assert run.network in recurrent.TASKS[run.task].networks
    names = recurrent.TASKS[task].networks
    assert {run.seed for run in found if run.task == task} == set(recurrent.SEEDS)
    assert len([run for run in found if run.task == task]) == len(names) * len(recurrent.SEEDS)


@pytest.mark.parametrize("task", ["recall", "alone"])
def test_the_difference_on_the_page_is_that_of_the_record(
    found: tuple[recurrent.Run, ...], task: str
) -> None:
    mean, half = recurrent.difference(found, task, "ALIF", "LIF")
    assert f"{mean:.1f} ± {half:.1f} points" in text_of(PAGE)


def test_adaptation_alone_remembers_better_than_leaking(found: tuple[recurrent.Run, ...]) -> None:
    mean, half = recurrent.difference(found, "alone", "ALIF", "LIF")
    assert mean - half > 0


def test_the_digits_are_read_as_well_as_the_page_says(found: tuple[recurrent.Run, ...]) -> None:
    own = [run.test for run in found if (run.task, run.network) == ("rows", "ALIF")]
    assert sum(own) / len(own) >= 0.97


def test_a_run_measures_its_network() -> None:
    task = replace(
        recurrent.TASKS["recall"],
        data=lambda: recall_sequences(3, sizes=(64, 16, 16)),
        units=(8,),
        recipe=SequenceRecipe(epochs=1),
    )
    first = list(recurrent.runs({"recall": task}, (0,)))
    assert [run.network for run in first] == list(task.networks)
    spiking, _, lstm = first
    assert spiking.spikes is not None
    assert spiking.macs == 0
    assert spiking.updates == 23 * (8 * 10 + 4 * 3)
    assert lstm.spikes is None
    assert lstm.macs == 23 * 4 * 8 * (5 + 8) + 8 * 4
    assert lstm.parameters == 4 * 8 * (5 + 8 + 2) + 8 * 4 + 4
    left = list(recurrent.runs({"recall": task}, (0,), done=first[:2]))
    assert left == first[2:]


def test_an_lstm_is_counted_like_the_one_beside_a_spiking_network() -> None:
    task = replace(
        recurrent.TASKS["recall"],
        data=lambda: recall_sequences(3, sizes=(64, 16, 16)),
        units=(8, 8),
        recipe=SequenceRecipe(epochs=1),
    )
    data = task.data()
    run = recurrent.run_once("recall", task, data, "LSTM", 0)
    beside = recurrent_costs(SRNN(data.features, (8, 8), 4), torch.zeros(data.steps, 1, 5)).lstm
    assert (run.macs, run.updates) == (beside.macs, beside.updates)
    assert run.macs == 23 * 4 * (8 * (5 + 8) + 8 * (8 + 8)) + 8 * 4  # the read-out once


def test_an_interval_is_that_of_student() -> None:
    mean, half = recurrent.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3
    assert half == pytest.approx(2.776 * math.sqrt(2.5 / 5))


def test_an_lstm_reads_its_last_state() -> None:
    torch.manual_seed(0)
    model, x = recurrent.LSTM(3, (4, 4), 2), torch.rand(6, 5, 3)
    torch.testing.assert_close(model(x), model.read_out(model.cells(x)[1][0][-1]))


def test_a_record_is_read_as_it_was_written(
    found: tuple[recurrent.Run, ...], tmp_path: Path
) -> None:
    recurrent.write(found, tmp_path / "record.json")
    assert recurrent.read(tmp_path / "record.json") == found
    assert recurrent.read(tmp_path / "none.json") == ()
