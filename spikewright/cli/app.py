"""The command line as a whole: its commands, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable

from spikewright.cli.commands.check import check
from spikewright.cli.commands.convert import convert
from spikewright.cli.commands.demo import demo
from spikewright.cli.commands.energy import energy
from spikewright.cli.commands.evaluate import evaluate
from spikewright.cli.commands.export import export
from spikewright.cli.commands.finetune import finetune
from spikewright.cli.commands.inspect import inspect
from spikewright.cli.commands.misalignment import misalignment
from spikewright.cli.commands.report import report
from spikewright.cli.commands.rerun import rerun
from spikewright.cli.commands.sweep import sweep
from spikewright.cli.commands.train import train
from spikewright.cli.commands.train_sequences import train_sequences
from spikewright.cli.commands.zoo import zoo
from spikewright.cli.program import program

COMMANDS: tuple[Callable[..., None], ...] = (
    check,
    convert,
    sweep,
    energy,
    misalignment,
    report,
    rerun,
    train,
    train_sequences,
    finetune,
    demo,
    inspect,
    evaluate,
    export,
    zoo,
)
"""Every command: a function of `spikewright.cli.commands`, its parameters its options."""


app = program(
    "Turn a trained PyTorch network into a spiking network, and measure what that costs.", COMMANDS
)
