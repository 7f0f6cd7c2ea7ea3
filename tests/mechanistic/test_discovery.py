"""Equations found in trajectories."""

from __future__ import annotations

import pytest
import torch

from docs_tools.mechanistic import LORENZ, coefficient_error, lorenz_samples
from spikewright.errors import EquationError
from spikewright.mechanistic import discover
from spikewright.mechanistic.discovery import library, responses


@pytest.mark.parametrize(("noise", "cut", "tolerance"), [(0.0, 0.1, 0.05), (0.02, 0.5, 0.3)])
def test_the_lorenz_system_is_found(noise: float, cut: float, tolerance: float) -> None:
    samples = lorenz_samples(1000, 0.01)
    found = discover(samples + noise * torch.randn_like(samples), 0.01, cut=cut)
    for number, equation in enumerate(LORENZ):
        kept = found.coefficients[:, number] != 0
        assert [t for t, k in zip(found.terms, kept, strict=True) if k] == list(equation)
    assert coefficient_error(found) < tolerance
    assert found.fit.min() > 0.999


def test_a_term_below_the_cut_is_left_out() -> None:
    time = torch.arange(400, dtype=torch.float64) * 0.05
    u = (-0.5 * time).exp()[:, None] + 0.05 * time.sin()[:, None]
    loose, strict = (discover(u, 0.05, names="u", cut=cut) for cut in (0.0, 0.2))
    assert (loose.coefficients != 0).sum() == 3
    assert (strict.coefficients != 0).sum() < 3
    assert strict.coefficients.abs()[strict.coefficients != 0].min() >= 0.2
    assert loose.fit > strict.fit


def test_equations_are_written_as_they_are_read() -> None:
    time = torch.arange(200, dtype=torch.float64) * 0.05
    found = discover(torch.stack([time.cos(), -time.sin()], 1), 0.05, names="xv", degree=1)
    assert str(found) == "x' = 1 v\nv' = -1 x".replace("-1", "- 1")
    still = discover(torch.ones(20, 1, dtype=torch.float64), 0.1, names="u", degree=1)
    assert str(still) == "u' = 0"


@pytest.mark.parametrize("height", [0.0, 2.0])
def test_a_variable_that_never_changes_has_no_equation_to_speak_of(height: float) -> None:
    time = torch.arange(200, dtype=torch.float64) * 0.05
    still = torch.full_like(time, height)
    found = discover(torch.stack([time.cos(), -time.sin(), still], 1), 0.05, degree=1)
    assert str(found) == "x' = 1 y\ny' = - 1 x\nz' = 0"
    torch.testing.assert_close(found.fit, torch.ones(3, dtype=torch.float64))


def test_the_library_holds_every_product_once() -> None:
    samples = torch.tensor([[2.0, 3.0]])
    terms, values = library(samples, "xy", 2)
    assert terms == ("1", "x", "y", "x x", "x y", "y y")
    assert values.tolist() == [[1, 2, 3, 4, 6, 9]]


def test_responses_are_integrals_by_the_trapezoidal_rule() -> None:
    values = torch.rand(30, 2, dtype=torch.float64).cumsum(0)
    found = responses(values, 0.01)
    wanted = torch.cumulative_trapezoid(values, dx=0.01, dim=0)
    torch.testing.assert_close(found[1:], wanted, rtol=1e-3, atol=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    samples = torch.rand(20, 3)
    with pytest.raises(EquationError, match=r"samples have shape \[N, 2\], a column for each"):
        discover(samples, 0.1, names="xy")
    with pytest.raises(EquationError, match="samples hold NaN or infinite numbers"):
        discover(samples + float("nan"), 0.1)
    with pytest.raises(EquationError, match="10 samples cannot settle 10 terms"):
        discover(samples[:10], 0.1)
    with pytest.raises(EquationError, match="degree is at least 1 and cut at least 0"):
        discover(samples, 0.1, degree=0)
    with pytest.raises(EquationError, match="every step must be above 0"):
        discover(samples, -0.1)
