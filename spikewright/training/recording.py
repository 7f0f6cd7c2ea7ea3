"""The epochs of a run that can be stopped: after each one its folder holds all that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from spikewright.runs.metrics import EpochMetrics
from spikewright.runs.run_folder import RecordedFolder
from spikewright.training.checkpoint import TrainingState
from spikewright.training.tensorboard import TensorBoardLog


def record_epochs(
    run: RecordedFolder[Any],
    state: TrainingState,
    epochs: Iterator[EpochMetrics],
    *,
    tensorboard: bool = False,
    writes: bool = True,
) -> None:
    """Go on from the checkpoint of a folder, if it has one, and write it anew after every epoch.

    Args:
        run: the folder, prepared.
        state: as it was made; it takes over what the checkpoint holds.
        epochs: trains the epochs that `state` lacks, each when it is asked for.
        tensorboard: also log to `tensorboard/` in the folder.
        writes: whether this process is the one that writes.

    Raises:
        RunError: if the checkpoint is damaged, or of another network or optimiser.
        MissingExtra: if TensorBoard is asked for and not installed.
    """
    if run.checkpoint.is_file():
        state.load(run.checkpoint)
        if writes:  # the earlier try may have stopped between the two
            run.write_metrics(state.history)
    logged = tensorboard and writes
    with TensorBoardLog(run.path, state.history) if logged else nullcontext() as log:
        for metrics in epochs:
            if writes:
                state.save(run.checkpoint)
                run.write_metrics(state.history)
            if log is not None:
                log.write(metrics)
