"""Hardware bundles: every operation in whole numbers, and what has no such form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.interchange.hardware import (
    Bundle,
    export_hardware,
    read_bundle,
    rounding,
    rules,
    run_bundle,
)
from spikewright.interchange.hardware.rounding import (
    common_unit,
    quantised_weights,
    whole_neurons,
)
from tests.builders import images, wired
from tests.network.nets import NETS, converted


@pytest.fixture
def fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding so fine that it moves no count: what is left is what the rules themselves do."""

    def of_many_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
        unit = weight.abs().flatten(1).amax(1) / 2**16
        whole = (weight / unit.reshape(-1, *[1] * (weight.ndim - 1))).round()
        return whole.long(), unit

    monkeypatch.setattr(rules, "quantised_weights", of_many_bits)
    monkeypatch.setattr(rounding, "_MOST_SHIFT", 14)
    monkeypatch.setattr(rounding, "_FACTOR_ERROR", 2.0**-16)


def on_input_grid(batch: int) -> Tensor:
    """Images that the bundle's input holds exactly."""
    return (images(batch, seed=4) * 1024).round() / 1024


def assert_same(network: sw.SpikingNetwork, folder: Path) -> Bundle:
    export_hardware(network, folder / "bundle", 4)
    bundle, x = read_bundle(folder / "bundle"), on_input_grid(6)
    found, expected = run_bundle(bundle, x), network.counts(x, steps=4)
    for site, count in expected.items():
        assert torch.equal(found.counts[site].double(), count), site
    torch.testing.assert_close(found.logits, network(x, steps=4), rtol=1e-4, atol=1e-4)
    return bundle


@pytest.mark.usefixtures("fine")
@pytest.mark.parametrize("name", sorted(set(NETS) - {"late relu", "cat"}))  # tests of their own
def test_constructions(name: str, tmp_path: Path) -> None:
    for neuron in (sw.TwoPhase("nearest"), sw.IntegrateFire()):
        assert_same(converted(name, steps=4, neuron=neuron), tmp_path)


def test_signals_of_far_scales_keep_their_bits_side_by_side(tmp_path: Path) -> None:
    network, x = converted("cat", steps=4), on_input_grid(20)
    export_hardware(network, tmp_path / "bundle", 4)
    found = run_bundle(read_bundle(tmp_path / "bundle"), x).counts
    apart = [(found[s] - n).abs().mean() for s, n in network.counts(x, steps=4).items()]
    assert float(max(apart)) < 0.03  # 0.008; more than 0.08 where 8 bits span all scales


def every_operation(m: Any, x: Tensor) -> Tensor:
    x = 0.5 * x - 0.25
    y = F.relu(m.n(x))  # batch norm with no convolution before it
    y = torch.cat([y, F.interpolate(F.avg_pool2d(y, 2), scale_factor=2)], 1)
    y = F.relu(m.b(F.pad(y, (1, 0, 0, 1))))
    z = -y.flip(1) / 2 + y.transpose(2, 3) * m.scale - (1 - y)
    z = F.relu(m.c(z))
    pooled = F.adaptive_avg_pool2d(z, 2)
    return m.l(torch.cat([pooled.flatten(1), z.mean((2, 3)), z[:, :2, 0].sum(2)], 1))


@pytest.mark.usefixtures("fine")
def test_every_operation(tmp_path: Path) -> None:
    model = wired(
        every_operation,
        n=nn.BatchNorm2d(3),
        b=nn.Conv2d(6, 4, (2, 2), stride=1),
        c=nn.Conv2d(4, 4, 3, padding="same", dilation=2),
        l=nn.Linear(22, 3),
    )
    model.scale = torch.linspace(-1, 1, 4, dtype=torch.float64).reshape(1, 4, 1, 1)
    bundle = assert_same(sw.convert(model, images(8), steps=4), tmp_path)
    kinds = {node["kind"] for node in bundle.nodes}
    assert {"gather", "sum", "concatenate", "total", "sum pooling", "reshape"} <= kinds


def test_what_has_no_integer_form_is_told_all_at_once(tmp_path: Path) -> None:
    def wire(m: Any, x: Tensor) -> Tensor:
        y = F.relu(m.t(x))
        z = F.avg_pool2d(y, 2, ceil_mode=True)
        z = F.max_pool2d(m.b(z), 2)
        return m.l(F.relu(z).flatten(1))

    model = wired(wire, t=nn.ConvTranspose2d(3, 4, 2), b=nn.Conv2d(4, 4, 1), l=nn.Linear(16, 2))
    network = sw.convert(model, images(4), steps=4)
    with pytest.raises(sw.InterchangeError) as caught:
        export_hardware(network, tmp_path / "bundle", 4)
    message = str(caught.value)
    assert "aten.conv_transpose2d.input" in message
    assert "no rule says what it is in whole numbers" in message
    assert "with ceil_mode=True its windows are not all of one size" in message
    assert message.count("builders.py:") == 2  # where each is written
    assert not list(tmp_path.iterdir())


def test_max_pooling_of_biased_currents_is_told(tmp_path: Path) -> None:
    with pytest.raises(sw.InterchangeError, match="put it before the pooling"):
        export_hardware(converted("late relu", steps=4), tmp_path / "bundle", 4)


def test_neurons_without_an_integer_form_are_told(tmp_path: Path) -> None:
    network = converted("residual", steps=4)
    first, second = network.sites
    mixed = network.with_neuron(sw.TPP(), [first]).with_neuron(MyNeuron(), [second])
    with pytest.raises(sw.InterchangeError) as caught:
        export_hardware(mixed, tmp_path / "bundle", 4)
    assert f"'TPP' at {first} draws random numbers" in str(caught.value)
    assert f"'IF' at {second} has dynamics of its own" in str(caught.value)
    two = network.with_neuron(sw.IntegrateFire(), [first])
    with pytest.raises(
        sw.InterchangeError, match=r"different neurons \(IF, nearest\), and a bundle"
    ):
        export_hardware(two, tmp_path / "bundle", 4)


@dataclass(frozen=True)
class MyNeuron(sw.IntegrateFire):
    """Somebody's own."""


class TestRounding:
    """The laws of whole numbers."""

    @given(st.integers(0, 2**31))
    def test_weights_are_within_half_a_unit(self, seed: int) -> None:
        weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed))
        weight[1] = 0  # a channel without weights
        whole, unit = quantised_weights(weight)
        assert int(whole.abs().max()) == 127
        error = (whole.double() * unit[:, None] - weight.double()).abs()
        assert bool((error <= unit[:, None] * (0.5 + 1e-9)).all())
        assert bool((unit > 0).all())

    @given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4))
    def test_a_common_unit_keeps_scales(self, scales: list[float]) -> None:
        values = [torch.tensor([scale, 1.0], dtype=torch.float64) for scale in scales]
        unit, factors = common_unit(values)
        for value, factor in zip(values, factors, strict=True):
            assert torch.equal(factor, factor.round())
            assert bool(((factor * unit / value - 1).abs() <= 2.0**-9).all())

    def test_scales_that_fit_are_exact(self) -> None:
        unit, factors = common_unit([torch.tensor([0.5]), torch.tensor([1.5])])
        assert (unit.item(), [f.item() for f in factors]) == (0.5, [1, 3])

    @given(st.integers(0, 2**31), st.integers(1, 32), st.floats(-3, 3))
    def test_neurons_fire_at_the_charge_they_should(
        self, seed: int, steps: int, current: float
    ) -> None:
        """With a whole threshold the count of every whole charge is that of exact arithmetic."""
        generator = torch.Generator().manual_seed(seed)
        theta = torch.randint(256, 2000, (1,), generator=generator).double()
        one = torch.ones(1, dtype=torch.float64)
        given_ = current * one
        found = whole_neurons(one, theta, given_, theta / 2, steps)
        assert (found.shift.item(), found.threshold.item()) == (0, theta.item())
        charges = torch.randint(-500, 500 + int(theta) * steps, (1000,), generator=generator)
        whole = found.initial + steps * found.bias + charges
        exact = (charges + steps * given_) / theta + 0.5
        clear = (exact - exact.round()).abs() > 1e-5  # of ties that float64 cannot tell
        counts = (whole / theta).floor().clamp(0, steps)
        assert torch.equal(counts[clear], exact.floor().clamp(0, steps)[clear])
