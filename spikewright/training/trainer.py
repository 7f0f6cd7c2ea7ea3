"""One epoch of a recipe: batches in, a changed state and its metrics out; no files."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.activations import learned_thresholds
from spikewright.data import ImageData
from spikewright.data.in_memory import InMemory
from spikewright.measure.accuracy import predictions
from spikewright.neurons.counter_random import site_key
from spikewright.processes import Processes
from spikewright.runs.metrics import EpochMetrics
from spikewright.runs.network import make_network, require_fit
from spikewright.runs.recipe import Recipe
from spikewright.seeding import seeded
from spikewright.training.augment import Augmenter
from spikewright.training.checkpoint import TrainingState
from spikewright.training.evaluate import Score, evaluate
from spikewright.training.normalisation import channel_statistics
from spikewright.training.optimisation import (
    average,
    averaging_decay,
    learning_rate,
    make_optimizer,
    take_step,
)
from spikewright.training.start import load_start

Progress = Callable[[int, int, int, int, EpochMetrics | None], None]
"""Told (epoch from 1, epochs, steps done in it, its steps, what it came to once it is over)."""


@dataclass(frozen=True)
class Trainer:
    """A recipe being carried out.

    Attributes:
        recipe: what to do.
        processes: who takes part.
        data: its splits, without normalisation.
        augmenter: makes input of stored images.
        state: what changes.
        step_model: the state's model, as training steps call it: compiled, in several processes.
        progress: told how it goes, in the main process.
    """

    recipe: Recipe
    processes: Processes
    data: ImageData
    augmenter: Augmenter
    state: TrainingState
    step_model: Callable[[Tensor], Tensor]
    progress: Progress | None

    @classmethod
    def make(
        cls,
        recipe: Recipe,
        data: ImageData,
        processes: Processes,
        progress: Progress | None,
        *,
        begun: bool = False,
    ) -> Trainer:
        """Make the network for the data, and its optimiser.

        Args:
            recipe: what to do.
            data: its splits, without normalisation.
            processes: who takes part.
            progress: told how it goes.
            begun: the weights will come from a checkpoint, so those to start from are not read.

        Raises:
            DataError: if the mean and standard deviation do not fit the images.
            RecipeError: if the architecture is unknown, or does not take the images.
            ModelError, RecipeError: see `load_start`.
        """
        mean, std = (
            torch.tensor(values, device=processes.device).view(-1, 1, 1)
            for values in channel_statistics(recipe.data, data)
        )
        model = make_network(recipe.network, len(data.classes), recipe.seed)
        if recipe.start is not None and not begun:
            load_start(model, recipe.start, recipe.network.threshold)
        require_fit(model, recipe.network.model, data.image_shape)
        model = model.to(processes.device)
        if recipe.numerics.channels_last:
            model = model.to(memory_format=torch.channels_last)  # pyright: ignore
        shadow = None
        if recipe.optimisation.ema is not None:
            shadow = {name: t.detach().clone() for name, t in model.state_dict().items()}
        step_model = processes.parallel(model)
        return cls(
            recipe,
            processes,
            data,
            Augmenter(frozenset(recipe.data.augment), mean, std, recipe.seed),
            TrainingState(model, make_optimizer(model, recipe.optimisation), shadow),
            torch.compile(step_model) if recipe.numerics.compile else step_model,
            progress,
        )

    def epoch(self, images: InMemory, validation: InMemory, number: int) -> EpochMetrics:
        """Train one epoch and measure what came of it.

        Args:
            images: the training split.
            validation: the validation split.
            number: of the epoch, from 1.
        """
        started = time.perf_counter()
        loss, right, count = self._pass(images, number)
        self.processes.agree(self.state.model.buffers())
        self.processes.agree((self.state.average or {}).values())
        score = self.score(validation, self.state.candidate)
        steps = len(images) // self.recipe.optimisation.batch_size
        thresholds = [float(t.detach()) for t in learned_thresholds(self.state.model)]
        return EpochMetrics(
            epoch=number,
            training_loss=loss / count,
            training_accuracy=right / count,
            validation_accuracy=score.accuracy,
            validation_loss=score.loss,
            learning_rate=learning_rate(self.recipe.optimisation, number * steps - 1, steps),
            thresholds=(min(thresholds), max(thresholds)) if thresholds else None,
            seconds=time.perf_counter() - started,
        )

    def score(self, images: InMemory, weights: dict[str, Tensor]) -> Score:
        """Measure weights on a split in float32, each image once whatever the processes."""
        model = copy.deepcopy(self.state.model)
        model.load_state_dict(weights)
        return evaluate(model, images, self.augmenter.plain, self.processes)

    def tell(self, epoch: int, done: int, steps: int, metrics: EpochMetrics | None) -> None:
        """Report progress, in the main process."""
        if self.progress is not None and self.processes.main:
            self.progress(epoch, self.recipe.optimisation.epochs, done, steps, metrics)

    def _pass(self, images: InMemory, epoch: int) -> tuple[float, float, float]:
        """Go once over the images; returns the sum of losses, how many were right, of how many."""
        recipe, state, processes = self.recipe, self.state, self.processes
        size = recipe.optimisation.batch_size
        order = epoch_order(len(images), recipe.seed, epoch)
        batches = order[: len(order) - len(order) % size].view(-1, size).to(processes.device)
        sums = torch.zeros(3, device=processes.device)
        state.model.train()
        with seeded(site_key(f"epoch {epoch} of seed {recipe.seed}, process {processes.rank}")):
            for number, batch in enumerate(batches):
                mine = processes.share(batch)
                inputs = self.augmenter.training(images.images[mine], mine, epoch)
                loss, right = self._loss(inputs, images.labels[mine])
                state.optimizer.zero_grad()
                loss.backward()
                step = (epoch - 1) * len(batches) + number
                rate = learning_rate(recipe.optimisation, step, len(batches))
                take_step(state.model, state.optimizer, recipe.optimisation, rate)
                self._follow(step)
                summed = loss.detach() * len(mine)
                sums += torch.stack([summed, right.float(), summed.new_tensor(len(mine))])
                self.tell(epoch, number + 1, len(batches), None)
        loss_sum, right_sum, count = processes.sum(sums).tolist()
        return loss_sum, right_sum, count

    def _loss(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of a batch, and how many of it were right."""
        numerics = self.recipe.numerics
        layout = torch.channels_last if numerics.channels_last else torch.contiguous_format
        inputs = inputs.contiguous(memory_format=layout)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=numerics.bf16):
            logits = self.step_model(inputs).float()
        smoothing = self.recipe.optimisation.label_smoothing
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return loss, (predictions(logits) == labels).sum()

    def _follow(self, step: int) -> None:
        """Let the average, if there is one, follow the weights after a step, from 0."""
        decay = self.recipe.optimisation.ema
        if self.state.average is not None and decay is not None:
            average(self.state.average, self.state.model.state_dict(), averaging_decay(decay, step))


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of `count` images in an epoch, int64 [count]; of (seed, epoch) alone."""
    generator = torch.Generator().manual_seed(site_key(f"order of epoch {epoch}, seed {seed}"))
    return torch.randperm(count, generator=generator)
