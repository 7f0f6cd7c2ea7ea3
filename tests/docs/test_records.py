"""Figures that the pages repeat are those of the run records."""

from __future__ import annotations

import csv

from paper.store import NetworkStore
from paper.tables import table_of

from .pages import DOCS, text_of

RECORDS = DOCS / "results"
STEPS = (1, 2, 4, 8, 16, 32)


def accuracies(name: str) -> dict[tuple[str, int], float]:
    """Accuracy in % by network and T."""
    with (RECORDS / f"resnet20-cifar10-{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {(row["network"], int(row["steps"])): 100 * float(row["accuracy"]) for row in rows}


def cells(row: str) -> list[str]:
    """Accuracies in % of a row of the third party's network, with their spread over seeds."""
    table = table_of(NetworkStore(DOCS.parent / "results" / "resnet20-relu-cifar10"), STEPS)
    entries = [table.entries[row, steps] for steps in STEPS]
    return [
        f"{100 * e.accuracy:.2f}" + (f" ± {100 * e.spread:.2f}" if e.seeds > 1 else "")
        for e in entries
    ]


def test_the_readme_repeats_the_records() -> None:
    text = text_of("README.md")
    rows = {
        "nearest": "auto-nearest",
        "TPP": "auto-tpp",
        "nearest, `--method minerror`": "minerror-nearest",
    }
    for title, row in rows.items():
        assert f"| {title} | {' | '.join(cells(row))} |" in text


def test_the_page_of_auto_repeats_the_records() -> None:
    table = table_of(NetworkStore(DOCS.parent / "results" / "resnet20-relu-cifar10"), STEPS)
    for method in ("minerror", "auto"):
        found = [table.entries[f"{method}-nearest-{n}", 4] for n in (16, 64, 256, 1024)]
        told = [f"{100 * one.accuracy:.1f} ± {100 * one.spread:.1f}" for one in found]
        assert f"| `{method}` | {' | '.join(told)} |" in text_of("docs/methods/auto.md")


def test_choosing_repeats_the_records() -> None:
    text = " ".join(text_of("docs/choosing.md").split())
    told = [f"{float(cell):.1f}" for cell in cells("auto-nearest")[2:]]
    assert f"`nearest` got {told[0]}, {told[1]}, {told[2]} and {told[3]} %" in text
    plain = accuracies("one-phase")
    assert f"IF by `minerror` got {plain['IF', 8]:.1f} and {plain['IF', 16]:.1f} %" in text


def test_the_orders_repeat_the_record() -> None:
    found = accuracies("misalignment")
    orders = ("IF", "independent", "shared", "reversed", "early", "late")
    told = " | ".join(f"{found[order, 8]:.1f}" for order in orders)
    assert f"| accuracy in % | {told} |" in text_of("docs/experiments.md")
