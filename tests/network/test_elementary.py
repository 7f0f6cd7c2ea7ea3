"""Softmax and norms built from units of one charge each: the same functions, more layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from tests.builders import wired
from tests.network.nets import assert_audit_is_clean, assert_equals_its_twin

BINARY = sw.TwoPhase("nearest", "binary")
PLACES, WIDTH = 4, 6


def causal(m: Any, x: Tensor) -> Tensor:
    y = m.a(x)[:, None]
    return m.b(F.scaled_dot_product_attention(y, y, y, is_causal=True)[:, 0]).mean(1)


def masked(m: Any, x: Tensor) -> Tensor:
    y = F.gelu(m.a(x))
    seen = torch.ones(PLACES, PLACES, dtype=torch.bool).tril()
    scores = (y @ y.mT).masked_fill(~seen, float("-inf"))
    return m.b(torch.softmax(scores, -1) @ y).mean(1)


NETS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "softmax": lambda m, x: m.b(torch.softmax(m.a(x), -1)).mean(1),
    "softmax of places": lambda m, x: m.b(torch.softmax(m.a(x), 1)).mean(1),
    "log_softmax": lambda m, x: F.log_softmax(m.b(F.relu(m.a(x))).mean(1), -1),
    "causal attention": causal,
    "masked softmax": masked,
    "layer_norm": lambda m, x: m.b(m.n(m.a(x))).mean(1),
    "layer_norm of places": lambda m, x: m.b(F.layer_norm(m.a(x), (PLACES, WIDTH))).mean(1),
    "rms_norm": lambda m, x: m.b(F.rms_norm(m.a(x), (WIDTH,), m.n.weight)).mean(1),
    "group_norm": lambda m, x: m.b(m.g(m.a(x).mT).mT).mean(1),
    "instance_norm": lambda m, x: m.b(m.i(m.a(x).mT).mT).mean(1),
    "a norm written out": lambda m, x: m.b(written_norm(m.a(x))).mean(1),
}


def written_norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-3)


@lru_cache(maxsize=len(NETS))
def net(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = wired(
            NETS[name],
            a=nn.Linear(WIDTH, WIDTH),
            b=nn.Linear(WIDTH, 3),
            n=nn.LayerNorm(WIDTH),
            g=nn.GroupNorm(2, WIDTH),
            i=nn.InstanceNorm1d(WIDTH, affine=True),
        )
        with torch.no_grad():
            for norm in (model.n, model.g, model.i):
                norm.weight.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
                norm.bias.uniform_(-0.3, 0.3)  # type: ignore[union-attr, operator]
    return model


BIAS = 60 * torch.eye(PLACES).double()
LATER = torch.ones(PLACES, PLACES, dtype=torch.bool).triu(1)
FILLED: dict[str, Callable[[Tensor], Tensor]] = {
    "a bias": lambda x: x + BIAS,
    "a number": lambda x: x + 60.0,
    "a bias and a mask in one": lambda x: x + BIAS.masked_fill(LATER, -torch.inf),
    "a bias, then a mask": lambda x: (x + BIAS).masked_fill(LATER, -torch.inf),
    "a factor": lambda x: torch.add(x, -BIAS.masked_fill(LATER, 0.0), alpha=-1),
    "large numbers": lambda x: torch.where(LATER, 60.0, x),
    "large numbers in their place": lambda x: x.masked_fill(LATER, 60.0),
}


@pytest.mark.parametrize("name", FILLED)
def test_no_exponential_of_a_softmax_is_above_1(name: str) -> None:
    """Only what masks write is no part of the maximum: anything else makes its row larger."""

    def wire(m: Any, x: Tensor) -> Tensor:
        return m.b(torch.softmax(FILLED[name](m.a(x)), -1)).mean(1)

    torch.manual_seed(3)
    model = wired(wire, a=nn.Linear(WIDTH, PLACES), b=nn.Linear(PLACES, 3))
    prepared = sw.prepare(model, samples(15), units="elementary")
    (exponential,) = (op.site for op in prepared.graph.neurons if op.function == "exp")
    assert exponential is not None
    assert float(prepared.statistics[exponential.name].maximum.max()) <= 1
    snn, x = prepared.convert(BINARY, steps=16), samples(8)
    with torch.no_grad():
        torch.testing.assert_close(snn(x), model(x), rtol=0, atol=1e-2)


def samples(batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, PLACES, WIDTH, generator=generator, dtype=torch.float64)


@lru_cache(maxsize=len(NETS))
def network(name: str) -> sw.SpikingNetwork:
    return sw.convert(net(name), samples(15), BINARY, steps=(4, 16), units="elementary")


@pytest.mark.parametrize("name", NETS)
def test_no_unit_reads_more_than_its_own_charge(name: str) -> None:
    units = [op for op in network(name).graph.neurons if op.site]
    assert len(units) > 2
    assert {op.site.group for op in units if op.site} == {1}
    grouped = sw.prepare(net(name), samples(4)).graph
    assert len(grouped.sites) < len(units)


@pytest.mark.parametrize("name", NETS)
def test_many_steps_reach_the_model(name: str) -> None:
    x = samples(8)
    with torch.no_grad():
        wanted = net(name)(x)
    found = network(name)(x, steps=16)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-3


@pytest.mark.parametrize("name", NETS)
def test_engines_and_twin_agree_and_edges_carry_spikes(name: str) -> None:
    snn, x = network(name), samples(3, seed=1)
    torch.testing.assert_close(snn(x, engine="counts"), snn(x, engine="steps"))
    assert_equals_its_twin(snn, x)
    assert_audit_is_clean(snn, x[:2])


def test_tracers_settle_at_it_too() -> None:
    snn, x = network("causal attention").with_neuron(sw.SpikeTracer()), samples(2, seed=2)
    settled = snn.with_neuron(sw.TwoPhase("nearest"))
    torch.testing.assert_close(snn(x, steps=6, engine="steps"), settled(x, steps=6))


def test_it_is_saved_as_it_is(tmp_path: Path) -> None:
    snn, x = network("layer_norm"), samples(3)
    snn.save(tmp_path / "n.safetensors")
    loaded = sw.load(tmp_path / "n.safetensors")
    assert torch.equal(loaded(x), snn(x))
    assert loaded.sites == snn.sites


def test_what_cannot_be_built_so_is_refused() -> None:
    model = wired(
        lambda m, x: m.b(x * 0 + F.relu(m.a(x)).topk(2, -1).values.sum(-1, keepdim=True)).mean(1),
        a=nn.Linear(WIDTH, WIDTH),
        b=nn.Linear(WIDTH, 3),
    )
    with pytest.raises(sw.UnsupportedOperation, match="units='elementary'"):
        sw.prepare(model, samples(8), units="elementary")
    with pytest.raises(sw.ConversionError, match="'group' or 'elementary', got 'x'"):
        sw.prepare(model, samples(8), units="x")
