"""A command that several processes carry out together, and the files that one of them writes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

from spikewright.cli.device import usable_device
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import ConversionOptions
from spikewright.processes import Processes, launched


@contextmanager
def together(
    conversion: ConversionOptions, prepare: Callable[[], None]
) -> Generator[tuple[Processes, ConversionOptions]]:
    """Join the processes that a launcher has started, if it has; leave them at the end.

    Args:
        conversion: options, among them the device.
        prepare: what one process does before the others go on.

    Yields:
        The processes, and the options with the device of this one.

    Raises:
        WrongUsage: when the device cannot be used.
        ProcessError, MissingExtra: see `Processes.join`.
    """
    usable_device(conversion.device)
    processes = Processes.join(conversion.device)
    try:
        if processes.main:
            prepare()
        processes.wait()
        device = conversion.device if processes.count == 1 else str(processes.device)
        yield processes, replace(conversion, device=device)
    finally:
        processes.leave()


def alone(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command that several processes would each carry out whole, into one folder."""

    @wraps(command)
    def run(**options: Any) -> None:
        if launched()[1] > 1:
            raise WrongUsage(
                f"'{command.__name__.replace('_', '-')}' is the work of one process: start it "
                "without a launcher (train, sweep, misalignment and python -m paper tables share "
                "theirs)"
            )
        command(**options)

    return run
