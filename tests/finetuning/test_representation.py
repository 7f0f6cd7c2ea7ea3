"""The gradient of a spike representation: by hand, and as another library has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.finetuning import Surrogate, representation

VALUES = [-1.5, -0.4, 0.0, 0.3, 0.9, 1.0, 2.5]
SENT = [0.0, 0.0, 0.0, 0.25, 1.0, 1.0, 1.0]


def gradients(
    surrogate: Surrogate, *, signed: bool, sent: list[float], theta: float = 1.0
) -> tuple[list[float], float]:
    value = torch.tensor([VALUES], dtype=torch.float64, requires_grad=True)
    threshold = torch.tensor([[theta]], dtype=torch.float64, requires_grad=True)
    arriving = torch.tensor([[1.0, 2.0, 3.0, 5.0, 7.0, 11.0, 13.0]], dtype=torch.float64)
    given = torch.tensor([sent], dtype=torch.float64)
    result = representation(value, threshold, given, signed=signed, surrogate=surrogate)
    assert torch.equal(result, given)
    result.backward(arriving)
    assert value.grad is not None
    assert threshold.grad is not None
    assert threshold.grad.shape == threshold.shape
    return value.grad[0].tolist(), float(threshold.grad)


def test_clipped_it_is_the_gradient_of_a_clamp() -> None:
    by_value, by_threshold = gradients(Surrogate.CLIPPED, signed=False, sent=SENT)
    assert by_value == [0, 0, 3, 5, 7, 11, 0]
    assert by_threshold == 13


def test_signed_values_are_clipped_from_below_too() -> None:
    sent = [-1.0, -0.5, *SENT[2:]]
    by_value, by_threshold = gradients(Surrogate.CLIPPED, signed=True, sent=sent)
    assert by_value == [0, 2, 3, 5, 7, 11, 0]
    assert by_threshold == 13 - 1


def test_rounded_the_threshold_learns_from_rounding_errors() -> None:
    by_value, by_threshold = gradients(Surrogate.ROUNDED, signed=False, sent=SENT)
    assert by_value == [0, 0, 3, 5, 7, 11, 0]
    errors = 5 * (0.25 - 0.3) + 7 * (1.0 - 0.9)
    assert by_threshold == pytest.approx(13 + errors)


def test_rounded_it_is_what_autograd_makes_of_the_formula() -> None:
    # theta / L * round(clamp(v L / theta, 0, L)), with the rounding passed straight through
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(64, 3, generator=generator, dtype=torch.float64)
    theta = torch.tensor([[0.5, 1.0, 2.0]], dtype=torch.float64)
    ends = torch.randn(64, 3, generator=generator, dtype=torch.float64)

    def formula(v: Tensor, theta: Tensor) -> Tensor:
        charge = (v * 4 / theta).clamp(0, 4)
        return (charge + (charge.round() - charge).detach()) * theta / 4

    def ours(v: Tensor, theta: Tensor) -> Tensor:
        sent = (v * 4 / theta).clamp(0, 4).round() * theta / 4
        return representation(v, theta, sent, signed=False, surrogate=Surrogate.ROUNDED)

    grads = []
    for function in (formula, ours):
        inputs = v.clone().requires_grad_(), theta.clone().requires_grad_()
        grads.append(torch.autograd.grad((function(*inputs) * ends).sum(), inputs))
    torch.testing.assert_close(grads[0], grads[1])


def test_it_is_the_gradient_of_spikingjelly() -> None:
    dsr = pytest.importorskip(
        "spikingjelly.activation_based.neuron.dsr", reason="spikingjelly is not installed"
    )
    generator = torch.Generator().manual_seed(1)
    steps, v_threshold = 5, 0.8
    current = torch.randn(steps, 16, 6, generator=generator) * 0.6 + 0.3
    ends = torch.randn(16, 6, generator=generator)
    node = dsr.DSRIFNode(T=steps, v_threshold=v_threshold, alpha=0.5)
    theirs = current.clone().requires_grad_()
    spikes = node(theirs)
    (spikes.mean(0) * ends).sum().backward()

    ours = current.clone().requires_grad_()
    threshold = torch.tensor([[v_threshold]], requires_grad=True)
    sent = simulated(current.numpy(), v_threshold)
    np.testing.assert_allclose(sent, spikes.detach().mean(0).numpy(), rtol=1e-6)
    result = representation(
        ours.mean(0),
        threshold,
        torch.from_numpy(sent),
        signed=False,
        surrogate=Surrogate.CLIPPED,
    )
    (result * ends).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    (their_threshold,) = (p.grad for p in node.parameters())
    assert threshold.grad is not None
    torch.testing.assert_close(threshold.grad.reshape(()), their_threshold.reshape(()))


def simulated(current: np.ndarray, theta: float) -> np.ndarray:
    """Integrate and fire from half a threshold, one step after the other; theta times the rate."""
    theta_ = np.float32(theta)
    potential = np.full(current.shape[1:], theta_ / 2, dtype=np.float32)
    count = np.zeros_like(potential)
    for arriving in current:
        potential = potential + arriving
        spikes = (potential >= theta_).astype(np.float32)
        potential = potential - spikes * theta_
        count += spikes
    return count * theta_ / np.float32(len(current))
