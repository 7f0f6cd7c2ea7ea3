"""Differential equations on a grid: exact polynomials, known solutions, dense least squares."""

from __future__ import annotations

import math
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from spikewright.errors import EquationError
from spikewright.mechanistic import Blocks, ODESolver, solver
from spikewright.mechanistic.solver import taylor

DOUBLE = torch.float64


def coefficients(*values: float) -> Tensor:
    """One equation of one function with constant coefficients, by order."""
    return torch.tensor(values, dtype=DOUBLE).view(1, 1, 1, 1, -1)


def oscillator(points: int, step: float, damping: float = 0.2) -> tuple[Tensor, Tensor]:
    """u'' + c u' + u = 0 and its derivative, from u = 1 at rest: solved, and as known, `[N]`."""
    equation = coefficients(1, damping, 1, 0)
    derived = coefficients(0, 1, damping, 1)
    constants, rest = torch.zeros(1, points, 2, dtype=DOUBLE), torch.tensor([[[1.0, 0.0]]])
    u = ODESolver()(torch.cat([equation, derived], 2), constants, rest.to(DOUBLE), step)
    time = step * torch.arange(points, dtype=DOUBLE)
    w = math.sqrt(1 - damping**2 / 4)
    wave = (w * time).cos() + damping / (2 * w) * (w * time).sin()
    return u[0, :, 0, 0], (-damping / 2 * time).exp() * wave


@pytest.mark.parametrize("order", [1, 2, 3])
def test_polynomials_up_to_the_order_are_exact(order: int) -> None:
    """u^(O) = O!, so u = t^O: no Taylor series is cut off, at steps of any lengths."""
    steps = torch.tensor([[0.1, 0.3, 0.2, 0.7, 0.4]], dtype=DOUBLE)
    time = torch.cat([torch.zeros(1, dtype=DOUBLE), steps[0].cumsum(0)])
    constants = torch.full((1, 6, 1), math.factorial(order), dtype=DOUBLE)
    initial = torch.zeros(1, 1, order, dtype=DOUBLE)
    u = ODESolver()(coefficients(*[0] * order, 1), constants, initial, steps)
    wanted = [math.perm(order, o) * time ** (order - o) for o in range(order + 1)]
    torch.testing.assert_close(u[0, :, 0], torch.stack(wanted, 1), rtol=0, atol=1e-10)


def test_a_damped_oscillator_swings_as_its_solution_says() -> None:
    coarse, fine = (oscillator(n, h) for n, h in ((201, 0.1), (401, 0.05)))
    errors = [float((found - wanted).abs().max()) for found, wanted in (coarse, fine)]
    assert errors[0] < 3e-3
    assert 3.5 < errors[0] / errors[1] < 4.5  # second order


def test_coupled_functions_turn_in_a_circle() -> None:
    """x' = v, v' = -x, as two equations in two functions."""
    equations = torch.zeros(1, 1, 2, 2, 2, dtype=DOUBLE)
    equations[0, 0, 0, 0, 1], equations[0, 0, 0, 1, 0] = 1, -1
    equations[0, 0, 1, 1, 1], equations[0, 0, 1, 0, 0] = 1, 1
    start = torch.tensor([[[0.0], [1.0]]], dtype=DOUBLE)
    u = ODESolver()(equations, torch.zeros(1, 301, 2, dtype=DOUBLE), start, 0.01)
    time = 0.01 * torch.arange(301, dtype=DOUBLE)
    wanted = torch.stack([time.sin(), time.cos()], 1)
    assert (u[0, :, :, 0] - wanted).abs().max() < 2e-3


def test_the_rows_are_those_of_the_paper() -> None:
    """Written out in u itself, by loops, and solved densely: the sum of squares is the same one."""
    torch.manual_seed(1)
    points, dims, orders, h = 4, 2, 3, torch.tensor([0.5, 0.8, 0.6], dtype=DOUBLE)
    c, b = torch.randn(points, 2, dims, orders, dtype=DOUBLE), torch.randn(points, 2, dtype=DOUBLE)
    initial, jumps = torch.randn(dims, 2, dtype=DOUBLE), torch.randn(3, dims, orders, dtype=DOUBLE)
    rows: list[Tensor] = []
    rhs: list[Tensor] = []

    def row(
        weight: float, entries: dict[tuple[int, int, int], Tensor | float], value: Tensor
    ) -> None:
        made = torch.zeros(points, dims, orders, dtype=DOUBLE)
        for place, entry in entries.items():
            made[place] = entry
        rows.append(weight * made.flatten())
        rhs.append(weight * value)

    for n in range(points):
        for e in range(2):
            places = [(n, d, o) for d in range(dims) for o in range(orders)]
            row(2.0, {place: c[place[0], e, place[1], place[2]] for place in places}, b[n, e])
    for d in range(dims):
        for o in range(2):
            row(3.0, {(0, d, o): 1.0}, initial[d, o])
    for n in range(points - 1):
        for d in range(dims):
            for o in range(orders):
                series = {p: h[n] ** p / math.factorial(p - o) for p in range(o, orders)}
                ahead = {(n, d, p): value for p, value in series.items()}
                row(0.5, {**ahead, (n + 1, d, o): -(h[n] ** o)}, -(h[n] ** o) * jumps[n, d, o])
                back = {p: (-1) ** (p - o) * value for p, value in series.items()}
                leap = sum((value * jumps[n, d, p] for p, value in back.items()), torch.zeros(()))
                behind = {(n + 1, d, p): value for p, value in back.items()}
                row(0.5, {**behind, (n, d, o): -(h[n] ** o)}, leap)
    wanted = torch.linalg.lstsq(torch.stack(rows), torch.stack(rhs).unsqueeze(1)).solution
    weights = {"equation_weight": 2.0, "initial_weight": 3.0, "smoothness_weight": 0.5}
    found = ODESolver(**weights)(c[None], b[None], initial[None], h[None], jumps[None])
    torch.testing.assert_close(found[0], wanted.view(points, dims, orders), rtol=0, atol=1e-8)


def test_a_long_grid_is_solved_as_the_dense_problem_is() -> None:
    """Of the oscillator at 150 points, in float64, below 1e-8."""
    kept: list[Blocks] = []

    def remembered(blocks: Blocks) -> Tensor:
        kept.append(blocks)
        return torch.zeros(1, 150, 4, dtype=DOUBLE)

    found, _ = oscillator(150, 0.1)
    with patch.object(solver, "least_squares", remembered):
        oscillator(150, 0.1)
    matrix, rhs = kept[0].dense()
    wanted = torch.linalg.lstsq(matrix[0], rhs[0].unsqueeze(1), driver="gelsy").solution
    assert (found - wanted.view(150, 4)[:, 0]).abs().max() < 1e-8


def test_gradients_are_right_for_every_argument() -> None:
    torch.manual_seed(0)
    arguments = (
        torch.randn(2, 1, 2, 2, 3, dtype=DOUBLE),
        torch.randn(1, 5, 2, dtype=DOUBLE),
        torch.randn(1, 2, 2, dtype=DOUBLE),
        torch.rand(2, 4, dtype=DOUBLE) + 0.5,
        torch.randn(1, 4, 2, 3, dtype=DOUBLE),
    )
    given_arguments = [argument.requires_grad_() for argument in arguments]
    assert torch.autograd.gradcheck(ODESolver(equation_weight=2.0), given_arguments)


def test_samples_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    equations = torch.randn(3, 8, 1, 1, 3, dtype=DOUBLE)
    constants, start = torch.randn(3, 8, 1, dtype=DOUBLE), torch.ones(1, 1, 2, dtype=DOUBLE)
    whole = ODESolver()(equations, constants, start, 0.3)
    for number in range(3):
        alone = ODESolver()(equations[number : number + 1], constants[number, None], start, 0.3)
        torch.testing.assert_close(alone[0], whole[number], rtol=1e-9, atol=1e-9)


def test_single_precision_holds_over_a_long_grid() -> None:
    """h^o u keeps the rows of one size, and A is not squared: float32 takes 10^4 points."""
    decay = torch.tensor([[1.0, 10.0, 0.0], [0.0, 1.0, 10.0]]).view(1, 1, 2, 1, 3)
    time = 0.01 * torch.arange(10_000)
    driven = torch.stack([time.sin(), time.cos()], 1)[None]
    single = ODESolver()(decay, driven, torch.ones(1, 1, 1), 0.01)
    double = ODESolver()(decay.double(), driven.double(), torch.ones(1, 1, 1).double(), 0.01)
    assert (single - double)[0, :, 0, 0].abs().max() < 1e-3


def test_damping_and_stiffness_are_learned_from_noisy_samples() -> None:
    _, clean = oscillator(200, 0.1, damping=0.3)
    noisy = clean + 0.05 * torch.randn(200, dtype=DOUBLE)
    guess = torch.tensor([0.5, 0.0], dtype=DOUBLE, requires_grad=True)  # stiffness and damping
    fit = torch.optim.LBFGS([guess], max_iter=40, line_search_fn="strong_wolfe")
    order = torch.eye(4, dtype=DOUBLE)

    def loss() -> Tensor:
        fit.zero_grad()
        k, c = guess.unbind()
        rows = [k * order[o] + c * order[o + 1] + order[o + 2] for o in range(2)]
        start = torch.tensor([[[1.0, 0.0]]], dtype=DOUBLE)
        equations = torch.stack(rows).view(1, 1, 2, 1, 4)
        u = ODESolver()(equations, torch.zeros(1, 200, 2, dtype=DOUBLE), start, 0.1)
        error = (u[0, :, 0, 0] - noisy).square().mean()
        error.backward()
        return error

    fit.step(loss)
    assert guess.tolist() == pytest.approx([1.0, 0.3], abs=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coefficients": torch.ones(1, 4, 1, 1, 1)}, "order of at least 1, got"),
        ({"coefficients": torch.ones(4, 1, 3)}, r"\[B, N, equations, functions, highest order"),
        ({"coefficients": torch.ones(1, 1, 1, 1, 3).half()}, "all tensors must be float32, or all"),
        ({"constants": torch.ones(1, 4, 1).double()}, "constants torch.float64"),
        ({"constants": torch.ones(1, 4, 2)}, r"constants: expected shape \[B, N, 1\]"),
        ({"constants": torch.ones(1, 1, 1)}, "a grid of 1 points: give at least 2"),
        ({"constants": torch.ones(1, 5, 1), "step": torch.ones(1, 5)}, r"sizes \[5, 6\] for N"),
        ({"constants": torch.ones(2, 4, 1), "initial": torch.ones(3, 1, 2)}, r"\[2, 3\] for B"),
        ({"initial": torch.ones(1, 1, 4)}, "orders given, at most 3"),
        ({"initial": torch.ones(1, 2, 2)}, r"initial values have shape \[B, 1, "),
        (
            {
                "coefficients": torch.tensor([0.0, 0.0, 1.0]).view(1, 1, 1, 1, 3),
                "initial": torch.ones(1, 1, 0),
            },
            "leave a state undetermined",
        ),
        ({"step": 0.0}, "every step must be above 0"),
        ({"step": torch.ones(3)}, r"step: expected shape \[B, N - 1\], got \(3,\)"),
        ({"jumps": torch.ones(1, 3, 1, 2)}, r"jumps: expected shape \[B, N - 1, 1, 3\]"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Tensor], message: str) -> None:
    fitting = {
        "coefficients": torch.tensor([1.0, 0.0, 1.0]).view(1, 1, 1, 1, 3),
        "constants": torch.ones(1, 4, 1),
        "initial": torch.ones(1, 1, 2),
        "step": 0.1,
    }
    assert ODESolver()(**fitting).shape == (1, 4, 1, 3)
    with pytest.raises(EquationError, match=message):
        ODESolver()(**{**fitting, **change})


@pytest.mark.parametrize("name", ["equation_weight", "initial_weight", "smoothness_weight"])
@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
def test_a_weight_that_means_nothing_is_refused(name: str, weight: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0 and finite"):
        ODESolver(**{name: weight})


def test_weights_are_shown() -> None:
    assert "equation_weight=2.0, initial_weight=1.0" in repr(ODESolver(equation_weight=2.0))


def test_a_taylor_series_has_the_binomials_of_its_order() -> None:
    forward, backward, here = taylor(torch.ones(1, 1), 1, 3)
    assert forward[0, 0].tolist() == [[1, 1, 0.5], [0, 1, 1], [0, 0, 1]]
    assert backward[0, 0].tolist() == [[1, -1, 0.5], [0, 1, -1], [0, 0, 1]]
    assert torch.equal(here[0, 0], torch.eye(3))
