"""Figures that the pages repeat are those of the run records."""

from __future__ import annotations

import csv

from .pages import DOCS, text_of

RECORDS = DOCS / "results"


def accuracies(name: str) -> dict[tuple[str, int], float]:
    """Accuracy in % by network and T."""
    with (RECORDS / f"resnet20-cifar10-{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {(row["network"], int(row["steps"])): 100 * float(row["accuracy"]) for row in rows}


def test_choosing_repeats_the_records() -> None:
    text = " ".join(text_of("docs/choosing.md").split())
    nearest = accuracies("two-phase")
    told = [f"{nearest['nearest', steps]:.1f}" for steps in (4, 8, 16, 32)]
    assert f"`nearest` got {told[0]}, {told[1]}, {told[2]} and {told[3]} %" in text
    plain = accuracies("one-phase")
    assert f"IF got {plain['IF', 8]:.1f} and {plain['IF', 16]:.1f} %" in text


def test_the_orders_repeat_the_record() -> None:
    found = accuracies("misalignment")
    orders = ("IF", "independent", "shared", "reversed", "early", "late")
    told = " | ".join(f"{found[order, 8]:.1f}" for order in orders)
    assert f"| accuracy in % | {told} |" in text_of("docs/experiments.md")
