"""Networks small enough to count on paper; every expected number is derived beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.measure import Operations
from tests.builders import wired

T = 4


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape, dtype=torch.float64)


def constant(layer: Any, weight: float, bias: float = 0.0) -> Any:
    with torch.no_grad():
        layer.weight.fill_(weight)
        if layer.bias is not None:
            layer.bias.fill_(bias)
    return layer


def counted(model: nn.Module, x: Tensor, neuron: Any = None, **more: Any) -> Operations:
    """With every neuron at its maximum: each sends its T spikes on an input of ones."""
    snn = sw.convert(
        model,
        x,
        neuron or sw.TwoPhase(),
        threshold=sw.Maximum(per="layer"),
        steps=T,
        correction=None,
    )
    return sw.operations(snn, [x], **more)


def pointwise(channels: int = 1) -> nn.Module:
    return constant(nn.Conv2d(1, channels, 1, bias=False), 1.0)


@pytest.mark.parametrize(
    ("neuron", "times", "doublings"),
    [
        (sw.TwoPhase(), 1, 0),
        (sw.TwoPhase("nearest", "binary"), 1, T),
        (sw.IntegrateFire(), T, 0),
    ],
    ids=lambda value: getattr(value, "label", value),
)
def test_weights_behind_weights_multiply_once_where_every_neuron_waits(
    neuron: Any, times: int, doublings: int
) -> None:
    """4 -> 3 neurons -> 2 -> 5: 10 MACs on the sums of a window, or on the numbers of each step."""
    model = wired(
        lambda m, x: m.c(m.b(F.relu(m.a(x)))),
        a=constant(nn.Linear(4, 3), 1.0, 0.5),
        b=constant(nn.Linear(3, 2), 1.0, 0.5),
        c=constant(nn.Linear(2, 5), 1.0),
    )
    first, output = counted(model, ones(5, 4), neuron).rows
    assert (output.snn.macs, output.snn.effective_macs) == (10 * times, 10 * times)
    assert output.snn.additions == first.spikes * 2
    assert (output.ann.macs, output.ann.bias_additions) == (3 * 2 + 2 * 5, 5)
    work = 5 * doublings  # of the answer, which the last numbers reach
    assert output.snn.updates == 2 * doublings + work


def test_a_silent_layer_costs_its_readers_nothing() -> None:
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))),
        a=constant(nn.Linear(4, 3), 1.0, 0.5),
        b=constant(nn.Linear(3, 2), 1.0),
    )
    snn = sw.convert(model, ones(5, 4), sw.TwoPhase(), steps=T, correction=None)
    first, output = sw.operations(snn, [-ones(5, 4)]).rows
    assert (first.spikes, output.snn.additions, output.snn.macs) == (0, 0, 0)


def test_a_linear_network() -> None:
    """4 -> 3 neurons -> 2: 12 MACs once, then 3 neurons x T spikes x fan-out 2."""
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))),
        a=constant(nn.Linear(4, 3), 1.0, 0.5),
        b=constant(nn.Linear(3, 2), 1.0, 0.5),
    )
    found = counted(model, ones(5, 4))
    first, output = found.rows
    assert (first.site, output.site) == ("relu", "output")
    assert (first.neurons, first.spikes) == (3, 3 * T)
    assert (first.snn.input_macs, first.snn.macs, first.snn.additions) == (12, 0, 0)
    assert first.snn.bias_additions == 3  # bias and current are one constant, once a window
    # nearest, random: one rounding, then T steps, each with an update, a comparison and a draw
    assert (first.snn.updates, first.snn.comparisons, first.snn.draws) == (
        3 * (1 + T),
        3 * (1 + T),
        3 * T,
    )
    assert (output.snn.additions, output.snn.bias_additions) == (3 * T * 2, 2)
    assert (first.ann.input_macs, first.ann.bias_additions, first.ann.comparisons) == (12, 3, 3)
    assert (output.ann.macs, output.ann.bias_additions) == (6, 2)


def test_one_phase_neurons_work_at_every_step() -> None:
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))),
        a=constant(nn.Linear(4, 3), 1.0, 0.5),
        b=constant(nn.Linear(3, 2), 1.0),
    )
    first = counted(model, ones(5, 4), sw.IntegrateFire()).rows[0]
    assert first.spikes == 3 * T
    assert (first.snn.updates, first.snn.comparisons, first.snn.draws) == (3 * T, 3 * T, 0)
    assert first.snn.bias_additions == 3 * T
    assert first.snn.input_macs == 12  # once, not T times


CONVOLUTIONS = {
    # 4 x 4, kernel 3, padding 1: per axis the 4 inputs are read by 2, 3, 3, 2 outputs: 10
    "borders": ({"kernel_size": 3, "padding": 1}, 10 * 10),
    # stride 2: outputs at 0 and 2 read -1..1 and 1..3: inputs are read 1, 2, 1, 1 times
    "stride": ({"kernel_size": 3, "padding": 1, "stride": 2}, 5 * 5),
    # dilation 2, padding 2: outputs read o-2, o, o+2 where they exist: 2 each, 8 in all
    "dilation": ({"kernel_size": 3, "padding": 2, "dilation": 2}, 8 * 8),
    # no padding: 2 outputs of 3 inputs each
    "valid": ({"kernel_size": 3}, 6 * 6),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_fan_out_of_a_convolution(name: str) -> None:
    options, reads = CONVOLUTIONS[name]
    model = wired(
        lambda m, x: m.c(F.relu(m.a(x))).flatten(1),
        a=pointwise(2),
        c=constant(nn.Conv2d(2, 5, **options), 1.0),
    )
    found = counted(model, ones(3, 1, 4, 4))
    assert found.row("output").snn.additions == T * reads * 2 * 5
    assert found.row("output").ann.macs == reads * 2 * 5


def test_groups_divide_the_fan_out() -> None:
    model = wired(
        lambda m, x: m.c(F.relu(m.a(x))).flatten(1),
        a=pointwise(4),
        c=constant(nn.Conv2d(4, 6, 3, padding=1, groups=2), 1.0),
    )
    # each of 4 channels reaches the 3 outputs of its group
    assert counted(model, ones(2, 1, 4, 4)).row("output").snn.additions == T * 100 * 4 * 3


def test_weights_of_zero_are_no_synapses() -> None:
    layer = constant(nn.Linear(3, 2, bias=False), 1.0)
    with torch.no_grad():
        layer.weight[0, 1] = 0
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))), a=constant(nn.Linear(4, 3, bias=False), 1.0), b=layer
    )
    found = counted(model, ones(2, 4))
    assert found.row("output").snn.additions == T * (2 + 1 + 2)
    assert found.connection_sparsity == pytest.approx(1 / 18)


def test_a_spike_passes_an_average_pool() -> None:
    """16 neurons, each in one window of four, each window read by 3 weights."""
    model = wired(
        lambda m, x: m.b(F.avg_pool2d(F.relu(m.a(x)), 2).flatten(1)),
        a=pointwise(),
        b=constant(nn.Linear(4, 3), 1.0),
    )
    output = counted(model, ones(2, 1, 4, 4)).row("output")
    assert (output.snn.additions, output.snn.all_macs) == (16 * T * 3, 0)
    assert (output.ann.additions, output.ann.macs) == (16, 12)


def test_overlapping_windows_are_several_ways() -> None:
    """Windows of 3 at stride 1 on 4: an axis has 1 + 2 + 2 + 1 = 6 ways."""
    model = wired(
        lambda m, x: m.b(F.avg_pool2d(F.relu(m.a(x)), 3, 1).flatten(1)),
        a=pointwise(),
        b=constant(nn.Linear(4, 3), 1.0),
    )
    assert counted(model, ones(2, 1, 4, 4)).row("output").snn.additions == 36 * T * 3


@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.IntegrateFire()])
def test_a_max_pool_lets_the_winner_pass(neuron: Any) -> None:
    """4 windows of 4: each sends T spikes, to 3 weights; each spike is compared once."""
    model = wired(
        lambda m, x: m.b(F.max_pool2d(F.relu(m.a(x)), 2).flatten(1)),
        a=pointwise(),
        b=constant(nn.Linear(4, 3), 1.0),
    )
    output = counted(model, ones(2, 1, 4, 4), neuron).row("output")
    assert output.snn.additions == 4 * T * 3
    assert (output.snn.updates, output.snn.comparisons) == (16 * T, 16 * T)
    assert output.ann.comparisons == 4 * 3


@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.IntegrateFire()])
def test_a_maximum_of_two_lets_the_winner_pass(neuron: Any) -> None:
    """16 pairs, T spikes beside T / 2: all are compared, and T of each pair reach 3 weights."""
    model = wired(
        lambda m, x: m.b(torch.maximum(F.relu(m.a(x)), F.relu(m.c(x))).flatten(1)),
        a=pointwise(),
        c=constant(nn.Conv2d(1, 1, 1, bias=False), 0.5),
        b=constant(nn.Linear(16, 3), 1.0),
    )
    output = counted(model, ones(2, 1, 4, 4), neuron).row("output")
    assert output.snn.additions == 16 * T * 3
    assert (output.snn.updates, output.snn.comparisons) == (24 * T, 24 * T)
    assert output.ann.comparisons == 16


def test_views_slices_and_cat_only_route() -> None:
    """[B, 2, 4, 4] -> its first column twice, behind the whole: 32 + 8 inputs of 3 outputs."""
    model = wired(
        lambda m, x: m.b(
            torch.cat([(y := F.relu(m.a(x))).flatten(1), y[:, :, :, 0].reshape(-1, 8)], 1)
        ),
        a=pointwise(2),
        b=constant(nn.Linear(40, 3), 1.0),
    )
    assert counted(model, ones(2, 1, 4, 4)).row("output").snn.additions == T * 40 * 3


def test_a_residual_spike_is_scaled_and_added_once() -> None:
    """relu(conv(y) + y): each of 16 neurons reaches a 1 x 1 convolution and, scaled, the sum."""
    model = wired(
        lambda m, x: F.relu(m.c(y := F.relu(m.a(x))) + y).flatten(1),
        a=pointwise(),
        c=constant(nn.Conv2d(1, 1, 1, bias=False), 1.0),
    )
    found = counted(model, ones(2, 1, 4, 4))
    second = found.row("relu:2")
    assert second.snn.additions == 16 * T + 16 * T
    assert second.snn.scale_multiplications == 16 * T
    assert (second.ann.macs, second.ann.additions) == (16, 16)
    # the answer is the second site's spikes, scaled
    assert found.row("output").snn.additions == 16 * T


def test_a_relu_after_which_nothing_is_binary() -> None:
    """Spikes times different thresholds, summed, are graded: the weights behind multiply."""
    model = wired(
        lambda m, x: m.b((F.relu(m.a(x)) + F.relu(m.c(x))).flatten(1)),
        a=pointwise(),
        c=constant(nn.Conv2d(1, 1, 1, bias=False), 2.0),
        b=constant(nn.Linear(16, 3), 1.0),
    )
    output = counted(model, ones(2, 1, 4, 4)).row("output")
    assert output.snn.scale_multiplications == 2 * 16 * T
    assert (output.snn.macs, output.snn.effective_macs) == (2 * 16 * T * 3, 2 * 16 * T * 3)
    assert output.snn.additions == 0


def test_dark_pixels_are_not_effective() -> None:
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))),
        a=constant(nn.Linear(4, 3), 1.0),
        b=constant(nn.Linear(3, 2), 1.0),
    )
    x = ones(4, 4)
    x[:, 0] = 0
    first = counted(model, x).rows[0].snn
    assert (first.input_macs, first.effective_macs) == (12, 9)


def test_events_are_added_one_by_one() -> None:
    """T frames of whole numbers: an addition an event and weight; of fractions: a MAC each."""
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))),
        a=constant(nn.Linear(4, 3), 1.0),
        b=constant(nn.Linear(3, 2), 1.0),
    )
    snn = sw.convert(model, ones(2, 4), sw.IntegrateFire(), steps=T)
    frames = torch.zeros(T, 2, 4, dtype=torch.float64)
    frames[0, :, 1] = 2
    frames[3, :, 2] = 1
    first = sw.operations(snn, [frames]).rows[0].snn
    assert (first.additions, first.all_macs) == (3 * 3, 0)
    first = sw.operations(snn, [frames / 2]).rows[0].snn
    assert (first.additions, first.macs) == (0, 2 * 3)


@pytest.mark.parametrize("value", [0.4, 1.0, 2.0, 1 / 3])
def test_scaled_events_are_as_many_additions(value: float) -> None:
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))),
        a=constant(nn.Linear(4, 3), 1.0),
        b=constant(nn.Linear(3, 2), 1.0),
    ).float()
    snn = sw.convert(model, torch.ones(2, 4), steps=T)
    frames = torch.zeros(T, 2, 4)
    frames[0, :, 1] = 7 * value
    frames[3, 0, 2] = 2 * value
    first = sw.operations(snn, [frames], event_value=value).rows[0].snn
    assert (first.additions, first.all_macs) == (8 * 3, 0)  # 7 and 9 events
    (burst,) = sw.code_costs(snn, [frames], codes=["burst"], event_value=value)
    assert burst.rows[0].snn.additions == 8 * 3
    for other in (frames + value / 2, -frames, frames.mean(0)):
        with pytest.raises(
            sw.AnalysisError, match=r"is no frames .* of whole numbers from 0 times"
        ):
            sw.operations(snn, [other], event_value=value)
    with pytest.raises(sw.AnalysisError, match="event_value=0"):
        sw.operations(snn, [frames], event_value=0)


@pytest.mark.parametrize(("code", "spikes"), [("binary", 4), ("first-spike", 1)])
def test_weighed_spikes_cost_the_receiver_an_update_a_step(code: str, spikes: int) -> None:
    """The largest count of T = 4 is 1111 in binary; 2 answers, an update a step each."""
    model = wired(
        lambda m, x: m.b(F.relu(m.a(x))),
        a=constant(nn.Linear(4, 3), 1.0),
        b=constant(nn.Linear(3, 2), 1.0),
    )
    output = counted(model, ones(2, 4), sw.TwoPhase("nearest", code)).row("output").snn
    assert (output.additions, output.updates) == (3 * spikes * 2, 2 * 4)


def test_spikes_put_at_other_places_keep_their_fan_out() -> None:
    """Two of six values are replaced by others, and all are read by 2 outputs, scaled before."""

    def wire(m: Any, x: Tensor) -> Tensor:
        y = m.a(x).relu()
        z = y.clone()
        z[:, m.places] = y[:, m.places + 1]
        return m.b(z)

    model = wired(wire, a=nn.Linear(4, 6), b=nn.Linear(6, 2))
    model.register_buffer("places", torch.tensor([0, 3]))
    snn, x = sw.convert(model, torch.rand(16, 4).double(), steps=T), torch.rand(5, 4).double()
    (counts,) = snn.counts(x).values()
    placed = counts[:, [1, 1, 2, 4, 4, 5]]
    output = sw.operations(snn, [x]).row("output").snn
    assert output.macs == pytest.approx(2 * float(placed.sum()) / len(x))


def test_spikes_that_are_averaged_beside_numbers_are_shifted() -> None:
    """Each is shifted by the convolution's weight, and where the mean adds it."""

    def wire(m: Any, x: Tensor) -> Tensor:
        h = F.relu(m.a(x))
        return m.c(torch.cat([h, m.b(h)], 1).mean((2, 3)))

    model = wired(wire, a=pointwise(), b=pointwise(), c=constant(nn.Linear(2, 3), 1.0))
    found = counted(model, ones(2, 1, 4, 4), sw.TwoPhase("nearest", "digits"))
    assert found.total.spikes > 0
    assert found.row("output").snn.shifts == 2 * found.total.spikes
