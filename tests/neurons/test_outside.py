"""A neuron and a code from outside the package: registered, they go wherever the others go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

import spikewright as sw
from spikewright.cli.failures import WrongUsage
from spikewright.cli.parse import neuron_names, neuron_of
from spikewright.neurons import (
    CODES,
    NEURONS,
    Code,
    Layer,
    LayerLaw,
    Neuron,
    Rate,
    WaitingDynamics,
    Work,
    register,
    register_code,
)
from spikewright.neurons.neuron import Spelling, plainly
from spikewright.report.series import series_of
from tests.builders import images
from tests.contracts import CodeContract, NeuronContract
from tests.network.nets import converted


@dataclass(frozen=True)
class Generous(Neuron):
    """Two phases; the count is clip(floor(x + bonus), 0, T), sent at once."""

    bonus: float = 0.75

    @property
    def label(self) -> str:
        return "generous"

    @property
    def meaning(self) -> str:
        return "rounds up what is nearly a spike."

    @property
    def waits(self) -> bool:
        return True

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def has_count_law(self) -> bool:
        return True

    def count(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        levels = layer.levels if isinstance(layer, LayerLaw) else torch.tensor(layer.steps)
        return torch.minimum((charge + self.bonus).floor().clamp(min=0), levels.to(charge))

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        return (charge + self.bonus).floor().clamp(0, steps), torch.zeros_like(charge)

    def start(self, layer: Layer) -> WaitingDynamics:
        return _Generous(self, layer)

    def work(self, steps: int) -> Work:
        return Work(updates=1, comparisons=1) + Rate("burst").work(steps)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        return {"generous": plainly(lambda one_phase: cls())}


class _Generous(WaitingDynamics):
    def __init__(self, neuron: Generous, layer: Layer) -> None:
        self._neuron, self._layer = neuron, layer
        self._taken = torch.zeros_like(layer.threshold)

    @property
    def residual(self) -> Tensor:
        return self._taken / self._layer.threshold - self._count

    def absorb(self, current: Tensor, weights: Tensor) -> None:
        for arriving, weight in zip(current, weights.tolist(), strict=True):
            self._taken = self._taken + arriving * weight

    def rewind(self) -> None:
        self._count = self._neuron.count(self._taken / self._layer.threshold, self._layer)
        self._writer = Rate("burst").write(self._count, self._layer)

    def emit(self, steps: int) -> Tensor:
        return self._writer.emit(steps)


@dataclass(frozen=True)
class SmallestFirst(Code):
    """The bits of n, least significant first."""

    @property
    def name(self) -> str:
        return "smallest-first"

    def levels(self, steps: int) -> int:
        return 2**steps - 1

    def steps_for(self, levels: int) -> int:
        return levels.bit_length()

    def step_weights(self, steps: int) -> Tensor:
        return 2.0 ** torch.arange(steps, dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        return sum((count / 2**bit).floor() % 2 for bit in range(24)) + torch.zeros_like(count)

    def spikes_at(self, step: int, count: Tensor, unsent: Tensor, steps: int) -> Tensor:
        return (count / 2**step).floor() % 2

    def work(self, steps: int) -> Work:
        return Work(updates=steps, comparisons=steps)


GENEROUS, SMALLEST = Generous(), sw.TwoPhase("nearest", SmallestFirst())


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(Generous)
    register_code(SmallestFirst)
    yield
    NEURONS.remove(Generous)
    CODES.remove(SmallestFirst)


class TestNeuronsFromOutside(NeuronContract):
    neurons = (GENEROUS, SMALLEST)


class TestCodesFromOutside(CodeContract):
    codes = (SmallestFirst(),)


def test_the_command_line_names_them() -> None:
    assert "generous" in neuron_names()
    assert neuron_of("generous") == GENEROUS
    assert neuron_of("nearest:smallest-first") == SMALLEST
    with pytest.raises(WrongUsage, match="generous:3: nothing may follow this name"):
        neuron_of("generous:3")


@pytest.mark.parametrize("neuron", [GENEROUS, SMALLEST], ids=lambda neuron: neuron.label)
def test_operations_are_counted_alike_in_both_engines(neuron: Neuron) -> None:
    snn, x = converted("residual", neuron=neuron, steps=4), images(3)
    counts, steps = (sw.operations(snn, [x], engine=engine) for engine in ("counts", "steps"))
    assert counts.rows == steps.rows
    first = counts.rows[0]
    assert first.neuron == neuron.label
    assert first.snn.comparisons == first.neurons * neuron.work(4).comparisons


def test_costs_of_the_code_stand_beside_the_others() -> None:
    snn, x = converted("plain", steps=7), images(3)
    binary, smallest = sw.code_costs(snn, [x], codes=["binary", "smallest-first"])
    assert (smallest.steps, smallest.levels) == (binary.steps, binary.levels) == (3, 7)
    assert smallest.total.spikes == binary.total.spikes > 0


def test_reports_say_what_they_are() -> None:
    found = series_of(["generous", "nearest, smallest-first", "a name of the user's"])
    assert found["generous"].meaning == "rounds up what is nearly a spike."
    assert found["nearest, smallest-first"].meaning == (
        "two phases, charge rounded to nearest; its code is smallest-first."
    )
    assert found["a name of the user's"].meaning == ""


def test_a_file_that_names_a_class_that_is_not_registered_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network"
    converted("plain", neuron=GENEROUS, steps=4).save(path)
    NEURONS.remove(Generous)
    with pytest.raises(sw.InterchangeError, match="is no neuron that is registered here"):
        sw.load(path)
    with pytest.raises(sw.InterchangeError, match="can name only classes that are registered"):
        converted("plain", neuron=GENEROUS, steps=4).save(path)
    register(Generous)
    assert sw.load(path).neurons[sw.load(path).sites[0]] == GENEROUS


def test_what_cannot_be_registered() -> None:
    class Plain(Generous):
        pass

    with pytest.raises(TypeError, match="must be a frozen dataclass"):
        register(Plain)
    other = dataclass(frozen=True)(type("TwoPhase", (Generous,), {"__module__": "elsewhere"}))
    with pytest.raises(ValueError, match="there is a neuron TwoPhase already"):
        register(other)
    assert register(Generous) is Generous  # the same class again, as when a notebook's cell reruns
