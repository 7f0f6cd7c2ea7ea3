"""Longer windows go to the layers whose rounding costs most."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph.inputs import tensors_of

BINARY = sw.TwoPhase("nearest", "binary")


class Differences(nn.Module):
    """The second of three layers takes a small difference of large, nearly equal activations."""

    def __init__(self) -> None:
        super().__init__()
        self.act1, self.act2, self.act3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        large = self.act1(torch.cat([20 + x, 20 - x], 1))
        small = self.act2((large[:, :6] - large[:, 6:]) / 2)
        return self.head(self.act3(small + 0.1))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return Differences().eval()


@pytest.fixture(scope="module")
def prepared(model: nn.Module) -> sw.Prepared:
    return sw.prepare(model, torch.rand(128, 6, generator=torch.Generator().manual_seed(0)))


def test_the_layer_whose_rounding_costs_most_gets_the_longer_window(prepared: sw.Prepared) -> None:
    front = sw.assign_steps(prepared, BINARY, steps=4, more=4, layers=2)
    assert [one.longer[:1] for one in front[:2]] == [(), ("act1",)]
    errors = [one.error for one in front]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < errors[0] / 3
    latencies = [prepared.convert(one.neurons, steps=4).latency() for one in front]
    assert latencies == [16, 24, 28]  # the first layer listens to the input for longer, too
    assert [one.latency for one in front] == latencies
    assert {one.samples for one in front} == {32}


def test_what_would_answer_too_late_is_left_out(prepared: sw.Prepared) -> None:
    """The first layer gains most and adds 8 time steps; the others add 4."""
    (alike,) = sw.assign_steps(prepared, BINARY, steps=4, more=4, layers=2, latency=19)
    assert (alike.longer, alike.latency) == ((), 16)
    in_time = sw.assign_steps(prepared, BINARY, steps=4, more=4, layers=2, latency=20)
    assert [one.latency for one in in_time] == [16, 20]
    assert in_time[-1].longer in {("act2",), ("act3",)}
    assert sw.assign_steps(prepared, BINARY, layers=2, latency=24)[-1].longer == ("act1",)


def test_errors_are_those_of_the_networks_it_names(model: nn.Module, prepared: sw.Prepared) -> None:
    fitted, parts = prepared.held_out()
    x = torch.cat([tensors_of(part)[0] for part in parts])
    with torch.no_grad():
        expected = model(x)
    for one in sw.assign_steps(prepared, BINARY, steps=4, layers=1):
        snn = fitted.convert(one.neurons, steps=4, correction=None)
        error = (snn(x) - expected).norm() / expected.norm()
        assert one.error == pytest.approx(float(error), rel=1e-3)


def test_alike_sites_are_one_layer() -> None:
    torch.manual_seed(0)
    model = nn.LSTM(3, 4, batch_first=True).eval()
    prepared = sw.prepare(model, torch.randn(32, 3, 3))
    best = sw.assign_steps(prepared, BINARY, steps=3, layers=1)[-1]
    (layer,) = best.longer
    sites = {site for site, neuron in best.neurons.items() if neuron != BINARY}
    assert sites == set(prepared.graph.groups[layer])
    assert len(sites) > 1


def test_what_it_cannot_choose_is_refused(prepared: sw.Prepared) -> None:
    with pytest.raises(sw.AnalysisError, match="without steps="):
        sw.assign_steps(prepared, sw.TwoPhase("nearest", "binary", steps=3))
    with pytest.raises(sw.AnalysisError, match="two-phase neurons, TwoPhase"):
        sw.assign_steps(prepared, sw.IntegrateFire())  # pyright: ignore[reportArgumentType]
    with pytest.raises(sw.AnalysisError, match="all of them alike it takes 16"):
        sw.assign_steps(prepared, BINARY, latency=15)
    with pytest.raises(sw.AnalysisError, match="at least 1"):
        sw.assign_steps(prepared, BINARY, more=0)
    with pytest.raises(sw.CalibrationError, match="at least 8"):
        sw.assign_steps(sw.prepare(Differences().eval(), torch.rand(4, 6)), BINARY)
    with pytest.raises(sw.ConversionError):
        sw.assign_steps(prepared, BINARY, steps=20, more=8)
