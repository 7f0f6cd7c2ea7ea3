"""Operations of networks that take token ids, masks and several inputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.measure import operations
from tests.builders import wired

TOKENS, WIDTH = 6, 4


class Reader(nn.Module):
    """Embedded tokens, those that the mask keeps, through a layer; beside a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.hidden = nn.Embedding(10, WIDTH), nn.Linear(WIDTH, 5)
        self.side, self.last = nn.Linear(3, 5), nn.Linear(10, 2)

    def forward(self, ids: Tensor, kept: Tensor, side: Tensor) -> dict[str, Tensor]:
        words = self.hidden(self.table(ids)).relu() * kept[..., None]
        both = torch.cat([words.mean(1), self.side(side).relu()], 1)
        return {"logits": self.last(both)}


def batch(n: int) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(n)
    ids = torch.randint(10, (n, TOKENS), generator=draws)
    return {"ids": ids, "kept": (ids > 2).float(), "side": torch.rand(n, 3, generator=draws)}


@pytest.fixture(scope="module")
def reader() -> sw.SpikingNetwork:
    torch.manual_seed(0)
    neuron = sw.TwoPhase("nearest", "binary")
    return sw.convert(Reader().eval(), batch(64), neuron, steps=4)


def test_rows_of_a_table_cost_nothing_and_are_multiplied_once(reader: sw.SpikingNetwork) -> None:
    used = operations(reader, [batch(8), batch(5)])
    rows = {row.site: row for row in used.rows}
    words, side = (row for row in used.rows if row.neurons in (TOKENS * 5, 5))
    assert words.snn.input_macs == words.ann.input_macs == TOKENS * WIDTH * 5
    assert side.snn.input_macs == side.ann.input_macs == 3 * 5
    assert words.ann.macs == side.ann.macs == 0
    assert rows["output"].ann.macs == TOKENS * 5 + 10 * 2  # the mask, and the last layer
    assert used.energy.snn_nj > 0
    assert used.record.samples == 13


def test_several_inputs_are_no_events(reader: sw.SpikingNetwork) -> None:
    with pytest.raises(sw.AnalysisError, match="no frames"):
        operations(reader, [batch(2)], event_value=1.0)
    with pytest.raises(sw.AnalysisError, match="no sample"):
        operations(reader, [])


def test_a_batch_of_one_input_may_be_named_as_the_argument() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    images, labels = torch.rand(6, 4), torch.arange(6) % 2
    snn = sw.convert(model, images, sw.TwoPhase("nearest", "binary"), steps=4)
    plain, named = operations(snn, [(images, labels)]), {"input": images}
    assert operations(snn, [named]).rows == plain.rows
    for batch in ((named, labels), {**named, "labels": labels}):
        found = operations(snn, [batch])
        assert (found.rows, found.accuracy) == (plain.rows, plain.accuracy)


class MovedByInput(nn.Module):
    """Values of a layer, moved as each sample's own mask or indices tell."""

    def __init__(self, move: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.hidden, self.last, self.move = nn.Linear(4, 6), nn.Linear(6, 3), move

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        return self.last(self.move(self.hidden(x).relu(), places))


MOVES: dict[str, tuple[torch.dtype, Callable[[Tensor, Tensor], Tensor]]] = {
    "a mask": (torch.bool, lambda h, mask: h.masked_fill(mask, 0.0)),
    "a mask made of numbers": (torch.int64, lambda h, kept: h.masked_fill(kept < 2, 0.0)),
    "indices": (torch.int64, lambda h, places: h.gather(1, places)),
}


@pytest.mark.parametrize("name", MOVES)
def test_spikes_move_by_the_masks_and_indices_of_their_sample(name: str) -> None:
    """Every spike that is kept, or repeated, reaches 3 outputs; in the ANN, every such value."""
    torch.manual_seed(0)
    dtype, move = MOVES[name]
    places = (torch.rand(40, 6) * 6).long()
    x, places = torch.rand(40, 4), places > 2 if dtype is torch.bool else places
    batches = [{"x": x[:30], "places": places[:30]}, {"x": x[30:], "places": places[30:]}]
    threshold = sw.Maximum(per="layer")
    snn = sw.convert(MovedByInput(move).eval(), batches[0], threshold=threshold, steps=4)
    output = operations(snn, batches).row("output")
    sent = torch.cat([next(iter(snn.counts(batch).values())) for batch in batches])
    expected = 3 * float(move(sent.double(), places).sum()) / len(x)
    assert expected > 0
    assert output.snn.additions + output.snn.macs == pytest.approx(expected)
    dense = 3 * float(move(torch.ones(40, 6), places).sum()) / len(x)
    assert output.ann.macs == pytest.approx(dense)


def between_layers(
    change: Callable[[Tensor], Tensor], per: str
) -> tuple[sw.SpikingNetwork, nn.Linear, Tensor]:
    """A network that changes 6 activations in front of its last layer, that layer, and images."""
    torch.manual_seed(0)
    first, last = nn.Linear(4, 6), nn.Linear(6, 3)
    model = wired(lambda m, x: m.b(change(F.relu(m.a(x)))), a=first, b=last)
    x = torch.rand(30, 4, dtype=torch.float64)
    return sw.convert(model, x, threshold=sw.Maximum(per=per), steps=4), last, x


FILLED: dict[str, Callable[[Tensor], Tensor]] = {
    "masked_fill": lambda h: h.masked_fill(torch.arange(6) % 3 == 1, 100.0),
    "index_fill": lambda h: h.index_fill(1, torch.tensor([1, 4]), 100.0),
    "scatter": lambda h: h.scatter(1, torch.tensor([[1, 4]]).expand(h.shape[0], -1), 100.0),
}


@pytest.mark.parametrize("name", FILLED)
def test_a_number_put_in_is_no_event(name: str) -> None:
    """Of 6 values, 2 are replaced by a constant; each of the others reaches 3 outputs."""
    snn, _, x = between_layers(FILLED[name], "layer")
    output = operations(snn, [x]).row("output")
    (counts,) = snn.counts(x).values()
    sent = 3 * float(counts[:, [0, 2, 3, 5]].sum()) / len(x)
    assert output.snn.additions + output.snn.macs == pytest.approx(sent)
    assert output.ann.macs == 12


MASKED: dict[str, Callable[[Tensor], Tensor]] = {
    "masked_fill": lambda h: h.masked_fill(torch.arange(6) % 3 == 1, 0.0),
    "masked_fill with a tensor": lambda h: h.masked_fill(
        torch.arange(6) % 3 == 1, torch.zeros((), dtype=h.dtype)
    ),
    "where": lambda h: torch.where(torch.arange(6) % 3 != 1, h, 0.0),
    "where not": lambda h: torch.where(torch.arange(6) % 3 == 1, torch.zeros_like(h), h),
}


@pytest.mark.parametrize("name", MASKED)
def test_spikes_that_a_mask_lets_through_stay_spikes(name: str) -> None:
    """Zeros have any threshold: nothing is multiplied before the weights, which take it in."""
    snn, last, x = between_layers(MASKED[name], "channel")
    (counts,) = snn.counts(x).values()
    output = operations(snn, [x]).row("output")
    assert output.snn.additions == 3 * float(counts[:, [0, 2, 3, 5]].sum()) / len(x)
    assert output.snn.macs == output.snn.scale_multiplications == 0
    sent = counts * snn.plan(4).thresholds[snn.sites[0]] / 4
    torch.testing.assert_close(snn(x), last(MASKED[name](sent)))
    assert not snn.audit(x).objections
