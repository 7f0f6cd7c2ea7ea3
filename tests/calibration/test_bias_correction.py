"""Bias correction puts the mean input of every channel back where the ANN had it."""

from __future__ import annotations

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright.calibration import InputMeans, collect
from spikewright.network import Observer
from tests.builders import captured, exported, images, wired


@cache
def model():
    torch.manual_seed(0)
    net = wired(
        lambda m, x: m.l((F.relu(m.b(y := F.relu(m.n(m.a(x))))) + y).mean((2, 3))),
        a=nn.Conv2d(3, 4, 3),
        n=nn.BatchNorm2d(4),
        b=nn.Conv2d(4, 4, 3, padding=1),
        l=nn.Linear(4, 3),
    )
    return exported(net, images(2))


def mean_inputs(snn, x, **options):
    """By site, what the neurons took in, per channel, in the unit of the ANN."""
    found = {}

    def keep(op, charge, count, residual):
        theta = snn.design().thresholds[op.site.name].reshape(1, -1, 1, 1)
        found[op.site.name] = (charge * theta / snn.plan().levels[op.site.name]).mean((0, 2, 3))

    snn.observe(x, Observer(layer=keep), **options)
    return found


@pytest.mark.parametrize(
    "neuron", [sw.TwoPhase(), sw.TwoPhase("unbiased"), sw.TwoPhase("nearest", "binary")]
)
def test_mean_inputs_are_those_of_the_ann(neuron):
    ann, x = model(), images(16)
    expected = collect(captured(ann, x), [x]).statistics
    snn = sw.convert(ann, x, neuron=neuron, steps=3, correction=InputMeans(), seed=5)
    plain = sw.convert(ann, x, neuron=neuron, steps=3, correction=None)
    corrected, uncorrected = mean_inputs(snn, x, seed=5), mean_inputs(plain, x, seed=5)
    for site in snn.sites:
        torch.testing.assert_close(corrected[site], expected[site].input_mean, rtol=0, atol=1e-9)
    late = snn.sites[-1]
    assert float((uncorrected[late] - expected[late].input_mean).abs().max()) > 1e-3


def test_mean_inputs_are_those_of_the_ann_for_tpp_in_its_own_count_engine():
    ann, x = model(), images(16)
    expected = collect(captured(ann, x), [x]).statistics
    snn = sw.convert(ann, x, neuron=sw.TPP(), steps=3, correction=InputMeans())
    corrected = mean_inputs(snn, x, engine="counts")
    for site, mean in corrected.items():
        torch.testing.assert_close(mean, expected[site].input_mean, rtol=0, atol=1e-9)


def test_every_named_t_gets_its_own_correction():
    x = images(8)
    snn = sw.convert(model(), x, steps=(4, 8), correction=InputMeans())
    assert snn.designed_steps == (4, 8)
    assert snn.steps == 4
    for site in snn.sites:
        assert snn.design(4).corrections[site].shape == (4,)
        if site != snn.sites[0]:
            assert not torch.equal(snn.design(4).corrections[site], snn.design(8).corrections[site])


def test_the_first_layer_needs_no_correction():
    snn = sw.convert(model(), images(8), steps=4, correction=InputMeans())
    assert float(snn.design().corrections[snn.sites[0]].abs().max()) < 1e-12


@pytest.mark.parametrize("mask", [-1e9, torch.finfo(torch.float32).min])
def test_rounding_beside_large_masks_is_no_correction(mask: float) -> None:
    class Pooled(nn.Module):
        """Attention pooling: scores of places that are padding get a large negative number."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.score, self.last = nn.Linear(5, 8), nn.Linear(8, 1), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            y = F.relu(self.first(x))
            scores = self.score(y).squeeze(-1) + (1 - kept) * mask
            return self.last((scores.softmax(1).unsqueeze(1) @ y).squeeze(1))

    torch.manual_seed(0)
    net, x, kept = Pooled().eval(), torch.randn(200, 6, 5), (torch.rand(200, 6) > 0.3).float()
    kept[:, 0] = 1
    data = [{"x": x, "kept": kept}]
    plain, corrected = (
        sw.convert(net, data, steps=16, threshold=sw.MinError(), correction=correction)(x, kept)
        for correction in (None, InputMeans())
    )
    with torch.no_grad():
        wanted = net(x, kept)
    assert (corrected - wanted).norm() < 1.2 * (plain - wanted).norm()
