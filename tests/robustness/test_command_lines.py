"""Random command lines: they know every command and every option, and ask for little."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.robustness.command_lines import (
    PAPER,
    command_line,
    commands,
    grammars,
    sound_lines,
    unknown_parameters,
)
from tests.robustness.command_values import ENDLESS, KEPT, RARE, SOUND, VALUES

LINES = 6000
LINES_OF_ONE = 500
"""Of one command: the rare ones must name every option as well."""


def test_every_command_has_lines_that_work() -> None:
    there = {name for name, _ in commands()}
    assert there == set(SOUND), "give each command its lines in command_values.py"
    assert set(RARE) | set(ENDLESS) <= there
    assert all(SOUND.values())


def test_every_option_has_values() -> None:
    assert unknown_parameters() == [], "give each its values in VALUES of command_values.py"


def test_nothing_is_known_that_is_not_there() -> None:
    parameters = {p.name for _, command in commands() for p in command.params}
    with_command = {f"{name} {p.name}" for name, command in commands() for p in command.params}
    assert set(VALUES) <= parameters | with_command
    assert parameters >= KEPT


@pytest.mark.parametrize("words", sound_lines(), ids=" ".join)
def test_lines_that_work_are_made_of_options_that_exist(words: list[str]) -> None:
    length = 2 if words[0] == PAPER else 1
    name = " ".join(words[:length])
    command = dict(commands())[name]
    with command.make_context(name, words[length:]) as context:
        assert context.args == []


def test_every_option_of_every_command_gets_its_turn() -> None:
    chance = random.Random(0)
    for grammar in grammars():
        lines = [command_line(chance, [grammar]) for _ in range(LINES_OF_ONE)]
        words = {word for line in lines for word in line}
        assert [o for o in _options(grammar.parameters.values()) if o not in words] == []


def test_the_same_seed_gives_the_same_line() -> None:
    every = grammars()
    assert command_line(random.Random(3), every) == command_line(random.Random(3), every)


def test_what_would_be_endless_stays_small() -> None:
    chance, every = random.Random(1), grammars()
    for _ in range(LINES):
        words = command_line(chance, every)
        for name, options in ENDLESS.items():
            if without_options(words)[: len(name.split())] == name.split():
                assert all(_asked(words, option) <= 3 for option in options), words


def without_options(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


def _options(parameters: Iterable[Any]) -> Iterator[str]:
    for parameter in parameters:
        if parameter.param_type_name == "option":
            yield from (*parameter.opts, *parameter.secondary_opts)


def _asked(words: list[str], option: str) -> int:
    """The largest whole number that follows an option."""
    pairs = [pair for pair in pairwise(words) if pair[0] == option]
    pairs += [tuple(word.split("=", 1)) for word in words if word.startswith(f"{option}=")]
    return max((int(value) for _, value in pairs if value.isdecimal()), default=0)
