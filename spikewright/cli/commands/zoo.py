"""`spikewright zoo`: the trained networks that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikewright.cli.console import print_json, results
from spikewright.cli.failures import WrongUsage
from spikewright.decoding import encoded

if TYPE_CHECKING:
    from spikewright.runs.zoo import ZooEntry


def zoo(
    add: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Put the network of this finished run into the zoo of this checkout.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the network added.", show_default=False),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the cards as JSON by name, and nothing else.")
    ] = False,
) -> None:
    """List the networks that ship with the package; each is a model zoo:NAME.

    All were trained by spikewright train; their cards tell data, recipe, seed, accuracy on
    validation and test, and the SHA-256 of the weights.
    """
    from spikewright.runs.zoo import add_to_zoo, zoo_entries

    if (add is None) != (name is None):
        raise WrongUsage("--add RUN and --name NAME go together: the run, and what to call it")
    if add is not None and name is not None:
        add_to_zoo(add, name)
    entries = zoo_entries()
    if json:
        print_json({entry.name: encoded(entry.card) for entry in entries})
        return
    told = "\n\n".join(_told(entry) for entry in entries) or "the zoo is empty"
    results().print(told, markup=False, soft_wrap=True)


def _told(entry: ZooEntry) -> str:
    from spikewright.cli.train import accuracy_told

    card, recipe = entry.card, entry.card.recipe
    levels = "" if recipe.network.levels is None else f" L = {recipe.network.levels}"
    return "\n".join(
        [
            f"zoo:{entry.name}",
            f"  network     {card.architecture}, {recipe.network.activation}{levels}",
            f"  data        {card.data.name}, {card.data.training_images:,} images, "
            f"seed {recipe.seed}, epoch {card.best_epoch} of {card.epochs}",
            *([] if recipe.start is None else [f"  start       {recipe.start.weights}"]),
            f"  validation  {accuracy_told(card.validation)}",
            f"  test        {accuracy_told(card.test)}",
            f"  SHA-256     {card.weights_sha256} ({entry.size_bytes:,} bytes)",
        ]
    )
