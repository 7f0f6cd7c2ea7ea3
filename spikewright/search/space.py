"""What a search chooses between: motifs, kernels and connections, written as a genome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spikewright.errors import ModelError
from spikewright.search.motifs import CIRCUITS, LONGEST, Motif

KERNELS = (3, 5)
"""The widths of convolutions, in pixels."""


@dataclass(frozen=True)
class Cell:
    """A motif whose synapses are convolutions.

    Attributes:
        motif: which.
        kernels: the width of each synapse's kernel, 3 or 5, in the motif's order.

    Raises:
        ModelError: for another width, or more or fewer widths than synapses.
    """

    motif: Motif
    kernels: tuple[int, ...]

    def __post_init__(self) -> None:
        wanted = len(CIRCUITS[self.motif])
        if len(self.kernels) != wanted or not set(self.kernels) <= set(KERNELS):
            raise ModelError(
                f"{self.motif} has {wanted} synapses, each with a kernel of 3 or 5; got "
                f"{self.kernels}"
            )


@dataclass(frozen=True)
class Architecture:
    """Cells one after another, and the connections that leave some out.

    Attributes:
        cells: from the input on; each hears the one before it.
        connections: (source, target) by the number of the cell, from 0: the target hears the source
            as well, at least one cell stands between, and the target `len(cells)` is the read-out.

    Raises:
        ModelError: for no cell, or a connection that is none of these or stands there twice.

    Example:
        >>> cell = Cell(Motif.FORWARD_EXCITATION, (3, 5))
        >>> Architecture((cell, cell), ((0, 2),)).connections
        ((0, 2),)
    """

    cells: tuple[Cell, ...]
    connections: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.cells:
            raise ModelError("an architecture has at least one cell; got none")
        possible = possible_connections(len(self.cells))
        if not set(self.connections) <= set(possible):
            raise ModelError(
                f"connections of {len(self.cells)} cells are among {possible}, got "
                f"{self.connections}"
            )
        if len(set(self.connections)) < len(self.connections):
            raise ModelError(f"a connection stands there twice: {self.connections}")

    def sources(self, target: int) -> tuple[int, ...]:
        """The cells that a cell or the read-out hears; none of the first cell, whose input is x."""
        beside = [source for source, end in self.connections if end == target]
        return (*sorted(beside), target - 1) if target else ()


def possible_connections(cells: int) -> tuple[tuple[int, int], ...]:
    """All (source, target) that leave out at least one cell."""
    return tuple((a, b) for b in range(2, cells + 1) for a in range(b - 1))


@dataclass(frozen=True)
class SearchSpace:
    """All architectures of a number of cells.

    A genome is a list of choices. Each cell has one for its motif and one for the kernel of each of
    six synapses, of which a motif with fewer leaves the last unread; one more choice for each
    connection says whether it is there.

    Args:
        cells: their number, at least 1.

    Raises:
        ModelError: for a number below 1.

    Source: Pan, Zhao, Shen, Han, Zeng, arXiv 2304.10749: micro (kernels), meso (motifs) and macro
    scale (connections). The genome is our own.

    Example:
        >>> space = SearchSpace(2)
        >>> space.choices
        (5, 2, 2, 2, 2, 2, 2, 5, 2, 2, 2, 2, 2, 2, 2)
        >>> space.decode([0] * 14 + [1]).cells[0]
        Cell(motif=<Motif.FORWARD_EXCITATION: 'forward excitation'>, kernels=(3, 3))
    """

    cells: int = 3

    def __post_init__(self) -> None:
        if self.cells < 1:
            raise ModelError(f"cells must be at least 1, got {self.cells}")

    @property
    def choices(self) -> tuple[int, ...]:
        """How many values each gene has."""
        cell = (len(Motif), *(len(KERNELS),) * LONGEST)
        return cell * self.cells + (2,) * len(possible_connections(self.cells))

    def decode(self, genome: Sequence[int]) -> Architecture:
        """The architecture of a genome.

        Args:
            genome: as many values as `choices`, each from 0 and below that choice's number.

        Raises:
            ModelError: for another length or a value out of its range.
        """
        choices = self.choices
        if len(genome) != len(choices) or any(
            not 0 <= gene < count for gene, count in zip(genome, choices, strict=False)
        ):
            raise ModelError(
                f"a genome of {self.cells} cells has {len(choices)} genes, each from 0 and below "
                f"{choices}; got {tuple(genome)}"
            )
        genes = [int(gene) for gene in genome]
        size = 1 + LONGEST
        cells = [_cell(genes[k * size : (k + 1) * size]) for k in range(self.cells)]
        possible = possible_connections(self.cells)
        wired = zip(possible, genes[self.cells * size :], strict=True)
        return Architecture(tuple(cells), tuple(pair for pair, there in wired if there))

    def draw(self, generator: torch.Generator) -> Architecture:
        """An architecture whose genes are drawn, each value as likely as the next."""
        genes = [int(torch.randint(n, (), generator=generator, device="cpu")) for n in self.choices]
        return self.decode(genes)


def _cell(genes: Sequence[int]) -> Cell:
    motif = list(Motif)[genes[0]]
    read = genes[1 : 1 + len(CIRCUITS[motif])]
    return Cell(motif, tuple(KERNELS[gene] for gene in read))
