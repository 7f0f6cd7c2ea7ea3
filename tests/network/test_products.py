"""Products of two signals: both engines, scales, relays, and everything that meets them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import Correction, InputMeans, OutputMeans, Refit
from spikewright.network import Observer
from spikewright.network.steps import run_steps
from spikewright.neurons import Neuron
from tests.builders import SideBySide
from tests.network.nets import assert_audit_is_clean, assert_equals_its_twin

MASK = torch.tensor([[0.0, -2, -4], [-2, 0, -2], [-4, -2, 0]]).double()


class Gate(nn.Module):
    """a * sigmoid(b), of two currents: a relay before a, a sigmoid before b."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(12, 6), nn.Linear(12, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.last(self.a(x) * torch.sigmoid(self.b(x)))


class SqueezeExcite(nn.Module):
    """Channels times a gate each; both are units."""

    def __init__(self, gate: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.down, self.up = (
            nn.Conv2d(3, 6, 3, padding=1),
            nn.Linear(6, 4),
            nn.Linear(4, 6),
        )
        self.gate, self.last = nn.Sigmoid() if gate is None else gate, nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu()
        gate = self.gate(self.up(self.down(x.mean((2, 3))).relu()))
        return self.last(x * gate[:, :, None, None]).mean((2, 3))


class Attention(nn.Module):
    """Queries, keys and values of tokens, by matmul, with an additive mask; no softmax."""

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.qkv, self.last = heads, nn.Linear(4, 24), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        q, k, v = (
            each.view(x.shape[0], 3, self.heads, -1).transpose(1, 2)
            for each in self.qkv(x).chunk(3, -1)
        )
        scores = (q @ k.transpose(-2, -1) / 2 + MASK.to(x)).sigmoid()
        return self.last((scores @ v).transpose(1, 2).reshape(x.shape[0], 3, 8)).mean(1)


class Einsum(nn.Module):
    """Two products as equations, the second of two units whose channels are summed over."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(4, 5), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        a, b = F.silu(self.a(x)), F.silu(self.b(x))
        return self.last(torch.einsum("...nc,...nd->...d", a, b))


class ReLUs(nn.Module):
    """A product of two ReLUs, and a max pool of one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.c, self.last = nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x).relu(), self.b(x).relu()
        a, b = F.max_pool2d(a, 2), F.max_pool2d(b, 2)
        return self.last(self.c(a * b).relu().mean((2, 3)))


class Scores(nn.Module):
    """One number a sample times another."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(12, 1), nn.Linear(12, 1), nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.last((self.a(x).squeeze(1) * self.b(x)[:, 0])[:, None])


class Fused(nn.Module):
    """Scaled dot product attention as one call, of 4 heads, with options."""

    def __init__(self, groups: int = 4, **options: object) -> None:
        super().__init__()
        self.groups, self.options = groups, options
        self.q, self.k, self.v = (nn.Linear(4, 2 * n) for n in (4, groups, groups))
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        q, k, v = (
            layer(x).view(x.shape[0], 3, n, 2).transpose(1, 2)
            for layer, n in ((self.q, 4), (self.k, self.groups), (self.v, self.groups))
        )
        y = F.scaled_dot_product_attention(q, k, v, **self.options)  # pyright: ignore
        return self.last(y.transpose(1, 2).reshape(x.shape[0], 3, 8)).mean(1)


class Called(nn.Module):
    """A function of two linear layers, `[B, 6]` each, and a linear layer."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(12, 6), nn.Linear(12, 6), nn.Linear(6, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.last(self.function(self.a(x), self.b(x)))


def _baddbmm(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.reshape(-1, 2, 3), b.reshape(-1, 3, 2)
    return torch.baddbmm(b.transpose(1, 2)[:, :, :2], a, b, beta=0.5, alpha=2).sum(1).repeat(1, 3)


def _grouped(a: Tensor, b: Tensor) -> Tensor:
    q, k = a.unflatten(1, (3, 2)), b.unflatten(1, (3, 2))
    return F.scaled_dot_product_attention(q, k, k, enable_gqa=True).flatten(1)


def _grouped_in_groups(a: Tensor, b: Tensor) -> Tensor:
    """Of 2 groups of 2 heads over 1: queries `[B, 2, 2, 3, 1]`, keys `[B, 2, 1, 3, 1]`."""
    q, k = torch.cat([a, b], 1).reshape(-1, 2, 2, 3, 1), b.reshape(-1, 2, 1, 3, 1)
    return F.scaled_dot_product_attention(q, k, k, enable_gqa=True).sum(2).flatten(1)


NETS: dict[str, Callable[[], nn.Module]] = {
    "gate": Gate,
    "squeeze and excite": SqueezeExcite,
    "attention": Attention,
    "attention of one head": lambda: Attention(1),
    "einsum": Einsum,
    "relus": ReLUs,
    "scores": Scores,
    "fused attention": Fused,
    "causal": lambda: Fused(is_causal=True, scale=0.5),
    "boolean mask": lambda: Fused(attn_mask=torch.eye(3) + MASK > -3),
    "additive mask": lambda: Fused(attn_mask=MASK[None, None]),
    "grouped heads": lambda: Fused(2, enable_gqa=True),
    "grouped heads without heads": lambda: Called(_grouped),
    "grouped heads in groups": lambda: Called(_grouped_in_groups),
    "glu": lambda: Called(lambda a, b: F.glu(torch.cat([a, b], 1), 1)),
    "quotient": lambda: Called(lambda a, b: a / (b.exp() + 1)),
    "constant over a signal": lambda: Called(lambda a, b: 2 / (b.exp() + 1) + a.relu()),
    "square": lambda: Called(lambda a, b: a * a + b),
    "addcmul": lambda: Called(lambda a, b: torch.addcmul(a, a, b, value=0.5)),
    "baddbmm": lambda: Called(_baddbmm),
}


def net(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return NETS[name]().double().eval()


def x_of(batch: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, 2, 2, generator=generator, dtype=torch.float64)


@lru_cache
def prepared(name: str) -> sw.Prepared:
    """A network of `NETS`, captured once for all tests."""
    return sw.prepare(net(name), x_of(64))


@pytest.mark.parametrize("name", NETS)
def test_the_engines_agree_and_approach_the_ann(name: str) -> None:
    model, x = net(name), x_of(16, seed=1)
    for neuron, steps in [
        (sw.TwoPhase("nearest", "burst"), 6),
        (sw.TwoPhase("unbiased", "random"), 6),
        (sw.TwoPhase("nearest", "binary"), 5),
        (sw.TwoPhase("nearest", "first-spike"), 6),
    ]:
        snn = prepared(name).convert(neuron, steps=steps, correction=InputMeans())
        counts, stepped = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
        assert all(torch.equal(counts[site], stepped[site]) for site in snn.sites)
        answers = [snn(x, engine=engine) for engine in ("counts", "steps")]
        torch.testing.assert_close(*answers, rtol=1e-12, atol=1e-12)
        if neuron.label.startswith("nearest"):
            assert_equals_its_twin(snn, x)
        assert_audit_is_clean(snn, x[:2])
    fine = prepared(name).convert(
        sw.TwoPhase("nearest", "binary"), sw.Maximum(), steps=14, correction=None
    )
    with torch.no_grad():
        expected = model(x_of(64))
    assert (fine(x_of(64)) - expected).norm() / expected.norm() < 1e-3


class LearnedQueries(nn.Module):
    """Queries that no signal reaches look at tokens, and are the same for every sample."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 5, 4))
        self.norm, self.key, self.value = nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(1).unflatten(1, (3, 4)).relu()
        q, k, v = self.norm(self.queries), self.key(tokens), self.value(tokens)
        seen = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])
        return self.last(seen[:, 0].mean(1).relu())


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("neuron", [sw.TwoPhase("nearest", "binary"), sw.SpikeTracer()])
def test_constants_meet_signals_at_every_step(neuron: Neuron, samples: int) -> None:
    torch.manual_seed(0)
    model, x = LearnedQueries().double().eval(), torch.randn(16, 12).double()
    snn = sw.convert(model, x, neuron, steps=5)
    torch.testing.assert_close(snn(x[:samples], engine="steps"), snn(x[:samples]))
    assert snn.audit(x[:samples]).objections == ()


@pytest.mark.parametrize("neuron", [sw.IntegrateFire(), sw.SRP(), sw.COS(), sw.Shuffled()])
def test_the_total_of_a_product_is_the_product_of_the_totals(neuron: Neuron) -> None:
    """Of one-phase neurons too, whose spikes come at any step, and after a rehearsal."""
    snn, x = prepared("relus").convert(neuron, steps=6, correction=InputMeans()), x_of(5, seed=1)
    charges: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}

    def keep(op: object, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        site = op.site.name  # pyright: ignore
        charges[site], counts[site] = charge, count

    snn.observe(x, Observer(layer=keep), engine="steps")
    plan = snn.plan()
    a, b = (
        F.max_pool2d(counts[site] * plan.thresholds[site] / 6, 2) for site in ("relu", "relu:2")
    )
    convolution = next(op for op in plan.source.operations if op.name == "conv2d_2")
    weight, bias = (plan.source.tensors[name] for name in convolution.stored)
    current = F.conv2d(a * b, weight, bias) + plan.corrections["relu:3"]
    expected = current * 6 / plan.thresholds["relu:3"]
    torch.testing.assert_close(charges["relu:3"], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["attention", "squeeze and excite", "causal"])
def test_the_cut_of_time_into_chunks_does_not_matter(name: str) -> None:
    snn, x = prepared(name).convert(steps=4, correction=None), x_of(3, seed=1)
    whole, cut = (
        run_steps(snn.plan(), x, seed=0, sample_ids=torch.arange(3), memory_budget=budget)
        for budget in (1 << 30, 1)
    )
    assert torch.equal(whole[0], cut[0])


def test_relays_stand_where_a_factor_is_a_current_only() -> None:
    names = (*EXPLICIT, "fused attention", "grouped heads", "quotient")
    sites = {name: tuple(site.name for site in prepared(name).graph.sites) for name in names}
    assert sites["gate"] == ("sigmoid", "mul.left")
    assert sites["squeeze and excite"] == ("relu", "relu:2", "gate")
    assert sites["attention"] == ("matmul.left", "matmul.right", "sigmoid", "matmul:2.right")
    assert sites["einsum"] == ("silu", "silu:2")
    assert sites["relus"] == ("relu", "relu:2", "relu:3")
    assert sites["scores"] == ("mul.left", "mul.right")
    fused = ("matmul.left", "matmul.right", "softmax", "matmul:2.right")
    assert sites["fused attention"] == fused
    assert sorted(sites["grouped heads"]) == sorted(fused)
    assert sites["quotient"] == ("exp", "reciprocal", "mul.left")


def test_a_value_that_meets_two_products_has_one_relay_and_copies_come_after_it() -> None:
    class Shared(Gate):
        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            a, b = self.a(x).sigmoid(), self.b(x)
            wide = b[:, None].expand(-1, 4, -1) * a[:, None]
            return self.last((b * a + wide.sum(1)) * b)

    with torch.random.fork_rng():
        model = Shared().double().eval()
    snn = sw.convert(model, x_of(12), steps=4)
    assert snn.sites == ("sigmoid", "mul.left", "mul:2.left", "mul:3.left")
    shapes = {op.site.name: op.shape for op in snn.graph.neurons if op.site}
    assert (shapes["mul.left"], shapes["mul:2.left"]) == ((1, 6), (6,))


EXPLICIT = {
    "gate": 0,
    "squeeze and excite": 0,
    "attention": 2,
    "attention of one head": 2,
    "einsum": 1,
    "relus": 0,
    "scores": 0,
}
"""How many scales no weights take in."""


def test_scales_pass_through_products() -> None:
    """The relays' thresholds are in the weights that follow; along a sum they are explicit."""
    for name, number in EXPLICIT.items():
        operations = (
            prepared(name).convert(threshold=sw.MinError(), correction=None).plan().graph.operations
        )
        assert sum(op.name.endswith(".scaled") for op in operations) == number


@pytest.mark.parametrize("name", [*EXPLICIT, "causal", "grouped heads", "quotient"])
def test_a_saved_network_gives_the_same_answers_to_the_bit(name: str, tmp_path: Path) -> None:
    snn = prepared(name).convert(steps=(4, 8), correction=InputMeans())
    snn.save(tmp_path / "net.safetensors")
    loaded = sw.load(tmp_path / "net.safetensors")
    for steps in (4, 8, 5):
        assert torch.equal(loaded(x_of(9), steps=steps), snn(x_of(9), steps=steps))
    assert loaded.summary() == snn.summary()
    assert "product" in snn.summary()


@lru_cache
def prepared_of_128() -> sw.Prepared:
    return sw.prepare(net("relus"), x_of(128))


@pytest.mark.parametrize("correction", [None, InputMeans(), OutputMeans(), Refit()])
@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.TPP(), sw.IntegrateFire(), sw.SRP()])
def test_corrections_walk_through_products(neuron: Neuron, correction: Correction | None) -> None:
    model, x = net("relus"), x_of(128)
    snn = prepared_of_128().convert(neuron, steps=16, correction=correction)
    with torch.no_grad():
        expected = model(x)
    assert (snn(x) - expected).norm() < 0.3 * (expected - expected.mean(0)).norm() + 0.2


def test_compiled_counts_answer_alike() -> None:
    model = SideBySide(map(net, ("gate", "attention", "einsum"))).float()
    snn = sw.convert(model, x_of(12).float(), neuron=sw.TwoPhase("nearest", "binary"), steps=6)
    x = x_of(8).float()
    torch.testing.assert_close(snn.compile()(x), snn(x), rtol=1e-4, atol=0.02)


def test_compiled_steps_answer_alike() -> None:
    snn, x = prepared("relus").convert(sw.IntegrateFire(), steps=6, correction=None), x_of(8)
    compiled = snn.compile()
    for steps in (6, 9):
        torch.testing.assert_close(compiled(x, steps=steps), snn(x, steps=steps))


def test_one_phase_neurons_refuse_relays_by_name() -> None:
    with pytest.raises(sw.UnsupportedOperation, match=r"spikewright.relay.*IF.*ReLU") as error:
        prepared("attention").convert(sw.IntegrateFire())
    assert "in matmul.left" in str(error.value)


class Refused(nn.Module):
    def __init__(self, call: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.call = nn.Linear(12, 12), call

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.call(x, self.a(x).relu())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: x @ y.T @ y, "the batch is among the dimensions"),
        (lambda x, y: torch.einsum("bi,ci->bc", x, y) @ y, "the batch is not the first dimension"),
        (lambda x, y: torch.einsum("bi,bj->j", x, y) + x, "the batch is not the first dimension"),
        (lambda x, y: torch.einsum("bi,bi,bi->bi", x, y, y), "more than two operands"),
        (lambda x, y: torch.inner(x, y) @ y, "every sample of one signal meets"),
    ],
)  # fmt: skip
def test_products_that_mix_samples_are_refused(
    call: Callable[[Tensor, Tensor], Tensor], message: str
) -> None:
    with pytest.raises(sw.UnsupportedOperation, match=message):
        sw.convert(Refused(call).double().eval(), x_of(8))
