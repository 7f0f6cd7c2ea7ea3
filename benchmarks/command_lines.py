"""Random command lines: mostly right, with something wrong in them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

from spikewright.cli.app import app

DIGITS = "spikewright.models:digits_cnn"
NONSENSE = (
    *("", " ", "x", "-", "--", "-1", "0", "1", "nan", "inf", "1e400", "1.5", "1,,2", ",", "None"),
    *("999999999999999999999", "18446744073709551616", "-9223372036854775809", "0x10", "٣", "1_0"),
    *("ünï ✓", "💥" * 40, "a" * 5000, "\n\t", "../..", "%s%n", "{}", "[bold]x[/]", "'; --"),
    *("\udcff", "json:loads", "sys:exit", "os:getcwd", "absent.pt2", "pictures", "1,"),
    *(":", "::", "a:b", "a:", ":b", "digits:", "zoo:", "run:", "snn:", "torchvision:", "x=y", "="),
)
"""What any value may become; the last lines look like specs."""
LARGE = ("65537", "1000000000000", "4294967296", "2147483648")
"""Whole numbers that are beyond every use, for options whose honest values take their time."""
KEPT_SMALL = frozenset(
    {"limit", "calibration_samples", "seeds", "steps", "epochs", "images", "per_class", "loops"}
)
"""Parameters that are never left out: without them a sound command line takes its time."""
ENDLESS = ("--epochs", "--loops")
"""Options whose large values are honest requests for as much work."""
LONG = (("demo",), ("experiment", "imagenet-dry-run"), ("simulate-events",))
"""Commands that take their time whatever they are given: something is always wrong with them."""
SLOW = ("compile",)
"""Flags that are left out: a minute of compiling each."""
BEFORE = ("--debug", "--version", "-h", "--nothing")
FLAWS = ("value", "drop", "double", "unknown", "stray", "cut", "swap")


@dataclass(frozen=True)
class Places:
    """Files and folders that command lines name.

    Attributes:
        folder: of all of them; command lines are run in it.
        network: a saved network.
        damaged: the same, cut short.
        run: the folder of a small sweep.
        pictures: a class folder, one picture of it damaged.
    """

    folder: Path
    network: Path
    damaged: Path
    run: Path
    pictures: Path

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of every kind: right, wrong, and impossible."""
        known = (self.network, self.damaged, self.run, self.pictures, self.folder)
        odd = ("absent", "absent/below/it", "/dev/null", "/proc/nothing", "/", ".", "n" * 300)
        below_a_file = str(self.network / "below")
        return (*map(str, known), *odd, below_a_file, "new folder", "ünï/✓", *NONSENSE[:8])


@dataclass(frozen=True)
class Grammar:
    """One command.

    Attributes:
        words: its name, behind that of its group.
        parameters: as Typer's own command has them.
        sound: words that make it work, by parameter name; those in `always` are never left out.
        always: what keeps it small.
        refused: whether something must be wrong with it, as it would work for minutes.
    """

    words: tuple[str, ...]
    parameters: tuple[Any, ...]
    sound: dict[str, tuple[str, ...]]
    always: frozenset[str]
    refused: bool


def grammars(places: Places) -> list[Grammar]:
    """Every command of the app, those of groups too."""
    sound = _sound(places)
    return [
        Grammar(
            words=words,
            parameters=tuple(p for p in command.params if p.name not in ("help",)),
            sound=sound,
            always=KEPT_SMALL,
            refused=words in LONG,
        )
        for words, command in _commands(get_command(app), ())
    ]


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, entry in inner.items():
        yield from _commands(entry, (*words, name))


def _sound(places: Places) -> dict[str, tuple[str, ...]]:
    """Values that are right for a parameter, by its name; small enough to be quick."""
    neurons = ("if", "nearest", "tpp", "if,unbiased", "nearest:binary", "own", "srp:2", "shuffled")
    return {
        "model": (DIGITS, DIGITS, DIGITS, "zoo:digits-qcfs8", "digits_cnn", "torchvision:alexnet"),
        "data": ("digits", "digits", "digits", f"imagefolder:{places.pictures}", "cifar10:absent"),
        "limit": ("1", "3", "8"),
        "calibration_samples": ("2", "8"),
        "steps": ("1", "2", "1,2"),
        "seeds": ("1", "2"),
        "seed": ("0", "7", "4294967295"),
        "neuron": neurons,
        "orders": ("late", "independent,early"),
        "method": ("qcfs", "rts", "snnc", "srp", "minerror"),
        "threshold": ("minerror", "maximum:channel", "percentile:99", "learned", "4"),
        "precision": ("float32", "bf16"),
        "device": ("cpu", "cpu", "cuda:99", "mps", "meta"),
        "model_argument": ("num_classes=10", "num_classes=3", "x=[1]", "num_classes=null"),
        "batch_size": ("1", "4", "1000"),
        "mean": ("0.5", "0,0,0"),
        "std": ("0.5", "1,1,1", "0"),
        "size": ("4", "8"),
        "input_shape": ("1,8,8", "3,8,8", "8"),
        "epochs": ("1",),
        "per_class": ("1",),
        "loops": ("1",),
        "images": ("1", "2"),
        "levels": ("2", "8"),
        "to": ("nir", "onnx", "hardware"),
        "file": (str(places.network), str(places.network), str(places.damaged)),
        "run": (str(places.run), str(places.run), str(places.folder)),
        "runs": (str(places.run),),
        "networks": (str(places.run), str(places.network)),
        "add": ("absent", str(places.folder)),  # never a run: it would change the checkout
        "name": ("a-name",),
        "weights": (str(places.network), "absent.safetensors"),
        "output": ("out", "out/deeper", str(places.folder / "elsewhere")),
        "out": ("out",),
        "page": ("page.md",),
        "resume": ("absent", str(places.run)),
    }


def command_line(chance: random.Random, every: Sequence[Grammar], places: Places) -> list[str]:
    """The words behind `spikewright` of a random command line."""
    grammar = chance.choice(every)
    groups = _groups(chance, grammar, places)
    flaws = chance.choice((0, 1, 1, 1, 2, 3)) or int(grammar.refused)
    for _ in range(flaws):
        _spoil(chance, groups, places, grammar)
    if grammar.refused:
        groups.append(["--no-such-option"])
    words = [word for group in groups for word in group]
    before = chance.choice(
        ([], [], [], [], [], [], ["--debug"], ["--version"], ["-h"], ["--nothing"])
    )
    after = chance.choice(([], [], [], [], [], [], [], [], [], ["--help"]))
    return [*before, *grammar.words, *words, *after]


def _groups(chance: random.Random, grammar: Grammar, places: Places) -> list[list[str]]:
    """One list of words a parameter: those it needs, those that keep it small, and some others."""
    groups: list[list[str]] = []
    for parameter in grammar.parameters:
        wanted = parameter.required or parameter.name in grammar.always
        needed = wanted or (grammar.words == ("train",) and parameter.name in ("model", "data"))
        if not needed and chance.random() > 0.2:
            continue
        if parameter.name in SLOW:
            continue
        groups.append(_given(chance, parameter, grammar, places))
    chance.shuffle(groups)
    return groups


def _given(chance: random.Random, parameter: Any, grammar: Grammar, places: Places) -> list[str]:
    name = chance.choice([*parameter.opts, *parameter.secondary_opts])
    if getattr(parameter, "is_flag", False):
        return [name]
    known = grammar.sound.get(parameter.name) or _of_type(parameter, places)
    value = chance.choice(known)
    return [value] if parameter.param_type_name == "argument" else [name, value]


def _of_type(parameter: Any, places: Places) -> tuple[str, ...]:
    """Values of a parameter's type, right or not."""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(choice.value) for choice in kind)
    return places.paths if kind is Path else ("1", "2", "0.5", "none")


def _spoil(
    chance: random.Random, groups: list[list[str]], places: Places, grammar: Grammar
) -> None:
    """Put one thing wrong."""
    groups[:] = [group for group in groups if group]
    how = chance.choice(FLAWS)
    place = chance.randrange(len(groups)) if groups else 0
    if how == "unknown" or not groups:
        groups.insert(
            place, [chance.choice(("--unknown", "-x", "--data=", "--neuron=x", "--seed"))]
        )
    elif how == "value":
        pools = (NONSENSE, NONSENSE, places.paths, LARGE)
        pool = chance.choice(pools[:3] if groups[place][0] in ENDLESS else pools)
        groups[place][-1] = chance.choice(pool)
    elif how == "drop":
        kept = {f"--{name.replace('_', '-')}" for name in grammar.always}
        if groups[place][0] not in kept:
            del groups[place]
    elif how == "double":
        groups.append(list(groups[place]))
    elif how == "stray":
        groups.insert(place, [chance.choice((*NONSENSE, "sweep", DIGITS))])
    elif how == "cut":
        groups[-1] = groups[-1][:-1]
    else:
        other = chance.randrange(len(groups))
        groups[place][-1], groups[other][-1] = groups[other][-1], groups[place][-1]
