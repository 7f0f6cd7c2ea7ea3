"""Every spike of one factor of a product meets the held count of the other: by a naive loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import InputMeans
from spikewright.graph import Kind
from spikewright.graph.accumulated import Accumulated
from spikewright.measure import HOROWITZ_45NM, Counts
from spikewright.network import steps as step_engine
from spikewright.neurons import Neuron
from tests.builders import wired
from tests.network.test_products import prepared, x_of

PRICED = replace(
    HOROWITZ_45NM, function_pj=dict.fromkeys(("sigmoid", "silu", "softmax", "reciprocal"), 5.0)
)

PARTNERS = {
    "gate": [(1, 1)],
    "squeeze and excite": [(1, 4)],  # planes of 2x2
    "attention": [(3, 3), (4, 3)],  # 3 keys, 3 queries; 4 features, 3 queries
    "einsum": [(6, 5)],
    "relus": [(1, 1)],
    "scores": [(1, 1)],
    "causal": [(3, 3), (2, 3)],
}
"""How many values of the other factor each value of the left and right factor meets, by product."""
MULTIPLIED = {"gate": [6], "squeeze and excite": [24], "attention": [72, 72], "einsum": [90],
              "relus": [4], "scores": [1], "causal": [72, 72]}  # fmt: skip
"""Multiply-accumulates of each product in the ANN, by hand."""


class Recording(Accumulated):
    """A product of the step engine that keeps what arrives."""

    trains: dict[str, list[Sequence[Tensor]]]

    def advance(self, inputs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        if self._op.kind is Kind.PRODUCT:
            self.trains.setdefault(self._op.name, []).append([each.clone() for each in inputs])
        return super().advance(inputs, weights)


def recorded(
    snn: sw.SpikingNetwork, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Tensor]]:
    """The trains `[t, B, *S]` of both factors of every product, by its name."""
    Recording.trains = {}
    monkeypatch.setattr(step_engine, "Accumulated", Recording)
    snn(x, engine="steps")
    monkeypatch.undo()
    return {
        name: [torch.cat([part[side] for part in parts]) for side in (0, 1)]
        for name, parts in Recording.trains.items()
    }


@pytest.mark.parametrize("code", ["random", "binary", "first-spike"])
@pytest.mark.parametrize("name", PARTNERS)
def test_meetings_are_those_of_the_simulated_trains(
    name: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snn = prepared(name).convert(sw.TwoPhase("nearest", code), steps=4, correction=InputMeans())
    x = x_of(5, seed=1)
    counted: list[Any] = [sw.operations(snn, [x], model=PRICED, engine=engine)
                          for engine in ("counts", "steps")]  # fmt: skip
    assert counted[0].rows == counted[1].rows
    arrived = met = 0
    trains = recorded(snn, x, monkeypatch)
    assert len(trains) == len(PARTNERS[name])
    for factors, partners in zip(trains.values(), PARTNERS[name], strict=True):
        for train, number in zip(factors, partners, strict=True):
            arrived += int((train != 0).sum())
            met += int((train != 0).sum()) * number
    total = counted[0].total
    assert total.snn.held_updates == pytest.approx(arrived / len(x))
    explicit = {"attention": 1, "causal": 1, "einsum": 1}.get(name, 0)
    if not explicit:  # else a scale that no weight takes in makes some of them multiplications
        assert total.snn.held_additions == pytest.approx(met / len(x))
    assert total.snn.held_additions <= met / len(x) * (1 + 1e-9)
    assert total.snn.held_reads == total.snn.held_additions


@pytest.mark.parametrize("name", PARTNERS)
def test_the_ann_multiplies(name: str) -> None:
    snn = prepared(name).convert(steps=4, correction=InputMeans())
    ann = sw.operations(snn, [x_of(2)], model=PRICED).total.ann
    weights = {"gate": 18, "squeeze and excite": 48 + 4 * 24, "attention": 72, "einsum": 18,
               "relus": 16 + 12, "scores": 3, "causal": 72}[name]  # fmt: skip
    assert ann.macs == sum(MULTIPLIED[name]) + weights


def test_what_leaves_a_product_is_at_most_a_number_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a gate of 6 channels stand weights that 3 outputs have of each."""
    snn = prepared("gate").convert(sw.TwoPhase("nearest"), steps=4, correction=InputMeans())
    x = x_of(5, seed=1)
    (factors,) = recorded(snn, x, monkeypatch).values()
    left, right = ((train != 0).double() for train in factors)
    arriving = (left + right).sum(0).sum(0).clamp(max=len(x))
    output = sw.operations(snn, [x], model=PRICED).row("output").snn
    assert output.macs == pytest.approx(3 * float(arriving.sum()) / len(x))


def test_energy_of_products_by_hand() -> None:
    """10 spikes at 0.9 pJ, 40 held counts at 0.9; 50 sums read and written, 40 counts read."""
    counts = Counts(held_updates=10, held_additions=40)
    parts = HOROWITZ_45NM.parts(counts)
    assert parts.products_nj == pytest.approx(50 * 0.9 / 1000) == parts.arithmetic_nj
    assert parts.weights_nj == 0
    assert parts.states_nj == pytest.approx((50 * 8 + 40 * 4) * 2.5 / 1000)
    assert HOROWITZ_45NM.integer_nj(counts) == pytest.approx(50 * 0.1 / 1000)


def test_weights_of_steps_cost_an_update_of_all_that_is_held() -> None:
    """The binary code doubles at every step: 6 + 6 held counts and 6 sums, in 4 steps."""
    x = x_of(2)
    updates = [
        sw.operations(
            prepared("gate").convert(sw.TwoPhase("nearest", code), steps=4, correction=None),
            [x], 4, model=PRICED,
        ).row("output").snn.updates
        for code in ("burst", "binary")
    ]  # fmt: skip
    assert updates == [0, 4 * (6 + 6 + 6) + 4 * 3]


def test_what_a_product_holds_may_move_before_it_is_read() -> None:
    """Of 6 + 6 held counts and 6 sums, no other sum is made for weights behind a view."""
    for moved in (lambda y: y, lambda y: y.flip(1), lambda y: y.reshape(-1, 2, 3).flatten(1)):
        torch.manual_seed(0)
        model = wired(
            lambda m, x, moved=moved: m.c(moved(F.relu(m.a(x)) * F.relu(m.b(x)))),
            a=nn.Linear(4, 6), b=nn.Linear(4, 6), c=nn.Linear(6, 3),
        )  # fmt: skip
        x = torch.rand(16, 4, dtype=torch.float64)
        snn = sw.convert(model, x, sw.TwoPhase("nearest", "binary"), steps=4, correction=None)
        assert sw.operations(snn, [x]).row("output").snn.updates == 4 * (6 + 6 + 6) + 4 * 3


class GateBehindMore(nn.Module):
    """A product of two rectified maps, weights behind it, and a pooled GLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(8, 16)
        self.third, self.out = nn.Linear(16, 16), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        both = F.relu(self.first(x)) * F.relu(self.second(x))
        return self.out(F.glu(self.third(both)))


@pytest.mark.parametrize(
    "neuron", [sw.TwoPhase(), sw.TwoPhase("nearest", "binary"), sw.SpikeTracer()]
)
def test_samples_that_meet_in_products_count_alike_in_any_batch(neuron: Neuron) -> None:
    """What a product sends has a limit in every sample: busy ones do not fill up silent ones."""
    torch.manual_seed(0)
    net, x = GateBehindMore().eval(), torch.randn(12, 8)
    snn = sw.convert(net, torch.randn(64, 8), neuron, steps=4)
    alone, *others = (sw.operations(snn, list(x.split(n)), model=PRICED) for n in (1, 5, 12))
    assert alone.total.snn.macs > 0
    for found in others:
        for row, other in zip(alone.rows, found.rows, strict=True):
            assert row.snn.numbers == pytest.approx(other.snn.numbers)
        assert found.settling == pytest.approx(alone.settling)
        assert found.latency == alone.latency
