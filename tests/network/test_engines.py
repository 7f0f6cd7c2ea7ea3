"""One graph, two clocks: the count engine and the step engine agree."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import spikewright as sw
from spikewright.graph.accumulated import Accumulated
from spikewright.neurons import codes
from tests.builders import images, wired
from tests.network.nets import NETS, THRESHOLDS, assert_equals_its_twin, converted, names, net

CODES = list(codes())


def assert_engines_agree(snn, x, **options):
    counts, steps = (snn.counts(x, engine=e, **options) for e in ("counts", "steps"))
    for site in snn.sites:
        assert torch.equal(counts[site], steps[site]), site
    answers = [snn(x, engine=e, **options) for e in ("counts", "steps")]
    torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, derandomize=True)
@given(
    names,
    st.sampled_from(CODES),
    st.sampled_from([1, 2, 3, 5, 7, 16]),
    st.sampled_from(THRESHOLDS),
    st.sampled_from([None, sw.calibration.InputMeans()]),
    st.integers(0, 2),
)
def test_nearest_gives_the_same_counts_in_both_engines(name, code, t, threshold, correction, seed):
    snn = converted(
        name,
        seed,
        neuron=sw.TwoPhase("nearest", code),
        threshold=threshold,
        steps=t,
        correction=correction,
    )
    assert_engines_agree(snn, images(3, seed=seed + 1))
    assert_equals_its_twin(snn, images(3, seed=seed + 1))


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
            correction=None,
        )
        many = x.repeat_interleave(4000, 0)
        ids = torch.arange(len(many))
        counts = snn.counts(many, sample_ids=ids)["relu"].reshape(3, 4000, 8).mean(1)
        steps = snn.counts(many, engine="steps", sample_ids=ids)["relu"].reshape(3, 4000, 8).mean(1)
        theta = snn.design().thresholds["relu"]
        mean, _ = snn.neurons["relu"].expected_count(F.relu(model.a(x)) * 4 / theta, 4)
        torch.testing.assert_close(counts, mean.detach(), rtol=0, atol=5 * 0.5 / 4000**0.5)
        torch.testing.assert_close(steps, mean.detach(), rtol=0, atol=5 * 0.5 / 4000**0.5)


@pytest.mark.parametrize("name", sorted(NETS))
def test_codes_of_equal_levels_carry_the_same_counts_through_the_network(name):
    """Seven levels each: what is fitted, corrected and counted follows from the levels alone."""
    snn, x = converted(name, steps=7), images(3, seed=1)
    reference = snn.counts(x)
    for code, steps in (("burst", 7), ("late", 7), ("first-spike", 7), ("binary", 3)):
        other = converted(name, neuron=sw.TwoPhase("nearest", code), steps=steps)
        assert other.duration() == steps
        for engine in ("counts", "steps"):
            found = other.counts(x, engine=engine)
            assert all(torch.equal(found[s], reference[s]) for s in snn.sites)


@pytest.mark.parametrize(
    "neuron",
    [
        sw.IntegrateFire(),
        sw.Shuffled(),
        sw.TPP(),
        *(sw.TwoPhase("nearest", c) for c in CODES if c != "digits"),
    ],
    ids=lambda n: n.label,
)
def test_max_pooling_sends_binary_trains_of_the_largest_count(neuron):
    snn, x = converted("max pool", neuron=neuron, steps=6), images(3, seed=1)
    train = snn.record(x, seed=1)["relu"].double()
    counts = snn.counts(x, engine="steps", seed=1)["relu"]
    (pool,) = [op for op in snn.plan().graph.operations if op.kind == "max"]
    weights = neuron.step_weights(6)
    pooling = Accumulated(pool, {}, weights.tolist())
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
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=4096, correction=None)
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
