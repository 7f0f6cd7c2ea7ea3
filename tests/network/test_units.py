"""Functions of one signal as units: signed counts, both engines, and everything that meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.artefact import configurations, container
from spikewright.calibration import InputMeans, OutputMeans
from spikewright.measure import HOROWITZ_45NM, decompose
from spikewright.network import Observer
from spikewright.neurons import Draws, Layer
from tests.builders import SideBySide, images
from tests.network.nets import assert_audit_is_clean, assert_equals_its_twin

CONSTANT = torch.tensor([0.3, -0.2, 0.1, 0.0, 0.4]).double()
WHOLE = torch.tensor([1.0, 3.0, 2.0, 1.0, 3.0]).double()
SIGNED: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "rrelu": lambda x: F.rrelu(x, 0.1, 0.5),
    "elu": F.elu,
    "celu": lambda x: F.celu(x, 0.5),
    "selu": F.selu,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu, tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "tanh": torch.tanh,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "clamp": lambda x: x.clamp(-0.3, 0.5),
    "clamp, only above": lambda x: x.clamp(max=0.25),
    "clamp_max": lambda x: torch.clamp_max(x, 0.25),
    "clamp by tensors": lambda x: x.clamp(CONSTANT[1] * 2, CONSTANT + 0.5),
    "log": lambda x: (x / 4 + 1).log(),
    "sin": torch.sin,
    "cos": lambda x: torch.cos(4 * x),
    "erf": torch.erf,
    "tanhshrink": F.tanhshrink,
    "logsigmoid": F.logsigmoid,
    "maximum": lambda x: torch.maximum(x, CONSTANT - 0.3),
    "minimum": lambda x: torch.minimum(CONSTANT, x),
    "expm1": torch.expm1,
    "atan": torch.atan,
    "threshold": lambda x: F.threshold(x, -0.1, -0.2),
    "reciprocal": lambda x: 1 / (x + 4),
    "cube": lambda x: x**3,
    "stored whole powers": lambda x: x**WHOLE,
    "stored whole and other powers": lambda x: (
        torch.where(WHOLE < 2, x.abs(), x) ** (WHOLE.where(WHOLE > 1, 0.5))
    ),
    "log1p": lambda x: (x / 4).log1p(),
}
UNSIGNED: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "abs": torch.abs,
    "exp": torch.exp,
    "sqrt": lambda x: (x + 3).sqrt(),
    "rsqrt": lambda x: (x + 3).rsqrt(),
    "square": torch.square,
    "pow": lambda x: x**2,
    "pow, not whole": lambda x: x.abs() ** 1.5,
    "pow of a constant": lambda x: 2**x,
    "clamp from above 0": lambda x: x.clamp(0.1, 0.7),
}
FUNCTIONS = SIGNED | UNSIGNED


class Net(nn.Module):
    """A linear layer, the function, and a linear layer, twice; the second on images of a conv."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(12, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        x = self.function(self.first(x.flatten(1)))
        return self.last(self.function(self.middle(x)))


class Images(nn.Module):
    """A convolution, an activation with channels, a max pool, and a linear layer."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.again = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)
        self.act, self.act2 = activation, nn.SiLU()
        self.pool, self.last = nn.MaxPool2d(2, padding=1), nn.Linear(36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act(self.conv(x)))
        return self.last(self.act2(self.again(x)).flatten(1))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make().double().eval()


def net(name: str) -> nn.Module:
    return seeded(lambda: Net(FUNCTIONS[name]))


def x_of(batch: int, *, seed: int = 0, size: int = 2) -> Tensor:
    return images(batch, seed=seed, size=size)


def pictures(batch: int, *, seed: int = 0) -> Tensor:
    return images(batch, seed=seed, size=6)


@lru_cache
def prepared(name: str) -> sw.Prepared:
    """A network of one function, captured once for all tests."""
    return sw.prepare(net(name), x_of(64))


ACTIVATIONS = {"a slope each": lambda: nn.PReLU(4), "a slope": nn.PReLU, "tanh": nn.Tanh}
ACTIVATIONS |= {"elu": nn.ELU, "gelu": nn.GELU}


@lru_cache
def prepared_images(activation: str) -> sw.Prepared:
    """The same on pictures."""
    return sw.prepare(seeded(lambda: Images(ACTIVATIONS[activation]())), pictures(64))


@pytest.mark.parametrize("functions", [SIGNED, UNSIGNED], ids=["signed", "unsigned"])
def test_the_engines_agree_and_approach_the_ann(
    functions: dict[str, Callable[[Tensor], Tensor]],
) -> None:
    """All functions stand side by side in one network: capture is what takes time."""
    model, x = SideBySide(net(name) for name in functions), x_of(16, seed=1)
    prepared = sw.prepare(model, x_of(64))
    assert len(prepared.graph.sites) >= 2 * len(functions)
    for neuron, steps in [
        (sw.TwoPhase("nearest", "burst"), 6),
        (sw.TwoPhase("nearest", "random"), 6),
        (sw.TwoPhase("nearest", "binary"), 5),
        (sw.TwoPhase("nearest", "first-spike"), 6),
    ]:
        snn = prepared.convert(neuron, steps=steps, correction=InputMeans())
        counts, stepped = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
        assert all(torch.equal(counts[site], stepped[site]) for site in snn.sites)
        answers = [snn(x, engine=engine) for engine in ("counts", "steps")]
        torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)
        assert_equals_its_twin(snn, x)
        assert_audit_is_clean(snn, x[:2])
        for at, name in enumerate(functions):
            own = [count for site, count in counts.items() if site.startswith(f"nets.{at}.")]
            lowest = min(float(count.min()) for count in own)
            signed = functions is SIGNED and name != "reciprocal"
            assert lowest < 0 if signed else lowest >= 0, name
    fine = prepared.convert(
        sw.TwoPhase("nearest", "binary"), sw.Maximum(), steps=16, correction=None
    )
    with torch.no_grad():
        expected, answers = model(x_of(64)), fine(x_of(64))
    for name, wanted, answer in zip(functions, expected, answers, strict=True):
        assert (answer - wanted).norm() / wanted.norm() < 1e-3, name


@pytest.mark.parametrize("name", ["silu", "clamp by tensors", "log", "pow, not whole"])
def test_a_saved_network_gives_the_same_answers_to_the_bit(name: str, tmp_path: Path) -> None:
    snn = prepared(name).convert(steps=(4, 8), correction=InputMeans())
    snn.save(tmp_path / "net.safetensors")
    loaded = sw.load(tmp_path / "net.safetensors")
    for steps in (4, 8, 5):
        assert torch.equal(loaded(x_of(9), steps=steps), snn(x_of(9), steps=steps))
    assert loaded.calibration.signed == snn.calibration.signed
    assert loaded.summary() == snn.summary()


@pytest.mark.parametrize("activation", ["a slope each", "a slope", "tanh", "elu"])
@pytest.mark.parametrize("code", ["burst", "late", "random", "binary", "first-spike"])
def test_a_max_pool_of_signed_counts_is_the_same_in_both_engines(
    activation: str, code: str
) -> None:
    x = pictures(5, seed=1)
    snn = prepared_images(activation).convert(
        sw.TwoPhase("nearest", code), steps=4, correction=InputMeans()
    )
    counts, stepped = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
    assert all(torch.equal(counts[site], stepped[site]) for site in snn.sites)
    assert counts["act"].min() < 0
    answers = [snn(x, engine=engine) for engine in ("counts", "steps")]
    torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("code", ["burst", "late", "random", "binary", "first-spike"])
@pytest.mark.parametrize("rounding", ["nearest", "unbiased", "bernoulli"])
def test_trains_carry_signed_counts(rounding: str, code: str) -> None:
    snn = prepared("tanh").convert(sw.TwoPhase(rounding, code), steps=5, correction=InputMeans())
    trains, counts = snn.record(x_of(9), seed=2), snn.counts(x_of(9), engine="steps", seed=2)
    weights = snn.plan().weights
    sent = {"spikes": 0.0}

    def count(op: object, spikes: Tensor) -> None:
        sent["spikes"] += float(spikes.sum())

    snn.observe(x_of(9), Observer(sent=count), engine="steps", seed=2)
    assert sum(float(train.abs().sum()) for train in trains.values()) == sent["spikes"]
    for site, train in trains.items():
        assert train.dtype is torch.int8
        assert set(train.unique().tolist()) <= {-1, 0, 1}
        assert torch.equal(torch.tensordot(weights, train.double(), dims=1), counts[site])
        assert train.min() == -1


@pytest.mark.parametrize("rounding", ["unbiased", "bernoulli"])
def test_counts_by_chance_are_odd_in_the_charge(rounding: str) -> None:
    """The draws are those of a site, so the count of -x is minus that of x."""
    neuron, charge = sw.TwoPhase(rounding), torch.linspace(-7, 7, 29).double()[None]
    layer = Layer(torch.ones(()).double(), 5, Draws(0, "s", torch.zeros(1).long()), signed=True)
    assert torch.equal(neuron.count(-charge, layer), -neuron.count(charge, layer))
    assert neuron.count(charge, layer).aminmax() == (-5, 5)
    infinite = torch.full((1, 1), float("inf")).double()
    assert neuron.count(infinite, layer) == 5


def test_min_error_on_signed_values_is_what_a_loop_finds() -> None:
    model, x = net("silu"), x_of(200)
    snn = sw.convert(model, x, threshold=sw.MinError(candidates=16), steps=4)
    site = snn.sites[0]
    with torch.no_grad():
        first = model.get_submodule("first")
        values = F.silu(first(x.flatten(1)))
    for channel, chosen in enumerate(snn.design().thresholds[site].tolist()):
        seen = values[:, channel]
        errors = {}
        for k in range(16, 0, -1):
            theta = float(seen.abs().max()) * k / 16
            rounded = (seen.abs() * 4 / theta + 0.5).floor().clamp(0, 4) * seen.sign() * theta / 4
            errors[theta] = float((rounded - seen).square().mean())
        assert errors[min(errors, key=lambda theta: abs(theta - chosen))] == pytest.approx(
            min(errors.values()), rel=0.02
        )


def test_inputs_outside_of_the_domain_are_taken_as_its_end() -> None:
    model = seeded(lambda: Net(lambda x: x.abs().sqrt()))
    rooted = seeded(lambda: Net(lambda x: (x + 1.2).clamp(min=0).sqrt()))
    for each in (model, rooted):
        snn = sw.convert(each, x_of(15), steps=2)
        answers = [snn(5 * x_of(16, seed=1), engine=e) for e in ("counts", "steps")]
        assert all(bool(answer.isfinite().all()) for answer in answers)


def test_one_phase_neurons_refuse_every_unit_that_is_no_rectifier(tmp_path: Path) -> None:
    prepared = prepared_images("tanh")
    for neuron in (sw.IntegrateFire(), sw.SRP(), sw.Shuffled()):
        with pytest.raises(sw.UnsupportedOperation, match=r"2 operations cannot be") as error:
            prepared.convert(neuron)
        for words in ("aten.tanh", "aten.silu", "in act", "in act2", "TwoPhase()", neuron.label):
            assert words in str(error.value)
    snn = prepared.convert(correction=None)
    with pytest.raises(sw.UnsupportedOperation, match="1 operation cannot be") as error:
        snn.with_neuron(sw.IntegrateFire(), sites=["act2"])
    assert "aten.silu" in str(error.value)
    assert "aten.tanh" not in str(error.value)


def test_a_file_that_gives_a_unit_to_a_one_phase_neuron_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network"
    prepared_images("tanh").convert(correction=None).save(path)
    tensors, document = container.unpacked(path)
    document = json.loads(json.dumps(document))
    del document["sha256"]
    document["neurons"]["act2"] = configurations.encoded(sw.IntegrateFire())
    path.write_bytes(container.packed(tensors, document))
    with pytest.raises(sw.InterchangeError, match=r"(?s)aten\.silu.*IF.*TwoPhase.*in act2"):
        sw.load(path)


def test_a_function_of_two_signals_is_refused() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(12, 4), nn.Linear(12, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return torch.atan2(self.a(x), self.b(x)).relu() ** self.b(x)

    with pytest.raises(sw.UnsupportedOperation, match="a function of two signals"):
        sw.convert(seeded(Two), x_of(8))


def test_a_signal_is_repeated_for_a_larger_constant() -> None:
    model = seeded(lambda: Net(lambda x: torch.maximum(x[:, :1], CONSTANT)))
    snn = sw.convert(model, x_of(8), neuron=sw.TwoPhase("nearest", "binary"), steps=14)
    with torch.no_grad():
        torch.testing.assert_close(snn(x_of(8)), model(x_of(8)), rtol=0, atol=1e-3)


def test_infinite_silent_and_empty_sites_are_refused() -> None:
    with pytest.raises(sw.CalibrationError, match="NaN or infinite activations at site 'log'"):
        sw.convert(seeded(lambda: Net(lambda x: x.clamp(min=0).log().clamp(min=-2))), x_of(8))
    with pytest.raises(sw.CalibrationError, match="other than 0"):
        sw.convert(seeded(lambda: Net(lambda x: x.clamp(-1, 0).clamp(0, 1) + x)), x_of(8))
    with pytest.raises(sw.CalibrationError, match=r"site 'relu' .* has no neuron: .* shape \[0\]"):
        sw.convert(seeded(lambda: Net(lambda x: torch.cat([x, x[:, 6:].relu()], 1))), x_of(8))


STEPS = {"nearest": 4096, "bernoulli": 1024}
"""So many that nothing is left to correct; the table of the law of 4096 would take 15 seconds."""


@pytest.mark.parametrize("correction", [None, InputMeans(), OutputMeans()])
@pytest.mark.parametrize("rounding", ["nearest", "bernoulli"])
def test_corrections_keep_a_network_of_units_near_its_ann(
    correction: InputMeans | OutputMeans | None, rounding: str
) -> None:
    model, x = seeded(lambda: Images(nn.GELU())), pictures(64)
    prepared, neuron = prepared_images("gelu"), sw.TwoPhase(rounding)
    snn = prepared.convert(neuron, steps=16, correction=correction)
    with torch.no_grad():
        expected = model(x)
    spread = (expected - expected.mean(0)).norm()
    assert (snn(x) - expected).norm() < 0.5 * spread
    if correction:
        assert snn.design().corrections.keys() == {"act", "act2"}
        exact = prepared.convert(neuron, sw.Maximum(), STEPS[rounding], correction)
        assert max(float(c.abs().max()) for c in exact.design().corrections.values()) < 1e-3
        assert not exact.design().potentials


def test_output_means_of_units_are_input_means() -> None:
    found = [
        prepared_images("gelu").convert(steps=4, correction=correction).design().corrections
        for correction in (InputMeans(), OutputMeans())
    ]
    for site in found[0]:
        torch.testing.assert_close(found[0][site], found[1][site])


def test_the_terms_of_the_error_add_up() -> None:
    snn = prepared("silu").convert(steps=4, correction=InputMeans())
    for engine_error in decompose(snn, [x_of(16, seed=1)], 4):
        assert engine_error.unevenness == 0
        assert engine_error.total > 0


def test_the_summary_names_each_unit_and_the_energy_is_refused_by_name() -> None:
    snn = prepared_images("tanh").convert(correction=None)
    lines = {line.split()[0]: line.split()[1] for line in snn.summary().splitlines() if line}
    assert (lines["act"], lines["act2"]) == ("tanh", "silu")
    with pytest.raises(sw.AnalysisError, match="tanh at 'act', silu at 'act2'"):
        sw.operations(snn, [pictures(4)])


def test_functions_are_counted_once_a_window_and_priced_by_name() -> None:
    model = seeded(lambda: Images(nn.LeakyReLU()))
    snn = sw.convert(model, pictures(15), steps=4)
    with pytest.raises(sw.AnalysisError, match=r'silu at \'act2\'; .*function_pj=\{"silu": \.\.\.'):
        sw.operations(snn, [pictures(4)])
    priced = replace(HOROWITZ_45NM, function_pj={"silu": 5.0})
    counted = sw.operations(snn, [pictures(4)], model=priced)
    # 4 channels of 4 x 4 after the convolution, and of 3 x 3 after the padded pool
    for counts in (counted.total.snn, counted.total.ann):
        assert counts.functions == {"leaky_relu": 64.0, "silu": 36.0}
    assert counted.row("act").ann.comparisons == 0
    parts = priced.parts(counted.total.snn)
    assert parts.functions_nj == pytest.approx((64 * (3.7 + 0.9) + 36 * 5) / 1000)
    without = replace(counted.total.snn, functions={})
    added = priced.integer_nj(counted.total.snn) - priced.integer_nj(without)
    assert added == pytest.approx((64 * (3.1 + 0.1) + 36 * 5) / 1000)
    assert "leaky_relu" in counted.to_csv()
    with pytest.raises(sw.AnalysisError, match="silu has no price"):
        HOROWITZ_45NM.parts(counted.total.snn)
    with pytest.raises(ValueError, match="silu must be finite and at least 0"):
        replace(priced, function_pj={"silu": -1.0})


def test_a_function_that_a_model_writes_out_is_counted_in_its_parts() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(12, 5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x.flatten(1))
            return self.last(x * F.hardsigmoid(x))

    snn = sw.convert(seeded(Written), x_of(15), steps=4)
    total = sw.operations(snn, [x_of(4)]).total
    assert total.snn.functions == total.ann.functions == {"hardsigmoid": 5, "mul": 5}


def test_nothing_depends_on_the_cut_of_the_calibration_data() -> None:
    model, x = net("silu"), x_of(60)
    whole, parts = sw.convert(model, x, steps=4), sw.convert(model, list(x.split(7)), steps=4)
    assert whole.calibration.signed == parts.calibration.signed == {"silu", "silu:2"}
    for site in whole.sites:
        thresholds = [snn.design().thresholds[site] for snn in (whole, parts)]
        torch.testing.assert_close(*thresholds, rtol=1e-9, atol=0)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_compiled_networks_of_units_answer_alike(precision: str) -> None:
    model = seeded(lambda: Images(nn.PReLU(4))).float()
    x = pictures(8).float()
    snn = sw.convert(model, pictures(32).float(), steps=8).with_precision(precision)
    plain = snn(x)
    torch.testing.assert_close(snn.compile()(x), plain, rtol=1e-4, atol=0.02)
