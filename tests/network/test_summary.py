"""What a summary says was chosen is what the network has."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import Auto
from spikewright.network.summary import chosen_threshold


def errors(**held_out: float) -> dict[str, Tensor]:
    return {name: torch.tensor(error) for name, error in held_out.items()}


def case() -> tuple[nn.Module, Tensor]:
    """Small images, of which every second one is brighter."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 2),
    )
    brighter = 0.4 * (torch.arange(40) % 2).view(-1, 1, 1, 1)
    return model.eval(), 0.5 * torch.rand(40, 3, 16, 16) + brighter


@pytest.mark.parametrize("kept", [True, False])
def test_the_strategy_that_is_named_gives_the_thresholds(kept: bool) -> None:
    """Per channel the network errs less, per layer it leaves less unexplained."""
    model, x = case()
    layer, channel = sw.MinError(per="layer"), sw.MinError(per="channel")
    named, other = (channel, layer) if kept else (layer, channel)
    auto = Auto(thresholds=(other,), corrections=())
    snn = sw.convert(model, x, threshold=named, steps=2, correction=auto)
    held_out = snn.design().held_out
    assert held_out[repr(layer)] < held_out[repr(channel)]
    own = sw.convert(model, x, threshold=channel, steps=2, correction=None).design().thresholds
    taken = channel if kept else layer
    for site, thresholds in snn.design().thresholds.items():
        assert torch.equal(thresholds, own[site]) == kept
    assert chosen_threshold(held_out) == repr(taken)
    suffix = f", {channel!r}" if kept else ""
    chosen = [line for line in snn.summary().splitlines() if line.endswith("  (chosen)")]
    assert [line.split(maxsplit=2)[2] for line in chosen] == [
        f"{taken!r}  (chosen)",
        f"+ no correction{suffix}  (chosen)",
    ]


def test_no_strategy_was_chosen_where_there_were_none() -> None:
    assert chosen_threshold({}) is None
    assert chosen_threshold(errors(**{"+ no correction": 0.1, "+ Refit()": 0.2})) is None


def test_corrections_without_a_strategy_are_of_that_which_leaves_least_unexplained() -> None:
    strategies = {"A(B())": 0.3, "B()": 0.2, "C()": 0.1}
    for network, taken in {
        "+ Refit(1, 2)": "C()",
        "+ Refit(1, 2), B()": "B()",
        "+ Refit(1, 2), A(B())": "A(B())",
    }.items():
        held_out = errors(**strategies, **{"+ no correction": 0.4, network: 0.2})
        assert chosen_threshold(held_out) == taken
