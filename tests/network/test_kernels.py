"""Kernels over whole numbers: as exact as float32, or bf16; and where they stand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import InputMeans
from spikewright.graph import Graph, Kind, evaluate
from spikewright.graph.precision import Precision
from spikewright.network import integers, kernels
from spikewright.network.kernels import with_kernels
from spikewright.neurons import FewSpikes, FewSpikesTable
from spikewright.neurons.codes import Digits
from tests.builders import firing

EXACT = integers.exact_convolution

needs_integers = pytest.mark.skipif(
    not kernels.integers_are_fast(torch.device("cpu")),
    reason="the processor has no instructions for sums of 8-bit integers",
)


@pytest.fixture(autouse=True)
def matrix_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of these networks are so small that nothing else would have exact kernels."""
    monkeypatch.setattr(kernels, "has_matrix_units", lambda: True)


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def images(batch: int) -> Tensor:
    return torch.rand(batch, 3, 8, 8, generator=seeded(batch))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 6, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24, 5),
        )
    return layers.eval()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(1e-6, 1e6))
def test_three_digits_hold_a_weight_to_half_a_unit(seed: int, rows: int, size: float) -> None:
    weight = torch.randn(rows, 3, 2, 2, generator=seeded(seed)) * size
    weight[0] = 0
    digits, scales = integers.cut_in_digits(weight)
    parts = digits.double() * scales.double().reshape(-1, 1, 1, 1)
    found = sum(parts.chunk(3))
    largest = weight.abs().flatten(1).amax(1).reshape(-1, 1, 1, 1).double()
    assert ((found - weight.double()).abs() <= largest * 2.0**-23).all()


@needs_integers
@pytest.mark.parametrize("stride", [1, 2])
def test_exact_convolutions_err_no_more_than_float32_does(model: nn.Module, stride: int) -> None:
    counts = torch.randint(0, 256, (5, 32, 12, 12), generator=seeded(0), dtype=torch.uint8)
    weight = torch.randn(16, 32, 3, 3, generator=seeded(1))
    bias = torch.randn(16, generator=seeded(2))
    digits, scales = integers.cut_in_digits(weight)
    geometry = ([stride] * 2, [1, 1], [1, 1])
    packed = torch.ops.onednn.qconv_prepack(digits, scales, 1.0, 0, *geometry, 1, None)
    none, first = torch.zeros(48, dtype=torch.int32), torch.cat([bias, torch.zeros(32)])
    found = integers.exact_convolution(counts, packed, scales, none, first, *geometry)
    true = F.conv2d(counts.double(), weight.double(), bias.double(), stride, 1)
    plain = F.conv2d(counts.float(), weight, bias, stride, 1)
    assert found.shape == true.shape
    assert (found - true).abs().max() <= 2 * (plain - true).abs().max()


@needs_integers
@pytest.mark.parametrize("neuron", [sw.TwoPhase("nearest"), sw.TPP()], ids=lambda n: n.label)
def test_exact_kernels_change_next_to_no_count(model: nn.Module, neuron: sw.TwoPhase) -> None:
    net = sw.convert(model, images(64), neuron=neuron, steps=16, correction=InputMeans())
    plan = net.plan()
    graph = with_kernels(plan.count_graph, Precision.FLOAT32, quick=True, largest=plan.reach)
    changed = [op.name for op in graph.operations if op.target is integers.exact_convolution]
    assert len(changed) == 2  # the first convolution reads the image
    quick = sw.convert(model, images(64), neuron=neuron, steps=16, correction=InputMeans())
    quick._compile = True
    quick._made.compiled.serving = lambda *_: None  # the kernels without the compiler
    plain, found = (n.counts(images(200)) for n in (net, quick))
    differing = sum(int((plain[site] != found[site]).sum()) for site in plain)
    assert differing <= 1e-4 * sum(each.numel() for each in plain.values())


@pytest.mark.parametrize(("largest", "exact"), [(255, True), (256, False)])
def test_counts_beyond_a_byte_stay_in_float32(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch, largest: int, exact: bool
) -> None:
    monkeypatch.setattr(kernels, "integers_are_fast", lambda device: True)
    plan = sw.convert(model, images(16), steps=4, correction=InputMeans()).plan()
    graph, all_sites = plan.count_graph, dict.fromkeys(plan.reach, largest)
    lowered = with_kernels(graph, Precision.FLOAT32, quick=True, largest=all_sites)
    assert (lowered is not graph) is exact


def test_kernels_are_chosen_layer_by_layer(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "integers_are_fast", lambda device: True)
    binary = {"*": sw.TwoPhase("nearest", "binary"), "1": sw.TwoPhase("nearest", "binary", steps=9)}
    plan = replace(
        sw.convert(model, images(16), binary, steps=8, correction=InputMeans()).plan(), quick=True
    )
    assert plan.reach == {"1": 511, "3": 255, "6": 255}
    exact = [op.module for op in plan.count_graph.operations if op.target is EXACT]
    assert exact == ["5"]  # "2" reads counts beyond a byte
    sent = [op.module for op in plan.step_graph.operations if op.target is EXACT]
    assert sent == ["5"]  # spikes of "1" are sent as what they count for, up to 256


def test_without_matrix_units_only_long_sums_are_taken_in_integers(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "integers_are_fast", lambda device: True)
    monkeypatch.setattr(kernels, "has_matrix_units", lambda: False)
    plan = sw.convert(model, images(16), steps=4, correction=InputMeans()).plan()
    for least, taken in ((72, ["2"]), (73, [])):  # "5" sums over 8
        monkeypatch.setattr(kernels, "_LEAST_FAN_IN", least)
        graph = with_kernels(plan.count_graph, Precision.FLOAT32, quick=True, largest=plan.reach)
        assert [op.module for op in graph.operations if op.target is EXACT] == taken
    rounded = with_kernels(plan.count_graph, Precision.INT8, quick=True, largest=plan.reach)
    sums = [op.module for op in rounded.operations if op.target is integers.digit_sums]
    assert sums == ["2", "5"]


def test_signed_powers_of_two_are_no_bytes(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "integers_are_fast", lambda device: True)
    digits = sw.TwoPhase("nearest", Digits(8))
    snn = sw.convert(model, images(16), digits, steps=3, correction=InputMeans())
    assert -1 in snn.record(images(4))["1"]  # of counts from 0 to 128
    plan = replace(snn.plan(), quick=True)
    assert all(op.target is not EXACT for op in plan.step_graph.operations)
    assert sum(op.target is EXACT for op in plan.count_graph.operations) == 2


def test_spikes_that_are_taken_back_are_no_bytes(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "integers_are_fast", lambda device: True)
    snn = sw.convert(model, images(64), sw.SpikeTracer(), steps=8, correction=InputMeans())
    assert -1 in snn.record(images(8))["3"]  # of counts from 0 on
    plan = replace(snn.plan(), quick=True)
    assert all(op.target is not EXACT for op in plan.step_graph.operations)
    for graph in (plan.count_graph, plan.sum_graph):  # of sums so far, which are counts
        assert sum(op.target is EXACT for op in graph.operations) == 2


def test_counts_of_steps_that_weigh_less_than_nothing_are_no_bytes(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "integers_are_fast", lambda device: True)
    table = FewSpikesTable((33.0, 33.0, 1.0), (33.0, 1.0, 1.0), (33, -31, 1), unit=0.02)
    snn = sw.convert(model, images(16), FewSpikes((table,)), steps=3, correction=None)
    plan = replace(snn.plan(), quick=True)
    assert not plan.signed
    assert max(plan.reach.values()) < 256
    for graph in (plan.count_graph, plan.step_graph):
        assert all(op.target is not EXACT for op in graph.operations)


def test_averages_are_no_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "integers_are_fast", lambda device: True)
    net = firing(
        nn.Sequential(
            nn.Conv2d(3, 4, 1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 4, 1),
            nn.ReLU(),
            nn.Flatten(),
        )
    ).eval()
    plan = sw.convert(net, images(16), steps=4, correction=InputMeans()).plan()
    graph = plan.count_graph
    lowered = with_kernels(graph, Precision.FLOAT32, quick=True, largest=plan.reach)
    assert lowered.operations == graph.operations


class _Arithmetic(nn.Module):
    """Branches that read the same spikes: a convolution, a product with a number, a difference."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.next = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.stem(x).relu()
        return (self.next(spikes) + spikes * 200 - spikes.flip(2)).relu().flatten(1)


@needs_integers
@pytest.mark.parametrize("precision", ["float32", "bf16", "int8"])
def test_other_readers_of_the_same_counts_see_them_unharmed(precision: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = _Arithmetic().eval()
    snn = sw.convert(net, images(32), steps=16, correction=InputMeans())
    plan = snn.plan()
    x = images(20)
    plain = evaluated(plan.count_graph, x)
    low = with_kernels(plan.count_graph, Precision(precision), quick=True, largest=plan.reach)
    assert low is not plan.count_graph
    found = evaluated(low, x)
    tolerance = 1e-5 if precision == "float32" else 2e-2
    assert (found - plain).abs().max() <= tolerance * plain.abs().max()


def evaluated(graph: Graph, x: Tensor) -> Tensor:
    return evaluate(
        graph, x, {Kind.UNIT: lambda op, inputs: (20 * inputs[0]).round().clamp(0, 16)}
    )[0]


@pytest.mark.parametrize("neuron", [sw.TwoPhase("nearest"), sw.IntegrateFire()])
def test_bf16_stays_near_float32(model: nn.Module, neuron: sw.TwoPhase | sw.IntegrateFire) -> None:
    net = sw.convert(model, images(64), neuron=neuron, steps=16, correction=InputMeans())
    low = net.with_precision("bf16")
    assert low.precision is Precision.BF16
    x = images(200)
    plain, found = net(x), low(x)
    assert found.dtype is torch.float32
    assert not torch.equal(found, plain)
    assert (found - plain).abs().max() <= 0.1 * plain.abs().max()


def test_bf16_kernels_compute_with_rounded_weights(model: nn.Module) -> None:
    plan = (
        sw.convert(model, images(64), steps=4, correction=InputMeans())
        .with_precision("bf16")
        .plan()
    )
    products = [op for op in plan.count_graph.operations if op.target is kernels.bf16_product]
    assert len(products) == 3  # all but the first convolution
    counts = torch.randint(0, 5, (7, 8, 4, 4), generator=seeded(3)).float()
    weight, bias = torch.randn(6, 8, 3, 3, generator=seeded(4)), torch.randn(6)
    found = kernels.bf16_product(
        torch.ops.aten.conv2d.default, torch.float32, 1, counts.bfloat16(), weight.bfloat16(), bias
    )
    exact = F.conv2d(counts, weight.bfloat16().float(), bias)
    assert ((found - exact).abs() <= 2.0**-8 * (exact - bias.reshape(-1, 1, 1)).abs()).all()


class _Weighted(nn.Module):
    """Every kind of operation whose weights are rounded, behind units."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.grouped = nn.Conv2d(4, 8, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.last = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.grouped(self.stem(x).relu()).relu()).relu()
        return self.last(x.amax((2, 3)))


def test_int8_rounds_each_output_channel_in_one_unit() -> None:
    """Beside the same by hand; the first layer, which reads the image, is as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = _Weighted().eval()
    graph = sw.convert(net, images(32), steps=8, correction=InputMeans()).plan().count_graph
    found = kernels.in_bytes(graph)
    names = {"stem": None, "grouped": (1, 2, 3), "up": (0, 2, 3), "last": (1,)}
    for (name, dims), before, after in zip(
        names.items(), _weights(graph), _weights(found), strict=True
    ):
        if dims is None:
            assert torch.equal(before, after)
            continue
        unit = before.abs().amax(dims, keepdim=True).double() / 127
        digits = after.double() / unit
        assert torch.allclose(digits, digits.round(), rtol=0, atol=1e-4), name
        assert float(digits.abs().max()) == pytest.approx(127)
        assert float(((after - before).abs() / unit).max()) <= 0.5 + 1e-4


def _weights(graph: Graph) -> list[Tensor]:
    return [
        graph.tensors[op.stored[0]]
        for op in graph.operations
        if op.stored and graph.tensors[op.stored[0]].ndim > 1
    ]


@needs_integers
def test_int8_in_integers_is_int8_in_floats(model: nn.Module) -> None:
    plan = (
        sw.convert(model, images(64), steps=16, correction=InputMeans())
        .with_precision("int8")
        .plan()
    )
    fast = with_kernels(plan.graph, Precision.INT8, quick=True, largest=plan.reach)
    plain = with_kernels(plan.graph, Precision.INT8, quick=False, largest=plan.reach)
    sums = integers.digit_sums
    assert sum(op.target is sums for op in fast.operations) == 2
    assert not any(op.target is sums for op in plain.operations)
    torch.testing.assert_close(evaluated(fast, images(20)), evaluated(plain, images(20)))


@pytest.mark.parametrize(
    "neuron", [sw.TwoPhase("nearest"), sw.TwoPhase("nearest", "digits"), sw.SpikeTracer()]
)
def test_int8_stays_near_float32_in_both_engines(model: nn.Module, neuron: sw.TwoPhase) -> None:
    net = sw.convert(model, images(64), neuron=neuron, steps=16, correction=InputMeans())
    low, x = net.with_precision("int8"), images(50)
    counts, steps = (low(x, engine=engine) for engine in ("counts", "steps"))
    torch.testing.assert_close(counts, steps, rtol=1e-3, atol=1e-3)
    assert not torch.equal(counts, net(x))
    assert (counts - net(x)).abs().max() <= 0.1 * net(x).abs().max()


def test_an_unknown_precision_is_refused(model: nn.Module) -> None:
    net = sw.convert(model, images(16), steps=4, correction=InputMeans())
    with pytest.raises(sw.ConversionError, match="one of 'float32', 'bf16', 'int8', got 'f'"):
        net.with_precision("f")


def test_precision_outlives_another_neuron(model: nn.Module) -> None:
    net = sw.convert(model, images(16), steps=4, correction=InputMeans()).with_precision("bf16")
    assert net.with_neuron(sw.TPP()).precision is Precision.BF16
