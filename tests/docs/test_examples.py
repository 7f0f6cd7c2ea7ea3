"""Every example of the pages runs: Python as one session a page, commands in process.

Blocks of a page run in order in one temporary folder, so that later ones find what earlier ones
wrote. What a comment `# -> ...` says must be printed, in that order.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spikewright.cli.app import app
from tests.cli.conftest import captured_once  # noqa: F401  (a fixture)

from .pages import PAGES, PROGRAM, RUN, SHOWN, Block, blocks_of, commands_of, text_of

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

ELSEWHERE = {"docs/events.md"}
"""Pages whose examples have a test of their own, as they need data that it makes."""
WITH_EXAMPLES = [
    page
    for page in PAGES
    if page not in ELSEWHERE and any(block.runs for block in blocks_of(text_of(page)))
]
PROMISED = re.compile(r"# -> (.*)$", re.MULTILINE)


def run_python(block: Block, names: dict[str, object], page: str) -> str:
    """Execute a block; what it prints. Tracebacks name the page and its line."""
    told = io.StringIO()
    code = compile("\n" * block.line + block.text, page, "exec")
    with contextlib.redirect_stdout(told):
        exec(code, names)
    return told.getvalue()


def run_commands(block: Block) -> None:
    """Execute a block's commands in process; each must end with 0."""
    for words in commands_of(block.text):
        assert words[0] == PROGRAM, f"only {PROGRAM} runs here; mark the block as not run: {words}"
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}"


def check_promises(block: Block, printed: str, page: str) -> None:
    """Each `# -> ...` stands among the lines printed, in order."""
    lines = iter(line.strip() for line in printed.splitlines())
    for promise in PROMISED.findall(block.text):
        assert promise.strip() in lines, f"{page}:{block.line} does not print: {promise}\n{printed}"


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_page_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks_of(text_of(name)):
        if not block.runs:
            continue
        if block.language == "python":
            check_promises(block, run_python(block, names, name), name)
        else:
            run_commands(block)


def test_a_broken_example_and_a_broken_promise_are_found() -> None:
    block = Block("python", "print(1)  # -> 2\n", None, 1)
    with pytest.raises(AssertionError, match="does not print: 2"):
        check_promises(block, run_python(block, {}, "page"), "page")
    with pytest.raises(AssertionError, match="--no-such"):
        run_commands(Block("bash", "spikewright zoo --no-such\n", None, 1))
    with pytest.raises(AssertionError, match="only spikewright runs here"):
        run_commands(Block("bash", "rm -r out\n", None, 1))


@pytest.mark.parametrize("name", PAGES)
def test_a_block_is_run_shown_or_excused(name: str) -> None:
    for block in blocks_of(text_of(name)):
        assert block.language in (*RUN, *SHOWN), f"{name}:{block.line} has no language of ours"
        assert block.reason is None or block.language in RUN


def test_most_blocks_run() -> None:
    blocks = [b for page in PAGES for b in blocks_of(text_of(page)) if b.language in RUN]
    assert sum(block.runs for block in blocks) >= 30
    assert sum(not block.runs for block in blocks) <= 10
