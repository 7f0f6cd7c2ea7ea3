"""What measuring commands have in common: processes, progress, and finished work kept."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

from spikewright.cli.console import Progress, progress_bar
from spikewright.cli.images import OpenData
from spikewright.cli.keeping import keeping
from spikewright.cli.options import MeasurementOptions, OutputOptions
from spikewright.cli.outcome import prepare
from spikewright.cli.record import record_of
from spikewright.cli.source import usable_device
from spikewright.measure import SweepProgress
from spikewright.measure.cells import Cells
from spikewright.processes import Processes


@dataclass(frozen=True)
class Job:
    """A measuring command under way, in one of the processes that carry it out together.

    Attributes:
        context: of the command line.
        output: where results go.
        asked_device: the device that the command line names.
        device: that of this process.
        processes: who shares the work.
        share: which part of the cells this job measures, `R/N`; None measures all.
        advance: called with what is done.
    """

    context: typer.Context
    output: OutputOptions
    asked_device: str
    device: str
    processes: Processes
    share: str | None
    advance: Progress

    @contextmanager
    def keeping(
        self,
        data: OpenData,
        inputs: dict[str, str],
        measured: tuple[MeasurementOptions, int],
        /,
        *groups: Any,
        **options: Any,
    ) -> Generator[tuple[dict[str, Any], Cells]]:
        """The configuration of the command, and where its finished cells are kept.

        Args:
            data: what is measured on; pictures left out are kept and reported too.
            inputs: SHA-256 of what the options name, besides the images measured.
            measured: which images, and the seed of `--limit`.
            *groups: dataclasses of options.
            **options: the command's own.
        """
        inputs = {**inputs, "images": data.content(*measured)}
        configuration = record_of(
            self.context, data.images.name, self.asked_device, inputs, *groups, **options
        )
        with keeping(self.output.output, configuration, self.processes, self.share) as cells:
            data.skipped.keep_in(cells)
            yield configuration, cells
        data.skipped.report()

    @property
    def progress(self) -> Callable[[SweepProgress], None]:
        """Shows the progress of a sweep."""
        return lambda p: self.advance(
            p.done, p.total, f"{p.network}, T = {p.steps}" if p.steps else "ANN"
        )


@contextmanager
def measuring(
    context: typer.Context,
    output: OutputOptions,
    device: str,
    share: str | None,
    *,
    page: bool = True,
) -> Generator[Job]:
    """Join the processes that a launcher has started, if it has; leave them at the end.

    Args:
        context: of the command line.
        output: where one process prepares the folder before the others go on.
        device: that the command line names.
        share: of --share.
        page: whether a report page is written.

    Raises:
        WrongUsage: when the device cannot be used, or the folder cannot be written to.
        ProcessError, MissingExtra: see `Processes.join`.
    """
    usable_device(device)
    processes = Processes.join(device)
    try:
        if processes.main:
            prepare(output, page=page)
        processes.wait()
        own = device if processes.count == 1 else str(processes.device)
        with progress_bar(context.info_name or "", shown=processes.main) as advance:
            yield Job(context, output, device, own, processes, share, advance)
        processes.wait()
    finally:
        processes.leave()
