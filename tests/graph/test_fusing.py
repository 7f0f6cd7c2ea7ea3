"""Functions of one signal that a model writes out become one unit; nothing else changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph.ir import Kind
from tests.builders import SideBySide, wired

WIDTH = 8


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)


def layer_norm(x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred * torch.rsqrt((centred * centred).mean(-1, keepdim=True) + 1e-5)


WEIGHT = torch.linspace(0.5, 1.5, WIDTH).double()
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "silu": (lambda x: x * torch.sigmoid(x), 1),
    "silu, turned": (lambda x: torch.sigmoid(1.5 * x) * x, 1),
    "gelu": (gelu, 1),
    "hardswish": (lambda x: x * F.relu6(x + 3) / 6, 1),
    "mish": (lambda x: x * torch.tanh(F.softplus(x)), 1),
    "rms norm": (rms, WIDTH),
    "rms norm with weights": (lambda x: WEIGHT * rms(x), WIDTH),
    "layer norm": (layer_norm, WIDTH),
    "gated by its mean": (lambda x: x * torch.sigmoid(x.mean(1, keepdim=True)), 5),
}  # fmt: skip


def model_of(function: Callable[[Tensor], Tensor]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        modules = {name: nn.Linear(WIDTH, WIDTH) for name in ("first", "last")}
    return wired(lambda m, x: m.last(function(m.first(x))), **modules)


def tokens(batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 5, WIDTH, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_written_out_is_one_unit(name: str, tmp_path: Path) -> None:
    function, group = FUNCTIONS[name]
    model, x = model_of(function), tokens(64)
    prepared = sw.prepare(model, x)
    (site,) = prepared.graph.sites
    assert (site.name, site.group) == ("fused", group)
    snn = prepared.convert(sw.TwoPhase("nearest", "binary"), steps=5)
    counts, stepped = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
    assert all(torch.equal(counts[each], stepped[each]) for each in snn.sites)
    snn.save(tmp_path / "net")
    loaded = sw.load(tmp_path / "net")
    assert torch.equal(loaded(x), snn(x))
    assert loaded.graph.sites == snn.graph.sites
    fine = prepared.convert(sw.TwoPhase("nearest", "binary"), sw.Maximum(), steps=16)
    with torch.no_grad():
        expected = model(x)
    assert (fine(x) - expected).norm() < 1e-3 * expected.norm()


def test_compiled_networks_answer_alike() -> None:
    models = (model_of(FUNCTIONS[name][0]) for name in ("gelu", "rms norm with weights"))
    snn = sw.convert(SideBySide(models), tokens(32), steps=6)
    plain = snn(tokens(8))
    torch.testing.assert_close(snn.compile()(tokens(8)), plain, rtol=1e-9, atol=1e-9)


def test_the_summary_tells_what_a_unit_is_made_of() -> None:
    summary = sw.convert(model_of(rms), tokens(32), steps=4).summary()
    assert "pow, rsqrt, mul of 8" in summary


@pytest.mark.parametrize(
    "wire",
    [
        lambda m, x: m.last(m.first(x) * torch.sigmoid(m.last(x))),
        lambda m, x: m.narrow_((y := m.first(x).chunk(2, -1))[0] * torch.sigmoid(y[1])),
        lambda m, x: (y := m.first(x)) * torch.sigmoid(m.last(y)),
    ],
)
def test_products_of_two_signals_stay_products(wire: Any) -> None:
    modules = {name: nn.Linear(WIDTH, WIDTH) for name in ("first", "last")}
    modules["narrow_"] = nn.Linear(WIDTH // 2, 3)
    graph = sw.prepare(wired(wire, **modules), tokens(16)).graph
    assert any(op.kind is Kind.PRODUCT for op in graph.operations)
    assert not any(op.body for op in graph.operations)


def test_a_file_whose_body_mixes_samples_is_refused(tmp_path: Path) -> None:
    from spikewright.artefact import container

    snn = sw.convert(model_of(rms), tokens(16), steps=2)
    snn.save(tmp_path / "net")
    tensors, document = container.unpacked(tmp_path / "net")
    (unit,) = (op for op in document["graph"]["operations"] if op["body"])
    (mean,) = (op for op in unit["body"] if op["operation"] == "aten.mean.dim")
    mean["args"][1] = [0]
    del document["sha256"]
    (tmp_path / "net").write_bytes(container.packed(tensors, document))
    with pytest.raises(sw.InterchangeError, match="its body is refused"):
        sw.load(tmp_path / "net")
