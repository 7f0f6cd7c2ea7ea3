"""The embedded digits: their split, their range, and what is refused."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
import torch

from spikewright.data import ImageData, ImageDataset, open_dataset
from spikewright.errors import DataError, MissingExtra

pytest.importorskip("sklearn", reason="needs the extra 'digits'")


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return open_dataset("digits")


def everything(dataset: ImageDataset) -> tuple[torch.Tensor, list[int]]:
    images, labels = zip(*(dataset[i] for i in range(len(dataset))), strict=True)
    return torch.stack(images), list(labels)


def test_images_are_as_promised(digits: ImageData) -> None:
    images, labels = everything(digits.train)
    assert digits.name == "digits"
    assert digits.classes == tuple("0123456789")
    assert digits.image_shape == tuple(images.shape[1:]) == (1, 8, 8)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
    assert all(type(label) is int for label in labels)


def test_splits_are_disjoint_complete_and_stratified(digits: ImageData) -> None:
    splits = [everything(split) for split in (digits.train, digits.validation, digits.test)]
    assert [len(labels) for _, labels in splits] == [1078, 269, 450]
    keys = [row.numpy().tobytes() for images, _ in splits for row in images]
    assert len(keys) == 1797
    assert len(set(keys)) == 1797  # no image occurs twice, in one split or across two
    for _, labels in splits:
        shares = [count / len(labels) for count in Counter(labels).values()]
        assert len(shares) == 10
        assert max(shares) - min(shares) < 0.02


def test_the_split_never_changes(digits: ImageData) -> None:
    again = open_dataset("digits")
    assert torch.equal(everything(digits.test)[0], everything(again.test)[0])
    _, labels = everything(digits.test)
    assert labels[:12] == [0, 1, 3, 5, 8, 0, 1, 4, 6, 9, 0, 8]


def test_normalisation_is_undone_by_its_inverse(digits: ImageData) -> None:
    scaled = open_dataset("digits", mean=[0.3], std=[0.5])
    plain, _ = digits.test[0]
    torch.testing.assert_close(scaled.test[0][0] * 0.5 + 0.3, plain)


def test_size_is_refused_because_it_would_have_no_effect() -> None:
    with pytest.raises(DataError, match="size has no effect on 'digits'"):
        open_dataset("digits", size=8)


def test_missing_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'spikewright\[digits\]'"):
        open_dataset("digits")
