"""The README's promises: what it names exists, its figures are recorded.

Its Python is run with the other pages', in `tests/docs/test_examples.py`.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_files_it_names_exist() -> None:
    text = README.read_text(encoding="utf-8")
    named = re.findall(r"\]\(([^)#:]+)\)", text)
    named += re.findall(r"^    (spikewright/\S+)", text, re.MULTILINE)
    assert len(named) >= 5
    missing = [name for name in named if not (README.parent / name).exists()]
    assert not missing


def test_its_two_commands_are_targets() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_its_figures_are_those_of_the_run_record() -> None:
    text = README.read_text(encoding="utf-8")
    record = README.parent / "docs" / "results" / "resnet20-cifar10-one-phase.csv"
    with record.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        accuracy, low, high = (100 * float(row[name]) for name in ("accuracy", "low", "high"))
        line = next(li for li in text.splitlines() if li.startswith(f"| {row['network']} |"))
        assert f"{accuracy:.2f} ({low:.1f} to {high:.1f})" in line, (row["network"], row["steps"])


def test_its_orders_are_those_of_the_run_record() -> None:
    record = README.parent / "docs" / "results" / "resnet20-cifar10-misalignment.csv"
    with record.open(encoding="utf-8") as file:
        found = {row["network"]: 100 * float(row["accuracy"]) for row in csv.DictReader(file)}
    orders = ("IF", "independent", "shared", "reversed", "early", "late")
    told = " | ".join(f"{found[order]:.1f}" for order in orders)
    assert f"| accuracy in % | {told} |" in README.read_text(encoding="utf-8")
