"""Networks of 16-bit models: charges, counts and sums over time are kept in float32."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import Auto, Correction, InputMeans, MinError, OutputMeans, Refit
from spikewright.finetuning import TrainableNetwork, ann_answer, quantised_answer
from tests.builders import wired

CLASSES = 5
PRECISION = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}
"""The spacing of numbers of each type, relative to them."""


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, CLASSES),
        ).eval()


def images() -> Tensor:
    return torch.rand(8, 3, 12, 10, generator=torch.Generator().manual_seed(0))


@lru_cache
def prepared(dtype: torch.dtype) -> sw.Prepared:
    """The network of a type, captured once for all tests."""
    return sw.prepare(network().to(dtype), images().to(dtype))


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found.float() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(
    ("dtype", "steps"),
    [(torch.bfloat16, 64), (torch.bfloat16, 1024), (torch.float16, 4096)],
)
@pytest.mark.parametrize(
    "neuron", [sw.TwoPhase("nearest", "burst"), sw.IntegrateFire()], ids=lambda n: n.label
)
def test_many_steps_lose_no_precision(neuron, dtype: torch.dtype, steps: int) -> None:
    x = images()
    options = {
        "neuron": neuron,
        "threshold": sw.Maximum(),
        "steps": steps,
        "correction": None,
    }
    full = prepared(torch.float32).convert(**options)(x, engine="steps")
    snn, narrow = prepared(dtype).convert(**options), x.to(dtype)
    allowed = 4 * PRECISION[dtype]
    stepped = snn(narrow, engine="steps")
    assert stepped.dtype is dtype
    assert error(stepped, full) < allowed
    assert error(snn.ann()(narrow), full) < allowed
    if neuron.has_count_law:
        assert error(snn(narrow, engine="counts"), full) < allowed


@pytest.mark.parametrize("dtype", list(PRECISION))
@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.SRP(2)], ids=lambda n: n.label)
def test_counts_are_whole_and_those_of_the_recording(neuron, dtype: torch.dtype) -> None:
    x, steps = images()[:2].to(dtype), 600
    snn = prepared(dtype).convert(neuron, sw.Maximum(), steps, correction=None)
    counts, trains = snn.counts(x, engine="steps"), snn.record(x)
    for site, count in counts.items():
        assert count.dtype is torch.float32
        assert torch.equal(count, trains[site][neuron.rehearsal :].float().sum(0))
    assert max(float(count.max()) for count in counts.values()) > 256
    if neuron.has_count_law:
        odd = [count % 2 == 1 for count in snn.counts(x, engine="counts").values()]
        assert any(bool((o & (c > 256)).any()) for o, c in zip(odd, counts.values(), strict=True))


@pytest.mark.parametrize(
    "correction", [sw.calibration.InputMeans(), OutputMeans()], ids=["InputMeans", "OutputMeans"]
)
def test_corrections_are_measured_on_whole_counts(correction) -> None:
    x, dtype = images(), torch.bfloat16
    options = {"neuron": sw.TwoPhase(), "steps": 1000, "correction": correction}
    full = prepared(torch.float32).convert(**options)(x)
    found = prepared(dtype).convert(**options)(x.to(dtype))
    assert error(found, full) < 4 * PRECISION[dtype]


def test_a_network_may_change_its_type() -> None:
    x = images()
    snn = sw.convert(network(), x, steps=300)
    wanted = snn(x)
    narrow = snn.to(torch.bfloat16)
    assert error(narrow(x.bfloat16()), wanted) < 4 * PRECISION[torch.bfloat16]
    assert error(narrow.float()(x), wanted) < 4 * PRECISION[torch.bfloat16]  # rounded for good


def test_a_network_of_pictures_in_whole_numbers_may_change_its_type(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (16, 3, 6, 6), dtype=torch.uint8, generator=generator)
    torch.manual_seed(0)
    model = wired(
        lambda m, x: m.l(torch.relu(m.a(x.to(m.a.weight.dtype) / 255)).mean((2, 3))),
        a=nn.Conv2d(3, 4, 3),
        l=nn.Linear(4, 3),
    )
    snn = sw.convert(model.float(), x, steps=300)
    wanted = snn(x)
    double = copy.deepcopy(snn).double()
    assert double(x).dtype is torch.float64
    assert error(double(x), wanted) < 1e-3  # a count or two on a decision boundary
    torch.testing.assert_close(double.twin()(x), double(x))
    narrow = copy.deepcopy(snn).to(torch.bfloat16)
    narrow.save(tmp_path / "narrow.safetensors")
    again = sw.load(tmp_path / "narrow.safetensors")
    assert torch.equal(again(x), narrow(x))
    assert error(narrow(x), wanted) < 4 * PRECISION[torch.bfloat16]


@pytest.mark.parametrize("neuron", [sw.TwoPhase("nearest", "binary"), sw.IntegrateFire()])
def test_autocast_changes_nothing(neuron: sw.neurons.Neuron) -> None:
    x = torch.rand(6, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    snn = sw.convert(network().eval(), x, neuron, steps=6, correction=None)
    wanted = snn(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(snn(x), wanted)


def test_currents_of_float16_are_no_masks() -> None:
    """Of 65,504, the largest number, a thousandth is a current like any other."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
        x = torch.rand(256, 8)
    with torch.no_grad():
        model[0].weight.mul_(20)
        model[0].bias.add_(200)
        wanted = model(x)
    errors = {
        dtype: error(
            sw.methods.MINERROR.convert(copy.deepcopy(model).to(dtype), x.to(dtype), steps=16)(
                x.to(dtype)
            ),
            wanted,
        )
        for dtype in (torch.float32, torch.float16)
    }
    assert errors[torch.float16] < 2 * errors[torch.float32]


def test_a_network_of_bfloat16_says_so() -> None:
    model, x = network(), images()
    low = sw.convert(model, x, steps=8, correction=None, precision="int8")
    narrow = copy.deepcopy(low).bfloat16()
    assert (low.precision, narrow.precision) == ("int8", "bf16")
    with pytest.raises(
        sw.ConversionError, match=r"bfloat16.*for int8 convert the model in float32"
    ):
        narrow.with_precision("int8")
    with pytest.raises(sw.ConversionError, match="for int8 convert the model in float32"):
        sw.convert(network().bfloat16(), x.bfloat16(), precision="int8", correction=None)


def test_nothing_is_expected_of_what_was_made_of_16_bits() -> None:
    snn = sw.convert(network(), torch.rand(16, 3, 12, 10), steps=8)
    assert snn.expected() is not None
    assert copy.deepcopy(snn).double().expected() == snn.expected()
    for other in (torch.bfloat16, torch.float16):
        assert copy.deepcopy(snn).to(other).expected() is None


def test_autocast_reaches_no_counts() -> None:
    model, x = network(), images()
    snn = sw.convert(model, x, steps=8, correction=None)
    trainable = TrainableNetwork(snn)
    with torch.autocast("cpu", torch.bfloat16):
        twin, trained = snn.twin(), trainable(x)
        found = {"network": snn(x), "twin": twin(x), "trainable": trained, "ann": snn.ann()(x)}
        again = sw.convert(model, x, steps=8, correction=None)
        counts = twin.counts(x)
    for name, answer in found.items():
        assert answer.dtype is torch.float32, name
    torch.testing.assert_close(found["trainable"].detach(), found["network"])
    torch.testing.assert_close(found["ann"], model(x).detach())
    for site, theta in snn.design().thresholds.items():
        assert torch.equal(again.design().thresholds[site], theta)
        assert torch.equal(snn.counts(x)[site].float(), counts[site])


def test_autocast_reaches_no_file(tmp_path: Path) -> None:
    """Which is tried before it is written: layer norm takes no bfloat16 in float16."""
    model = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)).bfloat16().eval()
    x = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    snn = sw.convert(model, x, threshold=MinError())
    with torch.autocast("cpu", torch.float16):
        snn.save(tmp_path / "network.safetensors")
        again = sw.load(tmp_path / "network.safetensors")
    assert torch.equal(again(x), snn(x))


@pytest.mark.parametrize("correction", [InputMeans(), Refit(), Auto()], ids=str)
def test_autocast_reaches_no_correction(correction: Correction) -> None:
    """The Gram matrices of `Refit` are no longer positive definite in bfloat16."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = (nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
        model = nn.Sequential(*layers).eval()
        x = torch.randn(64, 8)
    prepared = sw.prepare(model, x)
    wanted = prepared.convert(None, MinError(), 4, correction).design().tensors()
    with torch.autocast("cpu", torch.bfloat16):
        again = sw.prepare(model, x)
        found = again.convert(None, MinError(), 4, correction).design().tensors()
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, wanted[name]), name


def test_autocast_reaches_no_fine_tuning() -> None:
    x = images()
    snn = sw.convert(network(), x, steps=8, correction=None)
    trainable = TrainableNetwork(snn)
    with torch.autocast("cpu", torch.bfloat16):
        quantised = quantised_answer(trainable, x, levels=4).output
        ann = ann_answer(snn.graph, x).output
    assert torch.equal(ann, ann_answer(snn.graph, x).output)
    assert torch.equal(quantised, quantised_answer(trainable, x, levels=4).output)
