"""`spikewright train`: a network trained for conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from spikewright.cli.command import Deferred, shared
from spikewright.cli.console import print_json, print_text
from spikewright.cli.options import Seed
from spikewright.cli.running import RunOptions
from spikewright.decoding import encoded
from spikewright.processes import is_main_process
from spikewright.runs.card import ModelCard
from spikewright.runs.recipe import (
    DataRecipe,
    NetworkRecipe,
    NumericsRecipe,
    OptimisationRecipe,
    Recipe,
)
from spikewright.runs.run_folder import RunFolder
from spikewright.training import start_from as weights_to_start_from
from spikewright.training import train as carry_out
from spikewright.training.train import open_data


@dataclass(frozen=True)
class StartOptions:
    """The weights that training starts from.

    Attributes:
        seed: The seed of first weights, of the order of images and of their augmentation.
        start_from: The trained weights to start from in place of random ones: run:DIR, zoo:NAME or
            a safetensors file; those of a ReLU network too, and of other levels.
    """

    seed: Seed = 0
    start_from: Annotated[str | None, typer.Option(metavar="WEIGHTS")] = None


@shared
def train(
    network: Deferred[NetworkRecipe],
    data: Deferred[DataRecipe],
    optimisation: Deferred[OptimisationRecipe],
    numerics: Deferred[NumericsRecipe],
    start: Deferred[StartOptions],
    run: RunOptions,
) -> None:
    """Train a network for conversion, from its first weights or from where a run was stopped.

    A run that is killed loses at most the epoch it was in. The best epoch is chosen on images
    held out of the training set; the test split is read once, at the end. Several processes, each
    with a device of its own, share every batch when they are started by 'torchrun --nproc-per-node
    N -m spikewright train ...' or 'accelerate launch --multi_gpu --num_processes N -m spikewright
    train ...', with --device cpu on CPUs. ('accelerate launch --cpu' starts one process alone.)

    DIR receives run.json, metrics.jsonl, checkpoint.safetensors and, at the end,
    weights.safetensors and card.json.
    """
    groups = (network, data, optimisation, numerics, start)
    place, recipe = run.asked(RunFolder, groups, lambda: recipe_of(*groups))
    card = run.carried_out(carry_out, place, recipe, lambda: open_data(recipe))
    if is_main_process() and run.json:
        print_json(encoded(card))
    elif is_main_process():
        print_text(summary(card, str(place.path)))


def recipe_of(
    network: Deferred[NetworkRecipe],
    data: Deferred[DataRecipe],
    optimisation: Deferred[OptimisationRecipe],
    numerics: Deferred[NumericsRecipe],
    start: Deferred[StartOptions],
) -> Recipe:
    """The recipe that the options make, and the weights that it starts from."""
    images, beginning = data.make(), start.make()
    weights = beginning.start_from
    return Recipe(
        images,
        network.make(),
        optimisation.make(),
        numerics.make(),
        beginning.seed,
        None if weights is None else weights_to_start_from(weights),
    )


def summary(card: ModelCard, folder: str) -> str:
    """What a finished run came to, for people."""
    chosen = "the last" if card.recipe.optimisation.keep_last else "best on validation"
    lines = [
        f"weights of epoch {card.best_epoch} of {card.epochs}, {chosen}",
        f"validation  {card.validation}",
        f"test        {card.test}",
    ]
    if card.data.name.endswith("-simulated"):
        lines.append(f"SIMULATED data: {card.data.name}; no camera recorded it")
    if card.alarms:
        first, more = card.alarms[0], len(card.alarms) - 1
        lines.append(
            f"training seems to have diverged: {first}" + (f"; {more} more" if more else "")
        )
    learned = " --threshold learned" if card.recipe.network.activation.learns_threshold else ""
    lines.append(f"measure it with: spikewright sweep run:{folder} --data ...{learned}")
    return "\n".join(lines)
