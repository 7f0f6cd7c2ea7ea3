"""Memory capacity beside a naive ridge regression, and where it is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.reservoir import filtered, memory_capacity
from spikewright.reservoir.memory import RIDGES

DOUBLE = torch.float64


def signal(steps: int = 400, runs: int = 8) -> Tensor:
    return 2 * torch.rand(steps, runs, dtype=DOUBLE) - 1


def naive(states: np.ndarray, x: np.ndarray, delays: int, washout: int) -> list[float]:
    """The best penalty by validation, one delay after another, with plain matrices."""
    runs = x.shape[1]
    parts = np.split(np.arange(runs), [runs // 2, runs * 3 // 4])

    def read(part: np.ndarray, delay: int) -> tuple[np.ndarray, np.ndarray]:
        steps = [(t, r) for t in range(washout, len(x)) for r in part]
        return (
            np.array([states[t, r] for t, r in steps]),
            np.array([x[t - delay, r] for t, r in steps]),
        )

    def squares(ridge: float, part: np.ndarray) -> list[float]:
        found = []
        for d in range(1, delays + 1):
            f, y = read(parts[0], d)
            centre = f.mean(0)
            gram = (f - centre).T @ (f - centre) / len(f)
            penalty = ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
            w = np.linalg.solve(gram + penalty, (f - centre).T @ (y - y.mean()) / len(f))
            fp, yp = read(part, d)
            found.append(np.corrcoef((fp - centre) @ w, yp)[0, 1] ** 2)
        return found

    best = max(RIDGES, key=lambda ridge: sum(squares(ridge, parts[1])))
    return squares(best, parts[2])


def test_capacity_is_that_of_a_naive_regression() -> None:
    x = signal(60)
    states = torch.stack([filtered(x, tau) for tau in (1.0, 3.0)], 2)
    states = states + 0.1 * torch.randn_like(states)
    found = memory_capacity(states, x, delays=4, washout=10)
    assert found.delays == pytest.approx(naive(states.numpy(), x.numpy(), 4, 10), rel=1e-6)
    assert found.total == pytest.approx(sum(found.delays))


def test_a_shift_register_remembers_as_many_values_as_it_has_places() -> None:
    x = signal()
    register = torch.stack([x.roll(d, 0) for d in range(1, 6)], 2)
    delays = memory_capacity(register, x, delays=9, washout=20).delays
    assert delays[:5] == pytest.approx([1.0] * 5, abs=1e-6)
    assert max(delays[5:]) < 0.05


def test_one_leaky_integrator_remembers_by_its_leak() -> None:
    """`r <- a r + (1 - a) x` of independent x: r^2 is (1 - a^2) a^(2 d) at the delay d."""
    x, tau = signal(2000, 16), 3.0
    a = math.exp(-1 / tau)
    delays = memory_capacity(filtered(x, tau)[..., None], x, delays=8, washout=50).delays
    wanted = [(1 - a**2) * a ** (2 * d) for d in range(1, 9)]
    assert delays == pytest.approx(wanted, abs=0.03)


def test_leaks_that_differ_remember_more_than_leaks_that_do_not() -> None:
    """r^2 is `c C^-1 c` for the covariances c with the input and C among three integrators."""
    x, taus = signal(2000, 16), (1.0, 3.0, 9.0)
    mixed = torch.stack([filtered(x, tau) for tau in taus], 2)
    delays = memory_capacity(mixed, x, delays=15).delays
    a = np.exp(-1 / np.array(taus))
    among = np.outer(1 - a, 1 - a) / (1 - np.outer(a, a))
    wanted = []
    for d in range(1, 16):
        heard = (1 - a) * a**d
        wanted.append(heard @ np.linalg.solve(among, heard))
    assert delays == pytest.approx(wanted, abs=0.03)
    same = torch.stack([filtered(x, 3.0)] * 3, 2)
    assert memory_capacity(same, x, delays=15).total < 1 < sum(wanted) - 0.5


def test_noise_remembers_nothing() -> None:
    x = signal(1000)
    found = memory_capacity(torch.randn(1000, 8, 5, dtype=DOUBLE), x, delays=10)
    assert found.total < 10 * 10 / (2 * 900)  # ten times what chance gives in the mean


def test_a_neuron_that_is_silent_until_the_last_runs_does_no_harm() -> None:
    x = signal()
    states = torch.stack([x.roll(1, 0), torch.zeros_like(x)], 2)
    states[:, 6:, 1] = torch.randn(400, 2, dtype=DOUBLE)
    assert memory_capacity(states, x, delays=1, washout=10).total == pytest.approx(1, abs=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    x = signal(200)
    states = x[..., None]
    with pytest.raises(AnalysisError, match=r"states \[T, B, H\] go with an input \[T, B\]"):
        memory_capacity(states[:100], x)
    with pytest.raises(AnalysisError, match="delays must be at least 1"):
        memory_capacity(states, x, delays=0)
    with pytest.raises(AnalysisError, match="washout at least as many, got 60 and 10"):
        memory_capacity(states, x, washout=10)
    with pytest.raises(AnalysisError, match="at least 4 runs"):
        memory_capacity(states[:, :3], x[:, :3])
    with pytest.raises(AnalysisError, match="2 steps after the washout of 100"):
        memory_capacity(states[:101], x[:101])
    with pytest.raises(AnalysisError, match="never change"):
        memory_capacity(torch.ones_like(states), x)
