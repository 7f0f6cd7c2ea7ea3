"""Genomes, architectures and motifs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.errors import ModelError
from spikewright.search import Architecture, Cell, Motif, SearchSpace
from spikewright.search.motifs import CIRCUITS, INPUT, populations

ONE = Cell(Motif.FORWARD_EXCITATION, (3, 5))


@pytest.mark.parametrize("motif", Motif)
def test_every_population_of_a_motif_is_reached_from_its_input(motif: Motif) -> None:
    reached = {INPUT}
    for _ in CIRCUITS[motif]:
        reached |= {s.target for s in CIRCUITS[motif] if s.source in reached and s.sign == 1}
    assert reached - {INPUT} == set(range(populations(motif)))
    inhibits = any(synapse.sign == -1 for synapse in CIRCUITS[motif])
    assert inhibits == (motif != Motif.FORWARD_EXCITATION)


@given(st.integers(1, 4), st.data())
def test_every_genome_is_an_architecture(cells: int, data: st.DataObject) -> None:
    space = SearchSpace(cells)
    genome = [data.draw(st.integers(0, count - 1)) for count in space.choices]
    found = space.decode(genome)
    assert len(found.cells) == cells
    assert [cell.motif for cell in found.cells] == [list(Motif)[g] for g in genome[: 7 * cells : 7]]
    assert len(found.connections) == sum(genome[7 * cells :])
    assert all(found.sources(number)[-1] == number - 1 for number in range(1, cells + 1))


def test_a_target_hears_the_cell_before_it_and_those_connected_to_it() -> None:
    found = Architecture((ONE, ONE, ONE), ((1, 3), (0, 3)))
    assert [found.sources(number) for number in range(4)] == [(), (0,), (1,), (0, 1, 2)]


def test_draws_repeat_with_their_generator() -> None:
    first, again, other = (
        [SearchSpace().draw(g) for _ in range(4)]
        for g in (torch.Generator().manual_seed(seed) for seed in (0, 0, 1))
    )
    assert first == again
    assert first != other


def test_a_genome_of_another_space_is_refused() -> None:
    with pytest.raises(ModelError, match="a genome of 1 cells has 7 genes"):
        SearchSpace(1).decode([0] * 8)
    with pytest.raises(ModelError, match="a genome of 1 cells has 7 genes"):
        SearchSpace(1).decode([5] + [0] * 6)
    with pytest.raises(ModelError, match="cells must be at least 1, got 0"):
        SearchSpace(0)


def test_an_architecture_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="forward excitation has 2 synapses"):
        Cell(Motif.FORWARD_EXCITATION, (3,))
    with pytest.raises(ModelError, match="each with a kernel of 3 or 5"):
        Cell(Motif.FORWARD_EXCITATION, (3, 7))
    with pytest.raises(ModelError, match="at least one cell"):
        Architecture(())
    with pytest.raises(ModelError, match=r"connections of 2 cells are among \(\(0, 2\),\)"):
        Architecture((ONE, ONE), ((0, 1),))
    with pytest.raises(ModelError, match="stands there twice"):
        Architecture((ONE, ONE), ((0, 2), (0, 2)))
