"""What codes come to: the tables of the page are those of the records; how a row is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import spikewright as sw
from docs_tools import codes

from .pages import DOCS, text_of

NAMES = sorted(path.stem.removeprefix("codes-") for path in DOCS.glob("results/codes-*.json"))
FILE = """
import torch
NAME, TITLE = "small", "a layer of GELU"
def model():
    torch.manual_seed(0)
    parts = torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4)
    return torch.nn.Sequential(*parts).eval()
def inputs(n, start):
    return torch.randn(500, 8, generator=torch.Generator().manual_seed(1))[start : start + n]
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_page_repeats_the_record(name: str) -> None:
    title, rows = codes.read(name)
    page = text_of("docs/choosing.md")
    assert codes.table(rows) in page
    assert title in " ".join(page.split())


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> codes.Subject:
    file = tmp_path_factory.mktemp("codes") / "small.py"
    file.write_text(FILE, encoding="utf-8")
    return codes.Subject.of(file)


def test_a_row_says_what_the_network_does(subject: codes.Subject) -> None:
    """One layer: two windows until the answer; IF computes no GELU, so it is left out."""
    compared = (("if", 4), ("nearest:digits", 3))
    (row,) = codes.measured(subject, 100, 200, 50, compared)
    assert (row.neuron, row.steps, row.latency, row.bits) == ("nearest:digits", 3, 6, 5)
    x = subject.inputs(100, 0)
    calibration = list(subject.inputs(200, 100).split(50))
    snn = sw.convert(subject.model, calibration, sw.TwoPhase("nearest", "digits"), steps=3)
    with torch.no_grad():
        wanted = subject.model(x)
    found = snn(x)
    assert row.error == pytest.approx(float((found - wanted).norm() / wanted.norm()), rel=1e-4)
    assert row.same == float((found.argmax(1) == wanted.argmax(1)).double().mean())
    spikes = sum(float((train != 0).sum()) for train in snn.record(x[:50]).values())
    assert row.spikes == pytest.approx(spikes / (50 * 16))


def test_a_record_is_read_as_it_was_written(
    subject: codes.Subject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(codes, "RECORDS", tmp_path)
    row = codes.Row("tracer", 8, 16, 2, 1.5, 0.5, 0.25, 0.0625, 0.5)
    rows = (row, replace(row, neuron="tpp"))
    codes.write(subject, rows, {"samples": 1})
    assert codes.read("small") == ("a layer of GELU", rows)
    last = codes.table(rows).splitlines()[-1]
    assert last == "| `tpp` | 8 | 16 | 2 | 1.50 | 0.50 | 0.25 | 0.062 | 50.0 % |"
