"""Planes read at points that a network computes: products with shares of lines and places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.export.onnx import export_onnx
from spikewright.graph import survey
from tests.graph.faithful import assert_faithful


class Looking(nn.Module):
    """A spatial transformer (Jaderberg et al. 2015): an affine map of the image, from the image."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.where, self.options = nn.Linear(2 * 5 * 4, 6), options

    def forward(self, x: Tensor) -> Tensor:
        turn = self.where(x.flatten(1)).view(-1, 2, 3) * 0.2 + torch.eye(2, 3, dtype=x.dtype)
        grid = F.affine_grid(turn, [x.shape[0], 2, 3, 6], align_corners=False)
        return torch.relu(F.grid_sample(x, grid, **self.options))


def pictures(batch: int = 3) -> Tensor:
    g = torch.Generator().manual_seed(2)
    return torch.randn(batch, 2, 5, 4, dtype=torch.float64, generator=g)


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_spatial_transformer_converts(padding: str, aligned: bool) -> None:
    model = Looking(padding_mode=padding, align_corners=aligned).double().eval()
    snn = assert_faithful(model, pictures())
    assert [op.function for op in snn.graph.neurons].count("hat") == 2


def test_onnx_holds_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    model = Looking(align_corners=False).eval()
    snn = sw.convert(model, pictures().float(), sw.TwoPhase("nearest", "binary"), steps=6)
    assert "counts equal those of the count engine" in str(
        export_onnx(snn, tmp_path / "net.onnx", 6)
    )


class Heads(nn.Module):
    """The batch merged with heads, as deformable attention has it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.where = nn.Linear(20, 8)

    def forward(self, x: Tensor) -> Tensor:
        planes = x.flatten(0, 1)[:, None]
        grid = torch.tanh(self.where(x.flatten(2))).view(-1, 2, 2, 2)
        read = F.grid_sample(planes, grid, align_corners=False)
        return read.view(-1, 2, 4).sum(1)


class Fixed(nn.Module):
    """Planes of a merged batch read at points that are the same for all samples."""

    def forward(self, x: Tensor) -> Tensor:
        planes = torch.relu(x).flatten(0, 1)[:, None]
        points = torch.linspace(-1.2, 1, 12, dtype=x.dtype).view(2, 3, 1, 2)
        points = points.repeat(x.shape[0], 1, 1, 1)
        read = F.grid_sample(planes, points, align_corners=True, padding_mode="border")
        return torch.relu(read.view(-1, 2, 3) - 0.1)


@pytest.mark.parametrize("make", [Heads, Fixed])
def test_planes_of_a_merged_batch_are_read_by_themselves(make: type[nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), make())
    assert_faithful(model.double().eval(), pictures())


@pytest.mark.parametrize("options", [{"mode": "nearest"}, {"padding_mode": "reflection"}])
def test_other_interpolation_is_refused(options: dict[str, str]) -> None:
    model = Looking(align_corners=False, **options).double().eval()
    (offender,) = survey(model, pictures()).offenders
    assert "than by linear interpolation" in offender.reason
    assert "mode='bilinear'" in offender.remedy
