"""What `report` does between its arguments and the page."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import realpath  # Path.resolve raises RuntimeError for links in a circle
from pathlib import Path

from spikewright.cli.failures import WrongUsage
from spikewright.report import Run, read_run, render, render_comparison

PAGE = "report.html"
COMPARISON = Path("comparison.html")


def default_page(folders: Sequence[Path]) -> Path:
    """Where the page goes when nobody says: into a single run's folder, else here."""
    return folders[0] / PAGE if len(folders) == 1 else COMPARISON


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
    """The shortest ends of the paths that tell them apart.

    Args:
        places: absolute and different.
    """
    parts = [place.parts for place in places]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(place) for place in places]


def page_of(runs: Sequence[Run]) -> str:
    """The page of one run as its command makes it, or a comparison.

    A single run with energies is shown as a comparison, which has a place for them.
    """
    first = runs[0]
    if len(runs) == 1 and first.report is not None and not first.energies:
        return render(first.report)
    return render_comparison(runs)
