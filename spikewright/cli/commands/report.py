"""`spikewright report`: runs compared on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.console import errors
from spikewright.cli.failures import WrongUsage


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folders that --output of sweep, misalignment, demo or energy named.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Where the page goes. Default: report.html in the folder of a single RUN, "
            "comparison.html here for several.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare runs on one self-contained page, or make the page of a single RUN again.

    What the runs were asked for as far as it differs, accuracy against T, fronts of accuracy
    against latency, energy and spikes, the layers that cost the energy, the first bad layer of each
    network, and a look inside every run. Nothing is measured again: all comes from results.json and
    operations.json. Energies of a run of energy join those of a sweep that was given the same
    options.
    """
    from spikewright.cli.compare import default_page, open_runs, page_of
    from spikewright.cli.output import write_whole

    page = default_page(runs) if output is None else output
    if page.suffix.lower() not in (".html", ".htm"):
        raise WrongUsage(f"--output {page}: name a file that ends in .html")
    text = page_of(open_runs(runs))
    page.parent.mkdir(parents=True, exist_ok=True)
    write_whole(page, text)
    errors().print(f"written: {page}", markup=False, highlight=False)
