"""The correction that samples held out choose."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.calibration import Auto, Correction, InputMeans, Offsets, OutputMeans, Refit
from spikewright.calibration.auto import error
from tests.builders import images
from tests.network.nets import NETS, net

STEPS = 3


class Harmful(Correction):
    """A correction that shifts every current by far too much."""

    def __repr__(self) -> str:
        return "Harmful()"

    def offsets(self, calibration, thresholds, samples, steps, seed) -> Offsets:
        return Offsets({site: torch.full_like(t, 50.0) for site, t in thresholds.items()})


def test_what_only_harms_is_not_taken() -> None:
    auto = Auto((Harmful(),))
    snn = sw.convert(net("plain"), images(32), steps=STEPS, bias_correction=auto)
    plain = sw.convert(net("plain"), images(32), steps=STEPS, bias_correction=False)
    assert torch.equal(snn(images(8)), plain(images(8)))
    errors = snn.design().held_out
    assert errors["no correction"] < errors["Harmful()"]
    assert "correction: no correction, by the errors on samples held out" in snn.summary()


def test_the_best_is_fitted_on_all_samples() -> None:
    auto = Auto((Harmful(), Refit()))
    options = {"steps": STEPS, "threshold": sw.Maximum("channel")}
    snn = sw.convert(net("residual"), images(96), **options, bias_correction=auto)
    refitted = sw.convert(net("residual"), images(96), **options, bias_correction=Refit())
    errors = {name: float(error) for name, error in snn.design().held_out.items()}
    assert min(errors, key=errors.__getitem__) == repr(Refit())
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
    design, samples = snn.design(), prepared.samples
    offsets = Offsets(design.corrections, design.potentials, design.weights)
    measured = error(snn.calibration, design.thresholds, samples, STEPS, 0, offsets)
    with torch.no_grad():
        wanted, given = model(images(24)).log_softmax(1), snn(images(24)).log_softmax(1)
    expected = (wanted.exp() * (wanted - given)).sum(1).mean()
    assert measured == pytest.approx(float(expected), rel=1e-6)


def test_answers_that_are_planes_are_compared_by_their_squares() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).double().eval()
    prepared = sw.prepare(model, images(24))
    snn = prepared.convert(steps=STEPS, bias_correction=False)
    thresholds = snn.design().thresholds
    measured = error(snn.calibration, thresholds, prepared.samples, STEPS, 0, Offsets())
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
    with pytest.raises(ValueError, match="at least one correction"):
        Auto(())
