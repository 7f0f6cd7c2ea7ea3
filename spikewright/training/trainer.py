"""The epochs of a recipe: batches in, a changed state and its metrics out; no files."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from operator import attrgetter

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from spikewright.activations import learned_thresholds
from spikewright.data import ImageData
from spikewright.data.in_memory import InMemory
from spikewright.errors import DataError, ModelError
from spikewright.measure.accuracy import predictions
from spikewright.network.kernels import has_matrix_units
from spikewright.neurons.counter_random import site_key
from spikewright.processes import Processes
from spikewright.runs.metrics import EpochMetrics
from spikewright.runs.network import make_network, require_fit
from spikewright.runs.recipe import Recipe
from spikewright.seeding import seeded
from spikewright.training.alarms import alarms, warn_of
from spikewright.training.augment import Augmenter
from spikewright.training.checkpoint import TrainingState
from spikewright.training.evaluate import Score, evaluate
from spikewright.training.in_rows import ConvolutionsInRows
from spikewright.training.optimisation import averaged, learning_rate, make_optimizer, take_step
from spikewright.training.sparsity import SpikeCounter
from spikewright.training.splits import Splits
from spikewright.training.start import load_start, require_same_preparation

Progress = Callable[[int, int, int, int, EpochMetrics | None], None]
"""A callback that receives (epoch from 1, epochs, steps done, its steps, metrics at its end)."""


@dataclass(frozen=True)
class Trainer:
    """A recipe being carried out.

    Attributes:
        recipe: the recipe to carry out.
        processes: the processes that take part.
        data: the data set in its splits, without normalisation.
        augmenter: makes input of stored images.
        state: everything that changes.
        step_model: the state's model, as training steps call it: compiled, in several processes.
        spikes: counts what it would send; None where the loss does not ask for it.
        progress: called in the main process as training goes on.
    """

    recipe: Recipe
    processes: Processes
    data: ImageData
    augmenter: Augmenter
    state: TrainingState
    step_model: Callable[[Tensor], Tensor]
    spikes: SpikeCounter | None
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
            recipe: the recipe to carry out.
            data: the data set in its splits, without normalisation.
            processes: the processes that take part.
            progress: called as training goes on.
            begun: the weights will come from a checkpoint, so those to start from are not read.

        Raises:
            DataError: if the mean and standard deviation do not fit the images.
            RecipeError: if the architecture is unknown, or does not take the images.
            ModelError, RecipeError: see `load_start` and `require_same_preparation`.
        """
        augmenter = Augmenter.of(recipe.data, data, recipe.seed, processes.device)
        model = make_network(recipe.network, len(data.classes), recipe.seed)
        if recipe.start is not None and not begun:
            require_same_preparation(recipe.start, recipe.data, augmenter)
            load_start(model, recipe.start, recipe.network.threshold)
        require_fit(model, recipe.network.model, data.image_shape)
        model = model.to(processes.device)
        if recipe.numerics.channels_last:
            model = model.to(memory_format=torch.channels_last)  # pyright: ignore
        decay = recipe.optimisation.ema
        average = None if decay is None else averaged(model, decay)
        state = TrainingState(model, make_optimizer(model, recipe.optimisation), average)
        if recipe.optimisation.keep_last:
            state.rank = attrgetter("epoch")
        spikes = SpikeCounter(model) if recipe.optimisation.sparsity else None
        step_model = processes.parallel(model)
        if recipe.numerics.compile:
            step_model = torch.compile(step_model)
        return cls(recipe, processes, data, augmenter, state, step_model, spikes, progress)

    def require_a_batch(self, splits: Splits) -> None:
        """See that there are enough images to take a step.

        Raises:
            DataError: if not.
        """
        count, batch = len(splits.train), self.recipe.optimisation.batch_size
        if count < batch:
            raise DataError(
                f"the training split of '{self.recipe.data.data}' holds {count} images, less than "
                f"one batch of {batch}; lower batch_size"
            )

    def epochs(self, splits: Splits) -> Iterator[EpochMetrics]:
        """Train the epochs that are left; after each one the state is complete.

        Raises:
            ModelError: if the loss stops being finite.
        """
        left = range(len(self.state.history) + 1, self.recipe.optimisation.epochs + 1)
        images = splits.images.to(self.processes.device)
        for epoch in left:
            metrics = self._epoch(images, splits, epoch)
            require_finite(metrics, self.recipe.optimisation.learning_rate)
            self.state.finish_epoch(metrics)
            if self.processes.main:
                warn_of(metrics, self.recipe.optimisation.learning_rate)
            yield metrics
            self._report(epoch, 1, 1, metrics)

    def score(self, images: InMemory, indices: Tensor, weights: dict[str, Tensor]) -> Score:
        """Measure weights on images in float32, each image once whatever the processes."""
        model = copy.deepcopy(self.state.model)
        model.load_state_dict(weights)
        return evaluate(model, images, indices, self.augmenter.plain, self.processes)

    def _epoch(self, images: InMemory, splits: Splits, epoch: int) -> EpochMetrics:
        """Train one epoch, counted from 1, and measure it on the validation split."""
        started, began = time.perf_counter(), self._thresholds()
        loss, right, spikes, count = self._pass(images, splits.train, epoch)
        self.processes.agree(self.state.model.buffers())
        if self.state.average is not None:
            self.processes.agree(self.state.candidate.values())
        score = self.score(images, splits.validation, self.state.candidate)
        steps = len(splits.train) // self.recipe.optimisation.batch_size
        metrics = EpochMetrics(
            epoch=epoch,
            training_loss=loss / count,
            training_accuracy=right / count,
            validation_accuracy=score.accuracy,
            validation_loss=score.loss,
            learning_rate=learning_rate(self.recipe.optimisation, epoch * steps - 1, steps),
            thresholds=self._thresholds(),
            seconds=time.perf_counter() - started,
            spikes=None if self.spikes is None else spikes / count,
        )
        return replace(metrics, alarms=alarms(metrics, self.state.history, began))

    def _thresholds(self) -> tuple[float, float] | None:
        """The smallest and the largest learned threshold; None where there are none."""
        values = [float(t.detach()) for t in learned_thresholds(self.state.model)]
        return (min(values), max(values)) if values else None

    def _pass(self, images: InMemory, train: Tensor, epoch: int) -> list[float]:
        """Go once over the images; returns sums of losses, right answers, spikes, and images."""
        recipe, state, processes = self.recipe, self.state, self.processes
        size = recipe.optimisation.batch_size
        order = train[epoch_order(len(train), recipe.seed, epoch)]
        batches = order[: len(order) - len(order) % size].view(-1, size).to(processes.device)
        sums = torch.zeros(4, device=processes.device)
        state.model.train()
        with seeded(site_key(f"epoch {epoch} of seed {recipe.seed}, process {processes.rank}")):
            for number, batch in enumerate(batches):
                mine = processes.share(batch)
                inputs = self.augmenter.training(images.images[mine], mine, epoch)
                loss, right, spikes = self._loss(inputs, images.labels[mine])
                state.optimizer.zero_grad()
                loss.backward()
                step = (epoch - 1) * len(batches) + number
                rate = learning_rate(recipe.optimisation, step, len(batches))
                take_step(state.model, state.optimizer, recipe.optimisation, rate)
                if state.average is not None:
                    state.average.update_parameters(state.model)
                summed, sent = loss.detach() * len(mine), spikes.detach() * len(mine)
                seen = summed.new_tensor(len(mine))
                sums += torch.stack([summed, right.float(), sent, seen])
                self._report(epoch, number + 1, len(batches), None)
        return processes.sum(sums).tolist()

    def _loss(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The mean loss of a batch, how many were right, and the spikes of the mean neuron."""
        numerics = self.recipe.numerics
        layout = torch.channels_last if numerics.channels_last else torch.contiguous_format
        inputs = inputs.contiguous(memory_format=layout)
        with arithmetic(inputs.device.type) if numerics.bf16 else nullcontext():
            logits = self.step_model(inputs).float()
        smoothing = self.recipe.optimisation.label_smoothing
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        spikes = torch.zeros_like(loss) if self.spikes is None else self.spikes.mean()
        loss = loss + self.recipe.optimisation.sparsity * spikes
        return loss, (predictions(logits) == labels).sum(), spikes

    def _report(self, epoch: int, done: int, steps: int, metrics: EpochMetrics | None) -> None:
        if self.progress is not None and self.processes.main:
            self.progress(epoch, self.recipe.optimisation.epochs, done, steps, metrics)


@contextmanager
def arithmetic(device: str) -> Generator[None]:
    """Products in bfloat16, by what is fast in it."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device, torch.bfloat16))
        if device == "cpu":
            # The fused attention of CPUs goes backward three times slower than products.
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if has_matrix_units():
                stack.enter_context(ConvolutionsInRows())
        yield


def require_finite(metrics: EpochMetrics, learning_rate: float) -> None:
    """See that the losses of an epoch are numbers.

    Raises:
        ModelError: if not.
    """
    for name in ("training_loss", "validation_loss"):
        loss = getattr(metrics, name)
        if not math.isfinite(loss):
            raise ModelError(
                f"the {name.replace('_', ' ')} of epoch {metrics.epoch} is {loss}; lower "
                f"learning_rate={learning_rate}, or set clip_gradient"
            )


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of `count` images in an epoch, int64 [count]; a function of (seed, epoch) alone."""
    generator = torch.Generator().manual_seed(site_key(f"order of epoch {epoch}, seed {seed}"))
    return torch.randperm(count, generator=generator)
