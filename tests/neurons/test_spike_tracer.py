"""The spike tracer beside ST-BIF as its paper writes it, in numbers of python's own."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.neurons import StreamingDynamics, spellings
from tests.builders import layer

THETA, STEPS = 0.5, 6


def st_bif(charges: list[Fraction], largest: int, steps: int) -> list[int]:
    """ST-BIF (You et al. 2024): a potential q from 1/2, soft reset by +1 and -1, a tracer S.

    `charges` arrive in units of the threshold; then nothing arrives for the rest of `steps`.
    """
    potential, tracer, train = Fraction(1, 2), 0, list[int]()
    for step in range(steps):
        potential += charges[step] if step < len(charges) else 0
        spike = 0
        if potential >= 1 and tracer < largest:
            spike = 1
        elif potential < 0 and tracer > 0:
            spike = -1
        potential, tracer = potential - spike, tracer + spike
        train.append(spike)
    return train


def run(neuron: sw.SpikeTracer, current: Tensor, more: int, batch: int = 1) -> Tensor:
    """The train of one layer for `[t, B, N]` of current, and `more` steps without any."""
    dynamics = neuron.start(layer(THETA, STEPS, batch=batch, seed=4))
    assert isinstance(dynamics, StreamingDynamics)
    return dynamics.advance(torch.cat([current, current.new_zeros(more, *current.shape[1:])]))


def test_its_spikes_are_those_of_st_bif() -> None:
    """Quarters of a threshold, so that charges are exact and often stand on a boundary."""
    generator = torch.Generator().manual_seed(0)
    quarters = torch.randint(-12, 16, (STEPS, 1, 200), generator=generator)
    train = run(sw.SpikeTracer(), quarters.double() * THETA / 4, more=30)[:, 0]
    for neuron in range(200):
        charges = [Fraction(int(q), 4) for q in quarters[:, 0, neuron]]
        assert train[:, neuron].tolist() == st_bif(charges, STEPS, STEPS + 30)


def test_it_takes_back_what_it_sent_too_early() -> None:
    current = torch.tensor([3.0, 0.0, 0.0, 0.0, 0.0, -2.0], dtype=torch.float64) * THETA
    train = run(sw.SpikeTracer(), current[:, None, None], more=3)[:, 0, 0]
    assert train.tolist() == [1, 1, 1, 0, 0, -1, -1, 0, 0]


def test_unbiased_ends_at_the_two_phase_count_of_the_same_draw() -> None:
    current = torch.linspace(-0.1, 0.6, 500, dtype=torch.float64).expand(STEPS, 3, 500)
    train = run(sw.SpikeTracer("unbiased"), current, more=8, batch=3)
    two_phase = sw.TwoPhase("unbiased")
    wanted = two_phase.count(current.sum(0) / THETA, layer(THETA, STEPS, batch=3, seed=4))
    assert torch.equal(train.sum(0), wanted)
    assert not torch.equal(wanted, wanted[:1].expand_as(wanted)), "samples draw apart"


def test_of_a_curve_it_follows_the_mean_so_far() -> None:
    """A unit whose value is not 0 at 0 sends evenly, and not all of it at the first step."""
    held = layer(THETA, STEPS)
    half = held.__class__(held.threshold, STEPS, held.draws, function=torch.sigmoid)
    dynamics = sw.SpikeTracer().start(half)
    train = dynamics.advance(torch.zeros(STEPS, 1, 1, dtype=torch.float64))[:, 0, 0]
    targets = [math.floor(n * 0.5 / THETA + 0.5) for n in range(STEPS + 1)]
    assert train.cumsum(0).tolist() == [float(t) for t in targets[1:]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bernoulli",), "takes spikes back"),
        (("round",), "not a valid Rounding"),
        (("nearest", -1), "from 0, or None"),
        (("nearest", 2.5), "from 0, or None"),
        (("nearest", True), "from 0, or None"),
    ],
)
def test_what_it_cannot_be(arguments: tuple[object, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        sw.SpikeTracer(*arguments)  # type: ignore[arg-type]


def test_its_spellings() -> None:
    spelled = spellings()["tracer"]
    assert spelled(None, None) == sw.SpikeTracer()
    assert spelled("unbiased", None) == sw.SpikeTracer("unbiased")
    assert spelled("4", None) == sw.SpikeTracer(settle=4)
    with pytest.raises(ValueError, match="not 'bernoulli'"):
        spelled("bernoulli", None)


def test_its_work_is_that_of_every_step_in_which_it_runs() -> None:
    tracer = sw.SpikeTracer()
    window, more = tracer.work(8), tracer.settling_work
    assert (window.updates, window.comparisons, window.draws) == (8, 16, 0)
    assert (more.updates, more.comparisons) == (1, 2)
