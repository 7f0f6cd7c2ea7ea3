"""Networks of motifs: beside a naive loop, signs, gradients, what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.errors import DataError, ModelError
from spikewright.recurrent import ALIF, SequenceRecipe, train_on_sequences
from spikewright.search import Architecture, Cell, Motif, MotifNetwork, SearchSpace, still_digits
from spikewright.search.motifs import CIRCUITS
from spikewright.search.network import MotifCell, SignedConvolution

LIF = ALIF(0.3, beta=0.0, time_constant=(2.0, 0.0))


def cell_of(motif: Motif) -> Cell:
    return Cell(motif, tuple(3 + 2 * (n % 2) for n in range(len(CIRCUITS[motif]))))


def some(*motifs: Motif, connections: tuple[tuple[int, int], ...] = ()) -> MotifNetwork:
    torch.manual_seed(0)
    architecture = Architecture(tuple(map(cell_of, motifs)), connections)
    return MotifNetwork(architecture, 1, 3, channels=2)


def signed(run: SignedConvolution, x: Tensor) -> Tensor:
    return run.sign * F.relu(run.norm(F.conv2d(x, run.weights.weight, padding="same")))


@torch.no_grad()
def test_feedback_inhibition_is_that_of_a_loop() -> None:
    torch.manual_seed(0)
    cell = MotifCell(1, 2, cell_of(Motif.FEEDBACK_INHIBITION), LIF)
    x = 3 * torch.rand(6, 4, 1, 5, 5)
    forward, inward, back = cell.operations
    a = b = u = v = torch.zeros(4, 2, 5, 5)
    alpha = math.exp(-1 / 2)
    sent = []
    for t in range(6):
        u = alpha * u + (1 - alpha) * (signed(forward, x[t]) + signed(back, b)) - 0.3 * a
        a = (u > 0.3).float()
        v = alpha * v + (1 - alpha) * signed(inward, a) - 0.3 * b
        b = (v > 0.3).float()
        sent.append((a, b))
    first, second = cell(x)
    torch.testing.assert_close(first, torch.stack([a for a, _ in sent]))
    torch.testing.assert_close(second, torch.stack([b for _, b in sent]))
    assert 0 < first.mean() < 1
    assert 0 < second.mean() < 1


@pytest.mark.parametrize("motif", Motif)
def test_currents_have_the_sign_of_their_synapse_and_all_weights_a_gradient(motif: Motif) -> None:
    network = some(motif, motif)
    seen: list[tuple[int, Tensor]] = []
    for module in network.modules():
        if isinstance(module, SignedConvolution):
            module.register_forward_hook(lambda m, _, out: seen.append((m.sign, out)))
    network(torch.rand(3, 4, 1, 8, 8)).square().sum().backward()
    assert all(bool((sign * current >= 0).all()) for sign, current in seen)
    assert {sign for sign, _ in seen} == {s.sign for s in CIRCUITS[motif]}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all()


def test_an_image_is_answered_alike_alone_and_in_a_batch() -> None:
    network, x = some(*Motif), torch.rand(3, 4, 1, 8, 8)
    alone = network.eval().observe(x[:, 1:2])
    beside = network.train().observe(x)
    likeness = [
        float((one == many[:, 1:2]).float().mean())
        for one, many in zip(alone.spikes, beside.spikes, strict=True)
    ]
    assert min(likeness) > 0.95  # a potential at its threshold may round to either side


def test_the_answer_is_of_probabilities_and_spikes_are_0_or_1() -> None:
    network = some(*Motif)
    answer = network.observe(torch.rand(3, 4, 1, 8, 8))
    torch.testing.assert_close(answer.log_probabilities.exp().sum(1), torch.ones(4))
    assert [tuple(train.shape[3:]) for train in answer.spikes] == [(8, 8)] * 2 + [(4, 4)] * 10
    assert all(bool(((train == 0) | (train == 1)).all()) for train in answer.spikes)


def test_a_connection_brings_the_channels_of_its_source() -> None:
    motif = Motif.FORWARD_EXCITATION  # two populations of two channels
    short = some(motif, motif, motif, connections=((0, 2), (0, 3)))
    assert short.cells[2].operations[0].weights.in_channels == 8
    assert short.read_out.inward.in_features == 8
    assert some(motif, motif, motif).read_out.inward.in_features == 4


def test_a_network_learns_the_digits() -> None:
    data = still_digits(2)
    torch.manual_seed(0)
    network = MotifNetwork(Architecture((cell_of(Motif.FORWARD_EXCITATION),)), 1, 10)
    trained = train_on_sequences(network, data, SequenceRecipe(epochs=2))
    first, last = (epoch.training_loss for epoch in trained.history)
    assert last < first < 1.1 * math.log(10)  # the loss of guessing is log(10)


def test_still_digits_stand_still() -> None:
    data = still_digits(3)
    x, label = data.train[5]
    assert x.shape == (3, 1, 8, 8)
    assert 0 <= x.min() < x.max() <= 1
    assert torch.equal(x[0], x[2])
    assert data.classes[label] == str(label)
    assert (data.steps, data.features) == (3, 64)
    with pytest.raises(DataError, match="steps must be at least 1, got 0"):
        still_digits(0)


def test_what_a_network_does_not_model_is_refused() -> None:
    architecture = SearchSpace(1).decode([0] * 7)
    with pytest.raises(ModelError, match=r"do not adapt.*give it beta=0"):
        MotifNetwork(architecture, 1, 10, neuron=ALIF())
    with pytest.raises(ModelError, match="must be at least 1, got 1, 10 and 0"):
        MotifNetwork(architecture, 1, 10, channels=0)
    network = MotifNetwork(architecture, 1, 10)
    for shape in ((4, 1, 8, 8), (2, 4, 3, 8, 8), (0, 4, 1, 8, 8), (2, 4, 1, 8, 1)):
        with pytest.raises(ModelError, match=r"shape \[T, B, 1, H, W\].*expand"):
            network(torch.rand(shape))
