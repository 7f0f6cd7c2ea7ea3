"""Linear differential equations solved on a whole grid at once, as a layer of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spikewright.errors import EquationError
from spikewright.mechanistic.blocks import Blocks
from spikewright.mechanistic.gradients import least_squares

PRECISIONS = (torch.float32, torch.float64)


class ODESolver(nn.Module):
    """Linear ordinary differential equations as one least squares problem over all grid points.

    The unknowns u[n, d, o] are the derivatives of order o = 0 .. O of function d at point n. With h
    the step from n to n + 1, they fulfil as well as they can, in the sum of squares,

        sum_(d, o) c[n, e, d, o] u[n, d, o] = b[n, e]                   the equations
        u[0, d, o] = i[d, o]  for o < I                                 initial values
        sum_(p >= o) h^p / (p - o)! u[n, d, p] = h^o u[n + 1, d, o]     Taylor series forward
        sum_(p >= o) h^o (-h)^(p - o) / (p - o)! u[n + 1, d, p] = h^o u[n, d, o]     and backward.

    Time and memory are linear in the number of points N, and the points are worked on in log2 N
    batches. Internally h^o u is solved for, with which a Taylor series has the same rows at any h.

    The functions must be smooth between points; a `jump` lets them step at the points themselves.
    Equations that are not linear in u are refused by their form: there is no place for them. Give
    what is not linear as a constant b, of data or of an earlier solution.

    Args:
        equation_weight: the weight of the equations' rows, above 0.
        initial_weight: of the initial values' rows, above 0.
        smoothness_weight: of the Taylor series' rows, above 0.

    Raises:
        ValueError: for a weight that is not above 0 and finite.

    Source: Chen, Yao, Pervez, Alistarh, Locatello, "Scalable Mechanistic Neural Networks",
    ICLR 2025, arXiv 2410.06074, section 3.
    """

    def __init__(
        self,
        *,
        equation_weight: float = 1.0,
        initial_weight: float = 1.0,
        smoothness_weight: float = 1.0,
    ) -> None:
        super().__init__()
        given = {
            "equation_weight": equation_weight,
            "initial_weight": initial_weight,
            "smoothness_weight": smoothness_weight,
        }
        for name, weight in given.items():
            if not 0 < weight < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {weight}")
        self.equation_weight = equation_weight
        self.initial_weight = initial_weight
        self.smoothness_weight = smoothness_weight

    def forward(
        self,
        coefficients: Tensor,
        constants: Tensor,
        initial: Tensor,
        step: float | Tensor,
        jumps: Tensor | None = None,
    ) -> Tensor:
        """Solve the equations; gradients reach every tensor.

        Sizes B and N may be 1 where a tensor is the same for all samples or points.

        Args:
            coefficients: c `[B, N, E, D, O + 1]`: of E equations in D functions, O at least 1;
                float32 or float64, as all others.
            constants: b `[B, N, E]`.
            initial: i `[B, D, I]`: the derivatives of orders 0 .. I - 1 at the first point.
                With fewer than the equations ask for, the smoothest of their solutions is found.
            step: h, above 0, in units of time: a number, or `[B, N - 1]`.
            jumps: `[B, N - 1, D, O + 1]`: by how much each derivative at point n + 1 stands above
                where the interval before it ends; none by default.

        Returns:
            u `[B, N, D, O + 1]`.

        Raises:
            EquationError: for shapes or dtypes that do not fit, steps that are not above 0, or
                equations that leave a state undetermined.

        Example:
            >>> decay = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 1, 3)  # u + u' = 0, O = 2
            >>> also = torch.tensor([0.0, 1.0, 1.0]).view(1, 1, 1, 1, 3)  # and u' + u'' = 0
            >>> equations = torch.cat([decay, also], 2)
            >>> u = ODESolver()(equations, torch.zeros(1, 101, 2), torch.ones(1, 1, 1), 0.01)
            >>> u.shape, round(u[0, -1, 0, 0].item(), 4)
            (torch.Size([1, 101, 1, 3]), 0.3679)
        """
        size = _sizes(coefficients, constants, initial, step, jumps)
        batch, points, dims, orders = size
        steps = torch.as_tensor(step, dtype=coefficients.dtype, device=coefficients.device)
        steps = steps.expand(1, 1) if steps.ndim == 0 else steps
        powers = torch.arange(orders, dtype=steps.dtype, device=steps.device)
        mean = steps.detach().mean(1)  # a change of variables, so it has no gradient
        scale = mean[:, None] ** powers  # [B, O + 1]
        own, own_rhs = self._own(coefficients, constants, initial, scale, size)
        forward, backward, here = taylor(steps / mean[:, None], dims, orders)
        left, right = torch.cat([forward, -here], 2), torch.cat([-here, backward], 2)
        grid, unknowns = (batch, points - 1, 2 * dims * orders), dims * orders
        edge_rhs = steps.new_zeros(()).expand(grid)
        if jumps is not None:
            leap = (jumps * scale[:, None, None]).flatten(2).unsqueeze(-1)
            edge_rhs = torch.cat([-here @ leap, backward @ leap], 2).squeeze(-1).expand(grid)
        w = self.smoothness_weight
        left, right = (w * part for part in (left, right))
        blocks = Blocks(
            own,
            own_rhs,
            left.expand(*grid, unknowns),
            right.expand(*grid, unknowns),
            w * edge_rhs,
        )
        found = least_squares(blocks).unflatten(2, (dims, orders))
        return found / scale[:, None, None]

    def _own(
        self,
        coefficients: Tensor,
        constants: Tensor,
        initial: Tensor,
        scale: Tensor,
        size: tuple[int, int, int, int],
    ) -> tuple[Tensor, Tensor]:
        """The rows of single points and their right-hand sides: equations, then initial values."""
        batch, points, dims, orders = size
        rows, given = coefficients.shape[2], initial.shape[2]
        equations = self.equation_weight * (coefficients / scale[:, None, None, None]).flatten(3)
        equations = equations.expand(batch, points, rows, dims * orders)
        rhs = (self.equation_weight * constants).expand(batch, points, rows)
        if not given:
            return equations, rhs
        first = torch.eye(dims * orders, dtype=scale.dtype, device=scale.device)
        first = first.view(dims, orders, dims, orders)[:, :given] / scale[:, None, None, None]
        first = self.initial_weight * first.reshape(len(scale), 1, dims * given, dims * orders)
        values = self.initial_weight * initial.reshape(len(initial), 1, dims * given)
        later = (batch, points - 1, dims * given)
        first, values = first.expand(batch, -1, -1, -1), values.expand(batch, -1, -1)
        first = torch.cat([first, first.new_zeros(*later, dims * orders)], 1)
        values = torch.cat([values, values.new_zeros(later)], 1)
        return torch.cat([equations, first], 2), torch.cat([rhs, values], 2)

    def extra_repr(self) -> str:
        return (
            f"equation_weight={self.equation_weight}, initial_weight={self.initial_weight}, "
            f"smoothness_weight={self.smoothness_weight}"
        )


def taylor(ratio: Tensor, dims: int, orders: int) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices of a Taylor series in h^o u, `[B, N - 1, K, K]` each, K = dims * orders.

    Args:
        ratio: the steps in units of the one that scales u, `[B, N - 1]`.
        dims: the number of functions.
        orders: O + 1.

    Returns:
        The series forward, backward, and the values that they are compared with.
    """
    order = torch.arange(orders, device=ratio.device)
    apart = order - order[:, None]
    inverse = torch.exp(-torch.lgamma(apart.clamp(min=0).to(ratio.dtype) + 1)).triu()
    power = ratio[..., None] ** order.to(ratio.dtype)
    sign = (1 - 2 * (apart % 2)).to(ratio.dtype)
    matrices = (
        inverse * power.unsqueeze(-2),
        inverse * sign * power.unsqueeze(-2),
        power.diag_embed(),
    )
    eye = torch.eye(dims, dtype=ratio.dtype, device=ratio.device)
    width = dims * orders
    forward, backward, here = (
        torch.einsum("de,bnop->bndoep", eye, m).reshape(*ratio.shape, width, width)
        for m in matrices
    )
    return forward, backward, here


def _sizes(
    coefficients: Tensor,
    constants: Tensor,
    initial: Tensor,
    step: float | Tensor,
    jumps: Tensor | None,
) -> tuple[int, int, int, int]:
    """B, N, D and O + 1, all shapes checked."""
    if coefficients.ndim != 5 or coefficients.shape[4] < 2:
        raise EquationError(
            "coefficients have shape [B, N, equations, functions, highest order + 1] with an order "
            f"of at least 1, got {tuple(coefficients.shape)}"
        )
    _, _, rows, dims, orders = coefficients.shape
    steps = step if isinstance(step, Tensor) and step.ndim else None
    parts = {"coefficients": coefficients, "constants": constants, "initial": initial}
    parts |= {} if steps is None else {"step": steps}
    parts |= {} if jumps is None else {"jumps": jumps}
    wrong = [f"{n} {t.dtype}" for n, t in parts.items() if t.dtype != coefficients.dtype]
    if coefficients.dtype not in PRECISIONS or wrong:
        raise EquationError(
            f"coefficients are {coefficients.dtype}; all tensors must be float32, or all float64: "
            f"{', '.join(wrong) or 'use .float() or .double()'}"
        )
    if initial.ndim != 3 or initial.shape[1] != dims or initial.shape[2] > orders:
        raise EquationError(
            f"initial values have shape [B, {dims}, orders given, at most {orders}], got "
            f"{tuple(initial.shape)}"
        )
    grids = [tuple(coefficients.shape[:2]), _grid("constants", constants, (rows,))]
    grids += [] if steps is None else [_grid("step", steps, (), more=1)]
    grids += [] if jumps is None else [_grid("jumps", jumps, (dims, orders), more=1)]
    batch = _common("B", [grid[0] for grid in grids] + [initial.shape[0]])
    points = _common("N", [grid[1] for grid in grids])
    if points < 2:
        raise EquationError(
            f"a grid of {points} points: give at least 2, as the size N of the constants"
        )
    if not bool(torch.all(torch.as_tensor(step) > 0)):
        raise EquationError("every step must be above 0, in units of time")
    return batch, points, dims, orders


def _grid(name: str, tensor: Tensor, rest: tuple[int, ...], *, more: int = 0) -> tuple[int, int]:
    """B and N of a tensor `[B, N - more, *rest]`; N = 1 where it is the same at all points."""
    if tensor.ndim != 2 + len(rest) or tuple(tensor.shape[2:]) != rest:
        size = "N - 1" if more else "N"
        raise EquationError(
            f"{name}: expected shape [{', '.join(map(str, ('B', size, *rest)))}], got "
            f"{tuple(tensor.shape)}"
        )
    batch, points = tensor.shape[:2]
    return batch, 1 if points == 1 else points + more


def _common(letter: str, sizes: Sequence[int]) -> int:
    """The one size above 1, or 1."""
    above = sorted({size for size in sizes if size != 1})
    if len(above) > 1:
        raise EquationError(f"sizes {above} for {letter}: they must be the same, or 1")
    return above[0] if above else 1
