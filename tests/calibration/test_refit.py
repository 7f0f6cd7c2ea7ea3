"""Weights fitted to the spikes that arrive."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import Refit
from spikewright.calibration.holding_out import HELD_OUT
from spikewright.calibration.layers import AtLayer
from spikewright.calibration.moments import Places, chosen_ridge
from spikewright.calibration.refit import STRENGTHS, _missing, _terms
from spikewright.errors import CalibrationError
from spikewright.graph.ir import Operation
from tests.builders import images, wired
from tests.network.nets import NETS, net, program

STEPS = 3


def error(snn: sw.SpikingNetwork, model: nn.Module, x: Tensor) -> float:
    """Of the answers, relative to the model's."""
    with torch.no_grad():
        wanted = model(x)
        return float((snn(x) - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_gets_the_ridge_solution(bias: bool) -> None:
    model = wired(lambda m, x: m.b(F.relu(m.a(x))), a=nn.Linear(6, 5), b=nn.Linear(5, 3, bias=bias))
    x = torch.randn(40, 2, dtype=torch.float64) @ torch.randn(2, 6, dtype=torch.float64)
    prepared = sw.prepare(model, [x])
    options = {"threshold": sw.Percentile(80), "steps": STEPS}
    plain = prepared.convert(**options, correction=None)
    refitted = prepared.convert(**options, correction=Refit())
    site = plain.sites[0]
    theta = plain.design().thresholds[site]
    arriving = plain.counts(x)[site] * theta / STEPS
    with torch.no_grad():
        missing = model(x) - model.b(arriving)
    if bias:
        arriving = torch.cat([arriving, torch.ones(40, 1)], 1)

    def solution(ridge: float, which: Tensor) -> Tensor:
        """As one least-squares problem: rows of the ridge below those of the samples."""
        s, r = arriving[which], missing[which]
        mean = s[:, :5].square().sum(0).mean()
        rows = torch.eye(5, s.shape[1], dtype=torch.float64) * (ridge * mean).sqrt()
        below = torch.zeros(5, 3, dtype=torch.float64)
        return torch.linalg.lstsq(torch.cat([s, rows]), torch.cat([r, below])).solution.T

    held = torch.arange(40) % HELD_OUT == 0
    errors = {
        ridge: (missing[held] - arriving[held] @ solution(ridge, ~held).T).square().sum()
        for ridge in STRENGTHS
    }
    best = min(errors, key=lambda ridge: float(errors[ridge]))
    assert errors[best] < missing[held].square().sum()
    change = solution(best, torch.ones(40, dtype=torch.bool))
    weights = dict(refitted.design().weights)
    bias_name = next((name for name in weights if name.endswith("bias")), None)
    assert (bias_name is not None) is bias
    if bias_name is not None:
        torch.testing.assert_close(weights.pop(bias_name), model.b.bias + change[:, 5])
    (weight,) = weights.values()
    torch.testing.assert_close(weight, model.b.weight + change[:, :5])


def test_half_of_what_a_rectifier_cuts_off_is_missing() -> None:
    wanted, given = torch.tensor([-1.0, -1, 2, 7, 7]), torch.tensor([-3.0, 1, -1, 8, 5])
    expected = torch.tensor([1, -1.5, 3, -0.5, 1.5])  # nearest with ceiling 6: -3, 0, 2, 8, 6
    torch.testing.assert_close(_missing(wanted, given, 6.0), expected)
    assert torch.equal(_missing(wanted, given, None), wanted - given)


def test_what_a_rectifier_alone_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both currents of `b` go to ReLU; the first one is added to the answer too in one network."""
    ceilings: list[float | None] = []

    def spied(wanted: Tensor, given: Tensor, ceiling: float | None) -> Tensor:
        ceilings.append(ceiling)
        return _missing(wanted, given, ceiling)

    monkeypatch.setattr("spikewright.calibration.refit._missing", spied)

    def alone(m: Any, x: Tensor) -> Tensor:
        return m.c(F.relu(m.b(F.relu(m.a(x)))))

    def read_twice(m: Any, x: Tensor) -> Tensor:
        current = m.b(F.relu(m.a(x)))
        return m.c(F.relu(current)) + current

    for forward, expected in ((alone, {math.inf}), (read_twice, set[float | None]())):
        ceilings.clear()
        layers = {"a": nn.Linear(6, 5), "b": nn.Linear(5, 3), "c": nn.Linear(3, 3)}
        model = wired(forward, **layers)
        x = torch.randn(40, 6, dtype=torch.float64)
        sw.convert(model, x, threshold=sw.Maximum(), steps=STEPS, correction=Refit())
        assert set(ceilings) == expected


SUMS = {
    "twice": lambda h, y: y + y,
    "thrice, beside another": lambda h, y: y + h + y + y,
    "by two ways": lambda h, y: (y + h) + (h + y),
}


@pytest.mark.parametrize("case", SUMS)
def test_what_is_missing_is_made_up_for_once(case: str) -> None:
    """The change in a value that enters the current several times acts as often."""
    torch.manual_seed(1)
    current = SUMS[case]
    model = wired(
        lambda m, x: m.c(torch.tanh(current(h := F.relu(m.a(x)), m.b(h)))),
        a=nn.Linear(8, 12),
        b=nn.Linear(12, 12),
        c=nn.Linear(12, 4),
    )
    x = torch.randn(256, 8, dtype=torch.float64)
    snn = sw.convert(model, x, threshold=sw.MinError(), steps=1, correction=Refit())
    design, site = snn.design(), snn.sites[0]
    arriving = snn.counts(x)[site] * design.thresholds[site]
    with torch.no_grad():
        sent = F.relu(model.a(x))
        wanted = current(sent, model.b(sent))
        plain = current(arriving, model.b(arriving)) - wanted
        model.load_state_dict(dict(design.weights), strict=False)
        refitted = current(arriving, model.b(arriving)) - wanted
    assert {"b.weight", "b.bias"} <= design.weights.keys()
    assert refitted.norm() < plain.norm()
    assert refitted.mean(0).norm() < 1e-6 < plain.mean(0).norm()


@pytest.mark.parametrize("answered", [True, False])
def test_a_sum_that_goes_elsewhere_too_is_no_way_to_the_current(
    monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    """What makes up for the error of `d` in the current would be one in the answer, or in `d`."""
    found: list[dict[str, int]] = []

    def spied(op: Operation, layer: AtLayer) -> dict[str, int]:
        found.append(_terms(op, layer))
        return found[-1]

    monkeypatch.setattr("spikewright.calibration.refit._terms", spied)

    def forward(m: Any, x: Tensor) -> Tensor:
        h = F.relu(m.a(x))
        first = m.b(h)
        both = first + h
        if answered:
            return m.c(torch.tanh(both + m.d(h))) + both
        return m.c(torch.tanh(both + m.d(first)))

    layers = {name: nn.Linear(6, 6) for name in "abcd"}
    x = torch.randn(40, 6, dtype=torch.float64)
    sw.convert(wired(forward, **layers), x, threshold=sw.Maximum(), steps=2, correction=Refit())
    assert [len(terms) for terms in found] == [0, 2, 0]  # of b, d and c


def test_a_ridge_that_only_harms_is_not_taken() -> None:
    """What is missing in the samples fitted has nothing to do with the inputs of those held out."""
    x = torch.randn(1, 12, 10, dtype=torch.float64)
    fitted, held = Places(1, 2, 10), Places(1, 2, 10)
    fitted.add(x, x[..., :2])
    held.add(x, -x[..., :2])
    strengths = torch.tensor(STRENGTHS, dtype=torch.float64)
    assert not bool(chosen_ridge(fitted.moments(), held.moments(), strengths).any())


def test_weights_behind_a_maximum_along_dimensions_are_fitted() -> None:
    """The ANN's values there have one unit for all, whatever their dimensions."""

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).relu().amax((2, 3)))

    model, x = Pooled().double().eval(), images(64)
    snn = sw.convert(model, x, threshold=sw.Percentile(80), steps=2, correction=Refit())
    plain = sw.convert(model, x, threshold=sw.Percentile(80), steps=2, correction=None)
    assert set(snn.design().weights) == {"b.weight", "b.bias"}
    assert error(snn, model, x) < error(plain, model, x)


@pytest.mark.parametrize("constant", [True, False])
def test_moments_do_not_depend_on_how_places_come(
    monkeypatch: pytest.MonkeyPatch, constant: bool
) -> None:
    monkeypatch.setattr("spikewright.calibration.moments.PLACES", 7)
    monkeypatch.setattr("spikewright.calibration.moments.BLOCK", 2)
    x, r = torch.randn(2, 40, 3).double(), torch.randn(2, 40, 4).double()
    places = Places(2, 4, 3, constant=constant)
    for some, missing in zip(x.split([1, 5, 20, 14], 1), r.split([1, 5, 20, 14], 1), strict=True):
        places.add(some, missing)
    moments = places.moments()
    if constant:
        x = torch.cat([x, torch.ones(2, 40, 1).double()], 2)
    torch.testing.assert_close(moments.squares, torch.einsum("gpk,gpl->gkl", x, x))
    torch.testing.assert_close(moments.cross, torch.einsum("gpo,gpk->gok", r, x))
    torch.testing.assert_close(moments.energy, r.square().sum((1, 2)))


def test_answers_come_nearer_on_samples_never_seen() -> None:
    """Over networks of every construction, the error that is left is at most 0.97 of the plain one.

    Weights here are random and channels few, so that little can be made up for: 0.91 over 8 seeds.
    """
    errors = {False: 0.0, True: 0.0}
    for seed, name in enumerate(sorted(NETS) * 3):
        model = net(name, seed)
        prepared = sw.prepare(model, images(96, seed=seed))
        for refit in errors:
            correction = Refit() if refit else None
            snn = prepared.convert(
                threshold=sw.Maximum("channel"), steps=STEPS, correction=correction
            )
            errors[refit] += error(snn, model, images(64, seed=99 + seed))
    assert errors[True] < 0.97 * errors[False]


@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.TPP(), sw.IntegrateFire()], ids=str)
def test_every_neuron_is_refitted(neuron: sw.neurons.Neuron) -> None:
    model = net("residual")
    prepared = sw.prepare(program("residual"), [images(96)])
    x = images(32, seed=1)
    options = {"neuron": neuron, "steps": 8, "threshold": sw.Maximum("channel")}
    plain = prepared.convert(**options, correction=None)
    assert error(prepared.convert(**options, correction=Refit()), model, x) < error(plain, model, x)


@pytest.mark.parametrize("name", sorted(NETS))
def test_both_engines_the_twin_and_a_file_agree(name: str, tmp_path: Path) -> None:
    snn = sw.convert(program(name), images(24), steps=(STEPS, 5), correction=Refit(places=7))
    x = images(4, seed=3)
    for steps in (STEPS, 5):
        counted = snn(x, steps=steps, engine="counts")
        torch.testing.assert_close(snn(x, steps=steps, engine="steps"), counted)
        torch.testing.assert_close(snn.twin(steps)(x), counted)
    snn.save(tmp_path / "network")
    assert torch.equal(sw.load(tmp_path / "network")(x), snn(x))
    other = snn(x, steps=4)  # of no design: the model's own weights
    torch.testing.assert_close(
        other, sw.convert(program(name), images(24), steps=4, correction=None)(x)
    )


def test_weights_that_several_layers_share_and_the_first_ones_stay() -> None:
    model = wired(
        lambda m, x: m.l(F.relu(m.b(F.relu(m.b(F.relu(m.a(x))))))),
        a=nn.Linear(6, 5),
        b=nn.Linear(5, 5),
        l=nn.Linear(5, 2),
    )
    snn = sw.convert(model, torch.randn(64, 6).double(), steps=2, correction=Refit())
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in snn.design().weights} == {"l"}


def test_a_part_of_the_batch_sizes_changes_nothing_but_rounding() -> None:
    x = images(60)
    designs = [
        sw.convert(
            program("residual"), [*x.split(size)], steps=2, correction=Refit(places=5)
        ).design()
        for size in (60, 7)
    ]
    for name, weight in designs[0].weights.items():
        torch.testing.assert_close(weight, designs[1].weights[name])


def test_operations_of_too_many_inputs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikewright.calibration.refit.MOMENTS", 8 * 20**2)
    options = {"steps": 2, "correction": Refit()}
    snn = sw.convert(program("plain"), images(24), **options)  # b reads 36 values, l 20
    assert sorted(w.numel() for w in snn.design().weights.values()) == [3, 60]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 samples and 1 place"):
        Refit(samples=4)
    with pytest.raises(CalibrationError, match="at least 8 calibration samples, got 6"):
        sw.convert(program("plain"), images(6), correction=Refit())
