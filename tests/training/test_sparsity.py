"""Spikes counted in training: the ones of QCFS levels, in training alone; fewer by their loss."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.data import open_dataset
from spikewright.training import (
    DataRecipe,
    NetworkRecipe,
    OptimisationRecipe,
    Recipe,
    train_in_memory,
)
from spikewright.training.sparsity import SpikeCounter, ones_of


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), sw.QCFS(7, 2.0), nn.Linear(6, 5), sw.QCFS(7, 1.0), nn.Linear(5, 3)]
    return nn.Sequential(*layers)


def test_the_ones_of_levels_have_the_gradient_of_the_levels() -> None:
    threshold = torch.tensor(2.0, requires_grad=True)
    output = (torch.arange(16) * (2.0 / 15)).requires_grad_()
    ones = ones_of(output, threshold, 15)
    assert ones.tolist() == [bin(level).count("1") for level in range(16)]
    ones.sum().backward()
    torch.testing.assert_close(output.grad, torch.full((16,), 7.5))
    assert threshold.grad is not None
    assert float(threshold.grad) == pytest.approx(-sum(range(16)) / 2)


def test_the_mean_is_that_of_the_spikes_that_the_converted_network_sends() -> None:
    model, x = network(), torch.rand(32, 4) * 4
    counter = SpikeCounter(model)
    model.train()(x)
    mean = float(counter.mean().detach())
    snn = sw.methods.BITS.convert(model.eval(), x, steps=3)
    sent = sum(float(spikes.sum()) for spikes in snn.record(x).values())
    assert mean == pytest.approx(sent / (32 * 11), rel=1e-6)


def test_only_passes_of_training_are_counted_each_once() -> None:
    model, x = network(), torch.rand(32, 4) * 4
    counter = SpikeCounter(model)
    model.train()(x)
    first = counter.mean()
    copy.deepcopy(model).eval()(torch.zeros(8, 4))
    model.eval()(torch.zeros(8, 4))
    model.train()(x)
    assert torch.equal(counter.mean(), first)


def test_training_for_fewer_spikes_sends_fewer() -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    data, sent = open_dataset("digits"), {}
    images = torch.stack([data.validation[i][0] for i in range(50)])
    for weight in (0.0, 1.0):
        optimisation = OptimisationRecipe(
            epochs=6, batch_size=64, learning_rate=0.05, sparsity=weight
        )
        network = NetworkRecipe("digits_cnn", levels=7)
        found = train_in_memory(
            Recipe(DataRecipe("digits", augment=()), network, optimisation), data
        )
        snn = sw.methods.BITS.convert(found.model, images, steps=3)
        sent[weight] = sw.operations(snn, [images]).total.spikes
        told = [metrics.spikes or 0.0 for metrics in found.history]
        assert told[0] > told[-1] > 0 if weight else not any(told)
    assert sent[1.0] < 0.8 * sent[0.0]  # 0.57, 0.60 and 0.62 with three seeds
