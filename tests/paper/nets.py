"""A QCFS network that a description can name, and what the tests of experiments share."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from paper import Settings
from spikewright.activations import QCFS
from spikewright.models import digits_cnn

LEVELS = 4
DATA = {"digits": "digits"}
SMALL = Settings(
    steps=(2, LEVELS),
    seeds=(0, 1),
    rows=("if", "shuffled", "tpp", "nearest"),
    images=60,
    one_phase_images=40,
    calibration_samples=32,
    batch_size=25,
)
RELU = replace(SMALL, rows=("rts-if", "rts-nearest"))


def qcfs_cnn() -> nn.Module:
    """The digits network with quantised activations."""
    return digits_cnn(activation=lambda: QCFS(LEVELS, 2.0))


def pooled_cnn(pool: str = "avg") -> nn.Module:
    """A network for pictures of 3 channels; `pool` changes what it answers and no weight."""
    pools: dict[str, nn.Module] = {"avg": nn.AvgPool2d(8), "max": nn.MaxPool2d(8)}
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), pools[pool], nn.Flatten(), nn.LazyLinear(3)]
    model = nn.Sequential(*layers)
    model(torch.zeros(1, 3, 32, 32))
    return model


def records(results: Path) -> dict[str, Any]:
    """Every file of a results folder but for what no run repeats: when, and how long."""
    found: dict[str, Any] = {}
    for path in sorted(results.glob("*/*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for name in ("started", "seconds"):
            document.get("run", {}).pop(name, None)
        found[str(path.relative_to(results))] = document
    return found
