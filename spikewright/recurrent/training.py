"""`train_srnn`: carry out a recipe on sequences in a folder, from wherever it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from spikewright.data.image_data import dataset_length
from spikewright.decoding import decoded, encoded
from spikewright.devices import cpu_by_default
from spikewright.errors import RecipeError
from spikewright.files import AnyPath, write_json
from spikewright.recurrent.costs import recurrent_costs
from spikewright.recurrent.fitting import SequenceTrainer, sequence_score
from spikewright.recurrent.network import SRNN
from spikewright.recurrent.recipe import SRNNRunRecipe
from spikewright.recurrent.run import SequenceFacts, SRNNCard, SRNNFolder, read_srnn_card
from spikewright.recurrent.sequences import SequenceData, SequenceDataset
from spikewright.runs.card import SplitAccuracy
from spikewright.runs.files import read_json, sha256, write_tensors
from spikewright.runs.run_folder import versions
from spikewright.training.recording import record_epochs
from spikewright.training.train import Trained
from spikewright.training.trainer import Progress

COSTED = 512
"""The most test sequences whose operations are counted: all at once, in memory."""


@cpu_by_default()
def train_srnn(
    recipe: SRNNRunRecipe,
    folder: AnyPath,
    *,
    data: SequenceData | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> SRNNCard:
    """Train a spiking recurrent network by a recipe, or go on where an earlier call was stopped.

    After every epoch the complete state is written in one move, so a process that is killed at
    any moment loses at most the epoch it was in; called again with the same recipe and folder,
    it goes on from there to the same weights, to the bit on the CPU with the same versions and
    threads. The best epoch is chosen on the validation split; the test split is measured once,
    after the last epoch. A finished run is not trained again.

    Args:
        recipe: the recipe to carry out.
        folder: a new folder, an empty one, or that of a run of this recipe; see `SRNNFolder`.
        data: what `recipe.data.open()` returns, where the caller has opened it already.
        device: `"cpu"`, `"cuda"`, ...
        tensorboard: also log to `tensorboard/` in the folder.
        progress: called after steps and epochs.

    Returns:
        The card of the weights, as in `card.json`.

    Raises:
        RecipeError: if the folder's run has another recipe or other sequences, or the answer
            takes more time steps than a sequence has.
        RunError: if the folder holds other or damaged files.
        DataError: if the sequences cannot be read, or a split is empty.
        ModelError: if a loss stops being finite.
        MissingExtra: if what reads the data is not installed.

    Example:
        >>> from spikewright.recurrent import SequenceDataRecipe, SRNNRunRecipe
        >>> recipe = SRNNRunRecipe(SequenceDataRecipe("digits-rows"))
        >>> card = train_srnn(recipe, Path("runs/rows"))  # doctest: +SKIP
        >>> network = load_srnn("runs/rows")  # doctest: +SKIP
    """
    run = SRNNFolder(Path(folder))
    run.require_same(recipe)
    if run.card.is_file() and recipe.data.data == run.read_recipe().data.data:
        return read_srnn_card(folder)
    sequences = recipe.data.open() if data is None else data
    facts = SequenceFacts.of(sequences)
    _require_same(facts, run)
    if run.card.is_file():
        return read_srnn_card(folder)
    network = _network(recipe, facts).to(device)
    trainer = SequenceTrainer(network, sequences, recipe.training, progress)
    run.prepare(recipe)
    write_json(run.data, encoded(facts))
    record_epochs(run, trainer.state, trainer.epochs(), tensorboard=tensorboard)
    _finish(trainer, sequences, facts, recipe, run)
    return read_srnn_card(folder)


def _require_same(facts: SequenceFacts, run: SRNNFolder) -> None:
    """See that a run that was begun in a folder was begun with such sequences."""
    if not run.data.is_file():
        return
    begun = decoded(SequenceFacts, read_json(run.data), f"'{run.data}'")
    other = [
        f"  {name}: {value!r} recorded, {getattr(facts, name)!r} found"
        for name, value in vars(begun).items()
        if value != getattr(facts, name)
    ]
    if other:
        listing = "\n".join(other)
        raise RecipeError(
            f"'{run.path}' holds a run of other sequences:\n{listing}\n"
            "name the data set that it was begun with, or another folder"
        )


def _network(recipe: SRNNRunRecipe, facts: SequenceFacts) -> SRNN:
    asked = recipe.network.answer_steps
    if asked is not None and asked > facts.steps:
        raise RecipeError(
            f"answer_steps={asked}, but a sequence of '{facts.name}' has {facts.steps} time steps"
        )
    return recipe.network.network(facts.features, len(facts.classes), recipe.training.seed)


def _finish(
    trainer: SequenceTrainer,
    data: SequenceData,
    facts: SequenceFacts,
    recipe: SRNNRunRecipe,
    run: SRNNFolder,
) -> None:
    """Measure the best weights on the test split and write them with their card."""
    trained = Trained.of(trainer.state)
    network, best = trained.model, trained.best
    assert isinstance(network, SRNN)
    score = sequence_score(network, data.test)
    costed = spread(data.test).to(network.read_out.log_tau.device)
    write_tensors(run.weights, trainer.state.best)
    card = SRNNCard(
        recipe=replace(recipe, data=recipe.data.without_folder()),
        data=facts,
        epochs=len(trained.history),
        best_epoch=best.epoch,
        validation=SplitAccuracy.of_fraction(best.validation_accuracy, facts.validation),
        test=SplitAccuracy.of(score.right, score.images),
        costs=recurrent_costs(network, costed),
        costed=costed.shape[1],
        training_seconds=sum(metrics.seconds for metrics in trained.history),
        weights_sha256=sha256(run.weights),
        versions=versions(),
    )
    write_json(run.card, encoded(card))


def spread(split: SequenceDataset, most: int = COSTED) -> Tensor:
    """Sequences at even distances over a split, `[T, B, F]` with B at most `most`."""
    count = dataset_length(split)
    chosen = torch.linspace(0, count - 1, min(count, most)).round().long().tolist()
    return torch.stack([split[index][0] for index in chosen], 1)
