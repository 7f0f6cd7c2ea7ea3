"""Two small networks on the digits: QCFS with L = 4, and ReLU; trained for two epochs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from paper import NetworkSource, run_experiment, source_of
from paper.app import app
from spikewright.data import open_dataset
from spikewright.training import (
    DataRecipe,
    NetworkRecipe,
    OptimisationRecipe,
    Recipe,
    train_in_memory,
)
from tests.cli.conftest import Run, captured_once, runner  # noqa: F401  (a fixture)
from tests.paper.nets import DATA, RELU, SMALL

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

NETWORKS = {
    "qcfs": (
        "tests.paper.nets:qcfs_cnn",
        NetworkRecipe("digits_cnn", "qcfs", levels=4, threshold=2.0),
    ),
    "relu": ("spikewright.models:digits_cnn", NetworkRecipe("digits_cnn", "relu")),
}


@pytest.fixture
def run() -> Run:
    """Run a command of `python -m paper`."""
    return runner(app)


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files that describe both networks, by their kind."""
    folder = tmp_path_factory.mktemp("networks")
    data = open_dataset("digits")
    for kind, (spec, network) in NETWORKS.items():
        optimisation = OptimisationRecipe(
            epochs=2, batch_size=64, optimizer="adamw", learning_rate=0.01, schedule="one-cycle"
        )
        recipe = Recipe(DataRecipe("digits", augment=()), network, optimisation)
        model = train_in_memory(recipe, data).model
        save_file(model.state_dict(), folder / f"{kind}.safetensors")
        document = {"name": kind, "model": spec, "data": "digits", "note": "small"}
        document["weights"] = f"{kind}.safetensors"
        (folder / f"{kind}.json").write_text(json.dumps(document))
    return {kind: folder / f"{kind}.json" for kind in NETWORKS}


@pytest.fixture(scope="session")
def qcfs(described: dict[str, Path]) -> NetworkSource:
    return source_of(str(described["qcfs"]))


@pytest.fixture(scope="session")
def relu(described: dict[str, Path]) -> NetworkSource:
    return source_of(str(described["relu"]))


@pytest.fixture(scope="session")
def results(
    qcfs: NetworkSource, relu: NetworkSource, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Records of both."""
    folder = tmp_path_factory.mktemp("results")
    run_experiment([qcfs], DATA, folder, SMALL)
    run_experiment([relu], DATA, folder, RELU)
    return folder
