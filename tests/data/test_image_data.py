"""Subsets and loaders."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import IterableDataset, TensorDataset

from spikewright.data import calibration_subset, loader
from spikewright.errors import DataError


def numbered(length: int) -> TensorDataset:
    """Image i is filled with i, and so is its label."""
    numbers = torch.arange(length)
    return TensorDataset(numbers.float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2), numbers)


@given(st.integers(1, 60), st.integers(0, 2**32), st.data())
def test_a_subset_has_no_image_twice_and_grows_at_its_end(
    length: int, seed: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, length))
    indices = list(calibration_subset(numbered(length), count, seed).indices)
    assert len(indices) == len(set(indices)) == count
    assert set(indices) <= set(range(length))
    assert list(calibration_subset(numbered(length), length, seed).indices)[:count] == indices


def test_a_subset_is_uniform_over_the_images() -> None:
    drawn = [i for seed in range(2000) for i in calibration_subset(numbered(10), 3, seed).indices]
    counts = torch.bincount(torch.tensor(drawn), minlength=10)
    assert counts.sum() == 6000
    assert (counts - 600).abs().max() < 5 * (2000 * 0.3 * 0.7) ** 0.5


def test_a_subset_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    subset = calibration_subset(numbered(10), 3, seed=1)
    assert len(list(loader(subset, batch_size=2))) == 2
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("count", [0, -1, 11])
def test_a_subset_of_impossible_size_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"count={count}, but the data set holds 10.*1 to 10"):
        calibration_subset(numbered(10), count, seed=0)


def test_a_stream_is_refused() -> None:
    class Stream(IterableDataset[tuple[torch.Tensor, int]]):
        def __iter__(self):
            return iter(())

    with pytest.raises(DataError, match="Stream has no length; give a map-style data set"):
        calibration_subset(Stream(), 1, seed=0)


def test_a_loader_keeps_order_and_remainder() -> None:
    batches = list(loader(numbered(7), batch_size=3))
    assert [len(labels) for _, labels in batches] == [3, 3, 1]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(7))
    assert batches[0][0].shape == (3, 1, 2, 2)


@pytest.mark.parametrize(("batch_size", "workers"), [(0, 0), (4, -1)])
def test_a_loader_refuses_impossible_numbers(batch_size: int, workers: int) -> None:
    with pytest.raises(DataError, match=f"batch_size={batch_size}, workers={workers}"):
        loader(numbered(4), batch_size, workers)


def test_a_loader_refuses_an_empty_data_set() -> None:
    with pytest.raises(DataError, match="the data set is empty"):
        loader(numbered(0), batch_size=1)
