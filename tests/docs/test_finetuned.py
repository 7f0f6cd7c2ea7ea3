"""The pages of fine-tuning: their tables are those of the records, and images are kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from docs_tools import bits, finetuned, gains, nq, tandem

from .pages import text_of


def test_the_pages_repeat_the_records() -> None:
    assert nq.table(finetuned.read(nq.RECORD, nq.Row)) in text_of("docs/methods/nq.md")
    rows = finetuned.read(tandem.RECORD, tandem.Row)
    assert tandem.table(rows) in text_of("docs/methods/tandem.md")
    found, page = finetuned.read(bits.RECORD, bits.Row), text_of("docs/methods/bits.md")
    assert bits.table(found) in page
    for name, trial in gains.TRIALS.items():
        table = gains.table(finetuned.read(trial.record, gains.Row))
        assert table in text_of(f"docs/methods/{name}.md")


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    row = nq.Row(4, 0, 1000, 600, 700, 750, 20, 70, (1, 2))
    finetuned.write(tmp_path / "nq.json", (row, replace(row, seed=1)), {"images": 8})
    found = finetuned.read(tmp_path / "nq.json", nq.Row)
    assert found == (row, replace(row, seed=1))
    last = nq.table(found).splitlines()[-1]
    assert last == "| 4 | 1 | 60.00 % | 70.00 % | 75.00 % | 1e-07 |"


def test_a_record_of_the_same_settings_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = gains.TRIALS["dsr"]
    monkeypatch.chdir(tmp_path)
    assert gains.done(trial) == ()
    row = gains.Row(0, 1000, 600, 800, 20, 220, 3)
    trial.record.parent.mkdir(parents=True)
    finetuned.write(trial.record, (row,), trial.config)
    assert gains.done(trial) == (row,)
    assert gains.done(replace(trial, tested=10)) == ()
    last = gains.table((row,)).splitlines()[-1]
    assert last == "| 0 | 60.00 % | 80.00 % | +20.00 (+17.19 to +22.73) | 9e-44 | 3 |"


def test_fewer_spikes_are_told_against_the_network_as_it_came(tmp_path: Path) -> None:
    start = bits.Row(3, None, 1000, 900, 0, 0, 2000.0, 8, 8, 0.0, True)
    sparse = replace(start, sparsity=0.1, right=898, only_start=20, only_this=18, spikes=1000.0)
    finetuned.write(tmp_path / "bits.json", (start, sparse), {})
    found = finetuned.read(tmp_path / "bits.json", bits.Row)
    assert found == (start, sparse)
    *_, first, second = (line.split(" | ") for line in bits.table(found).splitlines())
    accuracy = "90.00 % (88.0 to 91.7)"
    assert first == ["| 3", "7", "as it came", accuracy, "-", "-", "2.0 k", "- |"]
    assert second[2:4] == ["trained, sparsity 0.1", "89.80 % (87.8 to 91.5)"]
    assert second[4:] == ["-0.20 (-1.42 to +1.02)", "0.9", "1.0 k", "2.00 |"]


def test_what_only_one_of_two_gets_right() -> None:
    first, second = torch.tensor([True, True, False]), torch.tensor([False, True, False])
    assert finetuned.only(first, second) == (1, 0)
