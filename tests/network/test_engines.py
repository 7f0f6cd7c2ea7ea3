"""One graph, two clocks: the count engine and the step engine agree."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import spikewright as sw
from spikewright.network import Observer
from spikewright.network.steps import Maximum
from spikewright.neurons import Emission
from tests.builders import assert_distributed, images, wired
from tests.network.nets import NETS, THRESHOLDS, converted, names, net

EMISSIONS = list(Emission)


def assert_engines_agree(snn, x, **options):
    counts, steps = (snn.counts(x, engine=e, **options) for e in ("counts", "steps"))
    for site in snn.sites:
        assert torch.equal(counts[site], steps[site]), site
    answers = [snn(x, engine=e, **options) for e in ("counts", "steps")]
    torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, derandomize=True)
@given(
    names,
    st.sampled_from(EMISSIONS),
    st.sampled_from([1, 2, 3, 5, 7, 16]),
    st.sampled_from(THRESHOLDS),
    st.booleans(),
    st.integers(0, 2),
)
def test_nearest_gives_the_same_counts_in_both_engines(
    name, emission, t, threshold, corrected, seed
):
    snn = converted(
        name,
        seed,
        neuron=sw.TwoPhase("nearest", emission),
        threshold=threshold,
        steps=t,
        bias_correction=corrected,
    )
    assert_engines_agree(snn, images(3, seed=seed + 1))


@pytest.mark.parametrize("name", sorted(NETS))
def test_every_emission_carries_the_same_counts_through_the_network(name):
    snn, x = converted(name, steps=5), images(3, seed=1)
    reference = snn.counts(x)
    for emission in EMISSIONS:
        other = snn.with_neuron(sw.TwoPhase("nearest", emission))
        for engine in ("counts", "steps"):
            found = other.counts(x, engine=engine)
            assert all(torch.equal(found[s], reference[s]) for s in snn.sites)


@pytest.mark.parametrize("emission", [e for e in EMISSIONS if e != "random"])
@pytest.mark.parametrize("rounding", ["bernoulli", "unbiased"])
def test_counts_settled_by_one_draw_agree_exactly(rounding, emission):
    snn = converted("max pool", neuron=sw.TwoPhase(rounding, emission), steps=5)
    assert_engines_agree(snn, images(5, seed=1), seed=3)


def two_neurons():
    """Two neurons fed by a first one: their joint law is not a product."""
    model = wired(lambda m, x: F.relu(m.b(F.relu(m.a(x)))), a=nn.Linear(2, 1), b=nn.Linear(1, 2))
    with torch.no_grad():
        model.a.weight.copy_(torch.tensor([[0.7, 0.4]]))
        model.a.bias.fill_(0.05)
        model.b.weight.copy_(torch.tensor([[0.6], [-0.5]]))
        model.b.bias.copy_(torch.tensor([0.1, 0.7]))
    return model


@pytest.mark.parametrize("rounding", ["bernoulli", "unbiased"])
def test_joint_counts_have_one_law_in_both_engines(rounding):
    """Two-sample chi-square on the joint counts of two neurons, over many sample identities."""
    calibration = torch.rand(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    snn = sw.convert(two_neurons(), calibration, neuron=sw.TwoPhase(rounding), steps=3)
    samples = 30_000
    x = torch.tensor([[0.8, 0.3]], dtype=torch.float64).expand(samples, 2)
    joint = {}
    for engine, first in (("counts", 0), ("steps", samples)):
        ids = torch.arange(first, first + samples)
        found = snn.counts(x, engine=engine, sample_ids=ids)["relu:2"].long()
        joint[engine] = torch.bincount(found[:, 0] * 4 + found[:, 1], minlength=16).double()
    pooled = (joint["counts"] + joint["steps"]) / 2
    seen = pooled > 0
    assert int(seen.sum()) >= 4
    # each engine against the pooled law at half the variance: scale the deviations by sqrt(2)
    difference = (joint["steps"] - joint["counts"]) / 2
    assert_distributed(pooled[seen] + difference[seen] * 2**0.5, pooled[seen])


def test_unbiased_and_tpp_agree_with_their_means_through_one_layer():
    model = wired(lambda m, x: F.relu(m.a(x)), a=nn.Linear(4, 8))  # 8: some fire, some do not
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for rounding in ("unbiased", "bernoulli"):
        snn = sw.convert(
            model,
            x,
            neuron=sw.TwoPhase(rounding),
            threshold=sw.Maximum(),
            steps=4,
            bias_correction=False,
        )
        many = x.repeat_interleave(4000, 0)
        ids = torch.arange(len(many))
        counts = snn.counts(many, sample_ids=ids)["relu"].reshape(3, 4000, 8).mean(1)
        steps = snn.counts(many, engine="steps", sample_ids=ids)["relu"].reshape(3, 4000, 8).mean(1)
        theta = snn.design().thresholds["relu"]
        mean, _ = snn.neurons["relu"].expected_count(F.relu(model.a(x)) * 4 / theta, 4)
        torch.testing.assert_close(counts, mean.detach(), rtol=0, atol=5 * 0.5 / 4000**0.5)
        torch.testing.assert_close(steps, mean.detach(), rtol=0, atol=5 * 0.5 / 4000**0.5)


NEURONS = [
    sw.IntegrateFire(),
    sw.IntegrateFire(reset="hard"),
    sw.Shuffled(),
    sw.Shuffled(order="shared"),
    sw.Shuffled(order="reversed"),
    sw.TPP(),
    *(sw.TwoPhase("unbiased", emission) for emission in EMISSIONS),
]


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: n.label)
@pytest.mark.parametrize("name", ["max pool", "unequal depths"])
def test_time_chunks_change_no_spike(name, neuron):
    snn, x = converted(name, steps=7).with_neuron(neuron), images(3, seed=1)

    def run(budget):
        trains, starts, rest = {}, [], []

        def layer(op, charge, count, residual):
            rest.extend([charge, count, residual])

        def spikes(op, start, train):
            trains.setdefault(op.name, []).append(train)
            starts.append(start)

        watched = Observer(layer=layer, spikes=spikes)
        rest.append(snn.observe(x, watched, engine="steps", seed=2, memory_budget=budget))
        return {name: torch.cat(parts) for name, parts in trains.items()}, rest, max(starts)

    whole, values, last = run(2 << 30)
    assert last == 0
    largest = max(math.prod(op.shape) for op in snn.plan().graph.operations)
    for steps in (1, 2, 3):
        cut, cut_values, last = run(steps * 6 * 8 * 3 * largest)  # the step engine's own estimate
        assert last == (snn.duration() - 1) // steps * steps
        assert all(torch.equal(cut[site], whole[site]) for site in whole)
        for a, b in zip(cut_values, values, strict=True):  # sums of kernels of another batch size
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: n.label)
@pytest.mark.parametrize("name", ["max pool", "residual"])
def test_recorded_trains_are_binary_and_carry_the_counts(name, neuron):
    snn, x = converted(name, steps=5).with_neuron(neuron), images(3, seed=1)
    trains = snn.record(x, seed=4)
    counts = snn.counts(x, engine="steps", seed=4)
    weights = neuron.step_weights(5)
    assert list(trains) == list(snn.sites)
    for site, train in trains.items():
        assert train.dtype is torch.uint8
        assert train.shape == (len(weights), *counts[site].shape)
        assert int(train.max()) <= 1
        carried = (train * weights.reshape(-1, *[1] * (train.ndim - 1))).sum(0)
        assert torch.equal(carried, counts[site])


@pytest.mark.parametrize("emission", EMISSIONS)
def test_max_pooling_sends_binary_trains_of_the_largest_count(emission):
    assert_pooled(sw.TwoPhase("nearest", emission))


@pytest.mark.parametrize(
    "neuron", [sw.IntegrateFire(), sw.Shuffled(), sw.TPP()], ids=lambda n: n.label
)
def test_max_pooling_of_rate_codes_sends_the_largest_count(neuron):
    assert_pooled(neuron)


def assert_pooled(neuron):
    snn, x = converted("max pool", steps=6).with_neuron(neuron), images(3, seed=1)
    train = snn.record(x, seed=1)["relu"].double()
    counts = snn.counts(x, engine="steps", seed=1)["relu"]
    (pool,) = [op for op in snn.plan().graph.operations if op.kind == "max"]
    weights = neuron.step_weights(6)
    pooling = Maximum(pool, {})
    halves = [
        pooling.advance([train[:2]], weights[:2].tolist()),
        pooling.advance([train[2:]], weights[2:].tolist()),
    ]
    pooled = torch.cat(halves)
    assert set(pooled.unique().tolist()) == {0.0, 1.0}
    carried = (pooled * weights.reshape(-1, 1, 1, 1, 1)).sum(0)
    assert torch.equal(carried, F.max_pool2d(counts, 3, 2, 1))


@pytest.mark.parametrize("name", sorted(NETS))
def test_many_steps_reach_the_ann(name):
    model, x = net(name), images(5)
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=4096, bias_correction=False)
    with torch.no_grad():
        expected = model(x)
    assert float((snn(x) - expected).norm() / expected.norm()) < 0.01


def test_mixed_networks_run_and_wait_where_their_neurons_do():
    snn, x = converted("plain", steps=6), images(3, seed=1)
    mixed = snn.with_neuron(sw.IntegrateFire(), ["relu:2"])
    assert snn.layers_that_wait == 2
    assert mixed.layers_that_wait == 1
    assert torch.equal(mixed.counts(x)["relu"], snn.counts(x)["relu"])
    assert mixed(x).isfinite().all()
    other = snn.with_neuron(sw.IntegrateFire(), ["relu"])
    plain = snn.with_neuron(sw.IntegrateFire())
    assert torch.equal(other.counts(x)["relu"], plain.counts(x)["relu"])
    assert (snn.latency(), mixed.latency(), plain.latency()) == (18, 12, 6)


def test_neurons_of_different_codes_cannot_share_a_network():
    snn = converted("plain", steps=6)
    with pytest.raises(sw.SpikewrightError, match="write their counts in different codes"):
        snn.with_neuron(sw.TwoPhase("nearest", "binary"), ["relu"])
