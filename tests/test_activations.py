"""The activations made for conversion: values, gradients, and what capture sees of them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.activations import _Traced, _TracedClip, clipped_relu, learned_thresholds, qcfs
from spikewright.graph import survey

X = torch.linspace(-3, 6, 181, dtype=torch.float64)


def gradients(function, x: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """The values, and the gradients of their cubes' sum, which weigh every place differently."""
    x = x.clone().requires_grad_()
    theta = torch.tensor(threshold, dtype=x.dtype, requires_grad=True)
    y = function(x, theta)
    ((y + 1) ** 3).sum().backward()
    assert x.grad is not None
    assert theta.grad is not None
    return y.detach(), x.grad, theta.grad


def straight_through(levels: int):
    """QCFS in torch's own operations, its floor replaced by the identity on the way back."""

    def function(x: Tensor, theta: Tensor) -> Tensor:
        position = x * (levels / theta) + 0.5
        floored = position + (position.floor() - position).detach()
        clipped = torch.where(floored < 0, 0 * floored, floored)
        return torch.where(position > levels, theta, clipped * theta / levels)

    return function


@pytest.mark.parametrize("levels", [1, 4, 8])
@pytest.mark.parametrize("apply", [qcfs, _Traced.apply], ids=["operator", "for the compiler"])
def test_qcfs_passes_gradients_straight_through_the_floor(levels: int, apply) -> None:
    x = X + 0.013  # off the edges of steps
    inside = (x * (levels / 2.7) + 0.5 >= 0) & (x * (levels / 2.7) + 0.5 <= levels)
    found = gradients(lambda x, theta: apply(x, theta, levels), x, 2.7)
    expected = gradients(straight_through(levels), x, 2.7)
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1], expected[1] * inside, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-9, atol=1e-9)


def test_the_clipped_relu_has_the_gradients_of_its_formula() -> None:
    def formula(x: Tensor, theta: Tensor) -> Tensor:
        return torch.where(x > theta, theta, torch.where(x < 0, 0 * x, x))

    found, expected = gradients(clipped_relu, X, 2.51), gradients(formula, X, 2.51)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("apply", [clipped_relu, _TracedClip.apply], ids=["operator", "traced"])
def test_at_its_ceiling_a_clipped_relu_passes_the_gradient_to_its_input(apply) -> None:
    x = torch.tensor([-1.0, 1.0, 2.0, 4.0], dtype=torch.float64)
    y, by_x, by_theta = gradients(apply, x, 2.0)
    assert y.tolist() == [0, 1, 2, 2]
    assert by_x.tolist() == [0, 12, 27, 0]  # 3 (y + 1)^2
    assert by_theta.item() == 27


def test_compiled_code_of_a_clipped_relu_has_the_gradients_of_the_operator() -> None:
    unit = sw.ClippedReLU(2.0)
    x = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    torch.compile(unit, backend="eager", fullgraph=True)(x).sum().backward()
    assert x.grad is not None
    assert unit.threshold.grad is not None
    assert (x.grad.tolist(), unit.threshold.grad.item()) == ([1, 1, 0], 1)


@given(st.floats(0.1, 9), st.integers(1, 64))
def test_the_shift_is_half_a_spike(threshold: float, steps: int) -> None:
    shifted, plain = sw.ClippedReLU(threshold, steps).double(), sw.ClippedReLU(threshold).double()
    spike = threshold / steps
    torch.testing.assert_close(shifted(X + spike / 2), plain(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shift_steps", [None, 8])
def test_a_clipped_relu_converts_with_its_own_threshold(shift_steps: int | None) -> None:
    torch.manual_seed(0)
    act = sw.ClippedReLU(1.5, shift_steps)
    model = nn.Sequential(nn.Linear(6, 9), act, nn.Linear(9, 3)).eval()
    x = torch.randn(40, 6)
    snn = sw.convert(model, [x], threshold=sw.Learned(), steps=512, correction=None)
    assert float(snn.design(512).thresholds["1"].squeeze()) == 1.5
    torch.testing.assert_close(snn(x, steps=512), model(x), rtol=0, atol=0.02)


def test_capture_sees_one_node_also_of_a_shifted_one() -> None:
    model = nn.Sequential(nn.Linear(4, 4), sw.ClippedReLU(2.0, shift_steps=4)).eval()
    (site,) = survey(model, torch.zeros(2, 4)).graph.sites
    assert site.threshold == "1.threshold"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sw.ClippedReLU(0.0), "needs a positive threshold, got 0.0"),
        (lambda: sw.ClippedReLU(1.0, 0), "shift_steps=0; give at least 1, or None"),
        (lambda: sw.QCFS(0), "needs at least 1 level, got 0"),
        (lambda: sw.QCFS(4, -1.0), "needs a positive threshold, got -1.0"),
        (lambda: sw.QCFS("4"), "needs at least 1 level, got '4'; give a whole number"),
        (lambda: sw.QCFS(4, math.inf), "needs a positive threshold, got inf; give a finite"),
        (lambda: sw.QCFS(4, 1e39), r"got 1e\+39; give a finite number that torch.float32 holds"),
        (lambda: sw.ClippedReLU("1"), "needs a positive threshold, got '1'"),
        (lambda: sw.ClippedReLU(math.inf), "needs a positive threshold, got inf"),
        (lambda: sw.ClippedReLU(1e-50), "needs a positive threshold, got 1e-50"),
        (lambda: sw.ClippedReLU(1.0, "8"), "shift_steps='8'; give at least 1, or None"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_activations_tell_what_they_are() -> None:
    assert str(sw.ClippedReLU(2.0)) == "ClippedReLU(threshold=2)"
    assert str(sw.ClippedReLU(2.0, 8)) == "ClippedReLU(threshold=2, shift_steps=8)"


def test_learned_thresholds_are_found_once_each() -> None:
    shared = sw.QCFS(4, 1.0)
    model = nn.Sequential(shared, nn.Linear(2, 2), sw.ClippedReLU(2.0), shared)
    assert [t.item() for t in learned_thresholds(model)] == [1.0, 2.0]
