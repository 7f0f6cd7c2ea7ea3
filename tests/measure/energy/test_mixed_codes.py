"""Energy of networks whose layers write their counts in different codes and windows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.measure.energy.estimate import energy_of
from spikewright.neurons import Neuron, codes
from tests.builders import images, wired
from tests.network.nets import NETS, converted

SITES: tuple[str, ...] = ("relu", "relu:2", "relu:3")
BINARY = sw.TwoPhase("nearest", "binary", steps=3)
FIRST = sw.TwoPhase("nearest", "first-spike", steps=4)
DIGITS = sw.TwoPhase("nearest", "digits", steps=2)
RATE = sw.TwoPhase("nearest", steps=6)


@lru_cache
def prepared(window: int) -> sw.Prepared:
    """Two layers side by side, joined, pooled, and read by 1 x 1 kernels: 3 additions a spike."""

    def forward(m: Any, x: Tensor) -> Tensor:
        y = torch.cat([F.relu(m.a(x)), F.relu(m.b(x))], 1)
        return F.relu(m.c(F.max_pool2d(y, window) if window > 1 else y)).mean((2, 3))

    torch.manual_seed(0)
    parts = {"a": nn.Conv2d(3, 4, 1), "b": nn.Conv2d(3, 2, 1), "c": nn.Conv2d(6, 3, 1)}
    return sw.prepare(wired(forward, **parts), images(16))


def mixed(*neurons: Neuron, window: int = 1) -> sw.SpikingNetwork:
    of_site = dict(zip(SITES, neurons, strict=True))
    return prepared(window).convert(of_site, steps=5, correction=None)


@pytest.mark.parametrize("name", sorted(NETS))
def test_both_engines_count_alike(name: str) -> None:
    snn, x = converted(name, steps=5), images(4, seed=2)
    for site, neuron in zip(snn.sites, (BINARY, FIRST), strict=False):
        snn = snn.with_neuron(neuron, sites=[site])
    counts, steps = (sw.operations(snn, [x], engine=engine) for engine in ("counts", "steps"))
    assert counts.rows == steps.rows
    assert counts.latency == snn.latency()


def test_operations_by_hand() -> None:
    """27 neurons read a join of a binary train and one of first spikes: a sum for each."""
    snn, x = mixed(BINARY, FIRST, RATE), images(4, seed=1)
    found = sw.operations(snn, [x])
    sent = {site: float((train != 0).sum()) / len(x) for site, train in snn.record(x).items()}
    assert {row.site: row.spikes for row in found.rows if row.neuron} == pytest.approx(sent)
    size = x[0, 0].numel()
    row = found.row("relu:3")
    assert row.snn.additions == pytest.approx(3 * (sent["relu"] + sent["relu:2"]))
    work = RATE.work(5)
    assert row.snn.updates == 3 * size * (3 + 4 + work.updates)
    assert row.snn.comparisons == 3 * size * work.comparisons
    assert found.row("relu").snn.updates == 4 * size * BINARY.work(5).updates
    assert (found.latency, found.duration, found.bits) == (snn.latency(), 6, 1) == (14, 6, 1)
    assert "nearest, binary, T = 3, nearest, first-spike, T = 4, nearest, T = 6" in str(found)


def test_what_powers_of_two_meet_is_shifted_and_nothing_else() -> None:
    snn, x = mixed(DIGITS, RATE, BINARY), images(4, seed=1)
    found = sw.operations(snn, [x])
    sent = {site: float((train != 0).sum()) / len(x) for site, train in snn.record(x).items()}
    row = found.row("relu:3")
    assert row.snn.additions == pytest.approx(3 * (sent["relu"] + sent["relu:2"]))
    assert row.snn.shifts == pytest.approx(3 * sent["relu"]) != 0
    assert found.total.snn.shifts == row.snn.shifts
    assert found.bits == 5


def test_pooled_spikes_are_written_in_the_code_of_their_layer() -> None:
    """A maximum over joined channels sends bits of some, first spikes and digits of others."""
    x = images(4, seed=1)
    for first, second in ((BINARY, FIRST), (DIGITS, BINARY)):
        snn = mixed(first, second, RATE, window=2)
        counts = snn.counts(x)
        pooled = [F.max_pool2d(counts[site], 2) for site in ("relu", "relu:2")]
        sent = first.spikes_of(pooled[0]).sum() + second.spikes_of(pooled[1]).sum()
        row = sw.operations(snn, [x]).row("relu:3")
        assert row.snn.additions == pytest.approx(3 * float(sent) / len(x))


@pytest.mark.parametrize("code", list(codes()))
def test_pooled_spikes_are_counted_once_however_often_they_are_sent(code: str) -> None:
    """A pool is read by a layer, and by the answer beside it, for which it runs once more."""
    torch.manual_seed(0)
    model = wired(
        lambda m, x: (F.relu(m.b(y := F.max_pool2d(F.relu(m.a(x)), 2))) + m.c(y)).mean((2, 3)),
        **{name: nn.Conv2d(taken, 4, 1) for name, taken in (("a", 3), ("b", 4), ("c", 4))},
    )
    neuron, x = sw.TwoPhase("nearest", code), images(4)
    snn = sw.convert(model, images(16), neuron, sw.Maximum(per="layer"), steps=4, correction=None)
    pooled = neuron.spikes_of(F.max_pool2d(snn.counts(x)["relu"], 2))
    row = sw.operations(snn, [x]).row("relu:2")
    assert row.snn.additions == pytest.approx(4 * float(pooled.sum()) / len(x))


def test_the_ann_beside_it_is_quantised_to_what_arrives() -> None:
    snn, x = mixed(BINARY, RATE, sw.TwoPhase("nearest", "binary", steps=8)), images(4, seed=1)
    found = sw.operations(snn, [x])
    levels = {row.site: row.levels for row in found.rows}
    assert levels == {"relu": 7, "relu:2": 6, "relu:3": 7, "output": 255}
    assert (found.levels, found.energy.ann_bits) == (255, 8)
    parts = [energy_of(row) for row in found.rows]
    assert [part.ann_bits for part in parts] == [3, 3, 3, 8]
    assert found.energy.ann_quantised_nj == pytest.approx(sum(p.ann_quantised_nj for p in parts))
    assert found.energy.snn_nj == pytest.approx(sum(p.snn_nj for p in parts))


def test_other_codes_take_the_windows_in_which_they_count_as_far() -> None:
    """7 levels in 3 bits and 6 in 3: at the third layer 255 take 8, or 255 steps at once."""
    snn, x = mixed(BINARY, RATE, sw.TwoPhase("nearest", "binary", steps=8)), images(4, seed=1)
    bits, burst = sw.code_costs(snn, [x], codes=["binary", "burst"])
    assert (bits.duration, burst.duration) == (8, 255)
    assert (bits.latency, burst.latency) == (3 + 3 + 8, 7 + 7 + 255)
    counts = snn.counts(x)
    assert burst.total.spikes == pytest.approx(sum(float(n.sum()) for n in counts.values()) / 4)
