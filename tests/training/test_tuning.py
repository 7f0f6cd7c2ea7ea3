"""What fine-tuning looks at besides its training batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.finetuning import TrainableNetwork
from spikewright.methods.finetune import NQ, Stage
from spikewright.training import tuning
from spikewright.training.tuning_data import TuningData

CLASSES = 4


def test_some_images_are_of_all_classes_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored class by class, the first ones are of a single class."""
    looked: list[Tensor] = []

    class Looking(NQ):
        def enter(self, network: TrainableNetwork, stage: Stage, images: Any) -> None:
            looked.append(images)

        def measured(self, network: TrainableNetwork, batches: Any) -> dict[str, float]:
            looked.append(torch.cat(list(batches)))
            return {}

    monkeypatch.setattr(tuning, "EVALUATION_BATCH", 20)
    monkeypatch.setattr(tuning, "MEASURED", 20)
    torch.manual_seed(0)
    labels = torch.arange(CLASSES).repeat_interleave(100)
    x = torch.rand(len(labels), CLASSES) + nn.functional.one_hot(labels)
    model = nn.Sequential(nn.Linear(CLASSES, 8), nn.ReLU(), nn.Linear(8, CLASSES)).eval()
    data, method = TuningData.of(x, labels), Looking(epochs=1, batch_size=32)
    tuner = tuning.Tuner(sw.convert(model, x, steps=4), method, data)
    by_first = float(tuner._validated(data.train[:20])[0])
    judged, _ = tuner.epochs()
    assert judged.training_loss != pytest.approx(by_first, rel=1e-3)
    assert [len(images) for images in looked] == [20, 20]
    for images in looked:
        assert set(images.argmax(1).tolist()) == set(range(CLASSES))
