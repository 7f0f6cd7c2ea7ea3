"""Detectors of torchvision as networks of one batch of images, up to their boxes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from spikewright.errors import ModelError


class BeforeBoxes(nn.Module):
    """What a detector computes of images before it chooses among boxes; see `before_boxes`."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Any:
        """The head's answer to images `[B, C, H, W]`."""
        features = self.backbone(images)
        levels = [features] if isinstance(features, Tensor) else list(features.values())
        return self.head(levels)


def before_boxes(detector: nn.Module) -> nn.Module:
    """The part of a detector of torchvision that converts: its backbone and head.

    A detector takes a list of images, resizes and normalises them, and at its end chooses among
    boxes by their values, which no spikes do. What stands between is this network. It takes
    images as the detector's own transform gives them, `detector.transform(images)[0].tensors`,
    and answers what the detector decodes into boxes before non-maximum suppression: a dict of
    scores and offsets (RetinaNet, FCOS, SSD), or two lists, of objectness and of offsets at every
    level (the first stage of Faster, Mask and Keypoint R-CNN). A second stage is a network of its
    own: `nn.Sequential(detector.roi_heads.box_head, detector.roi_heads.box_predictor)`.

    Args:
        detector: in eval mode. Its modules are used, not copied.

    Returns:
        A network in the detector's mode.

    Raises:
        ModelError: for a module that is built otherwise.
    """
    backbone = getattr(detector, "backbone", None)
    head = getattr(detector, "head", None) or getattr(getattr(detector, "rpn", None), "head", None)
    if not isinstance(backbone, nn.Module) or not isinstance(head, nn.Module):
        raise ModelError(
            f"{type(detector).__name__} is no detector of torchvision: it has no backbone with a "
            "head, or with a head of region proposals (rpn.head)"
        )
    return BeforeBoxes(backbone, head).train(detector.training)
