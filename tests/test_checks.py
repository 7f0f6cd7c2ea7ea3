"""Numbers that a caller gave: those of numpy are numbers too, where they are stored as Python's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright.calibration import LocalBalance
from spikewright.checks import is_finite, whole_number
from spikewright.neurons import COS, SRP, FewSpikes
from spikewright.neurons.codes import Digits

MADE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "TwoPhase": (lambda n: sw.TwoPhase(steps=n), "steps"),
    "SpikeTracer": (lambda n: sw.SpikeTracer(settle=n), "settle"),
    "SRP": (SRP, "tau"),
    "COS": (COS, "rho"),
    "COS, iterations": (lambda n: COS(iterations=n), "iterations"),
    "Digits": (Digits, "exponents"),
    "FewSpikes": (lambda n: FewSpikes(rounds=n), "rounds"),
    "LocalBalance": (LocalBalance, "rounds"),
    "QCFS": (sw.QCFS, "levels"),
    "ClippedReLU": (lambda n: sw.ClippedReLU(1.0, n), "shift_steps"),
}


@pytest.mark.parametrize(("make", "name"), MADE.values(), ids=MADE)
def test_whole_numbers_of_numpy_are_whole_numbers(make: Callable[[Any], Any], name: str) -> None:
    for given in (np.int64(4), np.uint8(4), 4):
        kept = getattr(make(given), name)
        assert type(kept) is int
        assert kept == 4
    for other in (True, 4.0, "4", torch.tensor(4), [4], -4):
        with pytest.raises(ValueError, match=r"(got |shift_steps=)"):
            make(other)


@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(2), "2", None, torch.tensor(2)])
def test_what_is_no_whole_number(value: Any) -> None:
    assert whole_number(value, least=0) is None


def test_a_whole_number_is_one_from_the_least_on() -> None:
    assert whole_number(np.int32(3), least=3) == 3
    assert whole_number(2, least=3) is None


def test_what_is_finite() -> None:
    assert all(map(is_finite, (0, -1.5, np.float32(2), torch.tensor(2.0))))
    assert not any(map(is_finite, (np.inf, np.nan, None, "1", 1j, 10**400, torch.ones(2))))
