"""Input that changes in time: both engines, one law; what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import spikewright as sw
from spikewright.graph import evaluate
from spikewright.network import Observer
from spikewright.neurons.counter_random import unfused
from tests.builders import assert_distributed, images, wired
from tests.contracts import two_neurons
from tests.network.nets import NETS, converted, names
from tests.network.test_engines import assert_engines_agree

RATE_CODES = ["random", "burst", "late"]
ONE_PHASE = [sw.IntegrateFire(), sw.IntegrateFire(reset="hard"), sw.Shuffled(), sw.COS(2)]


def moving(steps, batch=3, seed=1):
    """Float64 frames `[T, B, 3, 6, 6]`, each another picture."""
    return torch.stack([images(batch, seed=100 * seed + t) for t in range(steps)])


@settings(max_examples=15, derandomize=True)
@given(names, st.sampled_from(RATE_CODES), st.sampled_from([1, 2, 5, 7]), st.integers(0, 2))
def test_nearest_gives_the_same_counts_in_both_engines(name, code, t, seed):
    snn = converted(name, seed, neuron=sw.TwoPhase("nearest", code), steps=t)
    assert_engines_agree(snn, moving(t, seed=seed))


@pytest.mark.parametrize("rounding", ["bernoulli", "unbiased"])
@pytest.mark.parametrize("name", ["max pool", "residual"])
def test_counts_settled_by_one_draw_agree_exactly(name, rounding):
    snn = converted(name, neuron=sw.TwoPhase(rounding, "burst"), steps=5)
    assert_engines_agree(snn, moving(5), seed=3)


@pytest.mark.parametrize("rounding", ["bernoulli", "unbiased"])
def test_joint_counts_have_one_law_in_both_engines(rounding):
    calibration = torch.rand(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    snn = sw.convert(two_neurons(), calibration, neuron=sw.TwoPhase(rounding), steps=3)
    samples = 20_000
    frames = torch.tensor([[[1.5, 0.0]], [[0.0, 0.9]], [[0.9, 0.0]]], dtype=torch.float64)
    frames = frames.expand(3, samples, 2)
    joint = {}
    for engine, first in (("counts", 0), ("steps", samples)):
        ids = torch.arange(first, first + samples)
        found = snn.counts(frames, engine=engine, sample_ids=ids)["relu:2"].long()
        joint[engine] = torch.bincount(found[:, 0] * 4 + found[:, 1], minlength=16).double()
    pooled = (joint["counts"] + joint["steps"]) / 2
    seen = pooled > 0
    difference = (joint["steps"] - joint["counts"]) / 2
    assert_distributed(pooled[seen] + difference[seen] * 2**0.5, pooled[seen])


@pytest.mark.parametrize(
    "neuron", [*ONE_PHASE, sw.TPP(), sw.TwoPhase()], ids=lambda neuron: neuron.label
)
def test_equal_frames_are_a_constant_image(neuron):
    snn, x = converted("max pool", steps=6).with_neuron(neuron), images(3, seed=1)
    still = x.expand(6, *x.shape)
    ids = torch.arange(3)
    for engine in ("auto", "steps"):
        counts = snn.counts(x, engine=engine, sample_ids=ids)
        found = snn.counts(still, engine=engine, sample_ids=ids)
        assert all(torch.equal(found[site], counts[site]) for site in snn.sites)


def naive(snn, frames, steps):
    """Integrate-and-fire, frame by frame, without any of the engines."""
    plan = snn.plan(steps)
    potential = {}

    def fire(op, inputs):
        (current,) = inputs
        theta = plan.thresholds[op.site.name]
        held = potential.get(op.name, theta / 2) + plan.corrected(op.site.name, current)
        spikes = (held >= theta).to(held.dtype)
        potential[op.name] = held - spikes * theta
        return spikes

    return sum(evaluate(plan.graph, frame, {"unit": fire})[0] for frame in frames) / steps


@pytest.mark.parametrize("name", ["plain", "residual", "cat", "unequal depths"])
def test_integrate_and_fire_is_a_plain_loop_over_frames(name):
    snn = converted(name, neuron=sw.IntegrateFire(), steps=5)
    frames = moving(5)
    torch.testing.assert_close(snn(frames), naive(snn, frames, 5), rtol=1e-9, atol=1e-9)


def test_when_frames_come_matters_to_one_phase_neurons_alone():
    frames = moving(6)
    reversed_in_time = frames.flip(0)
    waiting = converted("plain", steps=6)
    at_once = waiting.with_neuron(sw.IntegrateFire())
    torch.testing.assert_close(waiting(frames), waiting(reversed_in_time))
    assert not torch.allclose(at_once(frames), at_once(reversed_in_time))


def test_max_pooling_of_frames_takes_the_largest_sum():
    model = wired(
        lambda m, x: m.l(F.relu(m.a(F.max_pool2d(x, 2))).flatten(1)),
        a=nn.Conv2d(3, 4, 1),
        l=nn.Linear(36, 3),
    )
    snn, frames = sw.convert(model, images(6), steps=5), moving(5)
    assert_engines_agree(snn, frames)
    assert torch.equal(snn.counts(frames)["relu"], snn.counts(frames.mean(0))["relu"])


@pytest.mark.parametrize(
    "neuron", [*ONE_PHASE, sw.TPP(), sw.TwoPhase("unbiased")], ids=lambda neuron: neuron.label
)
@pytest.mark.parametrize("name", ["max pool", "unequal depths"])
def test_time_chunks_and_batches_change_no_spike(name, neuron):
    snn, frames = converted(name, steps=7).with_neuron(neuron), moving(7, batch=4)
    whole = snn.record(frames, seed=2)
    cut = [snn.record(part, seed=2) for part in frames.split(1, dim=1)]
    trains = {}

    def keep(op, start, spikes):
        trains.setdefault(op.site.name, []).append(spikes.to(torch.int8))

    snn.observe(frames, Observer(spikes=keep), engine="steps", seed=2, memory_budget=1)
    for site in snn.sites:
        assert len(trains[site]) == 7
        assert torch.equal(torch.cat(trains[site]), whole[site])
        assert torch.equal(torch.cat([part[site] for part in cut], dim=1), whole[site])


def test_identities_come_from_all_frames():
    snn = converted("plain", neuron=sw.TPP(), steps=4)
    frame = images(1, seed=1)
    frames = frame.expand(4, 2, *frame.shape[1:]).clone()
    assert torch.equal(*snn(frames))
    frames[3, 1] += 1e-3
    frames[2, 1] -= 1e-3  # the same mean, another recording
    found = [snn.counts(frames, seed=seed)["relu"] for seed in range(3)]
    assert any(not torch.equal(*counts) for counts in found)


def test_records_counts_and_observers_see_frames():
    snn, frames = converted("plain", neuron=sw.TPP(), steps=4), moving(4)
    trains, counts = snn.record(frames), snn.counts(frames, engine="steps")
    sent = {}
    snn.observe(frames, Observer(sent=lambda op, n: sent.update({op.site.name: n})), engine="steps")
    for site in snn.sites:
        assert trains[site].shape == (4, *counts[site].shape)
        assert torch.equal(trains[site].sum(0), counts[site])
        assert torch.equal(sent[site], counts[site].flatten(1).sum(1))


@pytest.mark.parametrize("neuron", [sw.IntegrateFire(), sw.TPP()], ids=lambda n: n.label)
def test_compiled_networks_take_frames(neuron, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    monkeypatch.setattr("spikewright.network.converted.fused", unfused)
    eager = converted("residual", steps=4).with_neuron(neuron)
    frames = moving(4)
    fast = eager.with_neuron(neuron).compile()
    torch.testing.assert_close(fast(frames, seed=1), eager(frames, seed=1))


@pytest.mark.parametrize("engine", ["counts", "steps"])
def test_another_number_of_frames_is_refused(engine):
    snn = converted("plain", steps=6)
    with pytest.raises(sw.ConversionError, match=r"got 4 frames for T = 6 .*steps=4, or integrate"):
        snn(moving(4), engine=engine)
    assert snn(moving(4), steps=4, engine=engine).shape == (3, 3)


@pytest.mark.parametrize(
    "neuron",
    [sw.TwoPhase("nearest", "binary"), sw.TwoPhase("nearest", "first-spike"), sw.SRP()],
    ids=lambda neuron: neuron.label,
)
def test_steps_that_weigh_differently_take_no_frames(neuron):
    snn = converted("plain", steps=4).with_neuron(neuron)
    with pytest.raises(sw.ConversionError, match=r"steps whose spikes do not all weigh 1"):
        snn(moving(4))
    assert snn(moving(4).mean(0)).isfinite().all()


def test_frames_are_checked_like_images():
    snn = converted("plain", steps=4)
    with pytest.raises(sw.ConversionError, match=r"takes batches of shape \[B, 3, 6, 6\]"):
        snn(moving(4)[..., :5])
    with pytest.raises(sw.ConversionError, match=r"the input is torch\.float32"):
        snn(moving(4).float())
    with pytest.raises(sw.ConversionError, match="empty batch"):
        snn(moving(4)[:, :0])


def test_every_network_of_the_engines_tests_takes_frames():
    for name in NETS:
        snn = converted(name, steps=3).with_neuron(sw.IntegrateFire())
        assert snn(moving(3)).isfinite().all()
