"""Means and sums: what copies costs nothing, and what weighs unevenly multiplies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from tests.builders import wired
from tests.measure.energy.test_hand_derived import T, constant, counted, ones, pointwise


def doubled(x: Tensor, mode: str = "nearest") -> Any:
    return F.interpolate(x, scale_factor=2, mode=mode)


COPIES: dict[str, tuple[Callable[[Tensor], Any], int]] = {
    "nearest neighbours": (doubled, 36),
    "windows of one element": (lambda x: F.avg_pool2d(x, 1), 9),
    "every second element": (lambda x: F.avg_pool2d(x, 1, 2), 4),
    "the size that it has": (lambda x: F.adaptive_avg_pool2d(x, 3), 9),
    "interpolated to the size that it has": (
        lambda x: F.interpolate(x, size=(3, 3), mode="bilinear"),
        9,
    ),
    "the mean over a dimension of one place": (lambda x: x[:, None].mean(1), 9),
    "the sum over a dimension of one place": (lambda x: x.sum(1), 9),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_mean_of_one_value_is_a_copy(name: str) -> None:
    """3 x 3 values, copied to as many as told; each copy meets 5 weights, and nothing else."""
    copy, copies = COPIES[name]
    model = wired(
        lambda m, x: m.b(copy(F.relu(m.a(x))).flatten(1)),
        a=pointwise(),
        b=constant(nn.Linear(copies, 5, bias=False), 1.0),
    )
    output = counted(model, ones(2, 1, 3, 3)).row("output")
    assert (output.ann.additions, output.ann.scale_multiplications) == (0, 0)
    assert output.ann.macs == copies * 5
    assert (output.snn.additions, output.snn.all_macs) == (copies * T * 5, 0)


def test_a_divided_copy_is_no_copy() -> None:
    """Half of every value: one factor, which folds into the weights; the source adds 9 values."""
    model = wired(
        lambda m, x: m.b(F.avg_pool2d(F.relu(m.a(x)), 1, divisor_override=2).flatten(1)),
        a=pointwise(),
        b=constant(nn.Linear(9, 5, bias=False), 1.0),
    )
    output = counted(model, ones(2, 1, 3, 3)).row("output")
    assert (output.ann.additions, output.ann.scale_multiplications) == (9, 0)


def test_uneven_means_multiply() -> None:
    """An axis 3 -> 6 reads 1, 2, 2, 2, 2 and 1 values: 10 x 10 weighted values in the plane."""
    model = wired(
        lambda m, x: m.b(doubled(F.relu(m.a(x)), "bilinear").flatten(1)),
        a=pointwise(),
        b=constant(nn.Linear(36, 5, bias=False), 1.0),
    )
    output = counted(model, ones(2, 1, 3, 3)).row("output")
    assert (output.ann.additions, output.ann.scale_multiplications) == (100, 100)
    assert output.snn.scale_multiplications == 100 * T
    assert (output.snn.additions, output.snn.macs) == (0, 100 * T * 5)


def test_a_max_pool_chooses_among_copies() -> None:
    """Each of 36 copies is compared at each spike; the 9 windows of four equal ones send one."""
    model = wired(
        lambda m, x: m.b(F.max_pool2d(doubled(F.relu(m.a(x))), 2).flatten(1)),
        a=pointwise(),
        b=constant(nn.Linear(9, 5, bias=False), 1.0),
    )
    output = counted(model, ones(2, 1, 3, 3)).row("output")
    assert (output.snn.updates, output.snn.comparisons) == (36 * T, 36 * T)
    assert output.snn.additions == 9 * T * 5


@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.IntegrateFire()])
def test_a_sum_multiplies_by_alpha(neuron: Any) -> None:
    """y + 0.5 conv(y): 16 numbers are multiplied, at every step of the spikes; and y is scaled."""
    for halved in (
        lambda y, z: torch.add(y, z, alpha=0.5),
        lambda y, z: torch.sub(y, z, alpha=-0.5),
        lambda y, z: y + 0.5 * z,
    ):
        model = wired(
            lambda m, x, halved=halved: F.relu(halved(y := F.relu(m.a(x)), m.c(y))).flatten(1),
            a=pointwise(),
            c=constant(nn.Conv2d(1, 1, 1, bias=False), 1.0),
        )
        second = counted(model, ones(2, 1, 4, 4), neuron).row("relu:2")
        assert second.ann.scale_multiplications == 16
        assert second.snn.scale_multiplications == 16 * T + 16 * T
        assert second.snn.additions == 16 * T + 16 * T
