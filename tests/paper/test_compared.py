"""The page that compares calibrations: what it marks as best, and nothing that is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from paper import compared, write_compared
from paper.cell import packed
from spikewright.errors import ExperimentError
from tests.cli.conftest import Run
from tests.paper.nets import SMALL

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "results", ROOT / "docs" / "methods" / "compared.md"


def cells(text: str, first: str) -> list[list[str]]:
    """The rows of all tables that begin so."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return [row[1:] for row in rows if row[0] == first]


def right(folder: Path, row: str, number: int) -> None:
    """Let a row get so many first images right, at T = 2."""
    path = folder / f"{row}-t2-s0.json"
    record = json.loads(path.read_text())
    record["hits"] = packed(torch.arange(record["images"]) < number)
    path.write_text(json.dumps(record))


def test_the_page_of_this_repository_is_what_its_records_render_to() -> None:
    if not RESULTS.is_dir():
        pytest.skip("this repository holds no results yet")
    assert compared(RESULTS) == PAGE.read_text(encoding="utf-8"), "run: python -m paper compared"


def test_the_best_is_marked_and_what_cannot_be_told_from_it(results: Path, tmp_path: Path) -> None:
    """Of 40 images; 7 against none have p = 2 / 2^7 = 0.016, 8 against none 0.008."""
    shutil.copytree(results / "qcfs", tmp_path / "qcfs")
    for row, number in (("if", 22), ("tpp", 23), ("nearest", 30)):
        right(tmp_path / "qcfs", row, number)
    text = compared(tmp_path, (2,))
    assert cells(text, "nearest") == [["**75.00**", "8 steps at T = 2"]]
    assert cells(text, "TPP") == [["57.50 ≈", "8 steps at T = 2"]]
    assert cells(text, "IF (QCFS)") == [["55.00", "2 steps at T = 2"]]
    assert cells(text, "SRP") == cells(text, "COS") == [["not run", "not run"]]
    assert cells(text, "best") == [["nearest, TPP", "-"]]
    assert "On 40 images.\n" in text
    assert "## ReLU networks" not in text


def test_images_beyond_those_of_all_rows_do_not_count(results: Path, tmp_path: Path) -> None:
    """Of 60 images that nearest has; the others have 40 or 60."""
    shutil.copytree(results / "qcfs", tmp_path / "qcfs")
    for row, number in (("if", 40), ("tpp", 40), ("nearest", 60)):
        right(tmp_path / "qcfs", row, number)
    text = compared(tmp_path, (2,))
    assert [cells(text, row)[0][0] for row in ("IF (QCFS)", "TPP", "nearest")] == [
        "**100.00**",
        "100.00 ≈",
        "100.00 ≈",
    ]


def test_every_neuron_of_a_relu_network_has_its_table(results: Path) -> None:
    text = compared(results, SMALL.steps)
    for neuron in ("IF", "TPP", "nearest"):
        assert cells(text, f"with {neuron}") == [["T = 2", "T = 4", "answers after"]]
    once, never, late = cells(text, "RTS")
    assert once[2] == "4 steps at T = 4"
    assert never == ["not run"] * 3
    assert late[2] == f"{(3 + 1) * 4} steps at T = 4"
    assert cells(text, "LTB") == [["not run"] * 3] * 3
    assert [row[:2] for row in cells(text, "best")[:3]] == [
        ["RTS"] * 2,
        ["not run"] * 2,
        ["RTS"] * 2,
    ]


def test_a_command_writes_it(run: Run, results: Path, tmp_path: Path) -> None:
    path = tmp_path / "compared.md"
    code, told, err = run("compared", "--out", str(results), "--page", str(path), "--steps", "2")
    assert (code, told) == (0, f"written: {path}\n"), err
    assert path.read_text("utf-8") == compared(results, (2,))


def test_a_page_that_cannot_be_written_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot write"):
        write_compared(results, tmp_path, SMALL.steps)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="holds no results; run python -m paper tables"):
        compared(tmp_path)
