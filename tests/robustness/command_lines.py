"""Random command lines: mostly right, with something wrong in them."""

from __future__ import annotations

import random
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from docs_tools.cli_reference import PROGRAMS
from docs_tools.cli_reference import commands as commands_of
from tests.robustness.command_values import (
    DIGITS,
    ENDLESS,
    FRESH,
    HOSTILE,
    KEPT,
    NONSENSE,
    RARE,
    SOUND,
    VALUES,
)

PAPER = "paper"
"""The first word of a line for `python -m paper`; all other lines are for `spikewright`."""

FLAWS = ("value", "value", "drop", "double", "again", "unknown", "stray", "cut", "swap")
FLAW_COUNTS = (0, 1, 1, 1, 2, 3)
DENSITIES = (0.0, 0.05, 0.15, 0.4)
"""How likely each option is that the sound line does not have; one of these for a whole line."""
ONE_WRONG = 0.4
"""Of lines, the share that is sound but for one value, of any parameter, that is hostile."""
CHANGED = 0.2
"""How likely a sound value gives way to another one that is known."""
PARTNERS = {"mean": "std", "std": "mean", "add": "name", "name": "add"}
"""Options that go together; nine times of ten they do."""
BEFORE = (*[()] * 18, ("--debug",), ("--version",), ("-h",), ("--nothing",))
AFTER = (*[()] * 19, ("--help",))
NO_COMMANDS = ((), ("paper",), ("Sweep",), ("swep",), ("",), ("paper", "x"), ("paper", "Page"))
"""Words that stand where a command should; one line of fifty."""
MOST_WORK = 3
"""Of what `ENDLESS` options ask for."""

Groups = list[list[str]]
"""Words that belong together: an option and its value, a flag, or an argument."""


@dataclass(frozen=True)
class Grammar:
    """One command.

    Attributes:
        name: its words; the first is `PAPER` where it is a command of `python -m paper`.
        parameters: as Typer's own command has them, by name.
        sound: groups of words that work, several of them.
    """

    name: str
    parameters: dict[str, Any]
    sound: tuple[Groups, ...]


def grammars() -> list[Grammar]:
    """Every command of both programs."""
    return [_grammar(name, command) for name, command in commands()]


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its words."""
    for program, app in PROGRAMS.items():
        before = "" if program == "spikewright" else f"{PAPER} "
        for name, command in commands_of(app).items():
            yield before + name, command


def _grammar(name: str, command: Any) -> Grammar:
    parameters = {p.name: p for p in command.params if p.name != "help"}
    sound = tuple(_grouped(shlex.split(line), parameters) for line in SOUND.get(name, ("",)))
    return Grammar(name, parameters, sound)


def _grouped(words: Sequence[str], parameters: dict[str, Any]) -> Groups:
    flags = {o for p in parameters.values() if _is_flag(p) for o in (*p.opts, *p.secondary_opts)}
    left, groups = list(words), Groups()
    while left:
        count = 2 if left[0].startswith("-") and left[0] not in flags else 1
        groups.append(left[:count])
        del left[:count]
    return groups


def sound_lines() -> list[list[str]]:
    """Every line of `SOUND` behind its command, fresh names in it numbered."""
    lines = [[*name.split(), *shlex.split(line)] for name in SOUND for line in SOUND[name]]
    return [_freshened(line, f"sound{number}") for number, line in enumerate(lines)]


def command_line(chance: random.Random, every: Sequence[Grammar]) -> list[str]:
    """The words of a random command line, for the program that `program_of` names."""
    weights = [RARE.get(grammar.name, 1.0) for grammar in every]
    (grammar,) = chance.choices(every, weights)
    groups = [list(group) for group in chance.choice(grammar.sound)]
    if chance.random() < ONE_WRONG:
        _put_one_wrong(chance, groups, grammar)
    else:
        _vary(chance, groups, grammar)
    _keep_small(groups, grammar)
    words = [word for group in groups for word in _written(chance, group)]
    command = grammar.name.split() if chance.random() > 0.02 else list(chance.choice(NO_COMMANDS))
    program, name = (command[:1], command[1:]) if command[:1] == [PAPER] else ([], command)
    line = [*program, *chance.choice(BEFORE), *name, *words, *chance.choice(AFTER)]
    return _freshened(line, f"new{chance.randrange(10**6)}")


def program_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """The program that a line is for, `spikewright` or `python -m paper`, and its words."""
    if words[:1] == [PAPER]:
        return "python -m paper", list(words[1:])
    return "spikewright", list(words)


def _put_one_wrong(chance: random.Random, groups: Groups, grammar: Grammar) -> None:
    valued = [p for p in grammar.parameters.values() if not _is_flag(p)]
    parameter = chance.choice(valued)
    hostile = chance.choice(chance.choice(HOSTILE))
    if parameter.param_type_name == "argument":
        groups[0] = [hostile]  # sound lines begin with their arguments
        return
    groups[:] = [group for group in groups if _parameter_of(group, grammar) != parameter.name]
    groups.append([chance.choice(parameter.opts), hostile])


def _vary(chance: random.Random, groups: Groups, grammar: Grammar) -> None:
    _add_options(chance, groups, grammar)
    for group in groups:
        if chance.random() < CHANGED:
            _change(chance, group, grammar)
    if chance.random() < 0.5:
        chance.shuffle(groups)
    for _ in range(chance.choice(FLAW_COUNTS)):
        _spoil(chance, groups, grammar)


def _freshened(words: Sequence[str], name: str) -> list[str]:
    return [word.replace(FRESH, name) for word in words]


def _add_options(chance: random.Random, groups: Groups, grammar: Grammar) -> None:
    density = chance.choice(DENSITIES)
    there = {_parameter_of(group, grammar) for group in groups}
    chosen = [name for name in grammar.parameters if chance.random() < density]
    for name in list(chosen):
        partner = PARTNERS.get(name)
        if partner in grammar.parameters and partner not in chosen and chance.random() < 0.9:
            chosen.append(partner)
    groups += [
        _given(chance, grammar, grammar.parameters[name]) for name in chosen if name not in there
    ]


def _parameter_of(group: Sequence[str], grammar: Grammar) -> str | None:
    """The parameter that a group of a sound line gives; None for an argument."""
    named = [p for p in grammar.parameters.values() if group[0] in (*p.opts, *p.secondary_opts)]
    return named[0].name if named else None


def _given(chance: random.Random, grammar: Grammar, parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return [chance.choice(values_of(grammar.name, parameter))]
    name = chance.choice([*parameter.opts, *parameter.secondary_opts])
    if _is_flag(parameter):
        return [name]
    return [name, chance.choice(values_of(grammar.name, parameter))]


def _change(chance: random.Random, group: list[str], grammar: Grammar) -> None:
    """Another known value for an option or, as it has no name, for the argument."""
    named = _parameter_of(group, grammar)
    arguments = [p for p in grammar.parameters.values() if p.param_type_name == "argument"]
    parameter = grammar.parameters[named] if named else next(iter(arguments), None)
    if parameter is not None and not _is_flag(parameter):
        group[-1] = chance.choice(values_of(grammar.name, parameter))


def values_of(command: str, parameter: Any) -> tuple[str, ...]:
    """Known values of a parameter; without any, nonsense."""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(choice.value) for choice in kind)
    by_name = VALUES.get(parameter.name, NONSENSE)
    return VALUES.get(f"{command} {parameter.name}", by_name)


def unknown_parameters() -> list[str]:
    """Parameters that `VALUES` and their types say nothing of, each behind its command."""
    return [
        f"{name} {parameter.name}"
        for name, command in commands()
        for parameter in command.params
        if not _is_flag(parameter) and values_of(name, parameter) is NONSENSE
    ]


def _is_flag(parameter: Any) -> bool:
    return bool(getattr(parameter, "is_flag", False))


def _spoil(chance: random.Random, groups: Groups, grammar: Grammar) -> None:
    """Put one thing wrong."""
    groups[:] = [group for group in groups if group]
    how = chance.choice(FLAWS)
    place = chance.randrange(len(groups)) if groups else 0
    if how == "unknown" or not groups:
        odd = ("--unknown", "-x", "--data=", "--neuron=x", "--seed", "--json=1", "-", "--")
        groups.insert(place, [chance.choice(odd)])
    elif how == "value":
        groups[place][-1] = chance.choice(chance.choice(HOSTILE))
    elif how == "drop":
        if _parameter_of(groups[place], grammar) not in KEPT:
            del groups[place]
    elif how == "double":
        groups.append(list(groups[place]))
    elif how == "again":
        groups.append(_given(chance, grammar, chance.choice(list(grammar.parameters.values()))))
    elif how == "stray":
        groups.insert(place, [chance.choice((*NONSENSE, "sweep", DIGITS))])
    elif how == "cut":
        groups[-1] = groups[-1][:-1]
    else:
        other = chance.randrange(len(groups))
        groups[place][-1], groups[other][-1] = groups[other][-1], groups[place][-1]


def _keep_small(groups: Groups, grammar: Grammar) -> None:
    """Lower what would be an honest request for hours of work."""
    for group in groups:
        if len(group) == 2 and group[0] in ENDLESS.get(grammar.name, ()):
            number = group[1].strip().replace("_", "").lstrip("+")
            if number.isdecimal() and (len(number) > 5 or int(number) > MOST_WORK):
                group[1] = str(MOST_WORK)


def _written(chance: random.Random, group: Sequence[str]) -> list[str]:
    """An option and its value as two words or, now and then, as one."""
    if len(group) == 2 and group[0].startswith("--") and chance.random() < 0.1:
        return [f"{group[0]}={group[1]}"]
    return list(group)
