"""Training of networks on sequences, by backpropagation through time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spikewright.errors import DataError, ModelError
from spikewright.recurrent.sequences import SequenceData, SequenceDataset

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class SequenceRecipe:
    """How a network is trained on sequences: Adam, whose rate falls in steps, on the cross entropy.

    Attributes:
        epochs: passes over the training split, at least 1.
        batch_size: sequences a step, at least 1; those left over make a smaller batch.
        learning_rate: of weights and time constants, above 0.
        rate_steps: after how many epochs the rate is halved, at least 1.
        clip_gradient: the largest norm of the gradient of all parameters, above 0. Default: none.
        seed: of the order of sequences.

    Raises:
        ValueError: for a number out of its range.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-2
    rate_steps: int = 10
    clip_gradient: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "rate_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.clip_gradient is not None and not 0 < self.clip_gradient < math.inf:
            raise ValueError(f"clip_gradient must be above 0, got {self.clip_gradient}")


@dataclass(frozen=True)
class SequenceEpoch:
    """One epoch.

    Attributes:
        epoch: its number, from 1.
        loss: the mean cross entropy in training, in nats.
        validation_accuracy: 0 .. 1.
    """

    epoch: int
    loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class SequenceTraining:
    """A trained network.

    Attributes:
        model: with the weights of the best epoch.
        best: that epoch, the first of the highest accuracy on validation, which flatters it.
        history: all epochs.
    """

    model: nn.Module
    best: SequenceEpoch
    history: tuple[SequenceEpoch, ...]


def train_on_sequences(
    model: nn.Module,
    data: SequenceData,
    recipe: SequenceRecipe | None = None,
    *,
    progress: Callable[[SequenceEpoch], None] | None = None,
) -> SequenceTraining:
    """Train a copy of a model; the best epoch is chosen on the validation split.

    Args:
        model: takes `[T, B, F]` and gives logits or log-probabilities `[B, C]`, as `SRNN` does; on
            the device where it is to be trained. It stays as it was.
        data: the sequences.
        recipe: how.
        progress: called after every epoch.

    Raises:
        DataError: if a split is empty.
        ModelError: if the loss stops being finite.

    Example:
        >>> data = recall_sequences(5, sizes=(32, 8, 8))
        >>> trained = train_on_sequences(SRNN(5, (8,), 4), data, SequenceRecipe(epochs=1))
        >>> len(trained.history)
        1
    """
    recipe = recipe or SequenceRecipe()
    model = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, recipe.rate_steps, 0.5)
    order = torch.Generator().manual_seed(recipe.seed)
    batches = _batches(data.train, recipe.batch_size, order)
    history: list[SequenceEpoch] = []
    best: dict[str, Tensor] = {}
    for number in range(1, recipe.epochs + 1):
        loss = _epoch(model, batches, optimizer, recipe)
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss of epoch {number} is {loss}; lower learning_rate="
                f"{recipe.learning_rate}, or set clip_gradient"
            )
        schedule.step()
        history.append(SequenceEpoch(number, loss, sequence_accuracy(model, data.validation)))
        if max(history, key=_by_accuracy) is history[-1]:
            best = {name: t.clone() for name, t in model.state_dict().items()}
        if progress is not None:
            progress(history[-1])
    model.load_state_dict(best)
    return SequenceTraining(model.eval(), max(history, key=_by_accuracy), tuple(history))


def sequence_accuracy(model: nn.Module, split: SequenceDataset) -> float:
    """The fraction of sequences whose highest answer is their label, 0 .. 1.

    Raises:
        DataError: if the split is empty.
    """
    model.eval()
    device = next(model.parameters()).device
    right = count = 0
    with torch.inference_mode():
        for x, labels in _batches(split, EVALUATION_BATCH, None):
            found = model(x.to(device).transpose(0, 1)).argmax(1).cpu()
            right += int((found == labels).sum())
            count += len(labels)
    return right / count


def _epoch(
    model: nn.Module,
    batches: DataLoader[tuple[Tensor, int]],
    optimizer: torch.optim.Optimizer,
    recipe: SequenceRecipe,
) -> float:
    """Train on every batch once; the mean loss."""
    model.train()
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for x, labels in batches:
        loss = F.cross_entropy(model(x.to(device).transpose(0, 1)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip_gradient is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_gradient)
        optimizer.step()
        total += float(loss.detach()) * len(labels)
        count += len(labels)
    return total / count


def _by_accuracy(epoch: SequenceEpoch) -> float:
    return epoch.validation_accuracy


def _batches(
    split: SequenceDataset, size: int, order: torch.Generator | None
) -> DataLoader[tuple[Tensor, int]]:
    """Batches in a drawn order, or in the split's own."""
    if not len(split):  # type: ignore[arg-type]
        raise DataError("a split of sequences is empty")
    generator = torch.Generator() if order is None else order
    return DataLoader(split, size, shuffle=order is not None, generator=generator)
