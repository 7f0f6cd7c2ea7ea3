"""Reductions, maxima and choices that models write: exact in both engines, near the ANN."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from tests.builders import wired

WIDTH = 6
WEIGHT = torch.linspace(-1, 1, 3 * WIDTH * WIDTH).reshape(3, WIDTH, WIDTH).double()
PLACES = torch.linspace(-1, 1, 4).double()


def within(x: Tensor) -> Tensor:
    """Which of several intervals a value lies in, as 0 and 1."""
    return ((x >= PLACES[:-1]) & (x < PLACES[1:])).to(x.dtype)


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], list[str]]] = {
    "normalize": (lambda x: F.normalize(x, dim=-1), ["fused"]),
    "vector norm": (lambda x: x.norm(dim=-1), ["square", "sqrt"]),
    "sum of magnitudes": (lambda x: torch.linalg.vector_norm(x, 1, dim=1), ["abs"]),
    "largest magnitude": (lambda x: torch.linalg.vector_norm(x, torch.inf, dim=1), ["abs"]),
    "smallest magnitude": (lambda x: torch.linalg.vector_norm(x, -torch.inf, dim=1), ["abs"]),
    "norm of order 3": (lambda x: x.norm(3, dim=1), ["abs", "pow", "pow"]),
    "var": (lambda x: x.var(1), ["square"]),
    "var_mean": (lambda x: sum(torch.var_mean(x, dim=1), torch.zeros(())), ["square"]),
    "std_mean": (lambda x: torch.stack(torch.std_mean(x, dim=-1)[:1], 1), ["square", "sqrt"]),
    "standardised": (
        lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-3),
        ["fused"],
    ),
    "logsumexp": (lambda x: x.logsumexp(-1), ["relay", "exp", "log"]),
    "logsumexp, kept": (lambda x: x.logsumexp(1, keepdim=True), ["relay", "exp", "log"]),
    "logaddexp": (lambda x: torch.logaddexp(x, x.flip(1)), [*["relay"] * 2, "exp", "exp", "log"]),
    "hypot": (lambda x: torch.hypot(x, x.flip(1)), ["square", "square", "sqrt"]),
    "softsign": (F.softsign, ["fused"]),
    "cosine_similarity": (lambda x: F.cosine_similarity(x, x.flip(1), dim=-1), ["fused"] * 2),
    "distances": (lambda x: torch.cdist(x[:, :2], x[:, 1:]), ["square", "sqrt"]),
    "x log y": (
        lambda x: torch.xlogy(x, x.flip(1).square() + 1),
        ["square", "log", "relay"],
    ),
    "x log x of zeros": (lambda x: torch.xlogy(p := x.relu(), p), ["relu", "fused"]),
    "x log y of numbers": (
        lambda x: torch.xlogy(2, x.square() + 1) + torch.xlogy(x, 3),
        ["square", "log"],
    ),
    "bilinear": (lambda x: F.bilinear(x[:, 0], x[:, 1], WEIGHT), ["relay"] * 2),
    "product": (lambda x: x.prod(1), ["relay"] * 4),
    "a choice": (lambda x: torch.where(x > 0, x, x.exp() - 1), ["fused"]),
    "a choice by two bounds": (lambda x: x * ((x > -0.5) & ~(x > 0.5)), ["fused"]),
    "a choice by another value": (
        lambda x: torch.where(x > x.mean(-1, True), x, 0.1 * x),
        ["fused"],
    ),
    "a choice of several": (
        lambda x: within(x[..., None]),
        ["fused"],
    ),
    "a response norm": (
        lambda x: torch.addcmul(WEIGHT[0, :3], WEIGHT[1, :3], x * x.norm(dim=1, keepdim=True)),
        ["fused"],
    ),
    "a jump": (lambda x: (x > 0).to(x.dtype), ["fused"]),
    "a filled mask": (lambda x: x.masked_fill(x < 0, 0.5), ["fused"]),
    "softshrink": (F.softshrink, ["fused"]),
    "sign": (torch.sign, ["sign"]),
    "log1p": (lambda x: x.abs().log1p(), ["abs", "log1p"]),
    "relu, amax": (lambda x: x.relu().amax(-1), ["relu"]),
    "relu, amin": (lambda x: (x.relu() + 1).amin((1, 2)), ["relu", "relay"]),
    "max of a dimension": (lambda x: x.tanh().max(1).values, ["tanh"]),
    "min of a dimension": (lambda x: x.tanh().min(1, keepdim=True).values, ["tanh"]),
    "maximum": (lambda x: torch.maximum(x.tanh(), x.flip(1)), ["tanh", "relay", "relay"]),
    "minimum": (lambda x: torch.minimum(x.relu(), x.flip(1).relu()), ["relu", "relu"]),
    "adaptive max pool": (lambda x: F.adaptive_max_pool2d(x.relu()[:, None], (1, 3)), ["relu"]),
    "adaptive max pool, 1-d": (lambda x: F.adaptive_max_pool1d(x.relu(), 2), ["relu"]),
}


def model_of(function: Callable[[Tensor], Tensor]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = nn.Linear(WIDTH, WIDTH)
    return wired(lambda m, x: function(m.first(x)), first=first)


def tokens(batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, WIDTH, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_engines_agree_and_approach_the_ann(name: str) -> None:
    function, units = FUNCTIONS[name]
    model, x = model_of(function), tokens(16)
    prepared = sw.prepare(model, x)
    snn = prepared.convert(
        sw.TwoPhase("nearest", "binary"), sw.Maximum(), steps=16, correction=None
    )
    assert [op.function for op in snn.graph.neurons] == units
    with torch.no_grad():
        wanted = model(x)
    assert float((snn(x) - wanted).norm() / wanted.norm()) < 1e-3
    for steps in (3, 6):
        counted, stepped = (snn(x, steps=steps, engine=e) for e in ("counts", "steps"))
        torch.testing.assert_close(counted, stepped, rtol=1e-9, atol=1e-9)


def test_a_unit_that_the_model_writes_out_may_be_its_answer() -> None:
    model, x = model_of(lambda x: x / (1 + x.abs())), tokens(8)
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=12)
    with torch.no_grad():
        assert float((snn(x) - model(x)).abs().max()) < 1e-2
