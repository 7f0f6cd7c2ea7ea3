"""Where a batch does not fit into memory it is halved, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import AnalysisError
from spikewright.measure import operations
from spikewright.measure.memory import Portions, is_out_of_memory

STEPS = (2, 5)
SAID = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 9 bytes"

Limit = Callable[[int, Exception], None]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Make networks run out of memory above a number of samples, in the middle of a batch."""

    def set_limit(samples: int, error: Exception) -> None:
        observe = sw.SpikingNetwork.observe

        def small(self: sw.SpikingNetwork, images: Tensor, observer: Any, **given: Any) -> Tensor:
            said = observe(self, images, observer, **given)
            if images.shape[-4] > samples:
                raise error
            return said

        monkeypatch.setattr(sw.SpikingNetwork, "observe", small)

    return set_limit


ERRORS = [
    RuntimeError(SAID),
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_sweep_goes_on_with_halves(
    error: Exception,
    tpp: sw.SpikingNetwork,
    images: Tensor,
    labels: Tensor,
    model: nn.Module,
    limit: Limit,
) -> None:
    def measure() -> list[Any]:
        found = sw.sweep({"TPP": tpp}, [(images, labels)], STEPS, 2, model)
        return [replace(row, seconds=0.0) for row in found.rows]

    whole = measure()
    limit(6, error)
    with pytest.warns(RuntimeWarning, match=r"a batch of 40 .* batches of 20, halved") as told:
        assert measure() == whole
    assert len(told) == 1


def test_frames_are_halved_by_sample(
    integrate_fire: sw.SpikingNetwork, images: Tensor, labels: Tensor, limit: Limit
) -> None:
    def measure() -> list[Any]:
        frames = images.expand(2, *images.shape)
        found = sw.sweep({"IF": integrate_fire}, lambda _: [(frames, labels)], 2)
        return [replace(row, seconds=0.0) for row in found.rows]

    whole = measure()
    limit(16, ERRORS[0])
    with pytest.warns(RuntimeWarning, match="batches of 20"):
        assert measure() == whole


def test_a_reference_that_needs_more_memory(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, model: nn.Module
) -> None:
    class Hungry(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            if len(images) > 10:
                raise RuntimeError(SAID)
            return model(images)

    with pytest.warns(RuntimeWarning, match="a batch of 40"):
        found = sw.sweep({"a": nearest}, [(images, labels)], 2, reference=Hungry().eval())
    usual = sw.sweep({"a": nearest}, [(images, labels)], 2, reference=model)
    assert replace(found.rows[0], seconds=0.0) == replace(usual.rows[0], seconds=0.0)
    assert found.reference is not None
    assert usual.reference is not None
    assert found.reference.accuracy == usual.reference.accuracy


def test_the_parts_of_misalignment_go_on(
    integrate_fire: sw.SpikingNetwork, images: Tensor, labels: Tensor, limit: Limit
) -> None:
    def measure() -> Any:
        return sw.misalignment(integrate_fire, [(images, labels)], 2, 1, orders=("late",))

    whole = measure()
    limit(12, ERRORS[0])
    with pytest.warns(RuntimeWarning, match="batches of 20"):
        found = measure()
    assert found.layers == whole.layers
    assert found.histograms == whole.histograms
    assert [r.counts for r in found.residuals] == [r.counts for r in whole.residuals]
    for one, other in zip(found.errors, whole.errors, strict=True):  # float sums in another order
        numbers, expected = (
            [value for value in astuple(e) if not isinstance(value, str)] for e in (one, other)
        )
        assert numbers == pytest.approx(expected, rel=1e-9)


def test_operations_go_on(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, limit: Limit
) -> None:
    whole = operations(nearest, [(images, labels)], 5)
    limit(7, ERRORS[0])
    with pytest.warns(RuntimeWarning, match="batches of 20"):
        found = Portions().again(lambda cut: operations(nearest, cut, 5), [(images, labels)], 3)
    assert found.accuracy == whole.accuracy
    assert found.total.spikes == whole.total.spikes
    assert found.total.snn.additions == pytest.approx(whole.total.snn.additions, rel=1e-12)


def test_one_sample_that_does_not_fit_is_an_error(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, limit: Limit
) -> None:
    limit(0, ERRORS[0])
    with (
        pytest.warns(RuntimeWarning, match="does not fit"),
        pytest.raises(AnalysisError, match=r"one sample alone .*DefaultCPUAllocator.*fewer time"),
    ):
        sw.sweep({"a": nearest}, [(images, labels)], 2)
    with (
        pytest.warns(RuntimeWarning, match="does not fit"),
        pytest.raises(AnalysisError, match="one sample alone"),
    ):
        Portions().again(lambda cut: operations(nearest, cut, 5), [(images, labels)], 3)


def test_another_error_stays_what_it_is(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, limit: Limit
) -> None:
    limit(6, RuntimeError("a bolt came loose"))
    with pytest.raises(RuntimeError, match="a bolt"):
        sw.sweep({"a": nearest}, [(images, labels)], 2)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_as_many_as_fit_are_looked_at() -> None:
    def look(number: int) -> int:
        if number > 5:
            raise MemoryError
        return number

    with pytest.warns(RuntimeWarning, match="a batch of 40"):
        assert Portions().fitting(40, look) == 5
    assert Portions().fitting(4, look) == 4
