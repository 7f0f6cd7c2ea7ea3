"""The correction that samples held out choose."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import combinations, pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import (
    Auto,
    Correction,
    Design,
    Headroom,
    InputMeans,
    OutputMeans,
    Refit,
)
from spikewright.calibration.auto import STANDARD, least
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.expected import Expected, expected_of
from spikewright.calibration.holding_out import folds_of
from spikewright.calibration.samples import Samples
from tests.builders import images
from tests.network.nets import NETS, net, program

STEPS = 3


@lru_cache
def prepared_of_24(name: str) -> sw.Prepared:
    """A network of `NETS`, prepared once for all corrections."""
    return sw.prepare(program(name), images(24))


class Harmful(Correction):
    """A correction that shifts every current by far too much."""

    def __repr__(self) -> str:
        return "Harmful()"

    def corrected(self, design, calibration, samples, steps, seed) -> Design:
        shift = {site: torch.full_like(t, 50.0) for site, t in design.thresholds.items()}
        return replace(design, corrections=shift)


def test_what_only_harms_is_not_taken() -> None:
    auto = Auto((), (Harmful(),))
    snn = sw.convert(program("plain"), images(32), steps=STEPS, correction=auto)
    plain = sw.convert(program("plain"), images(32), steps=STEPS, correction=None)
    assert torch.equal(snn(images(8)), plain(images(8)))
    errors = snn.design().held_out
    assert errors["+ no correction"] < errors["+ Harmful()"]
    chosen = [line for line in snn.summary().splitlines() if "(chosen)" in line]
    assert [line.split(maxsplit=2)[2] for line in chosen] == ["+ no correction  (chosen)"]


def test_strategies_far_behind_are_not_followed_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two, one is so much too low that everything clips; 64 samples are held out."""
    judged: list[tuple[float, int]] = []

    def counted(design: Design, calibration: Calibration, samples: Samples, *more: int) -> Expected:
        judged.append((float(next(iter(design.thresholds.values())).max()), len(samples)))
        return expected_of(design, calibration, samples, *more)

    monkeypatch.setattr("spikewright.calibration.auto.expected_of", counted)
    auto = Auto((sw.Percentile(80),), ())
    snn = sw.convert(
        program("plain"), images(256), threshold=sw.Maximum(), steps=15, correction=auto
    )
    low, high = (sorted({theta for theta, _ in judged})[at] for at in (0, -1))
    assert [many for theta, many in judged if theta == low] == [16]
    assert sum(many for theta, many in judged if theta != low) >= 64
    assert high == float(next(iter(snn.design().thresholds.values())).max())


def test_the_best_is_what_was_judged() -> None:
    """Oracle: the correction, fitted by hand on the samples that are not held out."""
    auto = Auto((), (Harmful(), Refit()))
    prepared = sw.prepare(program("residual"), images(96))
    snn = prepared.convert(threshold=sw.Percentile(80), steps=STEPS, correction=auto)
    errors = {n: float(e) for n, e in snn.design().held_out.items() if n.startswith("+")}
    assert least(errors) == f"+ {Refit()!r}"
    inside = torch.arange(96) % 4 == 0
    fitted, held_out = (prepared.samples.selected(some) for some in (~inside, inside))
    assert (len(fitted), len(held_out)) == (72, 24)
    plain = Design(snn.calibration.thresholds_at(STEPS))
    own = Refit().corrected(plain, snn.calibration, fitted, STEPS, 0)
    assert snn.design().weights.keys() == own.weights.keys()
    for name, weight in own.weights.items():
        assert torch.equal(snn.design().weights[name], weight)
    judged = expected_of(snn.design(), snn.calibration, held_out, STEPS, 0)
    assert judged == snn.expected()


def test_the_first_correction_is_tried_on_64_samples_and_taken_as_it_is_on_all() -> None:
    seen: list[int] = []

    class Watched(InputMeans):
        def corrected(self, design, calibration, samples, steps, seed) -> Design:
            seen.append(len(samples))
            return super().corrected(design, calibration, samples, steps, seed)

    prepared = sw.prepare(program("plain"), images(160))
    snn = prepared.convert(steps=1, threshold=sw.Maximum(), correction=Auto((), (Watched(),)))
    assert seen == [64, 120]
    folds = folds_of(prepared.samples, prepared.statistics)
    start = prepared.convert(steps=1, threshold=sw.Maximum(), correction=None).design()
    whole = InputMeans().corrected(start, snn.calibration, folds.fitted(0), 1, 0)
    torch.testing.assert_close(dict(snn.design().corrections), dict(whole.corrections))


def test_no_more_than_64_samples_are_held_out() -> None:
    """With several T they are the same ones."""
    prepared = sw.prepare(program("plain"), images(320))
    snn = prepared.convert(steps=(1, STEPS))
    assert {snn.expected(t).samples for t in (1, STEPS)} == {64}
    assert list(prepared.samples.folds) == [5]


def test_a_strategy_that_is_named_is_kept() -> None:
    snn = sw.convert(program("residual"), images(32), threshold=sw.Percentile(70), steps=STEPS)
    expected = sw.convert(
        program("residual"), images(32), threshold=sw.Percentile(70), correction=None
    )
    for site, threshold in snn.design().thresholds.items():
        assert torch.equal(threshold, expected.design().thresholds[site])
    assert all(name.startswith("+ ") for name in snn.design().held_out)
    chosen = sw.convert(program("residual"), images(32), steps=STEPS).design().held_out
    assert sum(not name.startswith("+ ") for name in chosen) == len(STANDARD)


def test_a_network_trained_with_qcfs_is_as_good_as_with_its_own_thresholds() -> None:
    """At T = L the learned thresholds and no correction are exact; nothing can be better."""
    model = nn.Sequential(
        nn.Linear(6, 8), sw.QCFS(4, 1.3), nn.Linear(8, 8), sw.QCFS(4, 0.7), nn.Linear(8, 3)
    )
    x = torch.randn(64, 6, dtype=torch.float64)
    snn = sw.convert(model.double().eval(), x, steps=4)
    expected = snn.expected()
    assert expected is not None
    assert expected.relative_error < 1e-12
    assert expected.agreement == 1.0
    with torch.no_grad():
        torch.testing.assert_close(snn(x), model(x))


def test_what_is_expected_is_seen_on_the_samples_held_out() -> None:
    """Oracle: the network itself, run on every fourth sample."""
    x = images(64)
    snn = sw.convert(program("residual"), x, steps=STEPS)
    expected = snn.expected()
    assert expected is not None
    with torch.no_grad():
        wanted, given = net("residual")(x[::4]), snn(x[::4])
    assert expected.samples == 16
    assert expected.agreeing == int((wanted.argmax(1) == given.argmax(1)).sum())
    error = float((wanted - given).norm() / wanted.norm())
    assert expected.relative_error == pytest.approx(error, rel=1e-6)
    assert snn.with_neuron(sw.TPP()).expected() is None
    assert "expected of" not in snn.with_neuron(sw.TPP()).summary()
    assert snn.with_precision("int8").expected() is None
    assert snn.with_precision("float32").expected() == expected
    assert snn.expected(STEPS + 1) is None


def test_a_silent_network_is_not_taken_for_a_good_one() -> None:
    """It answers nothing, which at few levels errs less than an answer full of rounding."""
    torch.manual_seed(0)
    widths = (8, 64, 64, 64)
    layers = [
        layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b, bias=False), nn.ReLU())
    ]
    model = nn.Sequential(*layers, nn.Linear(64, 10, bias=False)).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2.4)
    x, silent = torch.randn(256, 8, dtype=torch.float64), Headroom(sw.Maximum("layer"), 100.0)
    plain = [
        sw.convert(model, x, threshold=t, steps=1, correction=None)
        for t in (sw.Maximum("channel"), silent)
    ]
    with torch.no_grad():
        errors = [float((snn(x) - model(x)).norm() / model(x).norm()) for snn in plain]
    assert errors[0] > errors[1] == 1.0
    auto = Auto((silent,), ())
    snn = sw.convert(model, x, threshold=sw.Maximum("channel"), steps=1, correction=auto)
    assert snn.design().held_out[repr(sw.Maximum("channel"))] < 0.9
    assert snn.design().held_out[repr(silent)] == 1.0
    assert snn.counts(x)["5"].any()


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("correction", [InputMeans(), OutputMeans(), Refit()], ids=str)
@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.SRP()], ids=str)
def test_the_error_is_that_of_the_network_itself(
    name: str, correction: Correction, neuron: sw.neurons.Neuron
) -> None:
    """Oracle: the finished network, run on the same samples."""
    model, prepared = net(name), prepared_of_24(name)
    snn = prepared.convert(neuron, steps=STEPS, correction=correction)
    measured = expected_of(snn.design(), snn.calibration, prepared.samples, STEPS, 0)
    with torch.no_grad():
        wanted, given = model(images(24)), snn(images(24))
    squares = (wanted - given).square().sum() / wanted.square().sum()
    expected, logs = wanted.log_softmax(1), given.log_softmax(1)
    divergence = (expected.exp() * (expected - logs)).sum(1).mean()
    assert measured.error == pytest.approx(float(squares * divergence) ** 0.5, rel=1e-6)


def test_answers_that_are_planes_are_compared_by_their_squares() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).double().eval()
    prepared = sw.prepare(model, images(24))
    snn = prepared.convert(steps=STEPS, correction=None)
    measured = expected_of(snn.design(), snn.calibration, prepared.samples, STEPS, 0)
    with torch.no_grad():
        wanted, given = model(images(24)), snn(images(24))
    expected = (wanted - given).square().sum() / wanted.square().sum()
    assert measured.error == pytest.approx(float(expected), rel=1e-6)


def test_quantities_are_judged_alike_in_any_unit() -> None:
    """The softmax of one is 1 at the largest output, of another for some output, of one even."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3)
    )
    x = torch.randn(96, 8, dtype=torch.float64)

    def errors(scale: Tensor, offset: Tensor) -> dict[str, float]:
        units = nn.Linear(3, 3)
        units.weight.data, units.bias.data = scale.diag(), offset
        model = nn.Sequential(network, units).double().eval()
        held_out = sw.convert(model, x, steps=4).design().held_out
        return {name: float(error) for name, error in held_out.items() if name.startswith("+ ")}

    physical = errors(torch.tensor([20.0, 5e3, 50.0]), torch.tensor([300.0, 1e5, 1e3]))
    assert min(physical.values()) > 1e-3
    for scale in (1e-8, 1e5):
        assert errors(torch.full((3,), scale), torch.zeros(3)) == pytest.approx(physical, rel=1e-6)


def test_a_few_samples_are_not_corrected_and_a_file_tells_the_errors(tmp_path: Path) -> None:
    few = sw.convert(program("plain"), images(12), steps=STEPS, correction=Auto())
    assert not few.design().held_out
    assert not few.design().corrections
    many = sw.convert(program("plain"), images(32), steps=STEPS, correction=Auto())
    many.save(tmp_path / "network")
    loaded = sw.load(tmp_path / "network")
    assert loaded.design().held_out == many.design().held_out
    assert loaded.summary() == many.summary()


def test_thresholds_leave_room_for_values_that_calibration_did_not_see() -> None:
    """Few samples of a long tail: the strategy named clips what others have, Maximum less."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).double().eval()
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.zero_()
    x = torch.randn(64, 1, dtype=torch.float64).exp()
    auto = Auto((sw.Maximum("channel"),), (InputMeans(),))
    snn = sw.convert(model, x, threshold=sw.Percentile(50), steps=64, correction=auto)
    expected = sw.convert(model, x, threshold=sw.Maximum("channel"), steps=64)
    assert torch.equal(snn.design().thresholds["1"], expected.design().thresholds["1"])
    held_out = snn.design().held_out
    assert held_out[repr(sw.Maximum("channel"))] < held_out[repr(sw.Percentile(50))]


def test_channels_that_are_seldom_active_are_not_clipped_by_what_few_samples_show() -> None:
    """Once all samples have set the thresholds, those held out show no clipping any more."""

    def sparse(n: int, seed: int) -> torch.Tensor:
        draws = torch.Generator().manual_seed(seed)
        places = torch.randint(48, (n,), generator=draws)
        sizes = torch.rand(n, 1, generator=draws, dtype=torch.float64)
        return nn.functional.one_hot(places, 48) * sizes

    model = nn.Sequential(nn.Linear(48, 48, bias=False), nn.ReLU(), nn.Linear(48, 48)).double()
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.eye(48))
    x = sparse(200, 1)
    errors = []
    for named in ({}, {"threshold": sw.MinError(), "correction": None}):
        snn = sw.convert(model.eval(), sparse(96, 0), sw.TwoPhase("nearest"), steps=255, **named)
        errors.append((snn(x) - model(x)).norm() / model(x).norm())
    assert errors[0] < errors[1] / 4


def test_outputs_that_no_signal_reaches_are_not_compared() -> None:
    class WithMask(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedded, self.out = nn.Embedding(7, 6), nn.Linear(6, 3)

        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.out(self.embedded(ids).relu().mean(1)), (ids != 0).double()

    ids = torch.randint(0, 7, (32, 5))
    snn = sw.convert(WithMask().double().eval(), ids, steps=STEPS, correction=Auto())
    answer, mask = snn(ids)
    assert answer.isfinite().all()
    assert torch.equal(mask, (ids != 0).double())


def test_folds_know_what_the_ann_shows_on_all_other_samples() -> None:
    """Oracle: the same samples, prepared alone."""
    prepared = sw.prepare(program("residual"), images(30))
    folds = folds_of(prepared.samples, prepared.statistics, 4)
    for fold in range(4):
        alone = sw.prepare(program("residual"), images(30)[torch.arange(30) % 4 != fold])
        means, statistics = folds.fitted(fold).input_means, folds.statistics(fold)
        assert statistics.keys() == means.keys() == alone.statistics.keys()
        for site, seen in alone.statistics.items():
            assert torch.equal(statistics[site].histogram, seen.histogram)
            assert torch.equal(statistics[site].maximum, seen.maximum)
            torch.testing.assert_close(means[site], alone.samples.input_means[site])
    two = folds.statistics(1, most=10)
    third = sw.prepare(program("residual"), images(30)[torch.arange(30) % 4 > 1]).statistics
    assert all(torch.equal(two[site].histogram, seen.histogram) for site, seen in third.items())


def test_time_steps_of_a_recurrent_layer_share_their_statistics_in_every_fold() -> None:
    class LastStep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 5, batch_first=True)
            self.out = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.lstm(x)[0][:, -1])

    prepared = sw.prepare(LastStep().eval(), torch.randn(16, 6, 3))
    seen = folds_of(prepared.samples, prepared.statistics).statistics(0)
    assert seen.keys() == prepared.statistics.keys()
    for one, other in combinations(seen, 2):  # what every time step kept would take gigabytes
        shared = prepared.statistics[one] is prepared.statistics[other]
        assert (seen[one] is seen[other]) == shared
