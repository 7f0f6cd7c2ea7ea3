"""COS against its definition, a loop over one neuron: rehearse, shift the start, run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import spikewright as sw
from spikewright.neurons import COS, IntegrateFire, Shuffled, WaitingDynamics
from tests.builders import images, layer, wired
from tests.contracts import positive_net
from tests.network.nets import converted

currents = st.lists(st.integers(-16, 16).map(lambda z: z / 8), min_size=1, max_size=12)


def fire(z: np.ndarray, v: float) -> tuple[list[int], list[float], float]:
    """Spikes, the potentials before their resets, and the last potential, in thresholds."""
    spikes, before = [], []
    for current in z:
        v += current
        before.append(v)
        spikes.append(int(v >= 1))
        v -= spikes[-1]
    return spikes, before, v


def naive(z: np.ndarray, rho: int) -> tuple[list[int], float]:
    """The train of one neuron with the paper's one iteration, and the shift of its start."""
    heard, before, left = fire(z[:rho], 0.5)
    fired = [v for s, v in zip(heard, before, strict=True) if s]
    silent = [v for s, v in zip(heard, before, strict=True) if not s]
    shift = 0.0
    if left < 0 and fired:
        shift = -max(1.0, min(fired) - 0.999)
    if left >= 1 and silent:
        shift = max(1.0, 1.001 - max(silent))
    return fire(z, 0.5 + shift)[0], shift


def dynamics_of(neuron: COS, z: torch.Tensor, theta: float | torch.Tensor = 1.0) -> WaitingDynamics:
    """What has heard `[T, B, N]` in thresholds."""
    running = neuron.start(layer(theta, len(z), batch=z.shape[1]))
    running.absorb(z * theta, torch.ones(len(z)))
    running.rewind()
    return running


def trains_of(z: torch.Tensor, rho: int) -> torch.Tensor:
    """The loop over all neurons of `[T, B, N]`."""
    rows = [naive(row, rho)[0] for row in z.flatten(1).T.numpy()]
    return torch.tensor(rows, dtype=torch.float64).T.reshape(z.shape)


def counts_of(neuron: COS, z: torch.Tensor) -> torch.Tensor:
    return dynamics_of(neuron, z).emit(len(z)).sum(0)


def one(neuron: COS, z: list[float]) -> tuple[list[float], float]:
    """Train and residual of one neuron."""
    running = dynamics_of(neuron, torch.tensor(z, dtype=torch.float64)[:, None, None])
    return running.emit(len(z)).flatten().tolist(), running.residual.item()


@settings(max_examples=150, derandomize=True, deadline=None)
@given(currents, st.integers(1, 14))
def test_spikes_are_those_of_the_definition(z: list[float], rho: int) -> None:
    spikes, residual = one(COS(rho), z)
    assert spikes == naive(np.array(z), rho)[0]
    # the shift is no charge that came in: v0 and the input are sent or left
    assert residual == pytest.approx(0.5 + sum(z) - sum(spikes), abs=1e-12)


def test_many_neurons_with_thresholds_of_their_own_are_as_many_single_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    z = (torch.randn(7, 5, 400, generator=generator, dtype=torch.float64) * 8).round() / 8
    theta = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64).repeat(100)
    assert torch.equal(dynamics_of(COS(4), z, theta).emit(7), trains_of(z, 4))
    shifts = [naive(row, 4)[1] for row in z.flatten(1).T.numpy()]
    assert min(shifts) < 0 < max(shifts)


@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("v0", [0.0, 0.25, 0.5, -1.0, -2.5])
def test_charge_that_comes_evenly_is_expected_as_it_is_counted(v0: float, iterations: int) -> None:
    """Exactly from a v0 of at least 0; else charge above a threshold a step may send more."""
    a_step = torch.arange(0, 33, dtype=torch.float64) / 8
    for shift in (0.0, 0.25, -1.0):
        neuron = COS(3, iterations, IntegrateFire(v0=v0, shift=shift))
        sent = counts_of(neuron, a_step.expand(4, 1, -1))[0]
        more = sent - neuron.expected_count(4 * a_step, 4)[0]
        allowed = iterations * (a_step > 1) if v0 < 0 else 0
        assert bool(((more >= 0) & (more <= allowed)).all())
        assert bool(more.any()) == (v0 < 0)


def test_a_spike_too_many_is_not_sent() -> None:
    # rehearsal: v = .5, 1.4 fires, .4, .7, -1.3, -.9; m = 1.4, so the start is lowered by 1
    assert one(COS(4), [0.9, 0.3, -2.0, 0.4]) == ([0, 0, 0, 0], pytest.approx(0.1))
    # m = 2.5, so by 1.501: the least potential that fired stays just below the threshold
    assert one(COS(2), [2.0, -3.0])[0] == [0, 0]


def test_a_spike_too_few_is_sent() -> None:
    # rehearsal: v = .5, -.5, 2 fires, 1: left at 1, M = -.5, so the start is raised by 1.501
    assert one(COS(2), [-1.0, 2.5])[0] == [1, 1]


def test_who_fired_at_every_step_can_send_no_more_and_starts_as_it_was() -> None:
    assert one(COS(2), [2.0, 2.0, -4.0, 0.0])[0] == [1, 1, 0, 0]


def test_a_rehearsal_longer_than_the_window_is_the_window() -> None:
    z = torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(dynamics_of(COS(9), z).emit(3), dynamics_of(COS(3), z).emit(3))


def test_each_iteration_moves_more_neurons_to_the_count_of_nearest() -> None:
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(8, 4, 2000, generator=generator, dtype=torch.float64) * 0.8 + 0.2
    nearest = (z.sum(0) + 0.5).floor().clamp(0, 8)
    plain = sw.IntegrateFire().start(layer(1.0, 8, batch=4)).advance(z).sum(0)
    wrong = [float((plain != nearest).double().mean())]
    wrong += [
        float((counts_of(COS(8, times), z) != nearest).double().mean()) for times in (1, 2, 4, 8)
    ]
    assert wrong == sorted(wrong, reverse=True)
    assert wrong[1] < wrong[0] / 2


def test_with_nothing_to_make_up_for_it_is_the_plain_neuron() -> None:
    model, x = positive_net(), images(5).abs()
    plain = sw.convert(model, x, neuron=sw.IntegrateFire(), steps=6, correction=None)
    calibrated = plain.with_neuron(COS(3))
    trains, expected = calibrated.record(x), plain.record(x)
    assert all(torch.equal(trains[site], expected[site]) for site in plain.sites)


def test_every_layer_rehearses_on_the_calibrated_train_of_the_one_before() -> None:
    """An oracle for a network: the loop, layer after layer, through the weights."""
    torch.manual_seed(0)
    model = wired(
        lambda m, x: m.l(F.relu(m.b(F.relu(m.a(x))))),
        a=nn.Linear(6, 40),
        b=nn.Linear(40, 60),
        l=nn.Linear(60, 3),
    )
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    snn = sw.convert(model, x, COS(3), sw.Maximum(), steps=5, correction=None)
    first, second = (float(theta) for theta in snn.design().thresholds.values())
    with torch.no_grad():
        trains = [trains_of(model.a(x).expand(5, 20, 40) / first, 3)]
        trains.append(trains_of(model.b(trains[0] * first) / second, 3))
    for found, expected in zip(snn.record(x).values(), trains, strict=True):
        assert torch.equal(found.double(), expected)
    plain = snn.with_neuron(IntegrateFire()).record(x)
    same, other = (
        found.double() == train for found, train in zip(plain.values(), trains, strict=True)
    )
    assert bool(same.all())  # even input needs no calibration
    assert not bool(other.all())


def test_layers_that_wait_are_told_as_latency() -> None:
    snn = converted("plain", neuron=COS(4), steps=8)
    assert snn.latency() == (snn.layers_that_wait + 1) * 8
    assert snn.latency(2) == (len(snn.sites) + 1) * 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rho": 0}, "rho must be a whole number of steps, at least 1, got 0"),
        ({"rho": True}, "rho must be"),
        ({"iterations": 1.5}, "iterations must be a whole number of rehearsals, at least 1"),
        ({"neuron": sw.TPP()}, "COS takes IntegrateFire neurons of soft reset"),
        ({"neuron": IntegrateFire("hard")}, "COS takes IntegrateFire neurons of soft reset"),
    ],
)
def test_a_wrong_configuration_is_refused(options, told) -> None:
    with pytest.raises(ValueError, match=told):
        COS(**options)


def test_its_order_is_its_own() -> None:
    with pytest.raises(ValueError, match="Shuffled takes a one-phase neuron, got COS, rho 4"):
        Shuffled(COS())
