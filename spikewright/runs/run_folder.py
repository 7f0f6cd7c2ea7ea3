"""The folder of a training run: its recipe, its checkpoint, its log and its results."""

from __future__ import annotations

import json
import platform
from abc import ABC
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import safetensors
import torch

from spikewright.decoding import decoded, encoded
from spikewright.errors import RecipeError, RunError
from spikewright.files import sweep_leftovers, write_json, write_whole
from spikewright.runs.files import read_json
from spikewright.runs.metrics import EpochMetrics
from spikewright.runs.recipe import Recipe
from spikewright.version import __version__


class RecordedRecipe(Protocol):
    """A recipe that a folder records: it tells how it differs from another one."""

    def differences(self, recorded: Any) -> list[str]:
        """What differs from the recipe of a run that was begun, one line a field."""
        ...


R = TypeVar("R", bound=RecordedRecipe)


@dataclass(frozen=True)
class RunRecord(Generic[R]):
    """What `run.json` holds.

    Attributes:
        recipe: the recipe that the run was started with.
        versions: the versions that it was started with.
        command: the command that makes such runs; older files do not name it.
    """

    recipe: R
    versions: dict[str, str]
    command: str | None = None


@dataclass(frozen=True)
class RecordedFolder(ABC, Generic[R]):
    """The folder of a run that can be stopped and gone on with.

    ========================  ==================================================================
    `run.json`                the recipe, and the versions that the run was started with
    `checkpoint.safetensors`  everything needed to go on, replaced after every epoch
    `metrics.jsonl`           one line an epoch, made anew from the checkpoint's own history
    `card.json`               at the end: what came of it, and how good
    `held_out.safetensors`    of runs on images, those that are never seen: here, or where the run
                              started from
    ========================  ==================================================================

    Attributes:
        path: the folder.
    """

    path: Path

    record: ClassVar[Any]
    """The type of what `run.json` holds."""
    command: ClassVar[str]
    """The command that makes such a folder."""

    @property
    def recipe_file(self) -> Path:
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def card(self) -> Path:
        return self.path / "card.json"

    @property
    def held_out(self) -> Path:
        return self.path / "held_out.safetensors"

    def read_recipe(self) -> R:
        """The recipe that the run was started with.

        Raises:
            RunError: if there is no run in the folder, or its file is damaged.
            RecipeError: if the recipe contradicts itself.
        """
        if not self.recipe_file.is_file():
            raise RunError(
                f"'{self.path}' holds no training run (no run.json); start one with "
                f"spikewright {self.command} --output DIR"
            )
        document = self.own(read_json(self.recipe_file), self.recipe_file)
        return decoded(self.record, document, f"'{self.recipe_file}'").recipe

    def own(self, document: Any, file: Path) -> Any:
        """A document of the run, which must not name another command.

        Raises:
            RunError: if it does.
        """
        command = document.get("command") if isinstance(document, dict) else None
        if command not in (None, self.command):
            raise RunError(
                f"'{file}' is of a run of spikewright {command}, and this is for runs of "
                f"spikewright {self.command}"
            )
        return document

    def require_same(self, recipe: R) -> None:
        """See that the folder is free for a run of this recipe, or holds one.

        Raises:
            RecipeError: if its run has another recipe, naming every difference.
            RunError: if its file is damaged, or the folder holds other files and no run.
        """
        if not self.recipe_file.exists():
            if self.path.is_dir() and any(not f.name.startswith(".") for f in self.path.iterdir()):
                raise RunError(
                    f"'{self.path}' is not empty and holds no run.json; name an empty or a new "
                    "folder"
                )
            return
        differences = recipe.differences(self.read_recipe())
        if differences:
            listing = "\n".join(f"  {line}" for line in differences)
            raise RecipeError(
                f"'{self.path}' holds a run of another recipe:\n{listing}\n"
                "go on with the recorded one (--resume), or name another folder"
            )

    def prepare(self, recipe: R) -> None:
        """Make the folder for a new run, or see that it holds one of the same recipe.

        Raises:
            RecipeError: if the recipe recorded differs, naming every difference.
            RunError: if the folder holds other files, or damaged ones.
        """
        sweep_leftovers(self.path)
        self.require_same(recipe)
        if self.recipe_file.exists():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.recipe_file, encoded(RunRecord(recipe, versions(), self.command)))
        except OSError as error:
            raise RunError(f"cannot write to '{self.path}' ({error.strerror})") from error

    def write_metrics(self, history: list[EpochMetrics]) -> None:
        """Write the log anew, so that it can never disagree with the checkpoint."""
        lines = [json.dumps(asdict(metrics), allow_nan=False) + "\n" for metrics in history]
        write_whole(self.metrics, "".join(lines).encode())


@dataclass(frozen=True)
class RunFolder(RecordedFolder[Recipe]):
    """The files of a run of training: those of `RecordedFolder`, and `weights.safetensors`.

    The weights are those of the best epoch on validation, written at the end.
    """

    record = RunRecord[Recipe]
    command = "train"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"


def versions() -> dict[str, str]:
    """What computed the weights: they repeat to the bit on the same versions and processor."""
    return {
        "spikewright": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
    }
