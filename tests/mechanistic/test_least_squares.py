"""Least squares in blocks: the answer of a dense solver, its gradients, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.errors import EquationError
from spikewright.mechanistic import Blocks, least_squares
from spikewright.mechanistic.factor import factorised


def parts(points: int, unknowns: int = 2, rows: int = 3, edge_rows: int = 3) -> list[Tensor]:
    """Random rows of two samples, more of them than unknowns."""
    shapes = (
        (2, points, rows, unknowns),
        (2, points, rows),
        (2, points - 1, edge_rows, unknowns),
        (2, points - 1, edge_rows, unknowns),
        (2, points - 1, edge_rows),
    )
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 3), st.integers(0, 10**6))
def test_the_solution_is_that_of_dense_least_squares(
    points: int, unknowns: int, more: int, seed: int
) -> None:
    torch.manual_seed(seed)
    edge_rows = min(2 * unknowns, 1 + more)
    blocks = Blocks(*parts(points, unknowns, unknowns + more, edge_rows))
    matrix, rhs = blocks.dense()
    wanted = torch.linalg.lstsq(matrix, rhs.unsqueeze(-1)).solution.view(2, points, unknowns)
    assert (least_squares(blocks) - wanted).abs().max() < 1e-8


@pytest.mark.parametrize("points", [1, 2, 5, 6])
def test_gradients_reach_every_part(points: int) -> None:
    given_parts = [part[:1].requires_grad_() for part in parts(points, rows=2, edge_rows=2)]
    assert torch.autograd.gradcheck(lambda *p: least_squares(Blocks(*p)), given_parts)


def test_the_factor_solves_the_normal_equations() -> None:
    blocks = Blocks(*parts(9))
    matrix, _ = blocks.dense()
    g = torch.randn(2, 9, 2, dtype=torch.float64)
    wanted = torch.linalg.solve(matrix.mT @ matrix, g.flatten(1).unsqueeze(-1)).view_as(g)
    found = factorised(blocks)[0].normal(g)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_only_the_gradients_asked_for_are_formed() -> None:
    given_parts = parts(5)
    given_parts[1].requires_grad_()
    least_squares(Blocks(*given_parts)).sum().backward()
    assert given_parts[1].grad is not None
    assert all(part.grad is None for part in given_parts if part is not given_parts[1])


def test_the_matrix_has_the_rows_of_the_blocks() -> None:
    blocks = Blocks(*parts(4))
    x = torch.randn(2, 4, 2, dtype=torch.float64)
    own, edges = blocks.times(x)
    matrix, _ = blocks.dense()
    whole = (matrix @ x.flatten(1).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(torch.cat([own.flatten(1), edges.flatten(1)], 1), whole)


def test_a_second_derivative_is_refused() -> None:
    given_parts = [part.requires_grad_() for part in parts(3)]
    x = least_squares(Blocks(*given_parts))
    (first,) = torch.autograd.grad(x.square().sum(), given_parts[1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("points", [1, 2, 5])
def test_undetermined_unknowns_are_refused(points: int) -> None:
    given_parts = parts(points)
    for matrix in (given_parts[0], given_parts[2], given_parts[3]):
        matrix[..., 1] = 0
    with pytest.raises(EquationError, match=r"leave a state undetermined.*initial values"):
        least_squares(Blocks(*given_parts))


def test_nan_is_refused() -> None:
    given_parts = parts(6)
    given_parts[0][1, 3, 0, 0] = torch.nan
    with pytest.raises(EquationError, match="hold NaN"):
        least_squares(Blocks(*given_parts))


def test_parts_that_do_not_fit_are_refused() -> None:
    own, own_rhs, left, right, edge_rhs = parts(4)
    with pytest.raises(ValueError, match=r"own \(2, 4, 3, 2\) asks for .* \(2, 3, 3\)\], got"):
        Blocks(own, own_rhs, left, right, edge_rhs[:, 1:])
    left, right, edge_rhs = (torch.cat([part, part], 2) for part in (left, right, edge_rhs))
    with pytest.raises(ValueError, match="at most 4 rows between two points"):
        Blocks(own, own_rhs, left, right, edge_rhs)
