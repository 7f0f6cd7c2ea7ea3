"""The pages, and the code blocks in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(ROOT)): path for path in (*sorted(DOCS.rglob("*.md")), ROOT / "README.md")
}
"""Every page by its path in the repository."""

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RUN = ("python", "bash")
SHOWN = ("math", "text")
PROGRAM = "spikewright"
CALLED = r"(spikewright|python -m paper)"
"""The programs whose commands the pages name."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: "python", "bash", ...
        text: between the fences.
        reason: why it is not run, or None.
        line: of its fence, from 1.
    """

    language: str
    text: str
    reason: str | None
    line: int

    @property
    def runs(self) -> bool:
        return self.language in RUN and self.reason is None


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def blocks_of(text: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    found: list[Block] = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        found.append(Block(match["language"], match["text"], match["reason"], line))
    return found


def commands_of(text: str) -> Iterator[list[str]]:
    """The command lines of a block as words, continued lines joined and comments dropped."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def named_commands(text: str) -> Iterator[list[str]]:
    """Every command that a page shows: in blocks, indented, and between backticks.

    Yields the program as one word, then the words behind it.
    """
    joined = text.replace("\\\n", " ")
    shown = re.findall(rf"^ *(?:\$ )?(?:.* -m )?{CALLED} ([a-z-].*)$", joined, re.MULTILINE)
    shown += re.findall(rf"[`']{CALLED} ([a-z-][^`']*)[`']", joined)
    for program, line in shown:
        yield [program, *shlex.split(line.replace("...", ""), comments=True)]
