"""What sets runs apart: the settings in which they differ, and those that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.report.compare.points import Source

OTHER_PARTS = ("arguments", "dataset", "environment", "inputs")
"""Parts of a configuration that no option gives."""
HASH_SHOWN = 12
"""Characters of a SHA-256 that tell two apart."""


@dataclass(frozen=True)
class Setting:
    """One setting in which runs differ.

    Attributes:
        name: the option or version.
        values: one for each run, None where it is not set.
        known: for each run, whether its command has such a setting at all.
    """

    name: str
    values: tuple[Any, ...]
    known: tuple[bool, ...]

    @property
    def changed(self) -> tuple[bool, ...]:
        """For each run that has the setting, whether it differs from the first that has."""
        first = self.values[self.known.index(True)]
        pairs = zip(self.values, self.known, strict=True)
        return tuple(known and value != first for value, known in pairs)


def settings_of(source: Source) -> dict[str, Any]:
    """What a source's run was asked for, and the versions and device that ran it."""
    asked = source.run.configuration
    settings = {name: value for name, value in asked.items() if name not in OTHER_PARTS}
    inputs = asked.get("inputs")
    if isinstance(inputs, Mapping):
        settings |= {f"{k} SHA-256": str(value)[:HASH_SHOWN] for k, value in inputs.items()}
    record = source.record
    if record is not None:
        settings |= {"torch": record.torch, "Python": record.python, "platform": record.platform}
        settings |= {"device": record.device, "threads": record.threads}
    return settings


def differing(
    settings: Sequence[Mapping[str, Any]],
) -> tuple[tuple[Setting, ...], dict[str, Any]]:
    """The settings in which runs differ, and those that all share.

    A setting that is absent counts as not set (None).

    Args:
        settings: those of each run, of at least one.

    Returns:
        The differing ones, and the others that are set by name; both in the order in which they
        first occur.
    """
    names = dict.fromkeys(name for one in settings for name in one)
    values = {name: tuple(one.get(name) for one in settings) for name in names}
    apart = {name for name, per_run in values.items() if any(v != per_run[0] for v in per_run)}
    different = tuple(
        Setting(name, values[name], tuple(name in one for one in settings))
        for name in names
        if name in apart
    )
    same = {n: values[n][0] for n in names if n not in apart and values[n][0] is not None}
    return different, same
