"""The page as a golden file."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.record import file_name, read, write
from benchmarks.render import page
from benchmarks.settings import BenchmarkError
from tests.benchmarks.results import example

GOLDEN = Path(__file__).with_name("golden.md")


def test_the_page_of_the_example_is_the_golden_one() -> None:
    assert page([example()]) == GOLDEN.read_text(encoding="utf-8")


def test_render_reads_every_result_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(example(), tmp_path)
    write({**example(), "device": "cuda:0"}, tmp_path)
    written = tmp_path / "page.md"
    assert main(["render", "--output", str(tmp_path), "--page", str(written)]) == 0
    text = written.read_text(encoding="utf-8")
    assert "## ResNet-20, 32x32, on cpu\n" in text
    assert "## ResNet-20, 32x32, on cuda:0\n" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "page.md",
        "resnet20-cpu.json",
        "resnet20-cuda0.json",
    ]


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"format": 0}', encoding="utf-8")
    with pytest.raises(BenchmarkError, match="no result file of format 1"):
        read(file)
    assert main(["compare", str(file), str(file)]) == 2


def test_the_record_of_a_labelled_machine_stands_beside_that_of_another() -> None:
    assert file_name("resnet20", "cpu") == "resnet20-cpu.json"
    assert file_name("resnet20", "cpu", "epyc") == "resnet20-cpu-epyc.json"
