"""A whole split in memory: every image in its place, and only where there is room for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from spikewright.data import ImageData
from spikewright.data import in_memory as module
from spikewright.data.in_memory import in_memory, machine_memory, require_memory
from spikewright.errors import DataError
from spikewright.training import DataRecipe, NetworkRecipe, OptimisationRecipe, Recipe, train

LABELS = torch.arange(11)


def images(seed: int = 0) -> Tensor:
    """Whole multiples of 1 / 255."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (11, 2, 3, 4), generator=generator).float() / 255


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)


@pytest.mark.usefixtures("small_chunks")
def test_pictures_are_held_as_bytes() -> None:
    held = in_memory(TensorDataset(images(), LABELS))
    assert held.images.dtype == torch.uint8
    assert torch.equal(held.images.float() / 255, images())
    assert torch.equal(held.labels, LABELS)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("late", [0, 5, 10])
def test_one_value_that_no_byte_holds_keeps_all_in_float(late: int) -> None:
    values = images()
    values[late, 0, 0, 0] = 0.3
    held = in_memory(TensorDataset(values, LABELS))
    assert held.images.dtype == torch.float32
    assert torch.equal(held.images, values)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("exact", [True, False])
def test_several_data_sets_are_read_into_one(exact: bool) -> None:
    first, second = images(), images(seed=1)[:5]
    if not exact:
        second[3, 0, 0, 0] = 0.3
    held = in_memory(TensorDataset(first, LABELS), TensorDataset(second, LABELS[:5]))
    assert held.sizes == (11, 5)
    assert held.images.dtype == (torch.uint8 if exact else torch.float32)
    pixels = held.images.float() / 255 if exact else held.images
    assert torch.equal(pixels, torch.cat([first, second]))
    assert torch.equal(held.labels, torch.cat([LABELS, LABELS[:5]]))


@pytest.mark.usefixtures("small_chunks")
def test_event_counts_are_held_as_they_are() -> None:
    counts = images() * 255
    held = in_memory(TensorDataset(counts, LABELS), bounded=False)
    assert held.images.dtype == torch.float32
    assert torch.equal(held.images, counts)


def test_more_images_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = machine_memory()
    if memory is None:
        pytest.skip("this system does not tell its memory")
    require_memory(memory // 12, (3, 2, 2), torch.uint8)
    with pytest.raises(DataError, match="GiB of memory, and this machine has"):
        require_memory(memory // 12, (3, 2, 2), torch.float32)
    monkeypatch.setattr(module, "machine_memory", lambda: 64 * 2**30)
    told = (
        r"1,281,167 images of 3 x 224 x 224 need 179\.6 GiB of memory, and this machine has 64\.0; "
        r"give a smaller size=\.\.\."
    )
    with pytest.raises(DataError, match=told):
        require_memory(1_281_167, (3, 224, 224), torch.uint8)


def test_they_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    split = TensorDataset(torch.rand(11, 1, 8, 8), LABELS)
    monkeypatch.setattr(module, "machine_memory", lambda: 500)
    with pytest.raises(DataError, match="11 images of 1 x 8 x 8 need"):
        in_memory(split)
    names = tuple("0123456789a")
    data = ImageData("imagefolder", split, split, split, names, (1, 8, 8))
    network, short = NetworkRecipe("digits_cnn", levels=4), OptimisationRecipe(batch_size=2)
    recipe = Recipe(DataRecipe("imagefolder:here", augment=()), network, short)
    with pytest.raises(DataError, match="this machine has"):
        train(recipe, tmp_path / "run", data=data)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no sysconf there")
def test_a_system_that_does_not_tell_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sysconf")
    assert machine_memory() is None
    require_memory(10**15, (3, 224, 224), torch.float32)
