"""Results of one network on some images are not gone on with for another network, or on others."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from paper import NetworkSource, Settings, page, run_experiment, source_of
from paper.dry_run import make_pictures
from paper.images import FINGERPRINTED_BYTES, images_sha256
from paper.subject import open_subject
from spikewright.errors import AnalysisError, ExperimentError
from spikewright.runs.zoo import zoo_folder
from tests.paper.nets import DATA, pooled_cnn

TINY = Settings(
    steps=(1,), rows=("rts-nearest",), images=6, calibration_samples=11, energy_images=0
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two test pictures a class; four training pictures, of twelve eleven are for calibration."""
    pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    folder = tmp_path_factory.mktemp("data") / "pictures"
    make_pictures(folder, 2, 32)
    return folder


@pytest.fixture(scope="module")
def source() -> NetworkSource:
    return NetworkSource("pooled", "pooled", "imagefolder", f"{pooled_cnn.__module__}:pooled_cnn")


@pytest.fixture(scope="module")
def whole(source: NetworkSource, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("whole")
    run_experiment([source], _at(pictures), results, TINY)
    return results


def _at(folder: Path) -> dict[str, str]:
    return {"imagefolder": f"imagefolder:{folder}"}


def test_other_arguments_of_the_factory_are_refused(
    whole: Path, source: NetworkSource, pictures: Path
) -> None:
    other = replace(source, arguments={"pool": "max"})
    message = r"arguments: recorded \{\}, asked for \{'pool': 'max'\}"
    with pytest.raises(AnalysisError, match=message):
        run_experiment([other], _at(pictures), whole, TINY)


def test_another_factory_is_refused(whole: Path, source: NetworkSource, pictures: Path) -> None:
    other = replace(source, model="torch.nn:Flatten", sha256="0" * 64)
    with pytest.raises(AnalysisError, match=r"model: recorded 'tests.*asked for 'torch.nn:Flat"):
        run_experiment([other], _at(pictures), whole, TINY)


@pytest.mark.parametrize(
    ("split", "told"), [("val", "images_sha256"), ("train", "calibration_sha256")]
)
def test_another_folder_of_as_many_pictures_is_refused(
    split: str, told: str, whole: Path, source: NetworkSource, pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "pictures"
    shutil.copytree(pictures, other)
    first, second = (other / split / "stripes" / f"{n}.png" for n in (0, 1))
    first.write_bytes(second.read_bytes())
    with pytest.raises(AnalysisError) as caught:
        run_experiment([source], _at(other), whole, TINY)
    (difference,) = str(caught.value).splitlines()[1:-1]
    assert difference.startswith(f"  {told}: recorded '")


def test_the_same_pictures_elsewhere_are_the_same(
    whole: Path, source: NetworkSource, pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(pictures, tmp_path / "moved")
    alike = replace(TINY, batch_size=2, rank=1, processes=2)
    run_experiment([source], _at(tmp_path / "moved"), whole, alike)


def test_a_folder_of_older_results_is_shown_and_not_gone_on_with(
    whole: Path, source: NetworkSource, pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole / "pooled", tmp_path / "pooled")
    path = tmp_path / "pooled" / "network.json"
    document = json.loads(path.read_text("utf-8"))
    later = ("model", "arguments", "images_sha256", "calibration_sha256")
    path.write_text(json.dumps({k: v for k, v in document.items() if k not in later}), "utf-8")
    with pytest.raises(AnalysisError) as caught:
        run_experiment([source], _at(pictures), tmp_path, TINY)
    told = str(caught.value)
    assert all(f"  {key}: recorded None, asked for " in told for key in later)
    assert page(tmp_path, TINY.steps) == page(whole, TINY.steps)


def test_images_are_told_apart_by_every_pixel_and_label() -> None:
    images, labels = torch.zeros(5, 3, 4, 4), torch.arange(5)
    found = images_sha256(TensorDataset(images, labels))
    assert images_sha256(TensorDataset(images.clone(), labels)) == found
    other = images.clone()
    other[4, 2, 3, 3] = 1e-9
    assert images_sha256(TensorDataset(other, labels)) != found
    assert images_sha256(TensorDataset(images, labels.flip(0))) != found


def test_of_large_images_the_first_are_enough() -> None:
    side = 4096  # two such pictures of one channel fill what is read
    assert 2 * side * side * 4 == FINGERPRINTED_BYTES
    images = torch.zeros(1, 1, side, side).expand(3, -1, -1, -1)
    found = images_sha256(TensorDataset(images, torch.tensor([0, 1, 2])))
    assert images_sha256(TensorDataset(images, torch.tensor([0, 1, 5]))) == found
    assert images_sha256(TensorDataset(images, torch.tensor([0, 5, 2]))) != found


def test_a_run_and_its_copy_are_one_network(tmp_path: Path) -> None:
    folder = zoo_folder("digits-qcfs8")
    shutil.copytree(folder, tmp_path / "moved" / "digits-qcfs8")
    first, second = (
        open_subject(source_of(str(place)), DATA, tmp_path, TINY).configuration
        for place in (folder, tmp_path / "moved" / "digits-qcfs8")
    )
    assert first == second
    assert first["model"] == "digits_cnn"
    assert first["arguments"] == {
        "num_classes": 10,
        "activation": "qcfs",
        "levels": 8,
        "threshold": 2.0,
    }


def test_an_exported_program_is_told_by_its_content(tmp_path: Path) -> None:
    programs = [tmp_path / name / "net.pt2" for name in ("a", "b")]
    for path, pool in zip(programs, ("avg", "max"), strict=True):
        path.parent.mkdir()
        with torch.no_grad():
            program = torch.export.export(pooled_cnn(pool).eval(), (torch.zeros(1, 3, 32, 32),))
        torch.export.save(program, path)
    (one, first), (two, second) = (
        NetworkSource("net", "net", "imagefolder", str(path)).factory() for path in programs
    )
    assert one == two == "net.pt2"
    assert first != second


@pytest.mark.parametrize("value", [float("nan"), torch.nn.ReLU])
def test_arguments_that_no_record_can_keep_are_refused(value: object) -> None:
    with pytest.raises(ExperimentError, match="of network 'net' stand in the record"):
        NetworkSource("net", "net", "digits", "m:f", arguments={"a": value})
