"""A code for every layer, chosen by what its spikes cost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import AnalysisError
from spikewright.measure import CodeAssignment, Operations
from tests.builders import images
from tests.network.nets import net, program

T = 15


def chain(seed: int) -> sw.SpikingNetwork:
    """Layers of unlike widths, so that a spike of each costs something else."""
    torch.manual_seed(seed)
    widths = (8, 64, 48, 96, 32, 3)
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1]).double().eval()
    return sw.convert(model, torch.randn(12, 8, dtype=torch.float64), steps=T)


def nanojoules(one: Operations) -> float:
    return one.energy.snn_nj


def all_assignments(snn: sw.SpikingNetwork, x: torch.Tensor) -> list[Operations]:
    """Every choice of a code for each layer, by hand."""
    found: list[Operations] = []
    for codes in product((("binary", 4), ("first-spike", T)), repeat=len(snn.sites)):
        other = snn
        for site, (code, steps) in zip(snn.sites, codes, strict=True):
            other = other.with_neuron(sw.TwoPhase("nearest", code, steps=steps), [site])
        found.append(sw.operations(other, [x]))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_no_assignment_is_faster_and_cheaper_than_one_of_the_front(seed: int) -> None:
    """Oracle: all 16 assignments of 4 layers in a row, each converted and counted alone."""
    snn, x = chain(seed), torch.randn(20, 8, dtype=torch.float64)
    front = sw.assign_codes(snn, [x])
    every = all_assignments(snn, x)
    for one in front:
        own = one.operations
        assert own.latency == one.network.latency()
        within = [other for other in every if other.latency <= own.latency]
        assert nanojoules(own) == pytest.approx(min(map(nanojoules, within)), rel=1e-9)
        counted = sw.operations(one.network, [x])
        assert nanojoules(counted) == pytest.approx(nanojoules(own), rel=1e-9)
    assert front[0].operations.latency == min(other.latency for other in every)
    cheapest = min(map(nanojoules, every))
    assert nanojoules(front[-1].operations) == pytest.approx(cheapest, rel=1e-9)
    for a, b in pairwise(front):
        assert a.operations.latency < b.operations.latency
        assert nanojoules(a.operations) > nanojoules(b.operations)


class Branches(nn.Module):
    """One layer beside four: its code adds no time step to the longest path."""

    def __init__(self) -> None:
        super().__init__()
        self.long = nn.Sequential(
            *(part for _ in range(4) for part in (nn.Linear(8, 8), nn.ReLU()))
        )
        self.beside, self.last = nn.Linear(8, 64), nn.Linear(72, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.cat([self.long(x), self.beside(x).relu()], 1))


def test_of_networks_as_fast_the_front_has_the_cheapest() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 8, dtype=torch.float64)
    snn = sw.convert(Branches().double().eval(), x, steps=3, correction=None)
    front = sw.assign_codes(snn, [x])
    assert "first-spike" in front[0].codes.values()  # beside, where it takes no longer
    for a, b in pairwise(front):
        assert a.operations.latency < b.operations.latency
        assert nanojoules(a.operations) > nanojoules(b.operations)


@pytest.mark.parametrize("engine", ["counts", "steps"])
@pytest.mark.parametrize("name", ["residual", "max pool"])
def test_every_assignment_gives_the_same_answers(name: str, engine: str) -> None:
    snn = sw.convert(program(name), images(12), steps=T)
    expected = snn(images(4), engine=engine)
    for one in sw.assign_codes(snn, [images(6)]):
        torch.testing.assert_close(one.network(images(4), engine=engine), expected)


def test_a_budget_leaves_out_what_is_too_slow() -> None:
    snn, x = chain(0), torch.randn(20, 8, dtype=torch.float64)
    front = sw.assign_codes(snn, [x])
    assert len(front) > 2
    budget = front[1].operations.latency
    assert [codes(one) for one in sw.assign_codes(snn, [x], budget)] == [*map(codes, front[:2])]
    with pytest.raises(AnalysisError, match=r"within 19 time steps: .* at every site it takes 20"):
        sw.assign_codes(snn, [x], 19)


def codes(one: CodeAssignment) -> list[str]:
    return list(one.codes.values())


def by_spikes(one: Operations) -> float:
    return one.total.spikes


@pytest.mark.parametrize(("cost", "last"), [(by_spikes, "first-spike"), (nanojoules, None)])
def test_what_shall_be_low_is_asked_for(
    cost: Callable[[Operations], float], last: str | None
) -> None:
    """Nothing has fewer spikes than one spike of every neuron that fires."""
    front = sw.assign_codes(chain(1), [torch.randn(20, 8, dtype=torch.float64)], cost=cost)
    assert (set(codes(front[-1])) == {last}) == (last is not None)


def test_what_cannot_be_chosen_is_refused() -> None:
    model, x = net("plain"), images(12)
    with pytest.raises(AnalysisError, match="has no code to choose"):
        sw.assign_codes(sw.convert(model, x, sw.IntegrateFire(), steps=T), [x])
    digits = sw.convert(model, x, sw.TwoPhase("nearest", "digits"), steps=3)
    for chosen in (sw.assign_codes, sw.code_costs):
        with pytest.raises(AnalysisError, match="no other code writes them"):
            chosen(digits, [x])
        with pytest.raises(AnalysisError, match=r"the code 'digits' rounds counts .* leave it out"):
            chosen(sw.convert(model, x, steps=3), [x], codes=["digits", "binary"])
    with pytest.raises(AnalysisError, match=r"counts to 8, .* binary\. Convert with steps of 3"):
        sw.assign_codes(sw.convert(model, x, steps=8), [x], codes=["binary"])
    only = sw.assign_codes(sw.convert(model, x, steps=8), [x])
    assert [set(codes(one)) for one in only] == [{"first-spike"}]
