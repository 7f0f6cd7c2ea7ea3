"""Networks on a GPU convert, answer and are fine-tuned there; these tests skip without one.

`SPIKEWRIGHT_STAND_IN=1` runs them on a device that stands for one, see `stand_in_device`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.methods.finetune import DSR
from spikewright.training import finetune_in_memory
from tests.robustness import stand_in_device

GPU = stand_in_device.install() if os.environ.get("SPIKEWRIGHT_STAND_IN") else "cuda"
pytestmark = pytest.mark.skipif(
    GPU == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA GPU"
)
NEURONS: dict[str, Any] = {
    "IF": sw.IntegrateFire(),
    "shuffled": sw.Shuffled(sw.IntegrateFire()),
    "SRP": sw.SRP(tau=2),
    "COS": sw.COS(rho=2),
    "nearest": sw.TwoPhase(),
    "bits": sw.TwoPhase("nearest", "binary"),
    "digits": sw.TwoPhase("nearest", "digits"),
    "TPP": sw.TPP(),
    "tracer": sw.SpikeTracer(),
    "few spikes": sw.FewSpikes(),
}


def network() -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
        return model.to(GPU), torch.rand(64, 8).to(GPU)


def test_a_network_on_the_gpu_converts_as_on_the_cpu() -> None:
    model, x = network()
    snn = sw.convert(model, x, steps=4)
    assert snn(x).device.type == GPU
    on_cpu = sw.convert(model.cpu(), x.cpu(), steps=4)
    for name, tensor in snn.design().thresholds.items():
        torch.testing.assert_close(tensor, on_cpu.design().thresholds[name], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron_answers_there_as_on_the_cpu(name: str, tmp_path: Path) -> None:
    """In float64, where no rounding moves a count."""
    model, x = (each.double() for each in network())
    here = x.cpu()
    on_cpu = sw.convert(model.cpu(), here, NEURONS[name], steps=3)
    snn = sw.convert(model.to(GPU), x, NEURONS[name], steps=3)
    snn.save(tmp_path / "network.safetensors")
    again = sw.load(tmp_path / "network.safetensors").to(GPU)
    for engine in ("auto", "steps"):
        expected = on_cpu(here, engine=engine)
        torch.testing.assert_close(snn(x, engine=engine).cpu(), expected)
        torch.testing.assert_close(again(x, engine=engine).cpu(), expected)
    assert snn.record(x).keys() == snn.counts(x).keys() == set(snn.sites)
    assert snn.audit(x).objections == on_cpu.audit(here).objections
    data = [(here, torch.arange(64) % 4)]
    swept, wanted = (sw.sweep({"it": n}, data, [3], reference=model) for n in (snn, on_cpu))
    assert swept.row("it", 3).accuracy == wanted.row("it", 3).accuracy
    counted, expected = (sw.operations(n, data, 3) for n in (snn, on_cpu))
    assert counted.total.spikes == pytest.approx(expected.total.spikes)


class Decoder(nn.Module):
    """Its mask of later places is made on the way, of the size that it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return self.out(F.relu(F.scaled_dot_product_attention(y, y, y, is_causal=True)))


class Sampler(nn.Module):
    """Samples a plane at places that it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(
            F.grid_sample(x, self.places(x).tanh().permute(0, 2, 3, 1), align_corners=True)
        )


class Cell(nn.Module):
    """Two steps of a recurrent cell, which torch fuses on a GPU."""

    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.cell = cell(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        first = self.cell(x[:, 0])
        second = self.cell(x[:, 1], first)
        return second if isinstance(second, Tensor) else second[0]


class Powers(nn.Module):
    """To the power of a plain number that is a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x)) ** torch.tensor(1.5)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (Decoder, (6, 4)),
        (Sampler, (4, 5, 5)),
        (lambda: Cell(nn.GRUCell), (2, 4)),
        (lambda: Cell(nn.LSTMCell), (2, 4)),
        (Powers, (4,)),
    ],
    ids=["causal attention", "grid_sample", "GRU cell", "LSTM cell", "powers"],
)
def test_constants_stand_where_the_network_does(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    model, x = make().eval(), torch.randn(32, *shape)
    on_cpu = sw.convert(model, x, steps=8, correction=None)
    snn = sw.convert(model.to(GPU), x.to(GPU), steps=8, correction=None)
    assert {tensor.device.type for tensor in snn.graph.tensors.values()} == {GPU}
    assert snn.sites == on_cpu.sites
    torch.testing.assert_close(snn(x.to(GPU)).cpu(), on_cpu(x), rtol=0.05, atol=0.05)


def test_a_default_device_is_the_callers() -> None:
    model, x = network()
    expected = sw.convert(model, x, steps=4)(x)
    with torch.device(GPU):
        found = sw.convert(model, x, steps=4)(x)
    assert torch.equal(found, expected)


def test_images_may_stay_on_the_cpu_while_a_network_is_fine_tuned() -> None:
    model, x = network()
    snn = sw.convert(model, x, steps=4)
    tuned = finetune_in_memory(snn, DSR(epochs=1, batch_size=16), x.cpu(), torch.arange(64) % 4)
    assert tuned.network(x).device.type == GPU


def test_a_network_on_the_gpu_is_fine_tuned_with_labels() -> None:
    model, x = network()
    snn = sw.convert(model, x, steps=4)
    tuned = finetune_in_memory(snn, DSR(epochs=1, batch_size=16), x, torch.arange(64) % 4)
    assert tuned.network(x).device.type == GPU


@pytest.mark.skipif(GPU == "cuda", reason="a CUDA GPU has float64")
@pytest.mark.parametrize("name", NEURONS)
def test_a_device_without_float64_runs_what_the_cpu_converted(name: str) -> None:
    model, x = (each.cpu() for each in network())
    snn, data = sw.convert(model, x, NEURONS[name], steps=3), [(x, torch.arange(64) % 4)]
    expected, swept = snn(x), sw.sweep({"it": snn}, data, [3], reference=model)
    with stand_in_device.without_float64():
        with pytest.raises(sw.ConversionError, match="no float64 to calibrate in"):
            sw.convert(copy.deepcopy(model).to(GPU), x.to(GPU), steps=3)
        moved = snn.to(GPU)
        torch.testing.assert_close(moved(x.to(GPU)).cpu(), expected)
        found = sw.sweep({"it": moved}, data, [3], reference=model)
        assert found.row("it", 3).spikes_per_image == swept.row("it", 3).spikes_per_image
        sw.operations(moved, data, 3)
        sw.trajectories({"it": moved}, data, 3)
