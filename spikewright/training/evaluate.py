"""Accuracy of a network on a split, each image counted once by however many processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.data.in_memory import InMemory
from spikewright.measure.accuracy import logits_of, predictions
from spikewright.processes import Processes

EVALUATION_BATCH = 250


@dataclass(frozen=True)
class Score:
    """How well a network does.

    Attributes:
        right: the number of images whose highest logit is their label.
        images: the number of images.
        loss: their mean cross entropy, in nats.
    """

    right: int
    images: int
    loss: float

    @property
    def accuracy(self) -> float:
        """Fraction right, 0 .. 1."""
        return self.right / self.images


def evaluate(
    model: nn.Module,
    images: InMemory,
    indices: Tensor,
    prepare: Callable[[Tensor], Tensor],
    processes: Processes,
) -> Score:
    """Measure a network in eval mode, in float32.

    Args:
        model: put in eval mode and left there; the same in every process. Its answer holds logits,
            see `logits_of`.
        images: on the device of the processes.
        indices: int64 [N], the images that count; the same in every process.
        prepare: turns stored images into input.
        processes: each takes its share; their counts are added.
    """
    model.eval()
    sums = torch.zeros(3, device=processes.device)
    with torch.inference_mode():
        for part in processes.share(indices.to(processes.device)).split(EVALUATION_BATCH):
            labels = images.labels[part]
            logits = logits_of(model(prepare(images.images[part])), "the network")
            loss = F.cross_entropy(logits, labels, reduction="sum")
            right = (predictions(logits) == labels).sum()
            sums += torch.stack([loss, right.float(), loss.new_tensor(len(part))])
    loss, right, count = processes.sum(sums).tolist()
    return Score(int(right), int(count), loss / count)
