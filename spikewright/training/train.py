"""`train`: carry out a recipe in a folder, from wherever an earlier try was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from spikewright.data import ImageData, open_dataset
from spikewright.data.in_memory import in_memory
from spikewright.decoding import encoded
from spikewright.devices import cpu_by_default
from spikewright.files import AnyPath, write_json
from spikewright.processes import Processes
from spikewright.runs.card import ModelCard, read_card
from spikewright.runs.files import write_tensors
from spikewright.runs.metrics import EpochMetrics
from spikewright.runs.recipe import Recipe
from spikewright.runs.run_folder import RunFolder
from spikewright.training.card import make_card
from spikewright.training.checkpoint import TrainingState
from spikewright.training.never_seen import NeverSeen
from spikewright.training.recording import record_epochs
from spikewright.training.splits import Splits, as_begun, keeping_apart, require_same_images
from spikewright.training.trainer import Progress, Trainer


@cpu_by_default()
def train(
    recipe: Recipe,
    folder: AnyPath,
    *,
    data: ImageData | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> ModelCard:
    """Train a network by a recipe, or go on where an earlier call was stopped.

    After every epoch the complete state is written in one move, so a process that is killed at
    any moment loses at most the epoch it was in; called again with the same recipe and folder,
    it goes on from there to the same weights, to the bit on the CPU with the same versions and
    threads. The best epoch is chosen on the validation split; the test split is measured once,
    after the last epoch. A finished run is not trained again.

    Started by `accelerate launch`, all processes share every batch; the order of images and
    their augmentation do not depend on their number (batch norm does: it sees each process's
    share of a batch).

    Args:
        recipe: the recipe to carry out.
        folder: a new folder, an empty one, or that of a run of this recipe; see `RunFolder`.
        data: what `open_data(recipe)` returns, where the caller has opened it already.
        device: `"cpu"`, `"cuda"`, ...
        tensorboard: also log to `tensorboard/` in the folder.
        progress: called after steps and epochs, in the main process.

    Returns:
        The card of the weights, as in `card.json`.

    Raises:
        RecipeError: if the folder's run has another recipe or other images, or the recipe cannot
            be carried out.
        RunError: if the folder holds other or damaged files.
        DataError: if the images cannot be read, are fewer than a batch, or do not fit into memory.
        ModelError: if the loss stops being finite, or the weights to start from do not fit.
        MissingExtra: if what the recipe needs is not installed.

    Example:
        >>> from spikewright.training import DataRecipe, NetworkRecipe, Recipe
        >>> recipe = Recipe(DataRecipe("digits"), NetworkRecipe("digits_cnn", levels=4))
        >>> card = train(recipe, Path("runs/digits"))  # doctest: +SKIP
        >>> card.test.accuracy  # doctest: +SKIP
        0.98
    """

    def images() -> ImageData:
        return open_data(recipe) if data is None else data

    run, processes = RunFolder(Path(folder)), Processes.join(device)
    try:
        processes.by_main(lambda: run.require_same(recipe))
        if run.card.is_file():
            processes.by_main(lambda: require_same_images(run, recipe.data.data, images))
        else:
            _carry_out(recipe, images(), run, processes, tensorboard, progress)
        return read_card(run.path)
    finally:
        processes.leave()


@dataclass(frozen=True)
class Trained:
    """A network that was trained in memory.

    Attributes:
        model: the network with the weights of the best epoch, or of the last if the recipe keeps
            that, in eval mode, on its device.
        best: the metrics of that epoch. Its validation accuracy was chosen for being high, so it
            flatters: quote the accuracy on a test split.
        history: the metrics of every epoch, in order.
    """

    model: nn.Module
    best: EpochMetrics
    history: tuple[EpochMetrics, ...]

    @classmethod
    def of(cls, state: TrainingState) -> Trained:
        """The network of a training that has ended; it takes the weights of the best epoch."""
        state.model.load_state_dict(state.best)
        return cls(state.model.eval(), state.best_epoch, tuple(state.history))


@cpu_by_default()
def train_in_memory(
    recipe: Recipe, data: ImageData, *, device: str = "cpu", progress: Progress | None = None
) -> Trained:
    """Train a network by a recipe as `train` does, in one process, and leave nothing on disk.

    Args:
        recipe: the recipe to carry out.
        data: the images, opened without normalisation; the recipe's `data` only names them.
        device: `"cpu"`, `"cuda"`, ...
        progress: called after steps and epochs.

    Raises:
        RecipeError, DataError, ModelError: see `train`.
    """
    trainer = Trainer.make(recipe, data, Processes(0, 1, torch.device(device)), progress)
    never_seen = NeverSeen.by(None if recipe.start is None else recipe.start.weights)
    splits = keeping_apart(Splits.read(data), data, recipe.data, never_seen)
    trainer.require_a_batch(splits)
    for _ in trainer.epochs(splits):
        pass
    return Trained.of(trainer.state)


def open_data(recipe: Recipe) -> ImageData:
    """Open the data set of a recipe in its splits, without normalisation.

    Raises:
        DataError: if it is not there or damaged.
        MissingExtra: if what reads it is not installed.
    """
    return open_dataset(recipe.data.data, size=recipe.data.size, validation=recipe.data.validation)


def _carry_out(
    recipe: Recipe,
    data: ImageData,
    run: RunFolder,
    processes: Processes,
    tensorboard: bool,
    progress: Progress | None,
) -> None:
    """Train what is left of a run; what cannot be carried out begins no folder."""
    processes.check(recipe.optimisation.batch_size)
    trainer = Trainer.make(recipe, data, processes, progress, begun=run.checkpoint.is_file())
    splits, never_seen = Splits.read(data), None
    if run.held_out.is_file():
        splits = as_begun(splits, run, recipe.data.data)
    else:
        never_seen = NeverSeen.by(None if recipe.start is None else recipe.start.weights)
        splits = keeping_apart(splits, data, recipe.data, never_seen)
    trainer.require_a_batch(splits)
    processes.by_main(lambda: _begin(run, recipe, splits, never_seen))
    epochs = trainer.epochs(splits)
    record_epochs(run, trainer.state, epochs, tensorboard=tensorboard, writes=processes.main)
    _finish(trainer, splits, run)


def _begin(run: RunFolder, recipe: Recipe, splits: Splits, never_seen: NeverSeen | None) -> None:
    """Make the folder of a run, or see that it holds one of this recipe."""
    run.prepare(recipe)
    if not run.held_out.is_file():
        splits.write_held_out(run.held_out, never_seen)


def _finish(trainer: Trainer, splits: Splits, run: RunFolder) -> None:
    """Measure the best weights on the test split and write them with their card."""
    test = in_memory(trainer.data.test, bounded=trainer.data.bounded).to(trainer.processes.device)
    score = trainer.score(test, torch.arange(len(test)), trainer.state.best)
    if trainer.processes.main:
        write_tensors(run.weights, trainer.state.best)
        write_json(run.card, encoded(make_card(trainer, splits, run, score)))
    trainer.processes.wait()
