"""Sequences: the digits as text is read, and the test of long memory."""

from __future__ import annotations

import pytest
import torch

from spikewright.data import open_dataset
from spikewright.errors import DataError
from spikewright.recurrent import digit_sequences, recall_sequences
from spikewright.recurrent.sequences import SHOWN, InMemorySequences


@pytest.mark.parametrize(("reading", "shape"), [("rows", (8, 8)), ("pixels", (64, 1))])
def test_digits_are_read_from_the_top_left(reading: str, shape: tuple[int, int]) -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    data, images = digit_sequences(reading), open_dataset("digits")
    assert (data.steps, data.features) == shape
    for split in ("train", "validation", "test"):
        read, shown = getattr(data, split), getattr(images, split)
        assert len(read) == len(shown)
        for index in (0, len(read) - 1):
            x, label = read[index]
            image, wanted = shown[index]
            assert label == wanted
            torch.testing.assert_close(x.flatten(), image.flatten())


def test_every_row_is_repeated() -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    once, twice = digit_sequences(), digit_sequences(repeats=3)
    assert twice.steps == 24
    assert torch.equal(twice.test[5][0][::3], once.test[5][0])
    assert torch.equal(twice.test[5][0][1::3], once.test[5][0])


def test_training_digits_are_shifted_and_no_others() -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    plain, shifted = digit_sequences(), digit_sequences(shifted=True)
    count = len(plain.train)  # type: ignore[arg-type]
    assert len(shifted.train) == 9 * count  # type: ignore[arg-type]
    image = plain.train[3][0]
    copies = [shifted.train[3 + n * count] for n in range(9)]
    assert {label for _, label in copies} == {plain.train[3][1]}
    still, right, left, down, corner, _, up, _, _ = (x for x, _ in copies)
    assert torch.equal(still, image)
    assert torch.equal(down[1:], image[:-1])
    assert not down[0].any()
    assert torch.equal(up[:-1], image[1:])
    assert torch.equal(right[:, 1:], image[:, :-1])
    assert torch.equal(left[:, :-1], image[:, 1:])
    assert torch.equal(corner[1:, 1:], image[:-1, :-1])
    assert len(shifted.test) == len(plain.test)  # type: ignore[arg-type]


def test_recall_shows_a_symbol_waits_and_asks() -> None:
    data = recall_sequences(30, symbols=3, noise=0.1, sizes=(400, 5, 7))
    assert isinstance(data.train, InMemorySequences)
    x, labels = data.train.inputs, data.train.labels
    assert x.shape == (400, 30 + 2 * SHOWN, 4)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    own = x[torch.arange(400), :SHOWN, labels]
    assert float(own.mean()) == pytest.approx(0.5, abs=0.03)
    others = x[:, :SHOWN, :3].sum(2) - own
    assert float(others.mean() / 2) == pytest.approx(0.1, abs=0.02)
    assert float(x[:, SHOWN:, :3].mean()) == pytest.approx(0.1, abs=0.01)
    assert x[:, -SHOWN:, 3].all()
    assert not x[:, :-SHOWN, 3].any()
    assert labels.bincount(minlength=3).min() > 90
    assert [len(split) for split in (data.validation, data.test)] == [5, 7]  # type: ignore[arg-type]


def test_a_seed_makes_the_same_sequences_and_another_others() -> None:
    first, again, other = (recall_sequences(5, sizes=(20, 5, 5), seed=s) for s in (1, 1, 2))
    assert torch.equal(first.train[3][0], again.train[3][0])
    assert not torch.equal(first.train.inputs, other.train.inputs)  # type: ignore[attr-defined]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="digits are read by rows or pixels, got 'columns'"):
        digit_sequences("columns")
    with pytest.raises(DataError, match="repeats must be at least 1"):
        digit_sequences(repeats=0)
    with pytest.raises(DataError, match="recall needs delay >= 1"):
        recall_sequences(0)
    with pytest.raises(DataError, match="symbols >= 2"):
        recall_sequences(5, symbols=1)
    with pytest.raises(DataError, match=r"go with labels \[N\]"):
        InMemorySequences(torch.zeros(3, 4, 2), torch.zeros(4))
