from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from spikewright.cli.commands.report import names_of
from spikewright.cli.inside import drawn_batch
from spikewright.data import loader

from .conftest import DIGITS, SMALL, Run

WORDS = [*SMALL, "--seeds", "1", "--neuron", "if,nearest"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep, its energies, and an experiment on misalignment, under short names."""
    from typer.testing import CliRunner

    from spikewright.cli.app import app

    place = tmp_path_factory.mktemp("runs")
    energy = [*SMALL, "--neuron", "if,nearest"]
    shuffled = [*SMALL, "--seeds", "1", "--orders", "independent", "--no-layerwise"]
    for command, words in (("sweep", WORDS), ("energy", energy), ("misalignment", shuffled)):
        line = [command, DIGITS, *words, "--output", str(place / command)]
        result = CliRunner().invoke(app, line)
        assert result.exit_code == 0, result.stderr
    return place


@pytest.mark.parametrize("command", ["sweep", "misalignment"])
def test_the_page_of_one_run_is_made_again_from_its_folder(
    run: Run, folders: Path, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / command
    shutil.copytree(folders / command, folder)
    (folder / "report.html").unlink()
    code, out, err = run("report", str(folder))
    assert (code, out) == (0, "")
    assert f"written: {folder}/report.html" in err.replace("\n", "")
    written = (folders / command / "report.html").read_text()
    assert (folder / "report.html").read_text() == written


def test_a_sweep_and_its_energies_meet_on_one_page(run: Run, folders: Path, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "page.html"
    words = [str(folders / "sweep"), str(folders / "energy"), "--output", str(page)]
    code, _, err = run("report", *words)
    assert code == 0, err
    html = page.read_text()
    document = json.loads((folders / "energy" / "results.json").read_text())
    for one in document["operations"]:
        assert f"<td>{one['energy']['snn_nj']:,.1f}</td>" in html
    assert "Energy was" not in html
    for told in ("A · sweep", "B · energy", "The first bad layer", "What accuracy costs"):
        assert told in html


def test_a_run_of_energy_alone_has_a_page(run: Run, folders: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    code, _, err = run("report", str(folders / "energy"), "--output", str(page))
    assert code == 0, err
    html = page.read_text()
    assert "The run energy" in html
    with (folders / "energy" / "operations.csv").open() as file:
        lines = list(csv.DictReader(file))
    most: dict[tuple[str, str], tuple[float, str]] = {}
    for line in lines:
        key, memory = (line["network"], line["steps"]), float(line["snn_with_memory_nj"])
        assert f"{key[0]} at T = {key[1]}</h3>" in html
        cells = (memory, float(line["ann_with_memory_nj"]), float(line["snn_nj"]))
        assert "".join(f"<td>{cell:,.1f}</td>" for cell in cells) in html
        if line["site"] != "total":
            most[key] = max(most.get(key, (0.0, "")), (memory, line["site"]))
    told = re.findall(r"With memory, (\w+) takes the most", html)
    assert told == [site for _, site in most.values()]


def test_several_runs_go_to_comparison_html_here(
    run: Run, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("report", str(folders / "sweep"), str(folders / "misalignment"))
    assert code == 0, err
    assert "written: comparison.html" in err
    assert "sweep and misalignment compared" in (tmp_path / "comparison.html").read_text()


def test_refusals_write_nothing(run: Run, folders: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    sweep = str(folders / "sweep")
    broken = tmp_path / "broken"
    shutil.copytree(folders / "sweep", broken)
    text = (broken / "results.json").read_text()
    (broken / "results.json").write_text(text[: len(text) // 2])
    (tmp_path / "circle").symlink_to("circle")
    for words, told in [
        ([sweep, f"{sweep}/"], "is named twice: name every run once"),
        ([sweep, str(tmp_path / "absent")], "does not exist: give the folder"),
        ([str(tmp_path / "circle")], "does not exist: give the folder"),
        ([str(broken)], "results.json' is damaged or was changed: it is not valid JSON"),
        ([], "Missing argument"),
    ]:
        code, out, err = run("report", *words, "--output", str(page))
        assert (code, out) == (2, ""), err
        assert told in " ".join(err.split())
    code, _, err = run("report", sweep, "--output", str(tmp_path / "page.txt"))
    assert code == 2
    assert "name a file that ends in .html" in err
    assert not page.exists()


def test_runs_are_named_by_the_shortest_ends_that_tell_them_apart() -> None:
    assert names_of([Path("/a/x"), Path("/b/y")]) == ["x", "y"]
    assert names_of([Path("/a/x"), Path("/b/x"), Path("/b/y")]) == ["a/x", "b/x", "b/y"]
    assert names_of([Path("/x")]) == ["x"]


def test_the_look_inside_is_at_images_of_all_classes() -> None:
    """Folders of pictures stand class by class, so a first batch would be of one class."""
    labels = torch.arange(4).repeat_interleave(25)
    batches = loader(TensorDataset(torch.rand(100, 1, 2, 2), labels), 25)
    state = torch.random.get_rng_state()
    images, drawn = drawn_batch(batches, seed=0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert len(images) == 25
    assert set(drawn.tolist()) == {0, 1, 2, 3}
    assert torch.equal(drawn_batch(batches, seed=0)[0], images)
    assert not torch.equal(drawn_batch(batches, seed=1)[0], images)
