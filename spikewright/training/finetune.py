"""`finetune`: carry out a recipe of fine-tuning in a folder, from wherever it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spikewright.data import ImageData
from spikewright.data.in_memory import in_memory
from spikewright.decoding import decoded, encoded
from spikewright.devices import cpu_by_default
from spikewright.errors import DataError, RecipeError
from spikewright.files import AnyPath, write_json
from spikewright.network import SpikingNetwork, load
from spikewright.processes import ALONE
from spikewright.runs.card import SplitAccuracy
from spikewright.runs.files import read_json, sha256
from spikewright.runs.fine_tuning import FineTuneCard, FineTuneFolder, FineTuneRecipe
from spikewright.runs.run_folder import versions
from spikewright.training.augment import Augmenter
from spikewright.training.evaluate import evaluate
from spikewright.training.never_seen import FINE_TUNED, NeverSeen
from spikewright.training.recording import record_epochs
from spikewright.training.splits import Splits, as_begun, keeping_apart, require_same_images
from spikewright.training.trainer import Progress, epoch_order
from spikewright.training.tuning import FineTuned, Tuner
from spikewright.training.tuning_data import TuningData


@cpu_by_default()
def finetune(
    recipe: FineTuneRecipe,
    folder: AnyPath,
    data: ImageData,
    *,
    start: SpikingNetwork | None = None,
    notes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> FineTuneCard:
    """Fine-tune a converted network by a recipe, or go on where an earlier call was stopped.

    After every epoch the complete state is written in one move; called again with the same recipe
    and folder it goes on from there to the same network, to the bit on the CPU with the same
    versions and threads. The best epoch is chosen on images that the network never saw, where a
    run or the zoo keeps a list of them (see `NeverSeen.by_converted`), and else on the validation
    split, as `FineTuneCard.may_be_seen` tells; the test split is measured once, after the last
    epoch, before and after fine-tuning. A finished run is not carried out again.

    Args:
        recipe: what to carry out.
        folder: a new folder, an empty one, or that of a run of this recipe; see `FineTuneFolder`.
        data: the images, opened without normalisation.
        start: what `start_of(recipe)` gave, where it is loaded already.
        notes: saved with the network, see `SpikingNetwork.save`.
        progress: called after steps and epochs.

    Returns:
        The card of the run, as in `card.json`.

    Raises:
        RecipeError: if the folder's run has another recipe or other images, the network's file has
            changed, or its images cannot be kept apart; see `keeping_apart`.
        RunError: if the folder holds other or damaged files.
        DataError: if images cannot be read, or are too few.
        ConversionError: for a network that cannot be fine-tuned.
        ModelError: if the loss stops being finite.
    """
    run = FineTuneFolder(Path(folder))
    run.require_same(recipe)
    if run.card.is_file():
        require_same_images(run, recipe.data.data, lambda: data)
        return read_fine_tune_card(run.path)
    network = start_of(recipe) if start is None else start
    augmenter = Augmenter.of(recipe.data, data, recipe.seed, torch.device("cpu"))
    never_seen, may_be_seen = NeverSeen.by_converted_or_why(recipe.start)
    splits = Splits.read(data)
    if run.held_out.is_file():
        splits = as_begun(splits, run, recipe.data.data)
    else:
        splits = keeping_apart(splits, data, recipe.data, never_seen)
    images = tuning_data(splits, augmenter, recipe, network.dtype)
    method = recipe.make_method()
    tuner = Tuner(network, method, images, steps=recipe.steps, seed=recipe.seed, progress=progress)
    run.prepare(recipe)
    if not run.held_out.is_file():
        splits.write_held_out(run.held_out, never_seen)
    record_epochs(run, tuner.state, tuner.epochs())
    tuned = tuner.best()
    tuned.network.save(run.network, notes={**(notes or {}), FINE_TUNED: method.name})
    tested = _tested(network, tuned, data, images)
    card = _card(recipe, run, images, tuned, tested, may_be_seen)
    write_json(run.card, encoded(card))
    return card


def start_of(recipe: FineTuneRecipe) -> SpikingNetwork:
    """The converted network that a recipe starts from, its T that of the recipe.

    Raises:
        InterchangeError: if its file is not there, or holds no network.
        RecipeError: if it is another file than the recipe names.
    """
    network = load(recipe.start.weights)
    if sha256(Path(recipe.start.weights)) != recipe.start.sha256:
        raise RecipeError(
            f"'{recipe.start.weights}' has changed since the run was begun (its SHA-256 differs); "
            "put the file back, or begin a new run in another folder"
        )
    network.steps = recipe.steps
    return network


def tuning_data(
    splits: Splits, augmenter: Augmenter, recipe: FineTuneRecipe, dtype: torch.dtype
) -> TuningData:
    """The images of a recipe, as input of a network of this dtype.

    Raises:
        DataError: for more samples than there are training images.
    """
    train = splits.train
    if recipe.samples is not None:
        if recipe.samples > len(train):
            raise DataError(
                f"samples={recipe.samples}: the training split of '{recipe.data.data}' holds "
                f"{len(train)} images"
            )
        train = train[epoch_order(len(train), recipe.seed, 0)[: recipe.samples]]
    images = splits.images
    return TuningData(
        images.images,
        images.labels,
        train,
        splits.validation,
        lambda stored: augmenter.plain(stored).to(dtype),
        lambda stored, numbers, epoch: augmenter.training(stored, numbers, epoch).to(dtype),
    )


def read_fine_tune_card(folder: AnyPath) -> FineTuneCard:
    """The card of a finished run.

    Raises:
        RunError: if there is none, or it is damaged.
    """
    card = FineTuneFolder(Path(folder)).card
    return decoded(FineTuneCard, read_json(card), f"'{card}'")


def _tested(
    network: SpikingNetwork, tuned: FineTuned, data: ImageData, images: TuningData
) -> tuple[SplitAccuracy, SplitAccuracy]:
    """The accuracy on the test split, before and after."""
    test = in_memory(data.test, bounded=data.bounded)
    before, after = (
        evaluate(one, test, torch.arange(len(test)), images.plain, ALONE)
        for one in (network, tuned.network)
    )
    return SplitAccuracy.of(before.right, before.images), SplitAccuracy.of(
        after.right, after.images
    )


def _card(
    recipe: FineTuneRecipe,
    run: FineTuneFolder,
    images: TuningData,
    tuned: FineTuned,
    tested: tuple[SplitAccuracy, SplitAccuracy],
    may_be_seen: str | None,
) -> FineTuneCard:
    count, best = len(images.validation), tuned.best
    start = replace(recipe.start, weights=Path(recipe.start.weights).name)
    data = replace(recipe.data, data=recipe.data.data.partition(":")[0])
    return FineTuneCard(
        recipe=replace(recipe, start=start, data=data),
        paper=recipe.make_method().paper,
        training_images=len(images.train),
        best_epoch=best.epoch,
        epochs=len(tuned.history) - 1,
        validation=SplitAccuracy.of_fraction(best.validation_accuracy, count),
        may_be_seen=may_be_seen,
        before=tested[0],
        test=tested[1],
        training_seconds=sum(metrics.seconds for metrics in tuned.history),
        network_sha256=sha256(run.network),
        versions=versions(),
    )
