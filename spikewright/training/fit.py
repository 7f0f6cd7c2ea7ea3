"""A minimal trainer: AdamW, a one-cycle learning rate, the best epoch on the validation split."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from spikewright.data import ImageDataset, loader
from spikewright.data.image_data import dataset_length
from spikewright.errors import DataError, ModelError

WEIGHT_DECAY = 1e-2
EVALUATION_BATCH = 512


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1.
        training_loss: mean cross entropy over the epoch's images, in nats, weights moving.
        validation_accuracy: fraction right after the epoch, 0 .. 1.
    """

    epoch: int
    training_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class TrainingResult:
    """What training came to; the model holds the weights of `best_epoch`.

    Attributes:
        best_epoch: the first epoch with the highest validation accuracy, counted from 1.
        validation_accuracy: of that epoch, 0 .. 1. It was chosen for being high, so it flatters:
            quote the accuracy on a test split.
        history: one record an epoch, in order.
    """

    best_epoch: int
    validation_accuracy: float
    history: tuple[EpochRecord, ...]


def fit(
    model: nn.Module,
    train: ImageDataset,
    validation: ImageDataset,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    progress: Callable[[EpochRecord], None] | None = None,
) -> TrainingResult:
    """Train a classifier by cross entropy and keep the epoch that is best on `validation`.

    AdamW with a one-cycle learning rate that peaks at `learning_rate`. The order of the images
    depends on `seed` alone; weights are the caller's (make the model under `seeded`). On one
    machine and version of torch the same calls give the same weights, as far as the kernels do.

    Args:
        model: trained in place, on the device of its parameters, and left in eval mode.
        train: (float32 image [C, H, W], int label) pairs.
        validation: the same, sharing no image with `train`, and not the test split.
        epochs: passes over `train`, at least 1.
        learning_rate: the peak of the cycle, above 0.
        batch_size: images a step, at least 2 and at most the length of `train`. A last, smaller
            batch is left out; the order differs from epoch to epoch, so no image always is.
        seed: of the order of the images.
        progress: called after every epoch with its record.

    Returns:
        The best epoch, its validation accuracy, and the record of every epoch.

    Raises:
        DataError: if `epochs`, `learning_rate` or `batch_size` is out of its range, or the
            validation split is empty.
        ModelError: if the model has no parameter to train, or the loss becomes NaN or infinite.
    """
    _check(dataset_length(train), dataset_length(validation), epochs, learning_rate, batch_size)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ModelError(f"{type(model).__name__} has no parameter that requires a gradient")
    generator = torch.Generator().manual_seed(seed)
    batches = DataLoader(
        train, batch_size=batch_size, shuffle=True, generator=generator, drop_last=True
    )
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = OneCycleLR(optimizer, max_lr=learning_rate, total_steps=epochs * len(batches) + 1)
    history: list[EpochRecord] = []
    best_accuracy, best_epoch, best_state = -1.0, 0, model.state_dict()
    for epoch in range(1, epochs + 1):
        loss = _train_epoch(model, batches, optimizer, schedule)
        if not math.isfinite(loss):
            raise ModelError(
                f"the training loss of epoch {epoch} is {loss}; lower learning_rate={learning_rate}"
            )
        record = EpochRecord(epoch, loss, accuracy(model, validation))
        history.append(record)
        if record.validation_accuracy > best_accuracy:
            best_accuracy, best_epoch = record.validation_accuracy, epoch
            best_state = copy.deepcopy(model.state_dict())
        if progress is not None:
            progress(record)
    model.load_state_dict(best_state)
    model.eval()
    return TrainingResult(best_epoch, best_accuracy, tuple(history))


def accuracy(model: nn.Module, dataset: ImageDataset) -> float:
    """Return the fraction of images whose highest logit is their label, in eval mode.

    Args:
        model: put in eval mode and left there.
        dataset: (image, label) pairs, at least one.

    Raises:
        DataError: if the data set is empty.
    """
    device = _device(model)
    model.eval()
    right = total = 0
    with torch.inference_mode():
        for images, labels in loader(dataset, EVALUATION_BATCH):
            predicted = model(images.to(device)).argmax(dim=1).cpu()
            right += int((predicted == labels).sum())
            total += len(labels)
    return right / total


def _train_epoch(
    model: nn.Module,
    batches: DataLoader[tuple[Tensor, int]],
    optimizer: torch.optim.Optimizer,
    schedule: OneCycleLR,
) -> float:
    """Take one pass over the training batches and return the mean loss in nats."""
    device = _device(model)
    model.train()
    losses: list[Tensor] = []
    for images, labels in batches:
        loss = F.cross_entropy(model(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _check(
    images: int, validation_images: int, epochs: int, learning_rate: float, batch_size: int
) -> None:
    if epochs < 1:
        raise DataError(f"fit: epochs={epochs}; train for at least 1")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise DataError(f"fit: learning_rate={learning_rate}; it must be finite and above 0")
    if not 2 <= batch_size <= images:
        raise DataError(
            f"fit: batch_size={batch_size}, but the training set holds {images} images; "
            f"give 2 to {images} (batch norm needs two)"
        )
    if validation_images == 0:
        raise DataError("fit: the validation split is empty; the best epoch is chosen on it")


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
