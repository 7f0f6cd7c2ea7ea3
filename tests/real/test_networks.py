"""Networks that others trained: their own figures, and what is left of them as spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
from torch import nn

import spikewright as sw
from docs_tools.real import data
from docs_tools.real.networks import NETWORKS, recogniser
from docs_tools.real.packages import MissingError

_Made = TypeVar("_Made")

BINARY = sw.TwoPhase("nearest", "binary")
STEPS = 8


def installed(make: Callable[..., _Made], *given: Any) -> _Made:
    """What a call makes; the test skips where a package that it needs is not installed."""
    try:
        return make(*given)
    except MissingError as missing:
        pytest.skip(str(missing))


def answer(network: Any, inputs: Any) -> Any:
    with torch.no_grad():
        return network(**inputs) if isinstance(inputs, dict) else network(inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_reaches_its_figure(name: str) -> None:
    real = NETWORKS[name]
    network = installed(real.make)
    assert isinstance(network, nn.Module)
    inputs, labels = installed(real.samples, 40)
    assert real.figure(answer(network, inputs), labels) >= real.least


@pytest.mark.parametrize("name", [name for name, real in NETWORKS.items() if real.relu_only])
def test_a_network_of_relus_keeps_its_figure_in_spikes(name: str) -> None:
    """Few samples, so the bounds leave room."""
    real = NETWORKS[name]
    network = installed(real.make)
    inputs, labels = installed(real.samples, 40)
    fit, _ = installed(real.samples, 64, "train")
    spiking = sw.convert(network, list(fit.split(16)), neuron=BINARY, steps=STEPS)
    expected, found = answer(network, inputs), answer(spiking, inputs)
    assert torch.cosine_similarity(found, expected).mean() > 0.99
    assert real.figure(found, labels) >= real.figure(expected, labels) - 0.1


def test_the_recognisers_convolutions_keep_their_features_in_spikes() -> None:
    features = installed(recogniser).FeatureExtraction
    assert isinstance(features, nn.Module)
    pages, _ = installed(data.lines, 24)
    spiking = sw.convert(features, pages[8:], neuron=BINARY, steps=STEPS)
    expected, found = answer(features, pages[:8]), answer(spiking, pages[:8])
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_the_recogniser_reads_in_spikes() -> None:
    """Convolutions, two LSTMs both ways over 79 time steps, and what joins them."""
    network = installed(recogniser)
    pages, texts = installed(data.lines, 24)
    spiking = sw.convert(network, list(pages[8:].split(8)), neuron=BINARY, steps=STEPS)
    assert "SequenceModeling.0.rnn.l0_reverse.forget:79" not in spiking.sites
    assert "SequenceModeling.0.rnn.l0_reverse.forget:78" in spiking.sites
    expected, found = answer(network, pages[:8]), answer(spiking, pages[:8])
    assert (found - expected).norm() < 0.1 * expected.norm()
    same = (found.argmax(2) == expected.argmax(2)).float().mean()
    assert same > 0.97
    assert NETWORKS["recogniser"].figure(found, texts[:8]) >= 0.75
