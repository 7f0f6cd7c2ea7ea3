"""Files that are no network of ours, or not any more: refused by name, never half read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import spikewright as sw
from spikewright.artefact import container
from tests.network.nets import converted
from tests.robustness.fuzz_loader import OTHER, fuzzed


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "network"
    converted("max pool", steps=(4, 3)).save(path)
    return path.read_bytes()


def refused(content: bytes, folder: Path, match: str) -> None:
    path = folder / "network.safetensors"
    path.write_bytes(content)
    with pytest.raises(sw.InterchangeError, match=match):
        sw.load(path)


def test_absent_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(sw.InterchangeError, match="no saved network"):
        sw.load(tmp_path / "absent")
    refused(b"", tmp_path, "not a safetensors file")
    refused(b"PK\x03\x04" + bytes(64), tmp_path, "not a safetensors file")
    weights = tmp_path / "weights"
    save_file({"w": torch.zeros(2)}, weights)
    refused(weights.read_bytes(), tmp_path, r"not a network saved by SpikingNetwork.save")


def test_cut_and_changed_files(content: bytes, tmp_path: Path) -> None:
    refused(content[:-1], tmp_path, "cut short")
    refused(content + b"x", tmp_path, "added to")
    refused(content[:100], tmp_path, "cut short")
    refused(content[:-1] + bytes([content[-1] ^ 1]), tmp_path, "changed or damaged")


def edited(content: bytes, folder: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The file with its document changed and sealed again."""
    path = folder / "original"
    path.write_bytes(content)
    tensors, document = container.unpacked(path)
    document = json.loads(json.dumps(document))
    del document["sha256"]
    change(document)
    return container.packed(tensors, document)


def put(document: Any, *way: Any) -> None:
    *path, key, value = way
    for step in path:
        document = document[step]
    document[key] = value


@pytest.mark.parametrize(
    ("way", "match"),
    [
        (("version", 6), "newer one"),
        (("version", 3), "whose designs hold no weights: convert the model again"),
        (("version", 2), "did not tell whose counts have signs.*convert the model again"),
        (("version", 1), "T was the largest count.*convert the model again"),
        (("graph", "operations", 0, "operation", "os.system"), "has no rule here"),
        (("graph", "operations", 0, "args", 0, {"value": "later"}), "not there yet"),
        (("graph", "operations", 0, "shape", [4, 5, 4]), "gives .* where the graph states"),
        (("graph", "operations", 0, "kwargs", {"x": 1}), "does not take its arguments"),
        (("graph", "operations", 1, "channels", [2, 1]), r"its channels \(2, 1\)"),
        (("graph", "operations", 1, "channels", [9]), "are no dimensions of it"),
        (("graph", "takes", "inputs", 0, "shape", [3, 2**30, 2**30]), "too large"),
        (("graph", "takes", "inputs", 0, "dtype", {"dtype": "float32"}), "holds whole numbers"),
        (("graph", "takes", "inputs", []), "at least one"),
        (("graph", "takes", "parameters", []), "arguments that are no parameters"),
        (("graph", "takes", "parameters", [["x", 7]]), "those of no function"),
        (("graph", "takes", "arguments", {"dict": []}), "the call must hold every port"),
        (("graph", "outputs", ["nothing"]), "computes no output"),
        (("graph", "outputs", []), "computes no output"),
        (("graph", "answer", {"port": 1}), "must hold every port of the graph, and no other"),
        (("graph", "answer", {"constant": 1}), "must hold every port of the graph, and no other"),
        (("graph", "answer", {"class": "os.system"}), "a part of no known kind"),
        (("graph", "answer", {"constant": {"value": "x"}}), "must hold every port"),
        (("graph", "answer", {"tuple": [{"port": 0}, {"constant": {"dtype": "int8"}}]}), "holds"),
        (("graph", "answer", {"dict": [[{}, {"port": 0}]]}), "must be a key and its part"),
        (("steps", 5), "T = 5 has no design"),
        (("precision", "int4"), "precision must be"),
        (("neurons", {}), "one neuron for every site"),
        (("calibration", "neuron", "kind", "Popen"), "no neuron that is registered here"),
        (("calibration", "signed", ["relu"]), "is a rectifier"),
        (("calibration", "signed", ["nowhere"]), "the signed site 'nowhere'"),
        (("calibration", "threshold", "candidates", True), "must be of type int"),
        (("more", 1), "must have exactly"),
    ],
)
def test_documents_that_describe_no_network(
    content: bytes, tmp_path: Path, way: tuple[Any, ...], match: str
) -> None:
    refused(edited(content, tmp_path, lambda d: put(d, *way)), tmp_path, match)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_thresholds_must_be_positive_and_finite(
    content: bytes, tmp_path: Path, wrong: float
) -> None:
    path = tmp_path / "original"
    path.write_bytes(content)
    tensors, document = container.unpacked(path)
    name = next(name for name in tensors if "/threshold/" in name)
    tensors[name][0] = wrong
    del document["sha256"]
    refused(container.packed(tensors, document), tmp_path, "must be (positive|finite)")


def test_mutated_files_are_refused_or_run() -> None:
    counts = fuzzed(300, seed=1)
    assert counts["bytes", "refused"] > 100
    assert counts["bytes", OTHER] == 0
    assert counts["resealed", "refused"] > 50


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    network = converted("plain", steps=4).to(torch.float64)  # with tensors of its own
    next(iter(network.graph.tensors.values())).view(-1)[0] = torch.inf
    with pytest.raises(sw.InterchangeError, match="holds NaN or infinite values"):
        network.save(tmp_path / "network.safetensors")
    assert not list(tmp_path.iterdir())
