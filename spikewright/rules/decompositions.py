"""What short calls stand for, written in calls that have rules of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.decomposing import register_decompositions

aten = torch.ops.aten
_LEAST = 2.0**-24
"""The smallest number of float16, whose smallest normal one is no small one."""
Dims = Sequence[int] | int | None


def _all_of(x: Tensor, dims: Dims) -> list[int]:
    """The dimensions that a reduction works on; without any, all."""
    if dims is None or dims == []:
        return list(range(x.ndim))
    return [dims] if isinstance(dims, int) else list(dims)


def _in_dtype(x: Tensor, dtype: Any) -> Tensor:
    """A value as a call converts it first, which the rule of conversions judges."""
    return x if dtype is None else x.to(dtype)


def variance(
    x: Tensor, dim: Dims = None, *, correction: float | None = 1, keepdim: bool = False
) -> Tensor:
    """`sum((x - mean)^2) / (N - correction)`."""
    dims = _all_of(x, dim)
    centred = x - x.mean(dims, keepdim=True)
    members = math.prod(x.shape[d] for d in dims)
    less = 1 if correction is None else correction
    return centred.square().sum(dims, keepdim=keepdim) / (members - less)


def deviation(x: Tensor, dim: Dims = None, **options: Any) -> Tensor:
    """The square root of the variance."""
    return variance(x, dim, **options).sqrt()


def variance_and_mean(x: Tensor, dim: Dims = None, **options: Any) -> tuple[Tensor, Tensor]:
    """Both."""
    mean = x.mean(_all_of(x, dim), keepdim=options.get("keepdim", False))
    return variance(x, dim, **options), mean


def deviation_and_mean(x: Tensor, dim: Dims = None, **options: Any) -> tuple[Tensor, Tensor]:
    """Both."""
    squared, mean = variance_and_mean(x, dim, **options)
    return squared.sqrt(), mean


def vector_norm(
    x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """`sum(|x|^p)^(1/p)`, or the largest or smallest magnitude; of order 0 it stays as it is."""
    if ord == 0:
        return NotImplemented
    x, dims = _in_dtype(x, dtype), _all_of(x, dim)
    if math.isinf(ord):
        return x.abs().amax(dims, keepdim) if ord > 0 else x.abs().amin(dims, keepdim)
    if ord == 2:
        return x.square().sum(dims, keepdim=keepdim).sqrt()
    if ord == 1:
        return x.abs().sum(dims, keepdim=keepdim)
    return x.abs().pow(ord).sum(dims, keepdim=keepdim).pow(1 / ord)


def norm(
    x: Tensor, p: float | None = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The same under its older name."""
    return vector_norm(x, 2 if p is None else p, dim, keepdim, dtype=dtype)


def log_sum_exp(x: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """`log(sum(exp(x)))`, less the maximum inside."""
    dims = _all_of(x, dim)
    top = x.amax(dims, keepdim=True)
    total = (x - top).exp().sum(dims, keepdim=keepdim).log()
    return total + (top if keepdim else top.squeeze(dims))


def log_add_exp(a: Tensor, b: Tensor) -> Tensor:
    """`log(exp(a) + exp(b))`, less the larger inside."""
    top = torch.maximum(a, b)
    return top + ((a - top).exp() + (b - top).exp()).log()


def lerp(start: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """`start + weight (end - start)`."""
    return start + (end - start) * weight


def addcdiv(x: Tensor, above: Tensor, below: Tensor, *, value: float = 1) -> Tensor:
    """`x + value * above / below`."""
    return x + above / below * value


def product(x: Tensor, dim: int, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Every place of a dimension times the others."""
    total = reduce(torch.mul, _in_dtype(x, dtype).unbind(dim))
    return total.unsqueeze(dim) if keepdim else total


def times_log(x: Tensor | float, y: Tensor) -> Tensor:
    """`x * log(y)`, which is 0 where both are 0: of 0 the logarithm is a number, if a large one."""
    y = y if y.is_floating_point() else y.float()
    return x * (y + min(torch.finfo(y.dtype).tiny, _LEAST)).log()


def times_log_of_number(x: Tensor, y: float) -> Tensor:
    """The same of a number; of none above 0 it stays as it is."""
    return x * math.log(y) if y > 0 else NotImplemented


def bilinear(a: Tensor, b: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`sum_ij a_i weight_oij b_j + bias_o`."""
    met = (torch.einsum("...i,oij->...oj", a, weight) * b.unsqueeze(-2)).sum(-1)
    return met if bias is None else met + bias


def distances(a: Tensor, b: Tensor, p: float = 2.0, _: int | None = None) -> Tensor:
    """Of every row of one and every row of the other."""
    return vector_norm(a.unsqueeze(-2) - b.unsqueeze(-3), p, -1)


register_decompositions(
    {
        aten.var.correction: variance,
        aten.std.correction: deviation,
        aten.var_mean.correction: variance_and_mean,
        aten.std_mean.correction: deviation_and_mean,
        aten.linalg_vector_norm.default: vector_norm,
        aten.norm.Scalar: norm,
        aten.norm.ScalarOpt_dim: norm,
        aten.norm.ScalarOpt_dim_dtype: norm,
        aten.logsumexp.default: log_sum_exp,
        aten.logaddexp.default: log_add_exp,
        aten.lerp.Scalar: lerp,
        aten.lerp.Tensor: lerp,
        aten.addcdiv.default: addcdiv,
        aten.prod.dim_int: product,
        aten.bilinear.default: bilinear,
        aten.cdist.default: distances,
        aten.hypot.default: lambda a, b: (a.square() + b.square()).sqrt(),
        aten.xlogy.Tensor: times_log,
        aten.xlogy.Scalar_Self: times_log,
        aten.xlogy.Scalar_Other: times_log_of_number,
    }
)
