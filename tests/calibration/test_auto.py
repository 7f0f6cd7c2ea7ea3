"""The correction that samples held out choose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.calibration import Auto, Correction, Design, InputMeans, OutputMeans, Refit
from spikewright.calibration.auto import error, least
from tests.builders import images
from tests.network.nets import NETS, net

STEPS = 3


class Harmful(Correction):
    """A correction that shifts every current by far too much."""

    def __repr__(self) -> str:
        return "Harmful()"

    def corrected(self, design, calibration, samples, steps, seed) -> Design:
        shift = {site: torch.full_like(t, 50.0) for site, t in design.thresholds.items()}
        return replace(design, corrections=shift)


def test_what_only_harms_is_not_taken() -> None:
    auto = Auto((), (Harmful(),))
    snn = sw.convert(net("plain"), images(32), steps=STEPS, bias_correction=auto)
    plain = sw.convert(net("plain"), images(32), steps=STEPS, bias_correction=False)
    assert torch.equal(snn(images(8)), plain(images(8)))
    errors = snn.design().held_out
    assert errors["+ no correction"] < errors["+ Harmful()"]
    chosen = [line for line in snn.summary().splitlines() if "(chosen)" in line]
    assert [line.split(maxsplit=1)[1] for line in chosen] == [
        "MinError(per='channel', candidates=64)  (chosen)",
        "+ no correction  (chosen)",
    ]


def test_the_best_is_fitted_on_all_samples() -> None:
    auto = Auto((), (Harmful(), Refit()))
    options = {"steps": STEPS, "threshold": sw.Percentile(80)}
    snn = sw.convert(net("residual"), images(96), **options, bias_correction=auto)
    refitted = sw.convert(net("residual"), images(96), **options, bias_correction=Refit())
    errors = {n: float(e) for n, e in snn.design().held_out.items() if n.startswith("+")}
    assert least(errors) == f"+ {Refit()!r}"
    assert torch.equal(snn(images(8)), refitted(images(8)))


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("correction", [InputMeans(), OutputMeans(), Refit()], ids=str)
@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.SRP()], ids=str)
def test_the_error_is_that_of_the_network_itself(
    name: str, correction: Correction, neuron: sw.neurons.Neuron
) -> None:
    """Oracle: the finished network, run on the same samples."""
    model = net(name)
    prepared = sw.prepare(model, images(24))
    snn = prepared.convert(neuron, steps=STEPS, bias_correction=correction)
    measured = error(snn.design(), snn.calibration, prepared.samples, STEPS, 0)
    with torch.no_grad():
        wanted, given = model(images(24)), snn(images(24))
    squares = (wanted - given).square().sum() / wanted.square().sum()
    expected, logs = wanted.log_softmax(1), given.log_softmax(1)
    divergence = (expected.exp() * (expected - logs)).sum(1).mean()
    assert measured == pytest.approx(float(squares * divergence) ** 0.5, rel=1e-6)


def test_answers_that_are_planes_are_compared_by_their_squares() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).double().eval()
    prepared = sw.prepare(model, images(24))
    snn = prepared.convert(steps=STEPS, bias_correction=False)
    measured = error(snn.design(), snn.calibration, prepared.samples, STEPS, 0)
    with torch.no_grad():
        wanted, given = model(images(24)), snn(images(24))
    expected = (wanted - given).square().sum() / wanted.square().sum()
    assert measured == pytest.approx(float(expected), rel=1e-6)


def test_a_few_samples_are_not_corrected_and_a_file_tells_the_errors(tmp_path: Path) -> None:
    few = sw.convert(net("plain"), images(12), steps=STEPS, bias_correction=Auto())
    assert not few.design().held_out
    assert not few.design().corrections
    many = sw.convert(net("plain"), images(32), steps=STEPS, bias_correction=Auto())
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
    snn = sw.convert(model, x, threshold=sw.Percentile(50), steps=64, bias_correction=auto)
    expected = sw.convert(model, x, threshold=sw.Maximum("channel"), steps=64)
    assert torch.equal(snn.design().thresholds["1"], expected.design().thresholds["1"])
    held_out = snn.design().held_out
    assert held_out[repr(sw.Maximum("channel"))] < held_out[repr(sw.Percentile(50))]


def test_outputs_that_no_signal_reaches_are_not_compared() -> None:
    class WithMask(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedded, self.out = nn.Embedding(7, 6), nn.Linear(6, 3)

        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.out(self.embedded(ids).relu().mean(1)), (ids != 0).double()

    ids = torch.randint(0, 7, (32, 5))
    snn = sw.convert(WithMask().double().eval(), ids, steps=STEPS, bias_correction=Auto())
    answer, mask = snn(ids)
    assert answer.isfinite().all()
    assert torch.equal(mask, (ids != 0).double())
