"""The zoo: networks trained by this library whose weights ship in the package.

An entry is a folder `spikewright/zoo/NAME` with what a finished run of `spikewright train` leaves:
`weights.safetensors`, the `card.json` that states data, recipe, seed, accuracy on validation and
test, and the SHA-256 of the weights, and `held_out.safetensors`, which lists the images they never
saw from those they were trained on.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from spikewright.errors import ModelError
from spikewright.files import appearing_whole
from spikewright.runs.card import ModelCard, read_card
from spikewright.runs.trained import load_trained

ZOO = Path(__file__).parents[1] / "zoo"
LARGEST_BYTES = 14 * 2**20
"""The most bytes of all entries together."""

_FILES = ("card.json", "weights.safetensors", "held_out.safetensors")


@dataclass(frozen=True)
class ZooEntry:
    """One network of the zoo.

    Attributes:
        name: the NAME in `zoo:NAME`.
        folder: the folder of its files.
        card: what the network is, and how good.
        size_bytes: the bytes of all its files.
    """

    name: str
    folder: Path
    card: ModelCard
    size_bytes: int


def zoo_entries(zoo: Path = ZOO) -> tuple[ZooEntry, ...]:
    """Every entry, by name.

    Raises:
        ModelError, RecipeError: if a card is missing or is none; see `read_card`.
    """
    return tuple(_entry(folder) for folder in _folders(zoo))


def zoo_folder(name: str, zoo: Path = ZOO) -> Path:
    """The folder of an entry, as `load_trained` reads it.

    Raises:
        ModelError: if there is none of that name.
    """
    names = [folder.name for folder in _folders(zoo)]
    if name not in names:
        raise ModelError(f"the zoo has no '{name}'; it has {', '.join(names) or 'nothing yet'}")
    return zoo / name


def add_to_zoo(run: Path, name: str, zoo: Path = ZOO) -> ZooEntry:
    """Copy what belongs to the weights of a finished run into the zoo, once it is checked.

    Args:
        run: the folder of a finished run of `spikewright train`.
        name: the name of the new entry: small letters, digits and '-'.
        zoo: the folder of entries; by default that of the installed package, so this is for
            whoever works on a checkout.

    Returns:
        The new entry.

    Raises:
        ModelError: if the name is taken or not of that form, the weights are not the card's
            (SHA-256) or do not fit its network, a file is missing, or all entries together would
            be larger than 14 MiB.
        ModelError, RecipeError: for what is no card; see `read_card`.
    """
    if not name or not all(c.isdigit() or c == "-" or "a" <= c <= "z" for c in name):
        raise ModelError(f"zoo: the name '{name}' may hold small letters, digits and '-' only")
    if (zoo / name).exists():
        raise ModelError(f"zoo: there is a '{name}' already; give another name")
    load_trained(run)  # checks the card, the hash, and that the weights fit
    others = sum(entry.size_bytes for entry in zoo_entries(zoo))
    size = _size(run)
    if others + size > LARGEST_BYTES:
        raise ModelError(
            f"zoo: with '{name}' ({size:,} bytes) all entries would take {others + size:,} bytes; "
            f"at most {LARGEST_BYTES:,} may ship"
        )
    _copy(run, zoo / name)
    return _entry(zoo / name)


def _folders(zoo: Path) -> list[Path]:
    return sorted(path for path in zoo.glob("[!._]*") if path.is_dir())


def _entry(folder: Path) -> ZooEntry:
    return ZooEntry(folder.name, folder, read_card(folder), _size(folder))


def _size(folder: Path) -> int:
    files = (folder / name for name in _FILES)
    return sum(file.stat().st_size for file in files if file.is_file())


def _copy(run: Path, folder: Path) -> None:
    """All files at once, or none."""
    try:
        with appearing_whole(folder) as partial:
            for name in _FILES:
                shutil.copyfile(run / name, partial / name)
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror}"
        raise ModelError(f"zoo: '{run}' cannot be copied to '{folder}' ({reason})") from error
