from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import click
import pytest
import torch
import typer

import spikewright as sw
from spikewright.cli.keeping import CELLS
from spikewright.cli.record import words_of
from spikewright.files import write_whole
from spikewright.neurons import code_of

from .conftest import DIGITS, SMALL, Run

FILES = ["config.json", "report.html", "results.csv", "results.json", "timing.json"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_convert_writes_its_summary(run: Run, tmp_path: Path) -> None:
    words = ["--data", "digits", "--calibration-samples", "12", "--steps", "2,4"]
    code, out, _ = run("convert", DIGITS, *words, "--neuron", "tpp", "--output", str(tmp_path))
    assert code == 0
    assert names(tmp_path) == ["config.json", "network.safetensors", "summary.txt"]
    assert (tmp_path / "summary.txt").read_text() == out
    assert "Spiking network at T = 2" in out
    assert "latency: 16 time steps (4 windows of 4)" in out
    assert json.loads((tmp_path / "config.json").read_text())["neuron"] == "tpp"


def test_inspect_shows_the_network_that_convert_saved(run: Run, tmp_path: Path) -> None:
    words = ["--data", "digits", "--calibration-samples", "12", "--steps", "2,4"]
    run("convert", DIGITS, *words, "--neuron", "tpp", "--output", str(tmp_path))
    file = tmp_path / "network.safetensors"
    code, out, _ = run("inspect", str(file))
    assert code == 0
    assert out.rstrip("\n").endswith((tmp_path / "summary.txt").read_text().rstrip("\n"))
    document = json.loads(run("inspect", str(file), "--json")[1])
    assert document["notes"]["neuron"] == "tpp"
    assert "audit" not in document
    text = run("inspect", str(file), "--audit")[1]
    assert text.startswith(out.rstrip("\n"))
    assert text.endswith("no objections\n")
    audit = json.loads(run("inspect", str(file), "--audit", "--json")[1])["audit"]
    assert (audit["steps"], audit["objections"]) == (2, [])
    assert {edge["carries"] for edge in audit["edges"]}.isdisjoint({"floats", "constants"})
    file.write_bytes(file.read_bytes()[:-1])
    code, out, told = run("inspect", str(file))
    assert (code, out) == (2, "")
    assert "cut short" in told


def test_inspect_names_the_rule_that_was_chosen(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(1)
    layers = (torch.nn.Linear(16, 24), torch.nn.ReLU(), torch.nn.Linear(24, 4))
    model, x = torch.nn.Sequential(*layers).eval(), torch.randn(64, 16)
    network = sw.convert(model, x, steps=8)
    network.save(tmp_path / "saved")
    _, out, _ = run("inspect", str(tmp_path / "saved"))
    told = [line for line in out.splitlines() if line.startswith("thresholds")]
    assert told == [
        f"thresholds at T = 8: {sw.MinError(per='channel')!r}",
        f"thresholds at other T: {network.calibration.threshold!r}",
    ]
    alone = sw.convert(model, x, steps=8, threshold=sw.MinError(per="channel"), correction=None)
    assert torch.equal(network.design(8).thresholds["1"], alone.design(8).thresholds["1"])
    learned = sw.convert(
        torch.nn.Sequential(*layers).eval(), torch.randn(64, 16), threshold=sw.Maximum()
    )
    learned.save(tmp_path / "other")
    assert "\nthresholds at other T: Maximum(" in run("inspect", str(tmp_path / "other"))[1]


def test_inspect_names_every_input(run: Run, tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.read = torch.nn.Embedding(9, 4), torch.nn.Linear(3, 4)

        def forward(self, ids: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            return (self.words(ids).sum(1) + self.read(level)).relu()

    batch = {"ids": torch.randint(9, (16, 5)), "level": torch.rand(16, 3)}
    network, file = sw.convert(Two().eval(), [batch], steps=2), tmp_path / "two.safetensors"
    network.save(file)
    code, out, _ = run("inspect", str(file))
    assert code == 0
    assert "input ids: 5 int64\ninput level: 3\n" in out
    assert json.loads(run("inspect", str(file), "--json")[1])["inputs"] == {
        "ids": [5],
        "level": [3],
    }
    code, _, told = run("inspect", str(file), "--audit")
    assert code == 2
    assert "ids: 5 int64" in told


def test_convert_json_has_every_design(run: Run) -> None:
    words = ["--data", "digits", "--calibration-samples", "12", "--steps", "2,4", "--json"]
    code, out, _ = run("convert", DIGITS, *words)
    found = json.loads(out)
    assert code == 0
    assert [(d["steps"], d["latency"]) for d in found["designs"]] == [(2, 8), (4, 16)]
    for span in found["designs"][0]["thresholds"].values():
        assert 0 < span["low"] <= span["median"] <= span["high"]


def test_convert_finds_the_steps_for_an_agreement(run: Run, tmp_path: Path) -> None:
    words = [
        "--data",
        "digits",
        "--calibration-samples",
        "64",
        "--agreement",
        "0.9",
        "--correction=bias",
    ]
    code, out, err = run("convert", DIGITS, *words, "--json")
    assert code == 0, err
    found = json.loads(out)
    (design,) = found["designs"]
    held = found["held_out"]
    assert design["steps"] == held["steps"]
    assert held["samples"] == 16
    assert held["agreement"] >= 0.9
    assert {site["neuron"] for site in found["sites"]} == {held["neuron"]}
    code, out, _ = run("convert", DIGITS, *words, "--neuron", "if", "--output", str(tmp_path))
    assert code == 0
    assert out.startswith("'IF' at T = ")
    assert "of 16 images held out as the ANN does" in (tmp_path / "summary.txt").read_text()


def test_convert_takes_one_way_of_choosing_steps(run: Run) -> None:
    code, _, err = run("convert", DIGITS, "--data", "digits", "--agreement", "0.9", "--steps", "4")
    assert code == 2
    assert "leave --steps out" in err


def test_convert_chooses_a_code_for_every_layer(run: Run, tmp_path: Path) -> None:
    """The written network is the cheapest within the latency, and has the codes that are told."""
    words = ["--data", "digits", "--calibration-samples", "32", "--steps", "7", "--neuron=nearest"]
    words += ["--codes", "binary,first-spike", "--latency", "24"]
    code, out, err = run("convert", DIGITS, *words, "--output", str(tmp_path), "--json")
    assert code == 0, err
    found = json.loads(out)
    latencies = [one["latency"] for one in found["front"]]
    assert latencies == sorted(latencies)
    assert found["designs"][0]["latency"] == latencies[-1] <= 24
    costs = [one["snn_nj"] for one in found["front"]]
    assert costs == sorted(costs, reverse=True)
    saved = sw.load(tmp_path / "network.safetensors")
    codes = found["front"][-1]["codes"]
    neurons = [n for n in saved.neurons.values() if isinstance(n, sw.TwoPhase)]
    assert [code_of(neuron.code).name for neuron in neurons] == list(codes.values())
    assert set(codes.values()) == {"binary", "first-spike"}
    assert "layers of first-spike" in (tmp_path / "summary.txt").read_text()


def test_convert_gives_longer_windows_to_few_layers(run: Run, tmp_path: Path) -> None:
    """The written network has the windows, the errors and the latency that are told."""
    words = ["--data", "digits", "--calibration-samples", "32", "--neuron", "nearest:binary"]
    words += ["--steps", "3", "--longer-layers", "2", "--longer-by", "3", "--method", "minerror"]
    code, out, err = run("convert", DIGITS, *words, "--output", str(tmp_path), "--json")
    assert code == 0, err
    found = json.loads(out)
    first, *_, last = windows = found["windows"]
    assert (first["longer"], first["latency"], first["samples"]) == ([], 12, 8)
    assert 1 <= len(last["longer"]) <= 2
    errors = [one["relative_error"] for one in windows]
    assert errors == sorted(errors, reverse=True)
    assert found["designs"][0]["latency"] == last["latency"] > 12
    assert found["configuration"]["longer_layers"] == 2
    saved = sw.load(tmp_path / "network.safetensors")
    longer = [s for s, n in saved.neurons.items() if n.window(saved.steps) == 6]
    assert set(longer) == set(last["longer"])
    assert saved.latency() == last["latency"]
    summary = (tmp_path / "summary.txt").read_text()
    assert "T = 6 in place of 3 at the layers whose rounding costs most" in summary
    assert f"+ {last['longer'][0]}" in summary


def test_convert_keeps_windows_within_a_latency(run: Run) -> None:
    """Three layers of 3 steps answer after 12: nothing longer does."""
    words = ["--data", "digits", "--calibration-samples", "32", "--neuron", "nearest:binary"]
    words += ["--steps", "3", "--longer-layers", "1", "--correction", "none"]
    code, out, err = run("convert", DIGITS, *words, "--latency", "12")
    assert code == 0, err
    assert "all layers keep T = 3" in out
    assert "latency: 12 time steps" in out
    code, _, err = run("convert", DIGITS, *words, "--latency", "11")
    assert code == 4
    assert "all of them alike it takes 12" in err


def test_sweep_writes_four_files_that_agree(run: Run, tmp_path: Path) -> None:
    words = [*SMALL, "--neuron", "if,tpp,nearest:binary", "--seeds", "2", "--seed", "5"]
    code, out, err = run("sweep", DIGITS, *words, "--output", str(tmp_path), "--json")
    assert code == 0, err
    assert names(tmp_path) == FILES
    found = json.loads(out)
    assert found == json.loads((tmp_path / "results.json").read_text())
    assert found["configuration"] == json.loads((tmp_path / "config.json").read_text())
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [(r["network"], int(r["steps"])) for r in rows] == [
        (r["network"], r["steps"]) for r in found["studies"][0]["sweep"]["rows"]
    ]
    assert {r["network"] for r in rows} == {"IF", "TPP", "nearest, binary"}
    assert found["studies"][0]["sweep"]["record"]["samples"] == 20
    assert found["studies"][0]["sweep"]["record"]["seed"] == 5
    assert "report.html" in err


def test_a_sweep_tells_the_accuracy_after_every_step(run: Run, tmp_path: Path) -> None:
    words = [*SMALL, "--neuron", "if,nearest,tracer", "--trajectory", "2"]
    code, _, err = run("sweep", DIGITS, *words, "--output", str(tmp_path))
    assert code == 0, err
    study = json.loads((tmp_path / "results.json").read_text())["studies"][0]
    times: dict[str, list[int]] = {}
    for point in study["trajectories"]["points"]:
        times.setdefault(point["network"], []).append(point["time"])
    rows = {r["network"]: r for r in study["sweep"]["rows"] if r["steps"] == 2}
    assert times["IF"] == [1, 2]
    assert times["nearest"] == [7, 8]
    assert max(times["tracer"]) >= rows["tracer"]["latency"]
    page = (tmp_path / "report.html").read_text()
    assert "time steps since the first input" in page


def test_a_trajectory_that_cannot_be_is_refused_before_the_sweep(run: Run, tmp_path: Path) -> None:
    words = ["sweep", DIGITS, *SMALL, "--neuron", "nearest:binary", "--output", str(tmp_path)]
    code, _, err = run(*words, "--trajectory", "60000")
    assert code == 3
    assert "at T = 60000 would count beyond" in err
    assert not (tmp_path / CELLS).exists()


def test_cells_do_not_depend_on_the_trajectory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sweep", DIGITS, *SMALL, "--neuron", "nearest", "--output", str(tmp_path)]
    with monkeypatch.context() as patched:
        patched.setattr("spikewright.cli.commands.sweep.inside_study", _interrupted)
        code, _, _ = run(*words, "--trajectory", "2")
        assert code == 130
    assert (tmp_path / CELLS).is_dir()
    code, _, err = run(*words, "--trajectory", "3")
    assert code == 0, err
    assert "going on with the unfinished work" in err
    study = json.loads((tmp_path / "results.json").read_text())["studies"][0]
    assert [point["time"] for point in study["trajectories"]["points"]] == [10, 11, 12]


def test_words_that_are_no_utf8_are_spelled_out() -> None:
    context = typer.Context(click.Command("sweep"), obj=["sweep", "m", "--data", "x:/caf\udce9"])
    assert words_of(context) == ["sweep", "m", "--data", "x:/caf\\udce9"]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_table_in_a_file_is_as_wide_as_it_needs(run: Run) -> None:
    steps = ",".join(map(str, range(1, 21)))
    code, out, err = run("sweep", DIGITS, *SMALL, "--neuron", "shuffled", "--steps", steps)
    assert code == 0, err
    assert "shuffled IF" in out
    assert "T = 20" in out


def test_the_table_shows_every_network_and_tells_latency(run: Run) -> None:
    code, out, _ = run("sweep", DIGITS, *SMALL, "--neuron", "if,nearest")
    assert code == 0
    for told in ("ANN", "IF", "nearest", "T = 1", "T = 2"):
        assert told in out
    assert "latency of IF: 1, 2 time steps" in out
    assert "latency of nearest: 4, 8 time steps" in out
    assert "20 images" in out


QCFS_DIGITS = (
    "from spikewright import QCFS\n"
    "from spikewright.models import digits_cnn\n"
    "def twin():\n"
    "    return digits_cnn(activation=lambda: QCFS(4, 2.0))\n"
)

METHODS = [
    ("qcfs", "IF", [1, 2]),
    ("rts", "IF, shifted", [1, 2]),
    ("snnc", "IF, shifted", [1, 2]),
    ("ltb", "IF", [1, 2]),
    ("srp", "SRP, tau 4", [5, 6]),
    ("cos", "COS, rho 4", [4, 8]),
    ("minerror", "nearest", [4, 8]),
]


@pytest.mark.parametrize(("method", "neuron", "latency"), METHODS, ids=lambda v: str(v))
def test_a_sweep_by_every_method(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    neuron: str,
    latency: list[int],
) -> None:
    (tmp_path / "twin_model.py").write_text(QCFS_DIGITS)
    monkeypatch.chdir(tmp_path)
    model = "twin_model:twin" if method in ("qcfs", "srp", "cos") else DIGITS
    words = [*SMALL, "--method", method, "--output", str(tmp_path / "out")]
    code, _, err = run("sweep", model, *words)
    assert code == 0, err
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(r["network"], r["latency"]) for r in found["studies"][0]["sweep"]["rows"]] == [
        (neuron, n) for n in latency
    ]
    assert found["configuration"]["method"] == method
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"by the method {method}" in page
    assert f"--calibration-samples 12 --steps 1,2 --method {method}" in page


def test_a_method_decides_what_if_starts_from(run: Run) -> None:
    words = [*SMALL, "--seeds", "1", "--method", "rts", "--neuron", "if,shuffled,srp:2,nearest"]
    code, out, err = run("sweep", DIGITS, *words, "--json")
    assert code == 0, err
    networks = list(
        dict.fromkeys(r["network"] for r in json.loads(out)["studies"][0]["sweep"]["rows"])
    )
    assert networks == [
        "IF, shifted",
        "shuffled IF, shifted",
        "SRP of IF, shifted, tau 2",
        "nearest",
    ]


def test_the_method_auto_is_what_no_method_means(run: Run) -> None:
    words = ["--data", "digits", "--calibration-samples", "16", "--steps", "2", "--json"]
    plain, named = (
        json.loads(run("convert", DIGITS, *words, *more)[1]) for more in ([], ["--method", "auto"])
    )
    assert plain["designs"] == named["designs"]
    assert plain["sites"] == named["sites"]
    assert plain["configuration"]["correction"] == "auto"
    assert named["configuration"]["correction"] is None
    assert plain["designs"][0]["expected"]["samples"] == 4


def test_the_same_command_gives_the_same_numbers(run: Run) -> None:
    words = ["sweep", DIGITS, *SMALL, "--neuron", "tpp", "--json"]
    rows = [json.loads(run(*words)[1])["studies"][0]["sweep"]["rows"] for _ in range(2)]
    assert [r["per_seed"] for r in rows[0]] == [r["per_seed"] for r in rows[1]]


def test_a_limited_sweep_sees_more_than_one_class(run: Run) -> None:
    """The numbers of a subset in the order of the data set would be of few classes."""
    from spikewright.cli.options import (
        ConversionOptions,
        DataOptions,
        MeasurementOptions,
        ModelOptions,
    )
    from spikewright.cli.source import open_source

    source = open_source(ModelOptions(DIGITS), DataOptions("digits"), ConversionOptions())
    (_, labels), *_ = source.data.measured(MeasurementOptions(limit=40), 0)
    assert len(labels) == 40
    assert len(labels.unique()) >= 8
    assert sum(len(batch) for batch in source.calibration) == 512


def test_misalignment(run: Run, tmp_path: Path) -> None:
    words = [*SMALL, "--orders", "independent,late", "--output", str(tmp_path), "--json"]
    code, out, err = run("misalignment", DIGITS, *words)
    assert code == 0, err
    assert names(tmp_path) == FILES
    (found,) = json.loads(out)["studies"]
    networks = {row["network"] for row in found["sweep"]["rows"]}
    assert networks == {"IF", "independent", "late"}
    assert [entry["site"] for entry in found["layers"]] == ["act1", "act2", "act3"]
    page = (tmp_path / "report.html").read_text()
    assert "One layer shuffled at a time" in page
    assert "Where each layer’s error comes from" in page


def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.json"
    write_whole(path, b"old")

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="no space"):
            write_whole(path, b"new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["results.json"]
    write_whole(path, b"new")
    assert path.read_text() == "new"


def test_a_run_folder_holds_the_command_line_as_given(run: Run, tmp_path: Path) -> None:
    asked = [*SMALL, "--neuron", "if", "--seeds=1", "--correction=none"]
    code, _, err = run("sweep", "--json", f"--output={tmp_path}", DIGITS, *asked)
    assert code == 0, err
    configuration = json.loads((tmp_path / "config.json").read_text())
    assert configuration["arguments"] == ["sweep", DIGITS, *asked]
    line = shlex.join(["spikewright", "sweep", DIGITS, *asked])
    assert line in (tmp_path / "report.html").read_text()


def test_a_window_too_long_to_be_drawn_has_no_raster(run: Run, tmp_path: Path) -> None:
    words = ["--data", "digits", "--limit", "4", "--calibration-samples", "8", "--output"]
    for steps, shown in (("129", False), ("128", True)):
        folder = tmp_path / steps
        asked = [*words, str(folder), "--steps", steps, "--neuron", "nearest"]
        code, _, err = run("sweep", DIGITS, *asked)
        assert code == 0, err
        assert ('data-part="rasters"' in (folder / "report.html").read_text()) is shown
