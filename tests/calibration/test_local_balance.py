"""Local threshold balancing against its rounds written out, and its edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikewright.calibration import LocalBalance, SiteStatistics
from spikewright.calibration.statistics import BINS
from spikewright.graph.ir import Site
from spikewright.neurons import IntegrateFire, Neuron, TwoPhase


def choose(
    strategy: LocalBalance, values: torch.Tensor, neuron: Neuron | None = None, steps: int = 8
) -> torch.Tensor:
    """Thresholds for activations `[N, C, P]`."""
    statistics = SiteStatistics.empty(values.shape[1])
    statistics.add(values, values)
    return strategy.choose(Site("relu"), statistics, neuron or IntegrateFire(), steps, None)


def activations(seed: int = 0) -> torch.Tensor:
    """Rectified, `[50, 3, 4]`, each the middle of a bin, so that a histogram loses nothing."""
    generator = torch.Generator().manual_seed(seed)
    bins = torch.randn(50, 3, 4, generator=generator, dtype=torch.float64).clamp(0, 4) * (BINS / 4)
    bins = bins.floor().clamp(max=BINS - 1)
    bins[0, :, 0] = BINS - 1  # every channel's maximum, so that all have the range that is meant
    scale = torch.tensor([[0.5], [2.0], [8.0]], dtype=torch.float64)
    return (bins + 0.5).where(bins > 0, 0) / BINS * scale


def balanced(values: np.ndarray, rounds: int, rate: float) -> float:
    theta = 0.0
    for _ in range(rounds):
        clipped = [2 * (x - theta) if x > theta else 0.0 for x in values.flatten()]
        theta = min(theta + rate * float(np.mean(clipped)), values.max())
    return theta


@pytest.mark.parametrize(("rounds", "rate"), [(1, 1.0), (2, 0.5), (10, 1.0), (30, 0.1)])
def test_thresholds_are_those_of_the_rounds(rounds: int, rate: float) -> None:
    values = activations()
    found = choose(LocalBalance(rounds, rate), values)
    each = [balanced(values[:, c].numpy(), rounds, rate) for c in range(3)]
    assert found.tolist() == pytest.approx(each, rel=1e-12)
    alike = values / torch.tensor([[0.5], [2.0], [8.0]]) * 2  # one range for the whole layer
    shared = choose(LocalBalance(rounds, rate, per="layer"), alike)
    assert shared.tolist() == pytest.approx([balanced(alike.numpy(), rounds, rate)], rel=1e-12)


def test_more_rounds_clip_less_and_no_threshold_passes_the_maximum() -> None:
    values = activations(1)
    thresholds = torch.stack([choose(LocalBalance(n), values) for n in (1, 2, 5, 20, 2000)])
    assert bool((thresholds.diff(dim=0) > 0).all())
    top = values.amax((0, 2))
    assert bool((thresholds <= top).all())
    torch.testing.assert_close(thresholds[-1], top, rtol=1e-2, atol=0)


def test_a_round_that_goes_too_far_ends_at_the_maximum() -> None:
    values = torch.full((4, 1, 2), 3.0, dtype=torch.float64)  # one round would reach 6
    assert choose(LocalBalance(1), values).tolist() == [3.0]


def test_neither_neuron_nor_steps_matter() -> None:
    values = activations(2)
    found = choose(LocalBalance(), values)
    assert torch.equal(choose(LocalBalance(), values, TwoPhase("nearest"), 32), found)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rounds": 0}, "LocalBalance takes 1 round or more, got 0"),
        ({"rounds": True}, "LocalBalance takes 1 round or more, got True"),
        ({"rounds": 2.0}, "LocalBalance takes 1 round or more, got 2.0"),
        ({"rate": 0.0}, "LocalBalance takes a finite rate above 0, got 0.0"),
        ({"rate": float("inf")}, "LocalBalance takes a finite rate above 0, got inf"),
        ({"per": "row"}, "'row' is not a valid Per"),
    ],
)
def test_a_wrong_configuration_is_refused(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        LocalBalance(**options)
