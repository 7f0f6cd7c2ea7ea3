"""docs/events.md: its commands and its Python run on a tiny simulated set, its record is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import spikewright as sw
from docs_tools import events, events_page
from docs_tools.cli_reference import PROGRAMS

from .pages import DOCS, blocks_of, named_commands, text_of

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

SMALLER = {
    "cifar10:DIR": "digits",
    "--per-class 300": "--per-class 3",
    "--epochs 60": "--epochs 1",
    "--batch-size 32": "--batch-size 8",
    "if,shuffled,tpp,unbiased,nearest": "if,tpp,nearest",
}


@pytest.fixture(scope="module")
def smaller() -> str:
    text = text_of("docs/events.md")
    for there, here in SMALLER.items():
        assert there in text
        text = text.replace(there, here)
    return text


@pytest.fixture(scope="module")
def outputs(smaller: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What the commands of the page print; the working directory is the one they wrote to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("followed"))
        found: list[str] = []
        for program, *words in named_commands(smaller):
            result = CliRunner().invoke(PROGRAMS[program], words)
            assert result.exit_code == 0, result.output
            found.append(result.stdout)
        yield found


def test_a_newcomer_can_follow_the_page(smaller: str, outputs: list[str]) -> None:
    assert len(outputs) == 3
    assert all("SIMULATED" in out or "simulated" in out for out in outputs)
    (block,) = (block for block in blocks_of(smaller) if block.language == "python")
    names: dict[str, object] = {}
    exec(block.text.replace("print(", "str("), names)
    table = names["table"]
    assert isinstance(table, sw.Sweep)
    assert table.steps == (4, 8, 10)
    # QCFS, T = L: the neuron rounds as the activation does, and the frames have the image's mean
    assert table.row("nearest", 8).agreement == 1.0


@pytest.mark.usefixtures("outputs")
def test_both_engines_are_measured() -> None:
    record = events.measured(Path("recordings"), "run:runs/events", size=16, steps=(8,))
    rows = {row.neuron: row for row in record.rows}
    assert record.recordings == 10
    assert record.counts == 32 * 16**2 + 64 * 8**2 + 64 * 4**2
    for neuron in ("nearest", "tracer"):
        assert rows[neuron].differ[1] == 0  # in float64
        assert rows[neuron].counted == rows[neuron].stepped == (rows[neuron].still,)
        assert rows[neuron].as_ann == 10
    assert [rows[name].latency for name in ("if", "nearest", "tpp")] == [8, 32, 32]
    assert 8 < rows["tracer"].latency < 32
    assert len(rows["tpp"].counted) == len(rows["tpp"].stepped) == events.SEEDS
    assert rows["nearest"].in_window is None
    assert (rows["if"].in_window,) == rows["if"].stepped
    assert set(record.refusals) == {"if, counts", *events.REFUSED}
    written = events.write(record, Path("record.json"))
    assert events.read(written) == record


def test_the_page_repeats_the_record() -> None:
    record = events.read(DOCS / "results" / "events.json")
    page = text_of("docs/events.md")
    assert "SIMULATED" in events_page.table(record)
    for told in events_page.PARTS:
        assert told(record) in page
