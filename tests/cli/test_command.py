"""A command is a function: its parameters are the options, its docstring is the help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from paper.app import app as paper_app
from spikewright.cli.app import COMMANDS
from spikewright.cli.app import app as spikewright_app
from spikewright.cli.command import Deferred, described
from spikewright.cli.failures import WrongUsage
from spikewright.cli.program import program


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class PaperOptions:
    """What is drawn on.

    Attributes:
        width, height: The sides of the paper, in
            pixels.
        colours: The `colours` of the paper.
    """

    width: Annotated[int, typer.Option(min=1)]
    height: int = 8
    colours: tuple[Colour, ...] = (Colour.RED,)

    def __post_init__(self) -> None:
        if self.height < self.width:
            raise WrongUsage("a paper is at least as high as it is wide")


def draw(
    paper: PaperOptions,
    what: Annotated[str, typer.Argument(metavar="WHAT")],
    at: Annotated[tuple[int, ...] | None, typer.Option(min=0, max=9)] = None,
    quick: bool = False,
    frame: bool = True,
) -> None:
    """Draw WHAT
    on paper.

    Nothing is
    erased.

    Args:
        what: The thing that is drawn.
        at: The places.
        quick: It is drawn in haste.
        frame: A frame is drawn.
    """
    typer.echo(f"{what} {paper} {at} {quick} {frame}")


def plan(paper: Deferred[PaperOptions], now: bool = False) -> None:
    """Plan a drawing, or draw it.

    Args:
        now: It is drawn now.
    """
    typer.echo(f"{paper.named} {paper.make().width if now else None}")


APP = program("A program.", (*COMMANDS, draw, plan))


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(APP, list(words))
    return result.exit_code, result.stdout, " ".join(result.stderr.replace("│", " ").split())


def test_a_command_is_a_function_and_one_line() -> None:
    """The function is its file, `(*COMMANDS, draw)` the line."""
    code, out, err = run("draw", "a cat", "--width", "3", "--colours", "blue,red", "--at", "1,9,1")
    assert code == 0, err
    paper = PaperOptions(3, 8, (Colour.BLUE, Colour.RED))
    assert out == f"a cat {paper} (1, 9, 1) False True\n"
    _, out, _ = run("draw", "x", "--width", "3", "--colours", "none", "--quick", "--no-frame")
    assert out == f"x {PaperOptions(3, 8, ())} None True False\n"


def test_its_help_is_what_it_and_its_options_say() -> None:
    code, out, _ = run("draw", "--help")
    text = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert "Draw WHAT on paper. Nothing is erased." in text
    for phrase in ("The thing that is drawn.", "The sides of the paper, in pixels.", "The places."):
        assert phrase in text
    assert "The colours of the paper. [default: red]" in text
    assert "Paper ─" in out
    assert "Exit codes: 0 it worked" in text
    assert "--no-quick" not in text
    assert "draw" in run("--help")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", "9"], "error: a paper is at least as high as it is wide"),
        (["--width", "3", "--at", "1,x"], "--at: 'x' is not a whole number"),
        (["--width", "3", "--at", "10"], "--at: 10 is too large, give at most 9"),
        (["--width", "3", "--at", "1,,2"], "separate values by single commas"),
        (["--width", "3", "--colours", "green"], "--colours green: give some of red, blue"),
        (["--width", "0"], "--width"),
        ([], "--width"),
    ],
)
def test_what_it_refuses_is_wrong_usage(words: list[str], message: str) -> None:
    code, out, err = run("draw", "x", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_deferred_group_is_made_when_it_is_needed() -> None:
    assert run("plan") == (0, "() None\n", "")
    assert run("plan", "--height", "1")[1] == "('--height',) None\n"
    assert run("plan", "--width", "3", "--now")[1] == "('--width',) 3\n"
    code, _, err = run("plan", "--now")
    assert (code, err) == (2, "error: --width is needed; see --help")


@pytest.mark.parametrize("app", [spikewright_app, paper_app], ids=["spikewright", "paper"])
def test_every_option_says_what_it_is_in_a_sentence(app: typer.Typer) -> None:
    group: Any = get_command(app)
    helps = [
        (name, option.name, option.help or "")
        for name, command in group.commands.items()
        for option in command.params
        if option.name != "help"
    ]
    assert len(helps) > 20
    assert [entry for entry in helps if not re.match(r"[A-Z].* .*\.$", entry[2])] == []


def test_a_section_of_a_docstring_ends_where_the_next_begins() -> None:
    text = """A thing.

    Attributes:
        one: The first: of
            many.

            A paragraph.
        two, three: The others.

    Raises:
        ValueError: never.
    """
    assert described(text, "Attributes") == {
        "one": "The first: of many. A paragraph.",
        "two": "The others.",
        "three": "The others.",
    }
    assert described(None, "Attributes") == {}
