"""`spikewright finetune`: a saved network, trained further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright.artefact import describe
from spikewright.cli.command import Deferred
from spikewright.cli.commands.evaluate import check_network, known_preparation
from spikewright.cli.console import print_json, print_text
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.images import CLASSES, PREPARATION, Preparation
from spikewright.cli.options import MAXIMUM_BATCH, Seed
from spikewright.cli.parse import MAXIMUM_STEPS
from spikewright.cli.progress import ProgressLine
from spikewright.data import open_dataset
from spikewright.decoding import encoded
from spikewright.errors import ConversionError
from spikewright.methods.finetune import FineTuning, named
from spikewright.network import SpikingNetwork, load
from spikewright.runs.files import sha256
from spikewright.runs.fine_tuning import FineTuneCard, FineTuneFolder, FineTuneRecipe
from spikewright.runs.recipe import DataRecipe, StartRecipe
from spikewright.training.finetune import finetune as carry_out
from spikewright.training.finetune import start_of


@dataclass(frozen=True)
class FineTuneOptions:
    """The method, and how long it trains.

    Attributes:
        method: The method: distil (against the network's own ANN, a few hundred images, no
            labels), dsr (through the spike representation, on labels), tandem (layer after
            layer, on labels), bits (on labels, with fewer spikes) or nq (the quantised ANN with
            noise of the spiking network's size, on labels).
        steps: The number of time steps T. Default: that of the network.
        epochs: The number of passes over the training images. Default: the method's.
        batch_size: The number of images a step. Default: the method's.
        learning_rate: The learning rate of the first step. Default: the method's.
        sparsity: What a spike of the mean neuron weighs beside the cross entropy, in nats.
            Default: the method's.
        levels: The levels of the ANN's activations, in nq. Default: the method's.
        noise: How many times its measured size the noise of nq is. Default: the method's.
        joint_epochs: How many of the epochs, at the end, train all layers at once, in tandem.
            Default: the method's.
        samples: The number of training images to train on, drawn by --seed. Default: all.
        seed: The seed of samples, of the order of images and of their augmentation.
    """

    method: Annotated[str, typer.Option(metavar="NAME")] = "distil"
    steps: Annotated[int | None, typer.Option(min=1, max=MAXIMUM_STEPS, metavar="T")] = None
    epochs: Annotated[int | None, typer.Option(min=1)] = None
    batch_size: Annotated[int | None, typer.Option(min=1, max=MAXIMUM_BATCH)] = None
    learning_rate: Annotated[float | None, typer.Option()] = None
    sparsity: Annotated[float | None, typer.Option()] = None
    levels: Annotated[int | None, typer.Option(metavar="L")] = None
    noise: Annotated[float | None, typer.Option()] = None
    joint_epochs: Annotated[int | None, typer.Option(min=0)] = None
    samples: Annotated[int | None, typer.Option(min=1, metavar="N")] = None
    seed: Seed = 0

    def make_method(self) -> FineTuning:
        """The method with what the options say.

        Raises:
            WrongUsage: for an unknown one, or numbers out of range.
        """
        try:
            known = named(self.method.strip().lower())
        except ConversionError as error:
            raise WrongUsage(f"--method {self.method}: {error}") from error
        apart = ("method", "steps", "samples", "seed")  # all others are a method's own settings
        given = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in apart and getattr(self, field.name) is not None
        }
        foreign = given.keys() - {field.name for field in fields(known)}
        if foreign:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(foreign))
            raise WrongUsage(f"--method {self.method} takes no {options}")
        try:
            return known(**given)
        except ValueError as error:
            raise WrongUsage(f"--method {self.method}: {error}") from error


def finetune(
    data: Deferred[DataRecipe],
    tuning: Deferred[FineTuneOptions],
    network: Annotated[
        Path | None,
        typer.Argument(metavar="NETWORK", help="A network that 'spikewright convert' saved."),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="DIR")] = None,
    json: bool = False,
) -> None:
    """Train a saved network further, for its own neurons and T, or go on with such a run.

    Forward the network is the spiking network itself, backward every layer is what its spikes
    stand for on average, so memory does not grow with T. The best epoch is chosen on images that
    the network never saw, recognised by their content, where it was converted from run:DIR or
    zoo:NAME: these keep a list. Else the validation split chooses, on which the network may have
    been trained, and the result says so. The test split is read once, at the end, before and after.
    A run that is killed loses at most the epoch it was in.

    Images are prepared as those that the network was calibrated with. DIR receives run.json,
    held_out.safetensors, metrics.jsonl, checkpoint.safetensors and, at the end,
    network.safetensors and card.json.

    Args:
        output: The folder of the run; named again with the same options, the run goes on.
        resume: The folder of a run to go on with, by its own recipe: in place of NETWORK and of
            all options but --json.
        json: The card is printed as JSON on stdout, and nothing else.
    """
    folder, recipe, start = _asked(network, data, tuning, output, resume)
    notes = describe(Path(recipe.start.weights)).notes
    with opening():
        images = open_dataset(
            recipe.data.data,
            size=recipe.data.size,
            resize=recipe.resize,
            validation=recipe.data.validation,
        )
    check_network(start, notes, images)
    known = Preparation(recipe.data.mean, recipe.data.std, recipe.data.size, recipe.resize)
    told = {**notes, PREPARATION: asdict(known), CLASSES: list(images.classes)}
    card = carry_out(recipe, folder, images, start=start, notes=told, progress=ProgressLine())
    if json:
        print_json(encoded(card))
    else:
        print_text(summary(card, folder))


def _asked(
    network: Path | None,
    data: Deferred[DataRecipe],
    tuning: Deferred[FineTuneOptions],
    output: Path | None,
    resume: Path | None,
) -> tuple[Path, FineTuneRecipe, SpikingNetwork]:
    """The folder and the recipe that the command line asks for, and the network to start from."""
    if resume is not None:
        foreign = [*data.named, *tuning.named]
        foreign += ["--output"] if output is not None else []
        foreign += ["NETWORK"] if network is not None else []
        if foreign:
            raise WrongUsage(
                "--resume goes on by the recipe recorded in its folder; leave out "
                + ", ".join(foreign)
            )
        recipe = FineTuneFolder(resume).read_recipe()
        return resume, recipe, start_of(recipe)
    if network is None or output is None:
        raise WrongUsage(
            "NETWORK is the saved network to start from, and --output DIR the folder of the run: "
            "give both; or go on with --resume DIR"
        )
    options, loaded, notes = tuning.make(), load(network), describe(network).notes
    method, images = options.make_method(), data.make()
    known = _preparation(images, notes, loaded.graph.signal.shape[0])
    recipe = FineTuneRecipe(
        start=StartRecipe(str(network), sha256(network)),
        data=replace(images, mean=known.mean, std=known.std, size=known.size),
        method=method.name,
        settings=asdict(method),
        steps=loaded.steps if options.steps is None else options.steps,
        samples=options.samples,
        seed=options.seed,
        resize=known.resize,
    )
    loaded.steps = recipe.steps
    return output, recipe, loaded


def _preparation(data: DataRecipe, notes: Mapping[str, Any], channels: int) -> Preparation:
    """That of the images the network was calibrated with, where the options say nothing else."""
    told = data.mean is not None or data.size is not None
    known = known_preparation(notes, told=told).overruled(data)
    mean, std = known.mean or (0.0,) * channels, known.std or (1.0,) * channels
    return replace(known, mean=mean, std=std)


def summary(card: FineTuneCard, folder: Path) -> str:
    """What a finished run came to, for people."""
    told = list[str]()
    if card.may_be_seen is not None:
        told = [
            "             the network may have been trained on these images, so they flatter: "
            f"{card.may_be_seen}"
        ]
    lines = [
        f"{card.recipe.method}, T = {card.recipe.steps}: the network of epoch {card.best_epoch} of "
        f"{card.epochs}, trained on {card.training_images:,} images",
        f"validation   {card.validation}",
        *told,
        f"test before  {card.before}",
        f"test         {card.test}",
        f"measure it with: spikewright evaluate {FineTuneFolder(folder).network} --data ...",
    ]
    return "\n".join(lines)
