"""The card of a run that is finished, from what its trainer knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spikewright.runs.card import ModelCard, SplitAccuracy, TrainingData
from spikewright.runs.files import sha256
from spikewright.runs.recipe import Recipe
from spikewright.runs.run_folder import RunFolder, versions
from spikewright.training.evaluate import Score
from spikewright.training.splits import Splits
from spikewright.training.trainer import Trainer


def make_card(trainer: Trainer, splits: Splits, run: RunFolder, test: Score) -> ModelCard:
    """The card of a finished run.

    Args:
        trainer: after its last epoch.
        splits: the images that it trained on.
        run: its folder, with the weights written.
        test: the score of these weights on the test split.
    """
    recipe, data, state = trainer.recipe, trainer.data, trainer.state
    best = state.best_epoch
    return ModelCard(
        architecture=recipe.network.model,
        num_classes=len(data.classes),
        recipe=_without_folders(recipe, data.name),
        data=TrainingData(
            name=data.name,
            classes=tuple(data.classes),
            training_images=len(splits.train),
            mean=tuple(trainer.augmenter.mean.flatten().tolist()),
            std=tuple(trainer.augmenter.std.flatten().tolist()),
        ),
        epochs=len(state.history),
        best_epoch=best.epoch,
        validation=SplitAccuracy.of_fraction(best.validation_accuracy, len(splits.validation)),
        test=SplitAccuracy.of(test.right, test.images),
        training_seconds=sum(metrics.seconds for metrics in state.history),
        weights_sha256=sha256(run.weights),
        versions=versions(),
        processes=trainer.processes.count,
        alarms=tuple(
            f"epoch {one.epoch}: {alarm}" for one in state.history for alarm in one.alarms
        ),
    )


def _without_folders(recipe: Recipe, data: str) -> Recipe:
    """The recipe with its data and its start named without the folders of this machine."""
    start = recipe.start
    if start is not None:
        source, colon, path = start.weights.rpartition(":")
        start = replace(start, weights=f"{source}{colon}{Path(path).name}")
    return replace(recipe, data=replace(recipe.data, data=data), start=start)
