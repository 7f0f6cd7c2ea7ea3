"""What NIR cannot say is refused, all of it at once, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright.export.nir import export_nir
from spikewright.neurons import Neuron
from tests.cli.products import transformer
from tests.export.nir_networks import STEPS, grid_network, small
from tests.export.nir_readers import nir

assert nir  # without the package there is nothing to refuse

BY_PLACE = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)  # as many as channels
BY_CHANNEL = BY_PLACE.reshape(4, 1, 1)
CONV = {"a": nn.Conv2d(3, 4, 3), "l": nn.Linear(4, 3)}


def refused(network: sw.SpikingNetwork, folder: Path, match: str, steps: int = 4) -> str:
    path = folder / "network.nir"
    with pytest.raises(sw.UnsupportedOperation, match=match) as caught:
        export_nir(network, path, steps)
    assert not list(folder.iterdir())
    return str(caught.value)


@pytest.mark.parametrize(
    ("wire", "match"),
    [
        (lambda m, y: F.max_pool2d(y, 2), "max_pool2d.*NIR has no max pooling"),
        (lambda m, y: torch.cat([y, y], 1)[:, :4], "cat.*sum what reaches them and never join"),
        (lambda m, y: F.interpolate(y, scale_factor=2), "upsample.*NIR has no upsampling"),
        (lambda m, y: F.pad(y, (0, 1)), "whole channels of zeros only"),
        (lambda m, y: F.avg_pool2d(y, 2, padding=1), "whether an average counts padded zeros"),
        (lambda m, y: F.avg_pool2d(y, 3, ceil_mode=True), "take whole windows only"),
        (lambda m, y: F.avg_pool2d(y, 2, divisor_override=3), "divide by the size of the window"),
        (lambda m, y: F.adaptive_avg_pool2d(y, 3), "are of uneven size"),
        (lambda m, y: y.mean(2, keepdim=True), "both dimensions of an image only"),
        (lambda m, y: y[:, :, 1:], "every n-th row or column only"),
        (lambda m, y: y.permute(0, 2, 1, 3), "permute.*NIR has no node for it"),
        (lambda m, y: y + y, "one edge between two nodes at most"),
        (lambda m, y: torch.add(y, F.relu(y - 1), alpha=2), "sums edges without weights"),
        (lambda m, y: y + 1.0, "adds a constant"),
        (lambda m, y: y + y[:, :1], "of one shape"),
        (lambda m, y: torch.addcmul(BY_CHANNEL, y, BY_PLACE), "addcmul.*whole channels only"),
        (lambda m, y: torch.addcmul(BY_PLACE, y, BY_CHANNEL), "addcmul.*whole channels only"),
    ],
)
def test_operations(
    wire: Callable[[Any, torch.Tensor], torch.Tensor], match: str, tmp_path: Path
) -> None:
    network, _ = small(
        lambda m, x: m.l(wire(m, F.relu(m.a(x))).sum((2, 3))), a=CONV["a"], l=CONV["l"]
    )
    told = refused(network, tmp_path, f"(?s){match}")
    assert "cannot be exported to NIR" in told
    assert "What to do: " in told


def test_functions_of_one_signal(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.SiLU(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))
    network = sw.convert(model.eval(), torch.rand(16, 4), steps=4)
    message = refused(network, tmp_path, "(?s)silu.*tanh")
    assert "What to do: " in message


def test_products_and_functions_of_groups(tmp_path: Path) -> None:
    """Each is listed where it stands, with the units in front of products."""
    network = sw.convert(transformer(), torch.rand(16, 1, 8, 8), steps=4)
    message = refused(network, tmp_path, "NIR has no node that multiplies two signals")
    for line in (
        "aten.layer_norm, 2 times: NIR's neurons rectify, each by itself",
        "aten.softmax.int, 1 times: NIR's neurons rectify, each by itself",
        "spikewright.relay, 3 times: NIR's neurons rectify; it stands in front of a product",
        "aten.matmul, 2 times: NIR has no node that multiplies two signals",
    ):
        assert line in message
    assert "in matmul.left" in message


def test_a_function_that_is_written_out_is_named_by_its_parts(tmp_path: Path) -> None:
    network, _ = small(lambda m, x: m.l((y := m.a(x)) * torch.sigmoid(y)), (4,), a=nn.Linear(4, 6),
                       l=nn.Linear(6, 2), neuron=sw.TwoPhase())  # fmt: skip
    refused(network, tmp_path, r"sigmoid, mul, 1 times: NIR's neurons rectify")


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's, of the even kernel
@pytest.mark.parametrize(
    ("convolution", "match"),
    [
        (nn.Conv2d(3, 4, (1, 3)), "were square"),
        (nn.Conv2d(3, 4, 2, padding="same"), "pads both sides alike"),
        (nn.ConvTranspose2d(3, 4, 3), "conv_transpose2d.*NIR has no node"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_convolutions(convolution: nn.Module, match: str, tmp_path: Path) -> None:
    network, _ = small(lambda m, x: F.relu(m.a(x)).mean((2, 3)), a=convolution)
    refused(network, tmp_path, f"(?s){match}")


def test_volumes_and_sequences(tmp_path: Path) -> None:
    network, _ = small(
        lambda m, x: F.relu(m.a(x)).sum((2, 3, 4)), (2, 4, 4, 4), a=nn.Conv3d(2, 3, 3)
    )
    refused(network, tmp_path, "convolutions of 1 and 2 dimensions")
    network, _ = small(lambda m, x: F.relu(m.l(x)).flatten(1), (5, 6), l=nn.Linear(6, 3))
    refused(network, tmp_path, r"Affine reads one vector, it reads \[5, 6\]")


@pytest.mark.parametrize(
    ("shape", "wire", "match"),
    [
        ((4, 4), lambda m, x: F.avg_pool2d(x, 2), r"avg_pool2d.*images \[C, H, W\] only.*\[4, 4\]"),
        ((4, 4), lambda m, x: F.adaptive_avg_pool2d(x, 2), r"adaptive.*images \[C, H, W\] only"),
        ((2, 4, 4, 4), lambda m, x: x[:, :, ::2], r"slice.*none over samples of .*\[2, 4, 4, 4\]"),
        ((2, 2, 2, 2), lambda m, x: m.n(x), r"addcmul.*none over samples of shape"),
        ((2, 4, 4, 4), lambda m, x: F.pad(x, (0, 0, 0, 0, 0, 0, 1, 1)), "pad.*none over samples"),
    ],
)
def test_samples_that_are_neither_sequences_nor_images(
    shape: tuple[int, ...], wire: Any, match: str, tmp_path: Path
) -> None:
    network, _ = small(lambda m, x: F.relu(wire(m, x)).flatten(1), shape, n=nn.BatchNorm3d(2))
    refused(network, tmp_path, f"(?s){match}")


def test_a_current_for_neurons_of_volumes(tmp_path: Path) -> None:
    shifted = sw.IntegrateFire(v0=0.0, shift=0.5)
    network, _ = small(lambda m, x: F.relu(x).flatten(1), (2, 2, 2, 2), shifted)
    told = refused(network, tmp_path, "the current at every step.*none over samples of shape")
    assert "in relu" in told
    assert "convert without bias correction, and with neurons without shift" in told


@pytest.mark.parametrize(
    ("neuron", "match"),
    [
        (sw.IntegrateFire(reset="hard"), "IF, hard reset.*readers disagree about a hard reset"),
        (sw.TPP(), "sends after the whole of its input has arrived"),
        (sw.TwoPhase("nearest", "binary"), "sends after the whole of its input has arrived"),
        (sw.Shuffled(sw.IntegrateFire()), "sends after the whole of its input has arrived"),
        (sw.SRP(tau=2), "no rehearsal"),
        (sw.COS(rho=2), "sends after the whole of its input has arrived"),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
def test_neurons(neuron: Neuron, match: str, tmp_path: Path) -> None:
    network = grid_network().with_neuron(neuron)
    told = refused(network, tmp_path, f"(?s){match}", STEPS)
    assert all(f"in {site}" in told for site in network.sites)


class Own(sw.IntegrateFire):
    """Somebody's own neuron, which may do anything."""


def test_neurons_of_your_own(tmp_path: Path) -> None:
    refused(grid_network().with_neuron(Own()), tmp_path, "NIR has no such neuron", STEPS)


def test_currents_rounded_to_bf16(tmp_path: Path) -> None:
    refused(grid_network().with_precision("bf16"), tmp_path, "rounded to bfloat16", STEPS)
    refused(grid_network().with_precision("int8"), tmp_path, "rounded to 8 bits", STEPS)


def test_weights_of_16_bits_are_written_in_the_float32_that_they_are_computed_in(
    tmp_path: Path,
) -> None:
    half = sw.load(_saved(grid_network(), tmp_path)).to(torch.float16)
    export_nir(half, tmp_path / "half.nir", STEPS)
    nodes = nir.read(tmp_path / "half.nir").nodes.values()
    weights = [node.weight for node in nodes if hasattr(node, "weight")]
    assert {weight.dtype for weight in weights} == {np.dtype("float32")}


def _saved(network: sw.SpikingNetwork, folder: Path) -> Path:
    network.save(folder / "network.safetensors")
    return folder / "network.safetensors"


def test_everything_is_listed_at_once(tmp_path: Path) -> None:
    network, _ = small(
        lambda m, x: m.l(F.max_pool2d(F.relu(m.b(F.max_pool2d(F.relu(m.a(x)), 2))), 2).flatten(1)),
        neuron=sw.IntegrateFire(reset="hard"),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 4, 1),
        l=nn.Linear(4, 3),
    )
    told = refused(network, tmp_path, "^4 operations of this network cannot be exported to NIR:")
    assert "aten.max_pool2d, 2 times" in told
    assert "IF, hard reset, 2 times" in told
    assert "builders.py:" in told  # the line of the user's code
