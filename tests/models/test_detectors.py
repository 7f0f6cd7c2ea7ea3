"""Detectors of torchvision convert up to their boxes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import ConversionError, ModelError
from spikewright.graph import survey
from spikewright.models import before_boxes

detection: Any = pytest.importorskip("torchvision.models.detection")


def small(name: str) -> Any:
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU())
    backbone.out_channels = 8
    anchors = detection.anchor_utils.AnchorGenerator(((16,),), ((1.0,),))
    if name == "RetinaNet":
        head = detection.retinanet.RetinaNetHead(8, 1, 3, norm_layer=lambda n: nn.GroupNorm(2, n))
        return detection.RetinaNet(backbone, 3, anchor_generator=anchors, head=head).eval()
    pool = detection.faster_rcnn.MultiScaleRoIAlign(["0"], 2, 2)
    return detection.FasterRCNN(backbone, 3, rpn_anchor_generator=anchors, box_roi_pool=pool).eval()


@pytest.mark.parametrize("name", ["RetinaNet", "FasterRCNN"])
def test_backbone_and_head_convert(name: str) -> None:
    model, x = before_boxes(small(name)), torch.rand(4, 3, 32, 32)
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=12)
    found, expected = snn(x), model(x)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_the_refusal_of_a_list_of_images_names_the_way_out() -> None:
    images = torch.rand(2, 3, 32, 32)
    with pytest.raises(ConversionError, match="before_boxes"):
        survey(small("RetinaNet"), [images[0], images[1]])


def test_other_modules_are_refused() -> None:
    with pytest.raises(ModelError, match="no detector of torchvision"):
        before_boxes(nn.Linear(2, 2))
