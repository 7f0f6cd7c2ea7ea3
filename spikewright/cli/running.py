"""The folder that a command trains in, and the recipe that it carries out there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from spikewright.cli.command import Deferred
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.progress import ProgressLine
from spikewright.cli.source import usable_device
from spikewright.runs.run_folder import R, RecordedFolder

C = TypeVar("C")


@dataclass(frozen=True)
class RunOptions:
    """The device, the folder and the records of a training run.

    Attributes:
        output: The folder of the run; named again with the same recipe, the run goes on.
        resume: The folder of a run to go on with, by its own recipe: in place of all options but
            --device, --tensorboard and --json.
        tensorboard: The metrics are logged to DIR/tensorboard as well.
        device: The device: cpu, cuda, cuda:1, mps, ...
        json: The card is printed as JSON on stdout, and nothing else.
    """

    output: Annotated[Path | None, typer.Option(metavar="DIR")] = None
    resume: Annotated[Path | None, typer.Option(metavar="DIR")] = None
    tensorboard: bool = False
    device: str = "cpu"
    json: bool = False

    def asked(
        self,
        folder: Callable[[Path], RecordedFolder[R]],
        groups: Sequence[Deferred[Any]],
        make: Callable[[], R],
    ) -> tuple[RecordedFolder[R], R]:
        """The folder of the run, and the recipe: the recorded one, or what the options make.

        Args:
            folder: its kind.
            groups: the options that make a recipe.
            make: makes it.

        Raises:
            WrongUsage: for no folder or two, and for options of a recipe beside --resume.
            RunError, RecipeError: see `RecordedFolder.read_recipe`.
        """
        if self.resume is not None and self.output is not None:
            raise WrongUsage("--resume DIR and --output DIR both name the folder; give one of them")
        if self.resume is not None:
            named = [name for group in groups for name in group.named]
            if named:
                raise WrongUsage(
                    "--resume goes on by the recipe recorded in its folder; leave out "
                    + ", ".join(named)
                )
            return folder(self.resume), folder(self.resume).read_recipe()
        if self.output is not None:
            return folder(self.output), make()
        raise WrongUsage("--output DIR names the folder of the run; or go on with --resume DIR")

    def carried_out(
        self,
        train: Callable[..., C],
        place: RecordedFolder[R],
        recipe: R,
        open_data: Callable[[], Any],
    ) -> C:
        """The card of a run, after what is left of it.

        Args:
            train: carries a recipe out in a folder.
            place, recipe: of `asked`.
            open_data: opens what to train on; a finished run needs none.
        """
        usable_device(self.device)
        with opening():
            data = None if place.card.is_file() else open_data()
        return train(
            recipe,
            place.path,
            data=data,
            device=self.device,
            tensorboard=self.tensorboard,
            progress=ProgressLine(),
        )
