"""The command line `python -m paper`: its commands, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable

from paper.commands import compared, imagenet_dry_run, page, published, tables
from paper.event_camera.command import simulate_events
from spikewright.cli.program import program

COMMANDS: tuple[Callable[..., None], ...] = (
    tables,
    page,
    compared,
    published,
    imagenet_dry_run,
    simulate_events,
)

app = program("Measure the tables of the paper, cell by cell, and render their page.", COMMANDS)
