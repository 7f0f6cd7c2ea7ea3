"""Counts that were moved, joined or repeated are whole numbers: so the weights behind them are."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import InputMeans
from spikewright.graph.whole_numbers import reading_whole_numbers
from spikewright.network import integers, kernels
from tests.builders import wired

needs_integers = pytest.mark.skipif(
    not kernels.integers_are_fast(torch.device("cpu")),
    reason="the processor has no instructions for sums of 8-bit integers",
)


class Decoder(nn.Module):
    """Skips are joined, channels cut and shuffled, maps padded, enlarged and turned."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1)
        self.joined, self.cut = nn.Conv2d(16, 8, 3), nn.Conv2d(4, 6, 1)
        self.shuffled, self.place = nn.Conv2d(6, 6, 1), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.stem(x).relu()
        up = F.interpolate(self.down(wide).relu(), scale_factor=2)
        both = self.joined(F.pad(torch.cat([wide, up], 1), (1, 1, 1, 1))).relu()
        first, _ = both.chunk(2, 1)
        parts = F.channel_shuffle(self.cut(first).relu(), 2)
        return self.place(self.shuffled(parts).relu().permute(0, 2, 3, 1)).mean((1, 2))


def images(count: int) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(count))


@pytest.fixture(scope="module")
def snn() -> sw.SpikingNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Decoder().eval()
    neuron = sw.TwoPhase("nearest")
    return sw.convert(model, images(32), neuron, steps=8, correction=InputMeans())


def test_all_weights_behind_moved_counts_are_in_8_bits(snn: sw.SpikingNetwork) -> None:
    exact = copy.deepcopy(snn).double()
    low = exact.with_precision("int8")
    graph = low.plan().count_graph
    read = {op.module for op in graph.operations if op.name in reading_whole_numbers(graph)}
    assert read == {"down", "joined", "cut", "shuffled", "place"}
    x = images(8).double()
    torch.testing.assert_close(low(x, engine="counts"), low(x, engine="steps"))
    torch.testing.assert_close(low(x), low.twin()(x))
    assert (low(x) - exact(x)).abs().max() > 1e-5


@needs_integers
def test_moved_counts_are_convolved_in_integers(
    snn: sw.SpikingNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "has_matrix_units", lambda: True)
    plan = replace(snn.plan(), quick=True)
    targets = [op.target for op in plan.count_graph.operations]
    assert targets.count(integers.exact_convolution) == 4  # all but the first, and the linear one
    x = images(16)
    exact = copy.deepcopy(snn).double().counts(x.double())
    for site, counts in snn.counts(x).items():
        assert (counts != exact[site]).double().mean() <= 0.01


def test_a_constant_beside_counts_is_no_whole_number() -> None:
    token = torch.full((1, 1, 6), 0.3, dtype=torch.float64)
    model = wired(
        lambda m, x: m.b(torch.cat([token.expand(x.size(0), 1, 6), m.a(x).relu()], 1)).mean(1),
        a=nn.Linear(5, 6),
        b=nn.Linear(6, 4),
    )
    snn = sw.convert(model, torch.rand(16, 3, 5).double(), steps=4, correction=None)
    graph = snn.plan().count_graph
    assert not any(
        op.module == "b" for op in graph.operations if op.name in reading_whole_numbers(graph)
    )
