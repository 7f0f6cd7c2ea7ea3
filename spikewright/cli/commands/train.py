"""`spikewright train`: a network trained for conversion."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.command import Deferred, shared
from spikewright.cli.console import print_json, print_text
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.options import Seed
from spikewright.cli.source import usable_device
from spikewright.decoding import encoded
from spikewright.processes import is_main_process
from spikewright.runs.card import ModelCard
from spikewright.runs.metrics import EpochMetrics
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

SECONDS_BETWEEN_LINES = 1.0


@dataclass(frozen=True)
class RunOptions:
    """The device, the folder and the records of a training run.

    Attributes:
        output: The folder of the run; named again with the same recipe, the run goes on.
        resume: The folder of a run to go on with, by its own recipe: in place of all options but
            --device and --tensorboard.
        tensorboard: The metrics are logged to DIR/tensorboard as well.
        device: The device: cpu, cuda, cuda:1, mps, ...; of several processes each takes its own.
        json: The card is printed as JSON on stdout, and nothing else.
    """

    output: Annotated[Path | None, typer.Option(metavar="DIR")] = None
    resume: Annotated[Path | None, typer.Option(metavar="DIR")] = None
    tensorboard: bool = False
    device: str = "cpu"
    json: bool = False


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
    held out of the training set; the test split is read once, at the end. Several processes
    share every batch when they are started by 'torchrun --nproc-per-node N -m spikewright train
    ...' or 'accelerate launch --multi_gpu --num_processes N -m spikewright train ...', with
    --device cpu on CPUs. ('accelerate launch --cpu' starts one process alone.)

    DIR receives run.json, metrics.jsonl, checkpoint.safetensors and, at the end,
    weights.safetensors and card.json.
    """
    if run.resume is not None and run.output is not None:
        raise WrongUsage("--resume DIR and --output DIR both name the folder; give one of them")
    if run.resume is not None:
        named = [n for group in (network, data, optimisation, numerics, start) for n in group.named]
        if named:
            raise WrongUsage(
                "--resume goes on by the recipe recorded in its folder; leave out "
                + ", ".join(named)
            )
        folder, recipe = run.resume, RunFolder(run.resume).read_recipe()
    elif run.output is not None:
        images, beginning = data.make(), start.make()
        weights = beginning.start_from
        folder, recipe = (
            run.output,
            Recipe(
                images,
                network.make(),
                optimisation.make(),
                numerics.make(),
                beginning.seed,
                None if weights is None else weights_to_start_from(weights),
            ),
        )
    else:
        raise WrongUsage("--output DIR names the folder of the run; or go on with --resume DIR")
    usable_device(run.device)
    with opening():
        finished = RunFolder(folder).card.is_file()
        opened = None if finished else open_data(recipe)
    card = carry_out(
        recipe,
        folder,
        data=opened,
        device=run.device,
        tensorboard=run.tensorboard,
        progress=ProgressLine(),
    )
    if is_main_process() and run.json:
        print_json(encoded(card))
    elif is_main_process():
        print_text(summary(card, str(folder)))


class ProgressLine:
    """Progress on stderr: a line an epoch, and on a terminal one that moves.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._before: float | None = None
        self._shown = -SECONDS_BETWEEN_LINES
        self._moving = sys.stderr.isatty()

    def __call__(
        self, epoch: int, epochs: int, done: int, steps: int, metrics: EpochMetrics | None
    ) -> None:
        """Take one call of `spikewright.training.Progress`."""
        now = self._clock()
        finished = epoch - 1 + done / steps
        if self._before is None:
            self._before = finished - 1 / steps if metrics is None else float(epoch - 1)
        left = (now - self._started) / (finished - self._before) * (epochs - finished)
        if metrics is not None:
            sys.stderr.write(("\r\033[K" if self._moving else "") + _epoch_line(metrics, epochs))
            sys.stderr.write(f"  {duration(left)} left\n")
        elif self._moving and now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            line = f"epoch {epoch}/{epochs}  step {done}/{steps}  {duration(left)} left"
            sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()


def _epoch_line(metrics: EpochMetrics, epochs: int) -> str:
    return (
        f"epoch {metrics.epoch}/{epochs}  loss {metrics.training_loss:.4f}  "
        f"training {100 * metrics.training_accuracy:.2f} %  "
        f"validation {100 * metrics.validation_accuracy:.2f} %  {metrics.seconds:.0f} s"
    )


def duration(seconds: float) -> str:
    """A duration in hours and minutes, or minutes and seconds."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s"


def summary(card: ModelCard, folder: str) -> str:
    """What a finished run came to, for people."""
    lines = [
        f"weights of epoch {card.best_epoch} of {card.epochs}, best on validation",
        f"validation  {card.validation}",
        f"test        {card.test}",
    ]
    if card.data.name.endswith("-simulated"):
        lines.append(f"SIMULATED data: {card.data.name}; no camera recorded it")
    lines.append(f"measure it with: spikewright sweep run:{folder} --data ... --threshold learned")
    return "\n".join(lines)
