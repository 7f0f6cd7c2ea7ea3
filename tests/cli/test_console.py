"""Names and commands are printed as they are."""

from __future__ import annotations

import pytest
from rich.table import Table

from spikewright.cli.console import errors, print_note, print_text, results

ODD = "percentile:100:layer, a:b:c, net[v2].safetensors [bold]x[/bold]"


def test_texts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(ODD)
    print_note(ODD)
    assert capsys.readouterr() == (f"{ODD}\n", f"{ODD}\n")


def test_titles_and_cells_of_tables_too(capsys: pytest.CaptureFixture[str]) -> None:
    for console in (results(), errors()):
        table = Table(title=ODD)
        table.add_column("name")
        table.add_row(ODD)
        console.print(table)
    told = capsys.readouterr()
    assert told.out.count(ODD) == told.err.count(ODD) == 2
