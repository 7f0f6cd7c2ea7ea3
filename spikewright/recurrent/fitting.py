"""Training of networks on sequences, by backpropagation through time."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spikewright.devices import callers_default, cpu_by_default
from spikewright.errors import DataError
from spikewright.recurrent.recipe import SequenceRecipe
from spikewright.recurrent.sequences import SequenceData, SequenceDataset
from spikewright.runs.metrics import EpochMetrics
from spikewright.training.alarms import alarms, warn_of
from spikewright.training.checkpoint import TrainingState
from spikewright.training.evaluate import Score
from spikewright.training.train import Trained
from spikewright.training.trainer import Progress, require_finite

EVALUATION_BATCH = 256


@cpu_by_default()
def train_on_sequences(
    model: nn.Module,
    data: SequenceData,
    recipe: SequenceRecipe | None = None,
    *,
    progress: Progress | None = None,
) -> Trained:
    """Train a copy of a model in memory; the best epoch is chosen on the validation split.

    `train_srnn` does the same to a network of its own in a folder, and goes on after a stop.

    Args:
        model: takes `[T, B, F]` and gives logits or log-probabilities `[B, C]`, as `SRNN` does; on
            the device where it is to be trained. It stays as it was.
        data: the sequences.
        recipe: how.
        progress: called after steps and epochs.

    Returns:
        The model with the weights of the first epoch of the highest accuracy on validation, which
        flatters it.

    Raises:
        DataError: if a split is empty.
        ModelError: if a loss stops being finite.

    Example:
        >>> from spikewright.recurrent import SRNN, recall_sequences
        >>> data = recall_sequences(5, sizes=(32, 8, 8))
        >>> trained = train_on_sequences(SRNN(5, (8,), 4), data, SequenceRecipe(epochs=1))
        >>> len(trained.history)
        1
    """
    trainer = SequenceTrainer(copy.deepcopy(model), data, recipe or SequenceRecipe(), progress)
    for _ in trainer.epochs():
        pass
    return Trained.of(trainer.state)


class SequenceTrainer:
    """A model being trained on sequences.

    Args:
        model: is changed; see `train_on_sequences`.
        data: the sequences.
        recipe: how.
        progress: called after steps and epochs.

    Attributes:
        state: everything that changes.

    Raises:
        DataError: if there is nothing to train on.
    """

    def __init__(
        self,
        model: nn.Module,
        data: SequenceData,
        recipe: SequenceRecipe,
        progress: Progress | None = None,
    ) -> None:
        order = torch.Generator().manual_seed(recipe.seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
        self.state = TrainingState(model, optimizer, None, order=order)
        self._recipe = recipe
        self._batches = _batches(data.train, recipe.batch_size, order)
        self._validation = data.validation
        self._progress = progress

    def epochs(self) -> Iterator[EpochMetrics]:
        """Train the epochs that are left; after each one the state is complete.

        Raises:
            DataError: if the validation split is empty.
            ModelError: if a loss stops being finite.
        """
        for epoch in range(len(self.state.history) + 1, self._recipe.epochs + 1):
            metrics = self._epoch(epoch)
            require_finite(metrics, self._recipe.learning_rate)
            self.state.finish_epoch(metrics)
            warn_of(metrics, self._recipe.learning_rate)
            yield metrics
            self._report(epoch, 1, 1, metrics)

    def _epoch(self, epoch: int) -> EpochMetrics:
        """Train one epoch, counted from 1, and measure it on the validation split."""
        started = time.perf_counter()
        for group in self.state.optimizer.param_groups:
            group["lr"] = self._recipe.rate(epoch)
        training = self._pass(epoch)
        validation = sequence_score(self.state.model, self._validation)
        metrics = EpochMetrics(
            epoch=epoch,
            training_loss=training.loss,
            training_accuracy=training.accuracy,
            validation_accuracy=validation.accuracy,
            validation_loss=validation.loss,
            learning_rate=self._recipe.rate(epoch),
            thresholds=None,
            seconds=time.perf_counter() - started,
        )
        return replace(metrics, alarms=alarms(metrics, self.state.history, None))

    def _pass(self, epoch: int) -> Score:
        """Train on every batch once."""
        model, optimizer, recipe = self.state.model, self.state.optimizer, self._recipe
        model.train()
        device = next(model.parameters()).device
        total, right, count = 0.0, 0, 0
        for number, (x, labels) in enumerate(self._batches):
            answers, labels = _answers(model, x.to(device)), labels.to(device)
            loss = F.cross_entropy(answers, labels)
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip_gradient is not None:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_gradient)
            optimizer.step()
            total += float(loss.detach()) * len(labels)
            right += int((answers.detach().argmax(1) == labels).sum())
            count += len(labels)
            self._report(epoch, number + 1, len(self._batches), None)
        return Score(right, count, total / count)

    def _report(self, epoch: int, done: int, steps: int, metrics: EpochMetrics | None) -> None:
        if self._progress is not None:
            self._progress(epoch, self._recipe.epochs, done, steps, metrics)


@cpu_by_default()
def sequence_accuracy(model: nn.Module, split: SequenceDataset) -> float:
    """The fraction of sequences whose highest answer is their label, 0 .. 1.

    Raises:
        DataError: if the split is empty.
    """
    return sequence_score(model, split).accuracy


def sequence_score(model: nn.Module, split: SequenceDataset) -> Score:
    """How well a model does on a split, in eval mode, where it is left.

    Raises:
        DataError: if the split is empty.
    """
    model.eval()
    device = next(model.parameters()).device
    right, count, loss = 0, 0, 0.0
    with torch.inference_mode():
        for x, labels in _batches(split, EVALUATION_BATCH, None):
            answers = _answers(model, x.to(device)).cpu()
            right += int((answers.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(answers, labels, reduction="sum"))
            count += len(labels)
    return Score(right, count, loss / count)


def _answers(model: nn.Module, x: Tensor) -> Tensor:
    """A model's answers to a batch `[B, T, F]`."""
    with callers_default():
        return model(x.transpose(0, 1))


def _batches(
    split: SequenceDataset, size: int, order: torch.Generator | None
) -> DataLoader[tuple[Tensor, int]]:
    """Batches in a drawn order, or in the split's own."""
    if not len(split):  # type: ignore[arg-type]
        raise DataError("a split of sequences is empty")
    generator = torch.Generator() if order is None else order
    return DataLoader(split, size, shuffle=order is not None, generator=generator)
