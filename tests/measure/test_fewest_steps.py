"""The smallest T that agrees with the ANN on samples held out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.measure.fewest_steps import fewest_steps
from tests.builders import images
from tests.network.nets import net, program


@pytest.fixture(scope="module")
def prepared() -> sw.Prepared:
    return sw.prepare(program("plain"), images(96))


def test_what_is_found_agrees_and_one_step_fewer_does_not(prepared: sw.Prepared) -> None:
    found = sw.fewest_steps(prepared, 0.9, [sw.TwoPhase("nearest")])
    (tried,) = found.tried.values()
    assert tried[found.steps] == found.agreement >= 0.9
    assert found.steps == 1 or tried[found.steps - 1] < 0.9
    assert found.samples == 24
    low, high = found.interval
    assert low < found.agreement <= high


def test_neurons_of_one_label_are_told_apart(prepared: sw.Prepared) -> None:
    neurons = [sw.IntegrateFire(v0=0.5), sw.IntegrateFire(v0=0.0)]
    found = sw.fewest_steps(prepared, 0.8, neurons)
    assert list(found.tried) == [repr(neuron) for neuron in neurons]
    assert found.tried[repr(found.neuron)][found.steps] == found.agreement >= 0.8


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_agreement_is_that_of_the_network_on_samples_it_has_not_seen(
    precision: str, prepared: sw.Prepared
) -> None:
    """Oracle: samples divided by hand, converted and run as a user would."""
    x = images(96)
    held = torch.arange(96) % 4 == 0
    found = sw.fewest_steps(prepared, 0.9, [sw.TwoPhase("nearest")], precision=precision)
    snn = sw.convert(program("plain"), x[~held], steps=found.steps, precision=precision)
    with torch.no_grad():
        same = snn(x[held]).argmax(1) == net("plain")(x[held]).argmax(1)
    assert found.agreement == float(same.double().mean())


def test_the_code_of_more_levels_takes_fewer_steps(prepared: sw.Prepared) -> None:
    rate = sw.fewest_steps(prepared, 0.95, [sw.TwoPhase("nearest")])
    both = sw.fewest_steps(prepared, 0.95)
    assert both.steps <= rate.steps
    assert set(both.tried) == {"nearest, binary", "nearest"}


def test_what_cannot_be_reached_is_refused_with_how_far_it_came(prepared: sw.Prepared) -> None:
    with pytest.raises(sw.ConversionError, match=r"100.00% of 24 .* by T = 1: TPP \d+"):
        sw.fewest_steps(prepared, 1.0, [sw.TPP()], most=1, correction=None)
    for wrong in ({"agreement": 0.0}, {"agreement": 1.1}, {"most": 0}, {"neurons": ()}):
        with pytest.raises(ValueError, match="an agreement in"):
            fewest_steps(prepared, **wrong)
    with pytest.raises(sw.CalibrationError, match="at least 8 calibration samples"):
        sw.fewest_steps(sw.prepare(program("plain"), images(6)))


@pytest.mark.parametrize(
    "last", [nn.Conv2d(4, 2, 1), nn.Sequential(nn.Flatten(), nn.Linear(64, 1))]
)
def test_answers_that_are_no_logits_are_refused(last: nn.Module) -> None:
    """Of one output the largest is always the first: any network agrees with any other."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), last).double().eval()
    with pytest.raises(sw.AnalysisError, match="not logits"):
        sw.fewest_steps(sw.prepare(model, images(16)))


def test_a_neuron_with_steps_of_its_own_has_no_fewest(prepared: sw.Prepared) -> None:
    fixed = sw.TwoPhase("nearest", steps=40)
    with pytest.raises(ValueError, match="has 40 steps of its own at any T"):
        sw.fewest_steps(prepared, 0.9, neurons=[sw.TwoPhase(), fixed])
