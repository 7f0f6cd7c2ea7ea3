"""Two small networks on the digits: QCFS with L = 4, and ReLU; trained for two epochs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn

from paper import NetworkSource, source_of
from spikewright.data import open_dataset
from spikewright.models import digits_cnn
from spikewright.training import fit, seeded
from tests.paper.nets import qcfs_cnn

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

MAKERS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "qcfs": ("tests.paper.nets:qcfs_cnn", qcfs_cnn),
    "relu": ("spikewright.models:digits_cnn", digits_cnn),
}


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files that describe both networks, by their kind."""
    folder = tmp_path_factory.mktemp("networks")
    data = open_dataset("digits")
    for kind, (spec, make) in MAKERS.items():
        with seeded(0):
            model = make()
        fit(
            model,
            data.train,
            data.validation,
            epochs=2,
            learning_rate=0.01,
            batch_size=64,
            seed=0,
        )
        save_file(model.state_dict(), folder / f"{kind}.safetensors")
        document = {"name": kind, "model": spec, "data": "digits", "note": "small"}
        document["weights"] = f"{kind}.safetensors"
        (folder / f"{kind}.json").write_text(json.dumps(document))
    return {kind: folder / f"{kind}.json" for kind in MAKERS}


@pytest.fixture(scope="session")
def qcfs(described: dict[str, Path]) -> NetworkSource:
    return source_of(str(described["qcfs"]))


@pytest.fixture(scope="session")
def relu(described: dict[str, Path]) -> NetworkSource:
    return source_of(str(described["relu"]))
