"""A few of the random command lines that `benchmarks.fuzz_command_line` runs by thousands."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

pytest.importorskip("PIL.Image", reason="needs the extra 'vision'")

from benchmarks.command_lines import KEPT_SMALL, Places, command_line, grammars
from benchmarks.fuzz_command_line import fuzzed
from spikewright.cli.failures import ExitCode

NO_PROCESS = 10**9


def test_random_command_lines_end_as_documented(tmp_path: Path) -> None:
    found = fuzzed(30, 5, tmp_path, one_in=NO_PROCESS)
    assert [verdict for verdict in found if verdict.fault is not None] == []
    assert {ExitCode.OK, ExitCode.USAGE} <= {verdict.code for verdict in found}


def test_every_command_gets_its_turn_and_stays_small(tmp_path: Path) -> None:
    chance = random.Random(0)
    places = Places(tmp_path, *(tmp_path / name for name in ("network", "damaged", "run", "p")))
    every = grammars(places)
    lines = [command_line(chance, every, places) for _ in range(2000)]
    for grammar in every:
        mine = [line for line in lines if grammar.words == tuple(line[: len(grammar.words)])]
        assert len(mine) > 20, grammar.words
        if grammar.refused:
            assert all("--no-such-option" in line for line in mine)
        for parameter in grammar.parameters:
            if parameter.name in KEPT_SMALL:
                given = sum(parameter.opts[0] in line for line in mine)
                assert given > 0.6 * len(mine), parameter.name
    assert command_line(random.Random(3), every, places) == command_line(
        random.Random(3), every, places
    )
