"""The same seed gives the same spikes, however the batch is cut, ordered or named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright.neurons import sample_ids_of
from tests.builders import images
from tests.network.nets import converted

NEURONS = [sw.TPP(), sw.TwoPhase("unbiased"), sw.Shuffled(), sw.Shuffled(order="shared")]
SAMPLES = 60


def all_counts(snn, x, batch, **options):
    """Counts of every site over `x` cut into batches, and the logits."""
    parts = [snn.counts(chunk, **options) for chunk in x.split(batch)]
    logits = torch.cat([snn(chunk, **options) for chunk in x.split(batch)])
    return {site: torch.cat([p[site] for p in parts]) for site in snn.sites}, logits


def differing(a, b):
    """Fraction of counts that differ."""
    wrong = sum(int((a[site] != b[site]).sum()) for site in a)
    return wrong / sum(counts.numel() for counts in a.values())


def cases(engine):
    return [n for n in NEURONS if engine == "steps" or n.has_count_law]


@pytest.mark.parametrize(
    ("engine", "neuron"),
    [(e, n) for e in ("counts", "steps") for n in cases(e)],
    ids=lambda v: v if isinstance(v, str) else v.label,
)
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 0.0), (torch.float32, 1e-3)])
def test_batches_of_any_size_give_the_same_counts(engine, neuron, dtype, allowed):
    snn = converted("residual", steps=4).with_neuron(neuron).to(dtype)
    x = images(SAMPLES, seed=1).to(dtype)
    whole, logits = all_counts(snn, x, SAMPLES, engine=engine, seed=9)
    for batch in (1, 7):
        cut, answers = all_counts(snn, x, batch, engine=engine, seed=9)
        assert differing(cut, whole) <= allowed
        if allowed == 0:
            torch.testing.assert_close(answers, logits, rtol=1e-12, atol=1e-12)


def test_identities_are_derived_from_content():
    snn, x = converted("max pool", neuron=sw.TPP(), steps=4), images(12, seed=1)
    derived, given = snn.counts(x, seed=2), snn.counts(x, seed=2, sample_ids=sample_ids_of(x))
    assert all(torch.equal(given[site], derived[site]) for site in snn.sites)


@pytest.mark.parametrize("neuron", [sw.TPP(), sw.TwoPhase("unbiased")], ids=lambda n: n.label)
def test_seeds_and_identities_matter_to_stochastic_neurons(neuron):
    snn, x = converted("plain", steps=4).with_neuron(neuron), images(12, seed=1)
    assert snn.stochastic
    base = snn(x, seed=0)
    assert not torch.equal(snn(x, seed=1), base)
    assert not torch.equal(snn(x, seed=0, sample_ids=torch.arange(12)), base)
    twins = x[:1].expand(2, *x.shape[1:])
    assert torch.equal(*snn(twins))
    assert not torch.equal(*snn(twins, sample_ids=torch.tensor([0, 1])))


def test_the_batch_size_may_change_between_calls():
    snn, x = converted("cat", steps=4), images(9, seed=1)
    for engine in ("counts", "steps"):
        answers = [snn(x[:n], engine=engine)[0] for n in (9, 1, 4, 9)]
        for answer in answers[1:]:
            torch.testing.assert_close(answer, answers[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("neuron", [sw.TPP(), sw.TwoPhase("nearest")])
def test_seeds_and_identities_that_cannot_be_are_refused(neuron: sw.Neuron) -> None:
    snn = converted("plain", neuron=neuron, steps=2)
    x = images(2)
    for seed in (1.5, None, "a"):
        with pytest.raises(sw.ConversionError, match=f"seed must be an integer, got {seed!r}"):
            snn(x, seed=seed)  # pyright: ignore[reportArgumentType]
    assert torch.equal(snn(x, seed=np.int64(3)), snn(x, seed=3))  # pyright: ignore[reportArgumentType]
    with pytest.raises(sw.ConversionError, match=r"got a list: give torch.tensor\(sample_ids\)"):
        snn(x, sample_ids=[0, 1])  # pyright: ignore[reportArgumentType]
    with pytest.raises(sw.ConversionError, match=r"one sample .* give x\[None\]; .* \[x\]"):
        snn(x[0])
