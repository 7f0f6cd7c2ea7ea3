"""`spikewright report`: runs compared on one page."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import realpath  # Path.resolve raises RuntimeError for links in a circle
from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.console import print_note
from spikewright.cli.failures import WrongUsage
from spikewright.files import write_whole
from spikewright.report import Run, read_run, render, render_comparison

PAGE = "report.html"
COMPARISON = Path("comparison.html")


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...")],
    output: Annotated[Path | None, typer.Option(metavar="FILE.html")] = None,
) -> None:
    """Compare runs on one self-contained page, or make the page of a single RUN again.

    The page shows what the runs were asked for as far as it differs, accuracy against T, fronts of
    accuracy against latency, energy and spikes, the layers that cost the energy, the first bad
    layer of each network, and a look inside every run. Nothing is measured again: all comes from
    results.json. Energies of a run of energy join those of a sweep that was given the same options.

    Args:
        runs: The folders that --output of sweep, evaluate, misalignment, demo or energy named.
        output: The file of the page. Default: report.html in the folder of a single RUN,
            comparison.html here for several.
    """
    page = output or (runs[0] / PAGE if len(runs) == 1 else COMPARISON)
    if page.suffix.lower() not in (".html", ".htm"):
        raise WrongUsage(f"--output {page}: name a file that ends in .html")
    text = _page_of(open_runs(runs))
    page.parent.mkdir(parents=True, exist_ok=True)
    write_whole(page, text.encode())
    print_note(f"written: {page}")


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """Read every folder, each under a name of its own.

    Raises:
        WrongUsage: when a folder is named twice.
        RunError: when one holds no run, or a damaged one.
    """
    places = [Path(realpath(folder)) for folder in folders]
    twice = [folder for n, folder in enumerate(folders) if places[n] in places[:n]]
    if twice:
        raise WrongUsage(f"'{twice[0]}' is named twice: name every run once")
    return [read_run(f, name) for f, name in zip(folders, names_of(places), strict=True)]


def names_of(places: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that differ from each other.

    Args:
        places: absolute and different.
    """
    parts = [place.parts for place in places]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(place) for place in places]


def _page_of(runs: Sequence[Run]) -> str:
    """The page of one run as its command makes it, or a comparison.

    A single run with energies is shown as a comparison, which has a place for them.
    """
    first = runs[0]
    if len(runs) == 1 and first.report.studies and not first.energies:
        return render(first.report)
    return render_comparison(runs)
