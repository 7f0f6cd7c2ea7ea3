"""Folders of pictures, CIFAR's own files, preprocessing, and every refusal on the way."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from spikewright.data import ImageDataset, loader, open_dataset
from spikewright.data.dtypes import InDtype
from spikewright.data.preprocessing import FilePreprocessing, Normalisation, Resize
from spikewright.errors import DataError, MissingExtra

Image = pytest.importorskip("PIL.Image", reason="needs the extra 'vision'")
torchvision = pytest.importorskip("torchvision", reason="needs the extra 'vision'")
IN_HALF = partial(InDtype, dtype=torch.half)


def write_pictures(
    folder: Path, classes: tuple[str, ...], count: int, side: int = 6, first: int = 0
) -> None:
    """Write pictures; number i of a class is filled with grey i."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(first, first + count):
            pixels = np.full((side, side, 3), i, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03d}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "train", ("cat", "dog"), 10)
    write_pictures(tmp_path / "test", ("cat", "dog"), 3, first=100)
    (tmp_path / "train" / ".thumbnails").mkdir()  # hidden, so no class
    return tmp_path


def greys(dataset: ImageDataset) -> list[tuple[int, int]]:
    """Return (label, grey value) of every image."""
    pairs = (dataset[i] for i in range(len(dataset)))
    return [(label, round(image[0, 0, 0].item() * 255)) for image, label in pairs]


def test_a_folder_opens_as_its_splits(folder: Path) -> None:
    data = open_dataset(f"imagefolder:{folder}")
    assert (data.name, data.classes, data.image_shape) == (
        "imagefolder",
        ("cat", "dog"),
        (3, 6, 6),
    )
    assert greys(data.test) == [(label, 100 + i) for label in (0, 1) for i in range(3)]
    held_out, kept = greys(data.validation), greys(data.train)
    assert len(held_out) == 2
    assert sorted(held_out + kept) == [(label, i) for label in (0, 1) for i in range(10)]
    assert greys(open_dataset(f"imagefolder:{folder}").validation) == held_out


def test_a_lone_val_is_the_test_split(folder: Path) -> None:
    (folder / "test").rename(folder / "val")
    data = open_dataset(f"imagefolder:{folder}")
    assert greys(data.test)[0] == (0, 100)
    assert (len(data.train), len(data.validation)) == (18, 2)


def test_val_beside_test_is_the_validation_split(folder: Path) -> None:
    write_pictures(folder / "val", ("cat", "dog"), 1, first=50)
    data = open_dataset(f"imagefolder:{folder}")
    assert greys(data.validation) == [(0, 50), (1, 50)]
    assert (len(data.train), len(data.test)) == (20, 6)


def test_a_single_folder_of_classes_is_refused_with_the_layout(tmp_path: Path) -> None:
    write_pictures(tmp_path, ("cat", "dog"), 1)
    with pytest.raises(DataError, match=r"needs the layout DIR/train/CLASS.*holds: cat, dog"):
        open_dataset(f"imagefolder:{tmp_path}")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    for name in ("imagefolder", "cifar10"):
        with pytest.raises(DataError, match=f"{name}: there is no folder '.*nowhere'"):
            open_dataset(f"{name}:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("name", ["imagefolder", "cifar10", "cifar100", "cifar10dvs"])
def test_a_missing_folder_is_told_before_channels_that_do_not_fit(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(DataError, match=f"{name}: there is no folder '.*nowhere'"):
        open_dataset(f"{name}:{tmp_path / 'nowhere'}", mean=(0.3,), std=(0.4,))


def test_names_that_are_no_text_are_spelled_out(tmp_path: Path) -> None:
    """A folder named in Latin-1, as an old archive leaves it: its name goes into JSON and pages."""
    odd = os.fsdecode(b"B\xe4r")
    try:
        write_pictures(tmp_path / "train", (odd, "Hund"), 10)
    except OSError:
        pytest.skip("this file system takes no such names")
    write_pictures(tmp_path / "test", (odd, "Hund"), 3)
    damaged = tmp_path / "test" / "Hund" / os.fsdecode(b"\xe4.png")
    damaged.write_bytes(b"no picture")
    told: list[str] = []
    data = open_dataset(f"imagefolder:{tmp_path}", on_damaged=told.append)
    assert sum(len(labels) for _, labels in loader(data.test, 4)) == 6
    assert data.classes == ("B\\udce4r", "Hund")
    assert told == [f"{tmp_path}/test/Hund/\\udce4.png"]


def test_an_empty_class_folder_is_refused(folder: Path) -> None:
    for picture in (folder / "train" / "dog").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match=r"dog.*every class needs a folder with at least one"):
        open_dataset(f"imagefolder:{folder}")


def test_splits_with_other_classes_are_refused(folder: Path) -> None:
    (folder / "test" / "dog").rename(folder / "test" / "wolf")
    with pytest.raises(DataError, match="'train' and 'test' differ in: dog, wolf"):
        open_dataset(f"imagefolder:{folder}")


def test_one_training_picture_is_too_few(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", ("cat",), 1)
    write_pictures(tmp_path / "test", ("cat",), 1)
    with pytest.raises(DataError, match="too few to keep any for validation"):
        open_dataset(f"imagefolder:{tmp_path}")


def test_a_damaged_picture_is_named(folder: Path) -> None:
    (folder / "test" / "dog" / "101.png").write_bytes(b"not a picture")
    data = open_dataset(f"imagefolder:{folder}")
    with pytest.raises(DataError, match=r"test split: '.*101\.png' cannot be read as a picture"):
        greys(data.test)


def test_a_picture_of_too_many_pixels_is_a_damaged_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (9, 9)).save(folder / "test" / "dog" / "101.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 36)  # refused above twice as many
    with pytest.raises(DataError, match=r"101\.png' cannot be read as a picture: .*exceeds limit"):
        greys(open_dataset(f"imagefolder:{folder}").test)
    left_out: list[str] = []
    test = open_dataset(f"imagefolder:{folder}", on_damaged=left_out.append).test
    assert sum(len(labels) for _, labels in loader(test, 4)) == 5
    assert left_out == [str(folder / "test" / "dog" / "101.png")]


def test_pictures_of_16_bits_have_the_range_of_16_bits(folder: Path) -> None:
    deep = np.full((6, 6), 77 * 257, dtype=np.uint16)
    deep[1, 1] = 65535
    Image.fromarray(deep).save(folder / "test" / "cat" / "100.png")
    Image.fromarray(deep.astype(np.int32)).save(folder / "test" / "cat" / "101.tif")
    test = open_dataset(f"imagefolder:{folder}").test
    found = [round(float(test[i][0][0, 0, 0]) * 255) for i in range(3)]
    assert found == [77, 101, 77]
    assert float(test[0][0].max()) == 1


@pytest.mark.parametrize("value", [np.float32(0.5), np.int32(70_000), np.int32(-1), np.int32(200)])
def test_pictures_whose_white_is_not_known_are_refused(folder: Path, value: np.generic) -> None:
    (folder / "test" / "dog" / "101.png").unlink()
    path = folder / "test" / "dog" / "101.tif"
    Image.fromarray(np.full((6, 6), value)).save(path)
    with pytest.raises(
        DataError, match=r"101\.tif' cannot be read as a picture: .* no known white"
    ):
        greys(open_dataset(f"imagefolder:{folder}").test)
    left_out: list[str] = []
    test = open_dataset(f"imagefolder:{folder}", on_damaged=left_out.append).test
    assert sum(len(labels) for _, labels in loader(test, 4)) == 5
    assert left_out == [str(path)]


@pytest.mark.parametrize("wrap", [lambda part: part, IN_HALF, lambda part: Subset(part, range(6))])
def test_a_damaged_picture_is_left_out_however_the_data_set_is_wrapped(
    folder: Path, wrap: Callable[[ImageDataset], ImageDataset]
) -> None:
    (folder / "test" / "dog" / "101.png").write_bytes(b"not a picture")
    left_out: list[str] = []
    test = wrap(open_dataset(f"imagefolder:{folder}", on_damaged=left_out.append).test)
    assert sum(len(labels) for _, labels in loader(test, 4)) == 5
    assert left_out == [str(folder / "test" / "dog" / "101.png")]


def test_a_picture_of_another_size_is_named_and_size_mends_it(folder: Path) -> None:
    Image.new("RGB", (9, 7)).save(folder / "test" / "dog" / "101.png")
    with pytest.raises(DataError, match=r"101\.png' has shape \(3, 7, 9\).*give size="):
        greys(open_dataset(f"imagefolder:{folder}").test)
    assert len(greys(open_dataset(f"imagefolder:{folder}", size=6).test)) == 6


def test_splits_of_another_size_are_refused(folder: Path) -> None:
    write_pictures(folder / "val", ("cat", "dog"), 1, side=5)
    with pytest.raises(DataError, match=r"\(3, 6, 6\) and \(3, 5, 5\); give size="):
        open_dataset(f"imagefolder:{folder}")


def test_size_follows_the_presets_of_torchvision() -> None:
    from torchvision.transforms._presets import ImageClassification

    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    preset = ImageClassification(crop_size=28, resize_size=32, mean=mean, std=std)
    ours = FilePreprocessing(28, Normalisation(mean, std))
    torch.testing.assert_close(ours(picture), preset(picture))


def test_another_resize_is_that_of_torchvision() -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    mean, std, mode = (0.5,) * 3, (0.25,) * 3, InterpolationMode.BICUBIC
    preset = ImageClassification(
        crop_size=28, resize_size=29, mean=mean, std=std, interpolation=mode
    )
    ours = FilePreprocessing(28, Normalisation(mean, std), Resize(29, "bicubic"))
    assert torch.equal(ours(picture), preset(picture))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Resize(0), "side=0; the side of an image is at least 1"),
        (lambda: Resize(8, "nearest"), "'nearest'; give one of bilinear, bicubic"),
        (lambda: FilePreprocessing(None, None, Resize(8)), r"size=None; give a size of at most 8"),
        (lambda: FilePreprocessing(9, None, Resize(8)), r"size=9; give a size of at most 8"),
        (lambda: open_dataset("digits", resize=Resize(8)), "resize has no effect on 'digits'"),
    ],
)
def test_a_resize_that_cannot_be_is_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        make()


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = FilePreprocessing(8, None)(Image.fromarray(pixels))
    assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5] * 3, None, "mean is given without std"),
        (None, [0.5] * 3, "std is given without mean"),
        ([0.5] * 3, [0.5], "mean has 3 values and std has 1"),
        ([0.5], [0.5], r"have 1 values, but the images have 3 channel\(s\)"),
        ([0.5] * 3, [0.5, 0.0, 0.5], "every standard deviation must be above 0"),
        ([float("nan")] * 3, [0.5] * 3, "every value must be finite"),
    ],
)
def test_a_mean_and_std_that_do_not_fit_are_refused(
    mean: list[float] | None, std: list[float] | None, message: str, folder: Path
) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(f"imagefolder:{folder}", mean=mean, std=std)


def test_a_size_below_one_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="size=0: the side of an image"):
        open_dataset(f"imagefolder:{folder}", size=0)


@pytest.mark.parametrize("spec", ["mnist", "cifar10", "cifar10:", "digits:x", "", "svhn:x"])
def test_an_unknown_spec_is_refused_with_the_list(spec: str) -> None:
    with pytest.raises(DataError, match=f"unknown data set '{spec}'; give one of: digits, cifar10"):
        open_dataset(spec)


def test_missing_torchvision_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.datasets", raising=False)
    with pytest.raises(MissingExtra, match=r"'torchvision'.*pip install 'spikewright\[vision\]'"):
        open_dataset(f"imagefolder:{folder}")


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write files in CIFAR-10's published form, and let torchvision take their MD5 sums."""
    cifar = torchvision.datasets.CIFAR10
    base = folder / cifar.base_folder
    base.mkdir()

    def write(name: str, content: object) -> str:
        (base / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((base / name).read_bytes(), usedforsecurity=False).hexdigest()

    def batch(first: int) -> dict[str, object]:
        data = np.repeat(np.arange(first, first + 4, dtype=np.uint8)[:, None], 3072, axis=1)
        return {"data": data, "labels": [0, 1, 0, 1]}

    train = [[f"data_batch_{i}", write(f"data_batch_{i}", batch(4 * i))] for i in range(5)]
    test = [["test_batch", write("test_batch", batch(200))]]
    names = write("batches.meta", {"label_names": ["plane", "car"]})
    monkeypatch.setattr(cifar, "train_list", train)
    monkeypatch.setattr(cifar, "test_list", test)
    monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": names})


def test_cifar_opens_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path, monkeypatch)
    data = open_dataset(f"cifar10:{tmp_path}", mean=[0.0] * 3, std=[1.0] * 3)
    assert (data.name, data.classes, data.image_shape) == ("cifar10", ("plane", "car"), (3, 32, 32))
    assert greys(data.test) == [(0, 200), (1, 201), (0, 202), (1, 203)]
    assert (len(data.train), len(data.validation)) == (18, 2)
    together = greys(data.train) + greys(data.validation)
    assert sorted(grey for _, grey in together) == list(range(20))


def test_a_changed_cifar_file_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar10(tmp_path, monkeypatch)
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return marker.__class__.touch, (marker,)

    changed = tmp_path / torchvision.datasets.CIFAR10.base_folder / "data_batch_0"
    changed.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DataError, match=r"does not hold 'cifar-10-batches-py'.*MD5 sum differs"):
        open_dataset(f"cifar10:{tmp_path}")
    assert not marker.exists()
    pickle.loads(changed.read_bytes())
    assert marker.exists()  # so that the assertion above could have failed


def test_a_folder_without_cifar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'cifar-100-python'.*unpack the published"):
        open_dataset(f"cifar100:{tmp_path}")
