"""`train`: carry out a recipe in a folder, from wherever an earlier try was stopped."""

from __future__ import annotations

import math
from pathlib import Path

from spikewright.data import ImageData, open_dataset
from spikewright.data.in_memory import in_memory
from spikewright.errors import DataError, ModelError
from spikewright.files import write_json
from spikewright.processes import Processes
from spikewright.runs.card import ModelCard, read_card
from spikewright.runs.files import write_tensors
from spikewright.runs.metrics import EpochMetrics
from spikewright.runs.recipe import Recipe
from spikewright.runs.run_folder import RunFolder
from spikewright.training.card import make_card
from spikewright.training.evaluate import Score
from spikewright.training.splits import Splits, as_begun, keeping_apart
from spikewright.training.tensorboard import TensorBoardLog
from spikewright.training.trainer import Progress, Trainer


def train(
    recipe: Recipe,
    folder: Path,
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
        recipe: what to do.
        folder: new, empty, or of a run of this recipe; see `RunFolder`.
        data: what `open_data(recipe)` gives, if the caller has opened it; None opens it when it
            is needed.
        device: `"cpu"`, `"cuda"`, ...
        tensorboard: also log to `tensorboard/` in the folder.
        progress: told after steps and epochs, in the main process.

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
        >>> recipe = Recipe(DataRecipe("digits"), NetworkRecipe("digits_cnn", levels=4))
        >>> card = train(recipe, Path("runs/digits"))  # doctest: +SKIP
        >>> card.test.accuracy  # doctest: +SKIP
        0.98
    """
    processes = Processes.join(device)
    try:
        processes.check(recipe.optimisation.batch_size)
        run = RunFolder(folder)
        processes.by_main(lambda: run.require_same(recipe))
        begun, trainer, splits = run.checkpoint.is_file(), None, None
        if not run.card.is_file():  # what cannot be carried out begins no folder
            images = open_data(recipe) if data is None else data
            trainer = Trainer.make(recipe, images, processes, progress, begun=begun)
            splits = _splits(images, run, recipe)
            _require_a_batch(splits, recipe)
        processes.by_main(lambda: _begin(run, recipe, splits, data))
        if trainer is not None and splits is not None:
            if begun:
                trainer.state.load(run.checkpoint)
                if processes.main:  # the earlier try may have stopped between the two
                    run.write_metrics(trainer.state.history)
            _train_epochs(trainer, splits, run, tensorboard)
            _finish(trainer, splits, run)
        return read_card(folder)
    finally:
        processes.leave()


def open_data(recipe: Recipe) -> ImageData:
    """Open the data set of a recipe in its splits, without normalisation.

    Raises:
        DataError: if it is not there or damaged.
        MissingExtra: if what reads it is not installed.
    """
    return open_dataset(recipe.data.data, size=recipe.data.size, validation=recipe.data.validation)


def _splits(data: ImageData, run: RunFolder, recipe: Recipe) -> Splits:
    """What to train on, and what to hold out: as the run in the folder does, if there is one."""
    splits = Splits.read(data)
    if run.held_out.is_file():
        return as_begun(splits, run, recipe)
    return keeping_apart(splits, data, recipe)


def _begin(run: RunFolder, recipe: Recipe, splits: Splits | None, data: ImageData | None) -> None:
    """Make the folder of a run, or see that it holds one of this recipe and these images."""
    run.prepare(recipe)
    if splits is None:
        _require_same_images(run, recipe, data)
    elif not run.held_out.is_file():
        splits.write_held_out(run.held_out, recipe.start)


def _train_epochs(trainer: Trainer, splits: Splits, run: RunFolder, tensorboard: bool) -> None:
    """Train the epochs that are left, writing the state after each."""
    state, processes, recipe = trainer.state, trainer.processes, trainer.recipe
    done, epochs = len(state.history), recipe.optimisation.epochs
    log = TensorBoardLog(run.path, state.history) if tensorboard and processes.main else None
    try:
        if done == epochs:
            return
        images, validation = (
            part.to(processes.device) for part in (splits.train, splits.validation)
        )
        for epoch in range(done + 1, epochs + 1):
            metrics = trainer.epoch(images, validation, epoch)
            _require_finite(metrics, recipe)
            state.finish_epoch(metrics)
            if processes.main:
                state.save(run.checkpoint)
                run.write_metrics(state.history)
            if log is not None:
                log.write(metrics)
            trainer.tell(epoch, 1, 1, metrics)
    finally:
        if log is not None:
            log.close()


def _require_a_batch(splits: Splits, recipe: Recipe) -> None:
    count, batch = len(splits.train), recipe.optimisation.batch_size
    if count < batch:
        raise DataError(
            f"the training split of '{recipe.data.data}' holds {count} images, less than one "
            f"batch of {batch}; lower batch_size"
        )


def _require_same_images(run: RunFolder, recipe: Recipe, data: ImageData | None) -> None:
    """See that data from another place are those of a finished run; the same place is believed."""
    if recipe.data.data != run.read_recipe().data.data and run.held_out.is_file():
        as_begun(Splits.read(open_data(recipe) if data is None else data), run, recipe)


def _require_finite(metrics: EpochMetrics, recipe: Recipe) -> None:
    for name in ("training_loss", "validation_loss"):
        loss = getattr(metrics, name)
        if not math.isfinite(loss):
            raise ModelError(
                f"the {name.replace('_', ' ')} of epoch {metrics.epoch} is {loss}; lower "
                f"learning_rate={recipe.optimisation.learning_rate}, or set clip_gradient"
            )


def _finish(trainer: Trainer, splits: Splits, run: RunFolder) -> None:
    """Measure the best weights on the test split and write them with their card."""
    test = in_memory(trainer.data.test, bounded=trainer.data.bounded).to(trainer.processes.device)
    score: Score = trainer.score(test, trainer.state.best)
    if trainer.processes.main:
        write_tensors(run.weights, trainer.state.best)
        write_json(run.card, make_card(trainer, splits, run, score, len(test)).to_dict())
    trainer.processes.wait()
