"""Thresholds stand along the dimensions that the next weights contract."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph.channels import with_channels
from spikewright.graph.ir import Graph, Kind
from spikewright.graph.scales import fold_scales
from tests.builders import captured, wired

IMAGE, TOKENS = (3, 6, 6), (5, 8)
PARTS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "conv2": lambda: nn.Conv2d(4, 4, 3, padding=1),
    "norm": lambda: nn.BatchNorm2d(4),
    "head": lambda: nn.Linear(4 * 36, 3),
    "small": lambda: nn.Linear(4, 3),
    "line": lambda: nn.Linear(8, 8),
    "line2": lambda: nn.Linear(8, 8),
    "mix": lambda: nn.Linear(5, 5),
    "conv1": lambda: nn.Conv1d(5, 4, 3, padding=1),
    "all": lambda: nn.Linear(40, 3),
}


def heads(x: Tensor) -> Tensor:
    """`[B, N, C]` as `[B, H, N, D]`."""
    return x.reshape(x.shape[0], 5, 2, 4).permute(0, 2, 1, 3)


def merged(x: Tensor) -> Tensor:
    return x.permute(0, 2, 1, 3).reshape(x.shape[0], 5, 8)


CASES: dict[str, tuple[tuple[int, ...], Callable[[Any, Tensor], Tensor], tuple[int, ...]]] = {
    "conv, conv": (IMAGE, lambda m, x: m.conv2(F.relu(m.conv(x))), (1,)),
    "conv, norm, conv": (IMAGE, lambda m, x: m.conv2(F.relu(m.norm(m.conv(x)))), (1,)),
    "conv, flatten, linear": (IMAGE, lambda m, x: m.head(F.relu(m.conv(x)).flatten(1)), (1,)),
    "conv, mean, linear": (IMAGE, lambda m, x: m.small(F.relu(m.conv(x)).mean((2, 3))), (1,)),
    "conv, pool, conv": (
        IMAGE, lambda m, x: m.conv2(F.max_pool2d(F.relu(m.conv(x)), 2)), (1,),
    ),
    "a sum, then conv": (IMAGE, lambda m, x: m.conv2(F.relu(y := m.conv(x)) + y), (1,)),
    "a norm that no weights take in": (
        IMAGE, lambda m, x: m.conv2(m.norm(F.relu(m.conv(x)))), (1,),
    ),
    "images with channels last": (
        IMAGE, lambda m, x: m.small(F.gelu(m.small_in(m.conv(x).permute(0, 2, 3, 1)))), (3,),
    ),
    "nothing but the answer": (IMAGE, lambda m, x: F.relu(m.conv(x)), (1,)),
    "linear, linear": (TOKENS, lambda m, x: m.line2(F.gelu(m.line(x))), (2,)),
    "linear, a rectifier, linear": (TOKENS, lambda m, x: m.line2(F.relu(m.line(x))), (2,)),
    "linear, cut, linear": (TOKENS, lambda m, x: m.line2(F.gelu(m.line(x))[:, 1:]), (2,)),
    "linear, mean, linear": (TOKENS, lambda m, x: m.line2(F.gelu(m.line(x)).mean(1)), (2,)),
    "linear, sum, linear": (TOKENS, lambda m, x: m.line2(F.gelu(m.line(x)) + x), (2,)),
    "over tokens": (
        TOKENS, lambda m, x: m.mix(F.gelu(m.mix(x.transpose(1, 2)))).transpose(1, 2), (2,),
    ),
    "linear, transposed, over tokens": (
        TOKENS, lambda m, x: m.mix(F.gelu(m.line(x)).transpose(1, 2)), (1,),
    ),
    "linear, conv over features": (TOKENS, lambda m, x: m.conv1(F.gelu(m.line(x))), (1,)),
    "linear, flatten, linear": (TOKENS, lambda m, x: m.all(F.gelu(m.line(x)).flatten(1)), (2,)),
    "heads": (TOKENS, lambda m, x: m.line2(merged(F.gelu(heads(m.line(x))))), (1, 3)),
    "two readers": (
        TOKENS, lambda m, x: m.line2(y := F.gelu(m.line(x))) + m.line(y) + m.mix(
            y.transpose(1, 2)).transpose(1, 2), (2,),
    ),
    "softmax, answer": (TOKENS, lambda m, x: m.line(x).softmax(-1), ()),
    "layer norm, linear": (TOKENS, lambda m, x: m.line(F.layer_norm(x, (8,))), (2,)),
}  # fmt: skip


@lru_cache
def graph_of(name: str) -> Graph:
    shape, wire, _ = CASES[name]
    modules = {part: make() for part, make in PARTS.items()}
    modules["small_in"] = nn.Linear(4, 4)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, *shape, generator=generator, dtype=torch.float64)
    return with_channels(captured(wired(wire, **modules), x))


@pytest.mark.parametrize("name", CASES)
def test_channels_are_what_the_next_weights_contract(name: str) -> None:
    (site,) = graph_of(name).sites
    assert site.channels == CASES[name][2]


@pytest.mark.parametrize("name", [n for n in CASES if "sum" not in n and "answer" not in n])
def test_scales_fold_into_the_weights_without_products(name: str) -> None:
    graph = graph_of(name)
    (unit,) = graph.neurons
    assert unit.site is not None
    sizes = [n if at in unit.site.channels else 1 for at, n in enumerate(unit.shape, 1)]
    scale = torch.rand(1, *sizes, dtype=torch.float64) + 0.5
    folded = fold_scales(graph, {unit.site.name: scale})
    products = [op for op in folded.operations if op.name.endswith(".scaled")]
    assert not products or name == "two readers"
    assert all(op.kind is not Kind.UNIT for op in products)


def test_a_layer_of_very_many_features_shares_one_threshold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spikewright.graph.channels.MOST", 7)
    (site,) = with_channels(graph_of("linear, linear")).sites
    assert site.channels == ()
    (site,) = with_channels(graph_of("conv, conv")).sites
    assert site.channels == (1,)


@pytest.mark.parametrize("rows", [5, 3])
def test_the_time_steps_of_a_layer_over_rows_have_the_same_channels(rows: int) -> None:
    """The last one is read by no weights; all share the statistics of features, not of rows."""
    model = wired(
        lambda m, x: m.rnn(x.flatten(0, 1))[0].unflatten(0, (-1, rows)),
        rnn=nn.RNN(4, 3, batch_first=True),
    )
    x = torch.randn(16, rows, 6, 4, dtype=torch.float64)
    snn = sw.convert(
        model.double(), x, steps=2**16, threshold=sw.Maximum("channel"), correction=None
    )
    assert {site.channels for site in snn.graph.sites} == {(2,)}
    torch.testing.assert_close(snn(x), model(x), rtol=0, atol=1e-3)
