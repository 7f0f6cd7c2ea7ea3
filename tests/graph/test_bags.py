"""Bags of ids: embeddings that are added up, averaged, or the largest of a bag."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import survey
from tests.graph.faithful import assert_faithful


class Bags(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.bag, self.out = nn.EmbeddingBag(12, 8, **options), nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(torch.relu(self.bag(ids)))


def ids(members: int) -> Tensor:
    return torch.randint(0, 12, (6, members), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_one_size_convert(mode: str, members: int) -> None:
    assert_faithful(Bags(mode=mode).double().eval(), ids(members))


def test_padding_adds_nothing() -> None:
    model = Bags(mode="sum", padding_idx=3).double().eval()
    with torch.no_grad():
        model.bag.weight[3] = 7.0  # a row that a checkpoint may hold, and that counts for nothing
    padded = torch.where(ids(4) > 6, 3, ids(4))
    assert_faithful(model, padded)


class Offsets(Bags):
    def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
        return self.out(torch.relu(self.bag(ids, offsets)))


class Weighted(Bags):
    def forward(self, ids: Tensor) -> Tensor:
        return self.out(torch.relu(self.bag(ids, per_sample_weights=torch.ones_like(ids) / 2.0)))


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (Offsets(), (torch.arange(6), torch.tensor([0, 1, 2, 3, 4, 5]))),
        (Weighted(mode="sum"), (ids(4),)),
        (Bags(mode="mean", padding_idx=3), (ids(4),)),
    ],
    ids=["offsets", "weights", "padding"],
)
def test_other_bags_are_refused(model: nn.Module, given: tuple[Tensor, ...]) -> None:
    found = survey(model.eval(), given if len(given) > 1 else given[0])
    (offender,) = found.offenders
    assert offender.operator.startswith("aten._embedding_bag")
    assert offender.reason == "its bags have sizes, weights or padding of their own"
    assert "as a matrix [B, n]" in offender.remedy
    with pytest.raises(sw.UnsupportedOperation):
        found.require_convertible()
