"""Neurons exchanged after conversion: thresholds still serve them, or the exchange is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import MinError

DIGITS = sw.TwoPhase("nearest", "digits")
CEILINGS = {"qcfs": sw.QCFS(levels=8, threshold=1.0), "relu6": nn.ReLU6()}


def made(activation: nn.Module) -> tuple[nn.Module, Tensor]:
    """A network whose activations lie beyond its ceiling too."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), activation, nn.Linear(8, 3)).eval().double()
        return model, 5 * torch.randn(256, 4).double()


@pytest.mark.parametrize("name", CEILINGS)
@pytest.mark.parametrize("steps", [8, 5], ids=["a T designed", "another T"])
def test_digits_in_place_of_counts_end_where_the_activation_does(
    name: str, steps: int, tmp_path: Path
) -> None:
    model, x = made(CEILINGS[name])
    options = {"steps": 8, "threshold": MinError(), "correction": None}
    counts = sw.convert(model, x, **options)  # pyright: ignore[reportArgumentType]
    exchanged = counts.with_neuron(DIGITS)
    highest = {"qcfs": 1.0, "relu6": 6.0}[name]
    theta = exchanged.design(steps).thresholds["1"]
    sent = exchanged.counts(x, steps=steps)["1"] * theta / exchanged.neurons["1"].levels(steps)
    assert 0.9 * highest < sent.max() <= highest * (1 + 1e-9)
    exchanged.save(tmp_path / "net")
    assert torch.equal(sw.load(tmp_path / "net")(x, steps=steps), exchanged(x, steps=steps))
    assert torch.equal(exchanged.with_neuron(sw.TwoPhase())(x), counts(x))


@pytest.mark.parametrize("name", CEILINGS)
def test_counts_in_place_of_digits_are_refused_where_thresholds_leave_room(name: str) -> None:
    model, x = made(CEILINGS[name])
    digits = sw.convert(model, x, DIGITS, steps=8, correction=None)
    with pytest.raises(sw.ConversionError, match=r"thresholds at '1' .* leave room .* convert"):
        digits.with_neuron(sw.TwoPhase())


def test_tables_and_thresholds_belong_together() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 10), nn.SiLU(), nn.Linear(10, 8), nn.ReLU()).eval()
        x = torch.randn(200, 6)
    tables = sw.convert(model, x, sw.FewSpikes(rounds=5), steps=6, correction=None)
    counts = sw.convert(model, x, steps=6, correction=None)
    table = tables.neurons["1"]
    assert torch.equal(tables.with_neuron(table, ["1"])(x), tables(x))
    for network, neuron, why in (
        (counts, table, "the threshold of its table is another"),
        (tables, sw.TwoPhase(), "the threshold there is that of a table"),
        (tables, table, "thresholds at '3' .* the threshold of its table is another"),
    ):
        with pytest.raises(sw.ConversionError, match=why):
            network.with_neuron(neuron)
