"""Losses: each is its formula, says what it needs, and refuses what it cannot compare with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import ConversionError
from spikewright.finetuning import (
    Answer,
    CrossEntropy,
    Distillation,
    RelativeError,
    Spikes,
    Target,
    TrainableNetwork,
    Weighted,
    ann_answer,
)


@pytest.fixture(scope="module")
def answers() -> tuple[Answer, Answer]:
    """What a spiking network and its ANN answer to the same samples."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.rand(16, 4, dtype=torch.float64)
    snn = sw.convert(model.double().eval(), x, steps=2, correction=None)
    values = {"1": torch.rand(16, 6), "3": torch.rand(16, 5)}
    own = Answer(snn.graph, (snn(x),), values)
    return own, ann_answer(snn.graph, x)


def probabilities(logits: torch.Tensor, tau: float) -> np.ndarray:
    scaled = np.exp(logits.double().numpy() / tau)
    return scaled / scaled.sum(1, keepdims=True)


def test_cross_entropy_is_minus_the_logarithm_of_the_right_class(
    answers: tuple[Answer, Answer],
) -> None:
    labels = torch.arange(16) % 3
    p = probabilities(answers[0].logits, 1.0)[range(16), labels.numpy()]
    found = CrossEntropy()(answers[0], Target(labels))
    assert float(found) == pytest.approx(-np.log(p).mean(), rel=1e-6)
    smoothed = CrossEntropy(0.3)(answers[0], Target(labels))
    everywhere = -np.log(probabilities(answers[0].logits, 1.0)).mean()
    assert float(smoothed) == pytest.approx(-0.7 * np.log(p).mean() + 0.3 * everywhere, rel=1e-6)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_distillation_is_the_divergence_from_the_ann(
    answers: tuple[Answer, Answer], tau: float
) -> None:
    p, q = (probabilities(answer.logits, tau) for answer in reversed(answers))
    expected = tau**2 * (p * np.log(p / q)).sum(1).mean()
    found = Distillation(tau)(answers[0], Target(ann=answers[1]))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert float(Distillation(tau)(answers[1], Target(ann=answers[1]))) == pytest.approx(
        0, abs=1e-12
    )


def test_relative_error_is_that_of_each_tensor(answers: tuple[Answer, Answer]) -> None:
    own, ann = answers

    def relative(given: torch.Tensor, wanted: torch.Tensor) -> float:
        a, b = given.double().numpy(), wanted.double().numpy()
        return ((a - b) ** 2).sum() / (b**2).sum()

    found = RelativeError()(own, Target(ann=ann))
    assert float(found) == pytest.approx(relative(own.logits, ann.logits), rel=1e-6)
    of_values = np.mean([relative(own.values[site], ann.values[site]) for site in ("1", "3")])
    assert float(RelativeError("values")(own, Target(ann=ann))) == pytest.approx(
        of_values, rel=1e-6
    )


def test_weighted_losses_add_up_and_need_what_their_terms_need(
    answers: tuple[Answer, Answer],
) -> None:
    own, ann = answers
    both = Weighted(((2.0, CrossEntropy()), (0.5, Distillation())))
    target = Target(torch.zeros(16, dtype=torch.int64), ann)
    parts = 2.0 * CrossEntropy()(own, target) + 0.5 * Distillation()(own, target)
    assert float(both(own, target)) == pytest.approx(float(parts))
    assert both.needs_ann
    assert both.needs_labels
    assert not Weighted(((1.0, RelativeError()),)).needs_labels
    assert not CrossEntropy().needs_ann


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(1.0), "label_smoothing lies in 0 .. 1"),
        (lambda: Distillation(0.0), "temperature must be above 0"),
        (lambda: RelativeError("layers"), "'outputs' or 'values', got 'layers'"),
        (lambda: Weighted(()), "needs terms of weights above 0"),
        (lambda: Weighted(((0.0, CrossEntropy()),)), "needs terms of weights above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_a_loss_compares_with_must_be_there(answers: tuple[Answer, Answer]) -> None:
    with pytest.raises(ConversionError, match="compares with labels, and there are none"):
        CrossEntropy()(answers[0], Target())
    with pytest.raises(ConversionError, match="compares with the ANN"):
        Distillation()(answers[0], Target())


@pytest.mark.parametrize(
    ("neuron", "spikes_of"),
    [
        (sw.TwoPhase("nearest", "binary"), lambda n: float(bin(n).count("1"))),
        (sw.TwoPhase("nearest"), float),
        (sw.TwoPhase("nearest", "first-spike"), lambda n: float(n > 0)),
        (sw.IntegrateFire(), float),
    ],
    ids=["binary", "rate", "first-spike", "IF"],
)
def test_spikes_are_those_of_the_code_with_the_gradient_of_the_count(neuron, spikes_of) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.rand(16, 4, dtype=torch.float64)
    snn = sw.convert(model.double().eval(), x, neuron, steps=3, correction=None)
    trainable = TrainableNetwork(snn)
    answer = trainable.observe(x, spikes=True)
    counts = [int(n) for count in snn.counts(x).values() for n in count.flatten()]
    expected = sum(map(spikes_of, counts)) / len(counts)
    assert float(Spikes()(answer, Target()).detach()) == pytest.approx(expected, rel=1e-9)
    levels, theta = snn.plan().levels["3"], snn.plan().thresholds["3"]
    (gradient,) = torch.autograd.grad(Spikes()(answer, Target()), [answer.values["3"]])
    slope = levels / theta * answer.values["3"].sign() / len(counts)
    torch.testing.assert_close(gradient, slope.expand_as(gradient))
    with pytest.raises(ConversionError, match=r"observe\(images, spikes=True\)"):
        Spikes()(trainable.observe(x), Target())


def test_higher_thresholds_send_fewer_spikes_by_the_gradient_of_the_count() -> None:
    # count = clamp(v, 0, theta) L / theta: its slope in theta is -v L / theta^2, and 0 above theta.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double().eval()
    x = torch.rand(16, 4, dtype=torch.float64)
    neuron = sw.TwoPhase("nearest", "binary")
    trainable = TrainableNetwork(sw.convert(model, x, neuron, steps=3, correction=None))
    theta = trainable.part("threshold")["1"]
    with torch.no_grad():
        theta /= 2  # so that some values lie above
    loss = Spikes()(trainable.observe(x, spikes=True), Target())
    (gradient,) = torch.autograd.grad(loss, [theta])
    v, kept = model[:2](x).detach(), theta.detach()
    inside = (v <= kept).double()
    assert 0.2 < inside.mean() < 0.8
    slopes = -inside * v * 7 / kept**2 / v.numel()
    torch.testing.assert_close(gradient, slopes.sum_to_size(gradient.shape))
