"""SRP against its definition: a rehearsal, then silence for those that it left below zero."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.network import Observer
from spikewright.neurons import SRP, IntegrateFire, Shuffled
from tests.builders import images, layer
from tests.contracts import positive_net
from tests.network.nets import converted

currents = st.lists(st.floats(-2, 2, allow_subnormal=False), min_size=2, max_size=12)


def naive(z: list[float], theta: float, tau: int, margin: float) -> list[int]:
    def run(part: list[float]) -> tuple[list[int], float]:
        v, spikes = theta / 2, []
        for current in part:
            v += current
            spikes.append(int(v >= theta))
            v -= theta * spikes[-1]
        return spikes, v

    rehearsed, left = run(z[:tau])
    counted, _ = run(z[tau:])
    return rehearsed + [s * int(left > margin * theta) for s in counted]


def train_of(neuron, z, theta=1.0):
    dynamics = neuron.start(layer(theta, len(z) - neuron.tau))
    spikes = dynamics.advance(torch.tensor(z, dtype=torch.float64)[:, None, None])
    return spikes.flatten().tolist(), dynamics


@settings(max_examples=80, derandomize=True)
@given(currents, st.floats(0.1, 3), st.data())
def test_spikes_are_those_of_the_definition(z, theta, data):
    tau = data.draw(st.integers(1, len(z) - 1))
    assert train_of(SRP(tau), z, theta)[0] == naive(z, theta, tau, 1e-3)


def test_a_neuron_that_fired_too_early_is_silenced():
    """The example of Deng & Gu's program, in thresholds: the sum is negative, yet it fires once."""
    z = [0.9, 0.3, -2.0, 0.4]
    spikes, dynamics = train_of(SRP(4), [*z, *z])
    # rehearsal: v = .5, 1.4 -> fires, .4, .7, -1.3, -.9; so the same spike is withheld afterwards
    assert spikes == [1, 0, 0, 0, 0, 0, 0, 0]
    # what it took in and did not send: v0 + the charge of the steps that count
    assert dynamics.residual.item() == pytest.approx(0.5 + sum(z))


def test_a_neuron_left_above_zero_fires_as_it_would_anew():
    spikes, dynamics = train_of(SRP(2), [0.75, 0.0, 0.75, 0.75, 0.25])
    # rehearsal: v = .5, 1.25 -> fires, .25, .25: heard; anew: 1.25 -> .25, 1.0 -> 0, .25
    assert spikes == [1, 0, 1, 1, 0]
    assert dynamics.residual.item() == 0.25


def test_a_neuron_at_zero_is_silent_and_one_at_the_margin_too():
    assert train_of(SRP(1), [-0.5, 1.0])[0] == [0, 0]
    assert train_of(SRP(1, margin=0.25), [-0.25, 1.0])[0] == [0, 0]
    assert train_of(SRP(1, margin=0.125), [-0.25, 1.0])[0] == [0, 1]


def test_without_anybody_to_silence_it_is_the_plain_neuron():
    model, x = positive_net(), images(5).abs()
    plain = sw.convert(model, x, neuron=sw.IntegrateFire(), steps=6, correction=None)
    silenced = plain.with_neuron(SRP(3, margin=0.0))
    torch.testing.assert_close(silenced(x), plain(x), rtol=0, atol=1e-12)
    trains, expected = silenced.record(x), plain.record(x)
    for site in plain.sites:
        assert torch.equal(trains[site][3:], expected[site])
        assert torch.equal(trains[site][:3], expected[site][:3])


def test_a_network_is_a_rehearsal_and_a_run_with_the_silenced_held_back():
    """An oracle made of two plain runs, at every layer of a network."""
    options = {"threshold": sw.Maximum(), "correction": None, "seed": 2}
    snn = converted("residual", neuron=SRP(3), steps=5, **options)
    plain = snn.with_neuron(IntegrateFire())
    x, heard = images(4, seed=1), {}

    def look(op, charge, count, residual):
        heard[op.site.name] = residual > 1e-3

    plain.observe(x, Observer(layer=look), steps=3)  # Maximum has the same thresholds at every T
    rehearsal = plain.record(x, steps=3)
    silenced = 0
    for site, train in snn.record(x).items():
        assert torch.equal(train[:3], rehearsal[site])
        assert not bool(train[3:][:, ~heard[site]].any())
        silenced += int((~heard[site]).sum())
    assert silenced > 0


class Masked(nn.Module):
    """Minus infinity stands where a mask says so: in an answer, and as a current into units."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        y = self.b(self.a(x).relu()).masked_fill(mask, -torch.inf)
        return y, y.relu()


def test_what_is_masked_with_infinity_stays_so_beside_a_rehearsal() -> None:
    torch.manual_seed(0)
    model, x, charges = Masked().double().eval(), torch.rand(32, 4).double(), {}
    mask = torch.zeros(32, 3, dtype=torch.bool)
    snn = sw.convert(model, [(x, mask)], SRP(4), sw.Maximum(), steps=4, correction=None)
    mask[:, 1] = True
    observer = Observer(layer=lambda op, charge, count, left: charges.update({op.name: charge}))
    answer, units = snn.observe((x, mask), observer)
    assert answer[:, 1].tolist() == [-torch.inf] * 32
    assert bool(answer[:, [0, 2]].isfinite().all())
    assert not bool(units[:, 1].any())
    assert list(charges.values())[1][:, 1].tolist() == [-torch.inf] * 32
    assert not any(bool(charge.isnan().any()) for charge in charges.values())


def test_latency_and_spikes_tell_of_the_rehearsal():
    snn = converted("plain", neuron=SRP(4), steps=8)
    assert snn.latency() == 12
    assert snn.latency(2) == 6
    x, sent = images(3, seed=1), {}
    snn.observe(x, Observer(sent=lambda op, spikes: sent.update({op.site.name: spikes})))
    trains = snn.record(x)
    counts = snn.counts(x)
    for site, train in trains.items():
        assert len(train) == 12
        assert torch.equal(sent[site].long(), train.long().flatten(2).sum((0, 2)))
        assert torch.equal(counts[site].long(), train[4:].long().sum(0))
        assert int(counts[site].max()) <= 8


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tau": 0}, "tau must be a whole number of steps, at least 1, got 0"),
        ({"tau": True}, "tau must be"),
        ({"neuron": sw.TPP()}, "SRP silences IntegrateFire neurons"),
        ({"neuron": sw.IntegrateFire("hard")}, "a hard one leaves nothing of the charge"),
        ({"margin": 1.0}, r"margin lies in \[0, 1\)"),
        ({"margin": float("nan")}, r"margin lies in \[0, 1\)"),
        ({"margin": None}, r"margin lies in \[0, 1\) thresholds, got None"),
    ],
)
def test_a_wrong_configuration_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        SRP(**options)


def test_it_mixes_with_no_other_neuron():
    snn = converted("plain", neuron=SRP(4), steps=8)
    with pytest.raises(sw.ConversionError, match="count by the time at which spikes come"):
        snn.with_neuron(sw.IntegrateFire(), [snn.sites[0]])
    with pytest.raises(ValueError, match="Shuffled takes a neuron whose steps all count"):
        Shuffled(SRP())
