"""Stratified splits: nothing lost, nothing twice, every class its share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.data.splits import stratified
from spikewright.errors import DataError


@given(st.lists(st.integers(0, 4), min_size=2, max_size=80), st.data())
def test_the_parts_make_the_whole_and_every_class_gives_its_share(labels, data) -> None:
    count = data.draw(st.integers(1, len(labels) - 1))
    kept, apart = stratified(labels, count, seed=3, name="test")
    assert sorted(kept + apart) == list(range(len(labels)))
    assert len(apart) == count
    assert (kept, apart) == stratified(labels, count, seed=3, name="test")
    for label in set(labels):
        share = count * labels.count(label) / len(labels)
        assert abs(sum(1 for i in apart if labels[i] == label) - share) < 1


def test_another_seed_draws_others() -> None:
    labels = [0, 1] * 50
    assert stratified(labels, 20, 0, "test") != stratified(labels, 20, 1, "test")


@pytest.mark.parametrize("count", [0, 5, -1])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"test: {count} validation images cannot be .* 1 to 4"):
        stratified([0, 1, 0, 1, 0], count, 0, "test")
