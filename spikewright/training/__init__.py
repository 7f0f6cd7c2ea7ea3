"""Training of source networks, the honest way: chosen on validation, never on test.

`train` carries out a `Recipe` in a folder, and goes on after a stop; `train_in_memory` does the
same without a folder. `finetune` and `finetune_in_memory` train converted networks further.
"""

from __future__ import annotations

from spikewright.runs.card import ModelCard
from spikewright.runs.fine_tuning import FineTuneCard, FineTuneRecipe
from spikewright.runs.kinds import (
    ActivationKind,
    Augmentation,
    OptimizerKind,
    ScheduleKind,
)
from spikewright.runs.recipe import (
    DataRecipe,
    NetworkRecipe,
    NumericsRecipe,
    OptimisationRecipe,
    Recipe,
    StartRecipe,
)
from spikewright.runs.run_folder import RunFolder
from spikewright.seeding import seeded
from spikewright.training.finetune import finetune
from spikewright.training.start import start_from
from spikewright.training.threads import intra_op_threads
from spikewright.training.train import Trained, train, train_in_memory
from spikewright.training.tuning import FineTuned, finetune_in_memory

__all__ = [
    "ActivationKind",
    "Augmentation",
    "DataRecipe",
    "FineTuneCard",
    "FineTuneRecipe",
    "FineTuned",
    "ModelCard",
    "NetworkRecipe",
    "NumericsRecipe",
    "OptimisationRecipe",
    "OptimizerKind",
    "Recipe",
    "RunFolder",
    "ScheduleKind",
    "StartRecipe",
    "Trained",
    "finetune",
    "finetune_in_memory",
    "intra_op_threads",
    "seeded",
    "start_from",
    "train",
    "train_in_memory",
]
