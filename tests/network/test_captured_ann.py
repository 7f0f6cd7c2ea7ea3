"""The ANN that a spiking network was made of is still in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.activations import QCFS
from spikewright.models import resnet20


def test_the_ann_in_a_network_is_the_model_that_was_converted() -> None:
    torch.manual_seed(0)
    model = resnet20(activation=lambda: QCFS(4, 1.0)).eval().double()
    images = torch.rand(6, 3, 32, 32, dtype=torch.float64)
    snn = sw.convert(model, images, steps=4)
    with torch.no_grad():
        torch.testing.assert_close(snn.ann()(images), model(images), rtol=1e-9, atol=1e-9)
    assert snn.dtype is torch.float64


def test_it_shares_tensors_and_survives_saving(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    images = torch.rand(16, 6)
    snn = sw.convert(model, images, steps=4)
    shared = {tensor.data_ptr() for tensor in snn.ann().buffers() if tensor.numel()}
    assert shared <= {tensor.data_ptr() for tensor in snn.buffers()}
    snn.save(tmp_path / "network.safetensors")
    again = sw.load(tmp_path / "network.safetensors")
    assert torch.equal(again.ann()(images), snn.ann()(images))


@pytest.mark.parametrize("made", ["ann", "twin"])
def test_input_of_another_kind_is_refused_by_name(made: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()
    x = torch.rand(3, 3, 6, 6)
    other = getattr(sw.convert(model, x, steps=4, correction=None), made)()
    for given, told in (
        (x.double(), "this network is torch.float32 on cpu, the input is torch.float64"),
        (x[:, :, :3], "takes batches of shape"),
        (x[None].expand(4, *x.shape), "takes batches of shape"),
        (x[:0], "an empty batch"),
    ):
        with pytest.raises(sw.ConversionError, match=told):
            other(given)
