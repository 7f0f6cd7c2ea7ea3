"""`spikewright zoo`, and its networks in other commands."""

from __future__ import annotations

import json

import pytest

from .conftest import Run


def test_it_lists_what_ships(run: Run) -> None:
    code, out, err = run("zoo")
    assert code == 0, err
    assert out.startswith("zoo:cct6-cifar10\n  network     cct6, gelu\n")
    assert "\nzoo:digits-qcfs8\n  network     digits_cnn, qcfs L = 8\n" in out
    code, document, _ = run("zoo", "--json")
    card = json.loads(document)["digits-qcfs8"]
    assert card["weights_sha256"] in out
    assert f"{card['test']['right']} of {card['test']['images']}" in out
    assert "\n  start       zoo:resnet20-qcfs8-cifar10\n" in out


def test_a_run_and_its_name_go_together(run: Run) -> None:
    code, _, err = run("zoo", "--add", "runs/one")
    assert (code, "--add RUN and --name NAME go together" in err) == (2, True)


def test_a_network_of_the_zoo_is_swept_as_it_was_trained(run: Run) -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    words = "--data digits --threshold learned --correction none --neuron nearest --steps 8"
    code, out, err = run("sweep", "zoo:digits-qcfs8", *words.split(), "--json")
    assert code == 0, err
    (row,) = json.loads(out)["studies"][0]["sweep"]["rows"]
    card = json.loads(run("zoo", "--json")[1])["digits-qcfs8"]
    assert row["accuracy"] == card["test"]["accuracy"]  # lossless at T = L
    assert row["agreement"] == 1.0


def test_still_images_have_no_frames(run: Run) -> None:
    words = "--data digits --frames --limit 20 --calibration-samples 16 --steps 2"
    code, _, err = run("sweep", "zoo:digits-qcfs8", *words.split())
    assert (code, "--frames shows event recordings frame by frame" in err) == (2, True)
