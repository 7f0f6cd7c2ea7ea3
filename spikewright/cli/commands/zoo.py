"""`spikewright zoo`: the trained networks that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.console import print_json, print_text
from spikewright.cli.failures import WrongUsage
from spikewright.decoding import encoded
from spikewright.runs.zoo import ZooEntry, add_to_zoo, zoo_entries


def zoo(
    add: Annotated[Path | None, typer.Option(metavar="RUN")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    json: bool = False,
) -> None:
    """List the networks that ship with the package; each is a model zoo:NAME.

    All were trained by spikewright train; their cards hold data, recipe, seed, accuracy on
    validation and test, and the SHA-256 of the weights.

    Args:
        add: The folder of a finished run whose network is put into the zoo of this checkout.
        name: The name of the network that is added.
        json: The cards are printed as JSON by name, and nothing else.
    """
    if (add is None) != (name is None):
        raise WrongUsage("--add RUN and --name NAME go together: the run, and what to call it")
    if add is not None and name is not None:
        add_to_zoo(add, name)
    entries = zoo_entries()
    if json:
        print_json({entry.name: encoded(entry.card) for entry in entries})
    else:
        print_text("\n\n".join(map(_paragraph, entries)) or "the zoo is empty")


def _paragraph(entry: ZooEntry) -> str:
    card, recipe = entry.card, entry.card.recipe
    levels = "" if recipe.network.levels is None else f" L = {recipe.network.levels}"
    return "\n".join(
        [
            f"zoo:{entry.name}",
            f"  network     {card.architecture}, {recipe.network.activation}{levels}",
            f"  data        {card.data.name}, {card.data.training_images:,} images, "
            f"seed {recipe.seed}, epoch {card.best_epoch} of {card.epochs}",
            *([] if recipe.start is None else [f"  start       {recipe.start.weights}"]),
            f"  validation  {card.validation}",
            f"  test        {card.test}",
            f"  SHA-256     {card.weights_sha256} ({entry.size_bytes:,} bytes)",
        ]
    )
