"""A few of the random command lines that `tests.robustness.fuzz_command_line` runs by thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("PIL.Image", reason="needs the extra 'vision'")
pytest.importorskip("sklearn", reason="needs the extra 'digits'")

from spikewright.cli.failures import ExitCode
from tests.robustness.fuzz_command_line import Fuzz

NO_PROCESS = 10**9


def test_random_command_lines_end_as_documented(tmp_path: Path) -> None:
    found = Fuzz(tmp_path).random(15, 5, one_in=NO_PROCESS)
    assert [verdict for verdict in found if verdict.fault is not None] == []
    assert {ExitCode.OK, ExitCode.USAGE} <= {verdict.code for verdict in found}
