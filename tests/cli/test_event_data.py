"""The commands on recordings of an event camera: their outputs name the data as simulated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import spikewright as sw
from paper.event_camera import Simulation, write_simulated_set
from spikewright.data import open_dataset
from spikewright.data.events import Framing, frame_batches, open_event_data
from spikewright.models import events_cnn
from tests.cli.conftest import Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated recordings of each of ten digits."""
    folder = tmp_path_factory.mktemp("events") / "recordings"
    write_simulated_set(open_dataset("digits"), folder, 3, Simulation(loops=1))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an untrained `events_cnn`."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "events.safetensors"
    save_file(events_cnn().state_dict(), path)
    return path


def swept(recordings: Path, weights: Path) -> list[str]:
    """The words of a sweep on recordings as 16 x 16 pixels."""
    words = ["sweep", "spikewright.models:events_cnn", "--weights", str(weights), "--size", "16"]
    words += ["--data", f"cifar10dvs:{recordings}", "--calibration-samples", "8"]
    return [*words, "--neuron", "if,nearest", "--steps", "2,4"]


def test_every_output_on_simulated_recordings_says_so(
    run: Run, recordings: Path, weights: Path, tmp_path: Path
) -> None:
    _, *words = swept(recordings, weights)
    code, out, err = run("energy", *words, "--output", str(tmp_path / "energy"))
    assert code == 0, err
    titles = [line for line in out.splitlines() if "operations for one sample" in line]
    assert len(titles) == 4
    assert all("on cifar10dvs-simulated, " in title for title in titles)
    assert run("sweep", *words, "--output", str(tmp_path / "sweep"))[0] == 0
    words[words.index("if,nearest")] = "nearest"
    assert run("convert", *words, "--output", str(tmp_path / "convert"))[0] == 0
    for folder in ("energy", "sweep", "convert"):
        configuration = json.loads((tmp_path / folder / "config.json").read_text())
        assert configuration["dataset"] == "cifar10dvs-simulated"
    for name in ("energy/results.json", "sweep/results.json"):
        document = json.loads((tmp_path / name).read_text())
        assert document["configuration"]["dataset"] == "cifar10dvs-simulated"


def first_errors(document: str) -> dict[str, float]:
    """The total error of every network's first layer."""
    found: dict[str, float] = {}
    for error in json.loads(document)["studies"][0]["errors"]:
        found.setdefault(error["network"], error["total"])
    return found


def test_layers_are_looked_into_as_they_were_measured(
    run: Run, recordings: Path, weights: Path
) -> None:
    words = [*swept(recordings, weights), "--json"]
    (code, still, err), (_, framed, _) = run(*words), run(*words, "--frames")
    assert code == 0, err
    of_still, of_frames = first_errors(still), first_errors(framed)
    assert of_frames["nearest"] == pytest.approx(of_still["nearest"], rel=1e-3)
    assert of_frames["IF"] > 1.01 * of_still["IF"]


def test_a_saved_network_is_looked_into_as_it_was_measured(
    run: Run, recordings: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    data = open_event_data(recordings, Framing(size=16))
    images = torch.stack([image for image, _ in data.mean_images().train])
    model = events_cnn().eval()
    network = sw.convert(model, images, sw.IntegrateFire(), steps=4)
    network.save(tmp_path / "network.safetensors")
    words = ["--data", f"cifar10dvs:{recordings}", "--size", "16", "--frames", "--json"]
    code, out, err = run("evaluate", str(tmp_path / "network.safetensors"), *words)
    assert code == 0, err
    frames, _ = next(iter(frame_batches(data.in_frames(4).test, 100)))  # [4, 10, 2, 16, 16]
    site = network.sites[0]
    sent = network.counts(frames, steps=4)[site] * network.plan(4).thresholds[site] / 4
    with torch.no_grad():
        activation = model.features[:3](frames.mean(0))
    error = (sent - activation).square().mean().sqrt() / activation.square().mean().sqrt()
    assert first_errors(out)["IF"] == pytest.approx(float(error), rel=1e-3)
