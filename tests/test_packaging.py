"""What a wheel holds: the package with its data files, and nothing beside it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return set(zipfile.ZipFile(path).namelist())


def test_a_wheel_holds_the_package_alone(names: set[str]) -> None:
    folders = {name.partition("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"spikewright"}


def test_a_wheel_holds_every_file_of_the_package(names: set[str]) -> None:
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "spikewright").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert files <= names
    assert "spikewright/py.typed" in names
    assert any(name.startswith("spikewright/report/templates/") for name in names)
    assert "spikewright/zoo/digits-qcfs8/weights.safetensors" in names
