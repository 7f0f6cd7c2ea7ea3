"""Answers about real networks, from `real-NAME.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paper.answers.evidence import Evidence
from paper.answers.records import read_records
from paper.tables import NOT_RUN

KEPT = 0.005 + 1e-9
"""A figure that is no more than half a point below the ANN's, of 1, is kept, however it rounds."""


@dataclass(frozen=True)
class RealRow:
    """A neuron on one network.

    Attributes:
        neuron: as the command line spells it.
        steps: T.
        figure: the network's own, 0 .. 1.
        error: relative, of the answers.
        energy: in integers, over that of the ANN with weights and activations of 8 bits; None where
            an operation has no price.
        longer: the layers with a longer window than T; "" where all are alike.
        weights: how they came to be in 8 bits; "" for those of the network's own precision.
    """

    neuron: str
    steps: int
    figure: float
    error: float
    energy: float | None
    longer: str = ""
    weights: str = ""


@dataclass(frozen=True)
class Real:
    """A network.

    Attributes:
        name: of the network.
        ann: its own figure.
        rows: one a neuron.
    """

    name: str
    ann: float
    rows: tuple[RealRow, ...]


def what_is_left(evidence: Evidence) -> str:
    """How many networks keep their figure in three digits, and in eight binary steps."""
    networks = read_records(evidence.folder, "real", Real)
    told = [
        text
        for neuron, steps, shown in (
            ("nearest:digits", 3, "three digits"),
            ("nearest:binary", 8, "eight binary steps"),
        )
        if (text := _kept(networks, neuron, steps, shown))
    ]
    return " ".join(told) if told else f"{NOT_RUN.capitalize()}."


def _kept(networks: Sequence[Real], neuron: str, steps: int, shown: str) -> str:
    """The sentence about one neuron; none where no network was run with it."""
    pairs = [
        (network, row)
        for network in networks
        for row in network.rows
        if (row.neuron, row.steps, row.longer + row.weights) == (neuron, steps, "")
    ]
    if not pairs:
        return ""
    lost = [(one.name, one.ann - row.figure) for one, row in pairs if one.ann - row.figure > KEPT]
    more = ", ".join(f"{name} {100 * points:.1f}" for name, points in lost)
    errors = sorted(row.error for _, row in pairs)
    told = (
        f"In {shown} {len(pairs) - len(lost)} of {len(pairs)} networks stay within half a point of "
        f"their own figure{f' ({more} points below)' if lost else ''}, with a relative error of "
        f"{errors[0]:.3f} to {errors[-1]:.3f}"
    )
    energies = sorted(row.energy for _, row in pairs if row.energy is not None)
    if energies:
        told += f", at {energies[0]:.2f} to {energies[-1]:.2f} of the int8 ANN's energy"
    return f"{told}."
