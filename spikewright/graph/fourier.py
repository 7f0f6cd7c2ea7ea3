"""Discrete Fourier transforms of constant size, written as products with constants.

    X[k] = sum_j x[j] (cos(2 pi j k / n) - i sin(2 pi j k / n))

Complex values are pairs of real ones; see `graph.pairs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten

Pair = tuple[fx.Node, fx.Node]
"""The real and the imaginary part."""


def of_real(
    page: Any, x: fx.Node, dims: Sequence[int], normalization: int, onesided: bool
) -> Pair | None:
    """The transform of a real signal: over the last dimension first."""
    *others, last = dims
    size = x.meta["val"].shape[last]
    if not isinstance(size, int):
        return None
    kept = size // 2 + 1 if onesided else size
    scale = _scale(size, normalization)
    cosines, sines = (_waves(page, f, size, x, scale) for f in (aten.cos, aten.sin))
    real, imaginary = (
        _along(page, x, last, page.call(aten.slice.Tensor, waves, 1, 0, kept))
        for waves in (cosines, sines)
    )
    pair = real, page.call(aten.neg.default, imaginary)
    return _turned(page, pair, others, normalization, forward=True)


def of_complex(
    page: Any, x: fx.Node, dims: Sequence[int], normalization: int, forward: bool
) -> Pair | None:
    """The transform of a complex signal, or its inverse."""
    if x in page.reals:
        real = page.reals[x]
        pair = of_real(page, real, dims, normalization, onesided=False)
        return pair if pair is None or forward else (pair[0], page.call(aten.neg.default, pair[1]))
    parts = page.parts(x)
    return None if parts is None else _turned(page, parts, dims, normalization, forward=forward)


def to_real(
    page: Any, x: fx.Node, dims: Sequence[int], normalization: int, size: Any
) -> fx.Node | None:
    """The inverse transform of one half of a spectrum whose other half mirrors it."""
    *others, last = dims
    parts = page.parts(x)
    if parts is None or not isinstance(size, int):
        return None
    pair = _turned(page, parts, others, normalization, forward=False)
    if pair is None:
        return None
    kept = size // 2 + 1
    ends = (0, size // 2) if size % 2 == 0 else (0,)
    scale = _scale(size, normalization)
    halves: list[fx.Node] = []
    for f, part in zip((aten.cos, aten.sin), pair, strict=True):
        waves = page.call(aten.slice.Tensor, _waves(page, f, size, part, scale), 0, 0, kept)
        doubled = _doubled(page, waves, ends)
        halves.append(_along(page, part, last, doubled))
    return page.call(aten.sub.Tensor, *halves)


def _doubled(page: Any, waves: fx.Node, ends: Sequence[int]) -> fx.Node:
    """Rows of waves that stand for themselves and their mirror images twice, others once."""
    places = _places(page, waves.meta["val"].shape[0], waves)
    alone = [page.call(aten.eq.Scalar, places, end) for end in ends]
    lone = alone[0] if len(alone) == 1 else page.call(aten.logical_or.default, *alone)
    column = page.call(aten.unsqueeze.default, lone, 1)
    return page.call(aten.where.self, column, waves, page.call(aten.mul.Tensor, waves, 2.0))


def _turned(
    page: Any, pair: Pair, dims: Sequence[int], normalization: int, *, forward: bool
) -> Pair | None:
    """The transform of both parts over dimensions, one after the other."""
    for dim in dims:
        real = pair[0]
        size = real.meta["val"].shape[dim]
        if not isinstance(size, int):
            return None
        scale = _scale(size, normalization)
        cosines = _waves(page, aten.cos, size, real, scale)
        sines = _waves(page, aten.sin, size, real, scale if forward else -scale)
        a, b = (_along(page, part, dim, cosines) for part in pair)
        c, d = (_along(page, part, dim, sines) for part in pair)
        pair = page.call(aten.add.Tensor, a, d), page.call(aten.sub.Tensor, b, c)
    return pair


def _waves(page: Any, f: Any, size: int, like: fx.Node, scale: float) -> fx.Node:
    """`scale * f(2 pi j k / n)`, `[n, n]`; j * k is taken modulo n, which keeps it exact."""
    places = _places(page, size, like)
    rows = page.call(aten.unsqueeze.default, places, 1)
    turns = page.call(aten.remainder.Scalar, page.call(aten.mul.Tensor, rows, places), size)
    exact = page.call(aten._to_copy.default, turns, dtype=torch.float64)
    angles = page.call(aten.mul.Tensor, exact, 2 * math.pi / size)
    waves = page.call(aten.mul.Tensor, page.call(f.default, angles), scale)
    return page.call(aten._to_copy.default, waves, dtype=like.meta["val"].dtype)


def _places(page: Any, size: int, like: fx.Node) -> fx.Node:
    return page.call(aten.arange.default, size, device=like.meta["val"].device)


def _along(page: Any, x: fx.Node, dim: int, matrix: fx.Node) -> fx.Node:
    """`x @ matrix` over a dimension of x."""
    last = x.meta["val"].ndim - 1
    dim %= last + 1
    moved = x if dim == last else page.call(aten.transpose.int, x, dim, last)
    product = page.call(aten.matmul.default, moved, matrix)
    return product if dim == last else page.call(aten.transpose.int, product, dim, last)


def _scale(size: int, normalization: int) -> float:
    """What a transform is multiplied with: 1, `1 / sqrt(n)` or `1 / n`."""
    return (1.0, 1 / math.sqrt(size), 1 / size)[normalization]


TRANSFORMS: dict[Any, Callable[..., Any]] = {
    aten._fft_r2c.default: of_real,
    aten._fft_c2c.default: of_complex,
    aten._fft_c2r.default: to_real,
}
"""By call; each takes the page to write on and the call's arguments."""
