"""The methods: what each settles, and what each computes where that is known exactly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.methods import (
    AUTO,
    BITS,
    COS,
    LTB,
    METHODS,
    MINERROR,
    QCFS,
    RTS,
    SNNC,
    SRP,
    TTFS,
    named,
)
from tests.builders import images, wired
from tests.network.nets import net, program

RELU_METHODS = [RTS, SNNC, LTB, MINERROR]


def line(activation):
    """One neuron that takes the input itself as its current."""
    model = wired(lambda m, x: m.act(m.a(x)), a=nn.Linear(1, 1), act=activation)
    with torch.no_grad():
        model.a.weight.fill_(1.0)
        model.a.bias.zero_()
    return model


def grid(theta, steps):
    """Inputs from below 0 to above theta, none of them at a tie between two counts."""
    return (torch.arange(-2 * steps, 6 * steps).double() + 0.4).reshape(-1, 1) / (4 * steps) * theta


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_qcfs_counts_are_those_of_its_activation(steps):
    x = grid(1.5, steps)
    snn = QCFS.convert(line(sw.QCFS(steps, 1.5)), x, steps=steps)
    (site,) = snn.sites
    expected = (x * steps / 1.5 + 0.5).floor().clamp(0, steps)
    assert torch.equal(snn.counts(x)[site], expected)
    with torch.no_grad():
        torch.testing.assert_close(snn(x), line(sw.QCFS(steps, 1.5))(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3, 8])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Hardtanh(0.0, 2.0)])
def test_rts_rounds_a_constant_current_to_nearest_at_every_t(activation, steps):
    model, x = line(activation), grid(2.0, steps)
    top = torch.tensor([[2.0], [0.3]], dtype=torch.float64)  # the largest activation is theta
    snn = RTS.convert(model, top, steps=5)
    assert snn.design(steps).thresholds == {"act": torch.tensor([2.0], dtype=torch.float64)}
    expected = (x * steps / 2.0 + 0.5).floor().clamp(0, steps)
    assert torch.equal(snn.counts(x, steps=steps)["act"], expected)
    nearest = RTS.convert(model, top, steps=5, neuron=sw.TwoPhase("nearest"))
    assert torch.equal(nearest.counts(x, steps=steps)["act"], expected)


def test_rts_takes_the_maximum_of_the_layer():
    x = images(16, seed=3)
    snn, by_hand = (
        RTS.convert(program("plain"), x, steps=4),
        sw.convert(program("plain"), x, threshold=sw.Maximum(), steps=4, correction=None),
    )
    for site in snn.sites:
        assert torch.equal(snn.design().thresholds[site], by_hand.design().thresholds[site])
    assert not snn.design().corrections


def test_snnc_calibrates_and_rts_does_not():
    x = images(32, seed=3)
    snnc, rts = (m.convert(program("plain"), x, steps=4) for m in (SNNC, RTS))
    for site in snnc.sites:
        assert float(snnc.design().corrections[site].abs().max()) > 0
        assert snnc.design().potentials[site].shape == snnc.record(x)[site].shape[2:]
    assert snnc.neurons == rts.neurons


def test_srp_is_qcfs_after_a_rehearsal():
    model = wired(
        lambda m, x: m.l(m.q(m.a(x)).mean((2, 3))),
        a=nn.Conv2d(3, 4, 3),
        q=sw.QCFS(4, 1.3),
        l=nn.Linear(4, 3),
    )
    x = images(6, seed=1)
    # input is constant, so who is below zero after 4 steps sends nothing in 4 steps either
    srp = SRP.convert(model, x, steps=4, neuron=sw.SRP(4, sw.IntegrateFire(v0=0.5), margin=0.0))
    qcfs = QCFS.convert(model, x, steps=4)
    assert (srp.latency(), qcfs.latency()) == (8, 4)
    assert torch.equal(srp.counts(x)["q"], qcfs.counts(x)["q"])


def test_auto_is_the_default_of_convert():
    x = images(16, seed=3)
    by_name = AUTO.convert(program("residual"), x, steps=(4, 8))
    default = sw.convert(program("residual"), x, steps=(4, 8))
    assert by_name.neurons == default.neurons
    for t in (4, 8):
        assert torch.equal(by_name(x, steps=t), default(x, steps=t))


@pytest.fixture(scope="module")
def prepared():
    return sw.prepare(program("unequal depths"), images(12, seed=2))


@pytest.mark.parametrize("method", RELU_METHODS, ids=lambda m: m.name)
@pytest.mark.parametrize(
    "neuron", [None, sw.TPP(), sw.TwoPhase(), sw.Shuffled(), sw.SRP(2), sw.COS(2)], ids=str
)
def test_methods_and_neurons_compose(method, neuron, prepared):
    x = images(12, seed=2)
    snn = method.convert(prepared, steps=4, neuron=neuron)
    assert set(snn.neurons.values()) == {method.own if neuron is None else neuron}
    for t in (4, 7):
        assert torch.equal(snn(x, steps=t, seed=5), snn(x, steps=t, seed=5))
    assert bool(snn(x, steps=4).isfinite().all())


@pytest.mark.parametrize("method", RELU_METHODS, ids=lambda m: m.name)
def test_every_method_approaches_the_ann(method):
    model, x = net("residual"), images(24, seed=2)
    snn = method.convert(program("residual"), x, steps=4)
    with torch.no_grad():
        expected = model(x)
    late, early = (float((snn(x, steps=t) - expected).abs().max()) for t in (512, 2))
    assert late < 0.05 * float(expected.abs().max()) < early


@pytest.mark.parametrize("method", [QCFS, SRP, COS], ids=lambda m: m.name)
def test_methods_for_qcfs_refuse_other_networks(method):
    with pytest.raises(sw.CalibrationError, match="has no learned threshold"):
        method.convert(program("plain"), images())


def test_methods_are_found_by_name():
    assert list(METHODS) == [
        "qcfs",
        "rts",
        "snnc",
        "ltb",
        "srp",
        "cos",
        "bits",
        "ttfs",
        "few-spikes",
        "minerror",
        "refit",
        "auto",
    ]
    assert all(named(name) is method for name, method in METHODS.items())
    assert all(method.paper for method in METHODS.values())
    with pytest.raises(sw.ConversionError, match="no method 'tma'; give one of qcfs, rts"):
        named("tma")


def quantised(levels: int) -> tuple[nn.Sequential, list[tuple[nn.Linear, float]], nn.Linear]:
    """A QCFS network of three hidden layers, those with their thresholds, and its last layer."""
    torch.manual_seed(3)
    hidden = [(nn.Linear(6, 20), 1.1), (nn.Linear(20, 24), 0.6), (nn.Linear(24, 16), 0.9)]
    last = nn.Linear(16, 4)
    layers = [m for linear, theta in hidden for m in (linear, sw.QCFS(levels, theta))]
    return nn.Sequential(*layers, last).double().eval(), hidden, last


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_bits_is_the_qcfs_ann_spike_by_spike(bits: int) -> None:
    """Oracle: Datta et al.: a layer takes in T steps of spikes, then sends bits from the top."""
    levels = 2**bits - 1
    model, hidden, last = quantised(levels)
    x = torch.randn(40, 6, dtype=torch.float64)
    snn = BITS.convert(model, x, steps=bits)
    trains, weights = [x] * bits, [1.0 / bits] * bits  # the input is there at every step
    for linear, theta in hidden:
        arrived = sum(w * spikes for w, spikes in zip(weights, trains, strict=True))
        unit = theta / levels
        potential = linear(arrived) + unit / 2
        trains, weights = [], [unit * 2.0**place for place in range(bits)][::-1]
        for worth in weights:
            spikes = (potential >= worth).double()
            potential = potential - worth * spikes
            trains.append(spikes)
    answer = last(sum(w * spikes for w, spikes in zip(weights, trains, strict=True)))
    torch.testing.assert_close(model(x), answer)
    for engine in ("counts", "steps"):
        torch.testing.assert_close(snn(x, engine=engine), answer)
    record = snn.record(x)[snn.sites[-1]]
    assert torch.equal(record, torch.stack(trains))


@pytest.mark.parametrize("steps", [3, 8])
def test_ttfs_is_the_qcfs_ann_with_one_spike_a_neuron(steps: int) -> None:
    """Oracle: ramps that run to the end of a window, then a threshold that falls in the next."""
    model, hidden, last = quantised(steps)
    x = torch.randn(40, 6, dtype=torch.float64)
    snn = TTFS.convert(model, x, steps=steps)
    trains, slope = [x * steps / sum(range(1, steps + 1))] * steps, 1.0 / steps
    for linear, theta in [*hidden, (last, 0.0)]:
        ramps = torch.zeros_like(trains[0])
        charge = torch.zeros_like(trains[0])
        for spikes in trains:
            ramps = ramps + spikes * slope  # a spike makes its ramp rise from now on
            charge = charge + ramps
        potential = linear(charge)
        if not theta:
            break
        potential = potential + theta / steps / 2
        trains, fired, slope = [], torch.zeros_like(potential, dtype=torch.bool), theta / steps
        for step in range(steps):
            now = ~fired & (potential >= theta * (steps - step) / steps)
            fired = fired | now
            trains.append(now.double())
    torch.testing.assert_close(model(x), potential)
    for engine in ("counts", "steps"):
        torch.testing.assert_close(snn(x, engine=engine), potential)
    record = snn.record(x)[snn.sites[-1]]
    assert torch.equal(record, torch.stack(trains))
    assert float(record.sum(0).max()) == 1
