"""Softmax and norms as units: each value is a function of a whole group of charges."""

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
from spikewright.calibration import InputMeans, OutputMeans, Refit
from tests.builders import SideBySide, wired
from tests.network.nets import assert_audit_is_clean, assert_equals_its_twin

aten: Any = torch.ops.aten
TOKENS, WIDTH = 5, 8
MASK = torch.zeros(TOKENS, WIDTH).double()
MASK[:, -3:] = -torch.inf


def masked(x: Tensor) -> Tensor:
    return (x + MASK).softmax(-1)


def filled(x: Tensor) -> Tensor:
    return x.masked_fill(MASK < 0, -torch.inf).softmax(-1)


def core_softmax(x: Tensor) -> Tensor:
    return aten._softmax(x, -1, False)


def native_group_norm(x: Tensor) -> Tensor:
    return torch.native_group_norm(x, None, None, x.shape[0], TOKENS, WIDTH, 1, 1e-5)[0]


FUNCTIONS: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], int]] = {
    "softmax": (lambda: nn.Softmax(-1), WIDTH),
    "softmax over tokens": (lambda: lambda x: F.softmax(x, 1), TOKENS),
    "softmax of its dtype": (lambda: lambda x: F.softmax(x, 2, dtype=torch.float64), WIDTH),
    "softmin": (lambda: lambda x: F.softmin(x, -1), WIDTH),
    "softmax of core ATen": (lambda: core_softmax, WIDTH),
    "safe softmax": (lambda: lambda x: aten._safe_softmax(x, -1), WIDTH),
    "softmax behind -inf": (lambda: masked, WIDTH),
    "softmax behind masked_fill": (lambda: filled, WIDTH),
    "log_softmax": (lambda: nn.LogSoftmax(-1), WIDTH),
    "layer_norm": (lambda: normed(nn.LayerNorm(WIDTH)), WIDTH),
    "layer_norm of two dimensions": (lambda: nn.LayerNorm([TOKENS, WIDTH]), TOKENS * WIDTH),
    "native_layer_norm": (
        lambda: lambda x: torch.native_layer_norm(x, (WIDTH,), None, None, 1e-5)[0], WIDTH,
    ),
    "rms_norm": (lambda: normed(nn.RMSNorm(WIDTH)), WIDTH),
    "rms_norm without weights": (lambda: lambda x: F.rms_norm(x, (WIDTH,), eps=1e-6), WIDTH),
    "group_norm": (lambda: normed(nn.GroupNorm(5, TOKENS)), WIDTH),
    "native_group_norm": (lambda: native_group_norm, TOKENS * WIDTH),
    "instance_norm": (lambda: normed(nn.InstanceNorm1d(TOKENS, affine=True)), WIDTH),
}  # fmt: skip


def normed(norm: nn.Module) -> nn.Module:
    """A norm with weights and a bias of its own, as training leaves them."""
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, -1, 1)
    return norm


class Block(nn.Module):
    """The function between linear layers, beside a residual stream, and a SiLU behind it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.first, self.middle = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 3)
        self.function = FUNCTIONS[name][0]()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.first(x)
        x = x + F.silu(self.middle(self.function(x)))
        return self.last(x.mean(1))


def block(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Block(name).double().eval()


@lru_cache
def prepared(name: str) -> sw.Prepared:
    """The block, captured once for all tests."""
    return sw.prepare(block(name), tokens(64))


def linear() -> nn.Module:
    return nn.Linear(WIDTH, WIDTH)


def tokens(batch: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, TOKENS, WIDTH, generator=generator, dtype=torch.float64)


def relative(snn: sw.SpikingNetwork, model: nn.Module, x: Tensor, **options: Any) -> float:
    with torch.no_grad():
        wanted = model(x)
    return float((snn(x, **options) - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_engines_agree_and_approach_the_ann(name: str) -> None:
    model, x = block(name), tokens(16, seed=1)
    for neuron, steps in [
        (sw.TwoPhase("nearest", "random"), 6),
        (sw.TwoPhase("nearest", "binary"), 5),
    ]:
        snn = prepared(name).convert(neuron, steps=steps, correction=InputMeans())
        counts, stepped = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
        assert all(torch.equal(counts[site], stepped[site]) for site in snn.sites)
        answers = [snn(x, engine=engine) for engine in ("counts", "steps")]
        torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)
        assert_equals_its_twin(snn, x)
        assert_audit_is_clean(snn, x[:2])
    binary = sw.TwoPhase("nearest", "binary")
    fine = prepared(name).convert(binary, sw.Maximum(), steps=16, correction=None)
    assert relative(fine, model, tokens(64)) < 1e-3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_site_tells_how_many_inputs_each_value_reads(name: str) -> None:
    snn = prepared(name).convert(steps=2)
    site = snn.graph.sites[0]
    assert site.group == FUNCTIONS[name][1]
    assert not site.rectifies
    (line,) = (line for line in snn.summary().splitlines() if line.startswith(f"{site.name} "))
    assert f" of {site.group} " in line


@pytest.mark.parametrize("name", ["softmax behind -inf", "layer_norm", "group_norm", "rms_norm"])
def test_a_saved_network_gives_the_same_answers_to_the_bit(name: str, tmp_path: Path) -> None:
    snn = prepared(name).convert(steps=(4, 8))
    snn.save(tmp_path / "net.safetensors")
    loaded = sw.load(tmp_path / "net.safetensors")
    for steps in (4, 8, 5):
        assert torch.equal(loaded(tokens(9), steps=steps), snn(tokens(9), steps=steps))
    assert loaded.graph.sites == snn.graph.sites
    assert loaded.summary() == snn.summary()


@pytest.mark.parametrize("name", ["softmax behind -inf", "softmax behind masked_fill"])
def test_masked_places_send_nothing_and_spoil_no_mean(name: str) -> None:
    snn = prepared(name).convert(steps=8)
    site = snn.sites[0]
    assert not snn.counts(tokens(9))[site][..., -3:].any()
    assert snn.calibration.statistics[site].input_sum.isfinite().all()
    assert all(shift.isfinite().all() for shift in snn.design().corrections.values())


@pytest.mark.parametrize("correction", [None, InputMeans(), OutputMeans(), Refit()])
@pytest.mark.parametrize("rounding", ["bernoulli", "unbiased", "nearest"])
def test_every_rounding_and_correction_stays_near_the_ann(rounding: str, correction: Any) -> None:
    for name in ("softmax behind -inf", "layer_norm"):
        model = block(name)
        options: dict[str, Any] = {"steps": 32, "correction": correction}
        snn = prepared(name).convert(sw.TwoPhase(rounding), **options)
        assert relative(snn, model, tokens(64)) < 0.1


def test_compiled_networks_answer_alike() -> None:
    blocks = SideBySide(map(block, ("softmax behind -inf", "layer_norm", "instance_norm")))
    snn = sw.convert(blocks, tokens(64), steps=6)
    plain = snn(tokens(8))
    torch.testing.assert_close(snn.compile()(tokens(8)), plain, rtol=1e-9, atol=1e-9)


def test_an_instance_norm_of_running_statistics_is_no_unit() -> None:
    norm = normed(nn.InstanceNorm1d(TOKENS, affine=True, track_running_stats=True)).double()
    norm(tokens(64))
    model = nn.Sequential(norm, nn.ReLU(), nn.Linear(WIDTH, 3)).double().eval()
    snn = sw.convert(model, tokens(64), neuron=sw.TwoPhase(code="binary"), steps=14)
    assert snn.sites == ("1",)
    assert relative(snn, model, tokens(64)) < 1e-3


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.softmax(0), "across the batch dimension"),
        (lambda x: F.batch_norm(x, None, None, training=True), "statistics of the batch"),
    ],
)
def test_what_mixes_samples_is_refused(function: Any, words: str) -> None:
    model = wired(lambda m, x: m.last(function(m.first(x))), first=linear(), last=linear())
    with pytest.raises(sw.UnsupportedOperation, match=words):
        sw.convert(model, tokens(16))


def test_one_phase_neurons_refuse_groups_by_name() -> None:
    with pytest.raises(sw.UnsupportedOperation, match="the neuron"):
        prepared("layer_norm").convert(sw.IntegrateFire())


class Mixer(nn.Module):
    """Patches of digits, mixed over patches and over features, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 16), nn.Linear(16, 10)
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(5))
        self.into = nn.ModuleList(nn.Linear(16, 24) for _ in range(4))
        self.out = nn.ModuleList(nn.Linear(24, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for at in range(4):
            y = self.norms[at](x)
            y = y if at % 2 else y.transpose(1, 2)
            y = self.out[at](F.gelu(self.into[at](y)))
            x = x + (y if at % 2 else y.transpose(1, 2))
        return self.head(self.norms[4](x).mean(1))


def trained() -> tuple[nn.Module, Tensor]:
    reason = "needs the extra 'digits'"
    digits = pytest.importorskip("sklearn.datasets", reason=reason).load_digits()
    pictures = torch.tensor(digits.images, dtype=torch.float32).reshape(-1, 4, 2, 4, 2) / 16
    patches, labels = pictures.transpose(2, 3).reshape(-1, 16, 4), torch.tensor(digits.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mixer()
        optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
        for _ in range(6):
            for some in torch.randperm(1400).split(64):
                optimizer.zero_grad()
                F.cross_entropy(model(patches[some]), labels[some]).backward()
                optimizer.step()
    return model.double().eval(), patches.double()


def test_a_trained_mixer_is_near_its_ann_at_few_steps() -> None:
    model, patches = trained()
    x = patches[:256]
    prepared = sw.prepare(model, x)
    assert {site.channels for site in prepared.graph.sites} == {(1,), (2,)}
    for steps, most in ((6, 0.1), (8, 0.04), (12, 0.005)):
        snn = prepared.convert(sw.TwoPhase("nearest", "binary"), steps=steps)
        assert relative(snn, model, x) < most
        folded = snn.plan().count_graph.operations
        assert not any(op.name.endswith(".scaled") for op in folded)
    agreeing = snn(patches[1400:]).argmax(1) == model(patches[1400:]).argmax(1)
    assert agreeing.double().mean() > 0.97
