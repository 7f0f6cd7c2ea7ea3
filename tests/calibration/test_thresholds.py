"""Threshold strategies against brute force, and their fallbacks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import spikewright as sw
from spikewright.calibration import (
    Auto,
    Headroom,
    Learned,
    LocalBalance,
    Maximum,
    MinError,
    Percentile,
    Refit,
    SiteStatistics,
)
from spikewright.graph.ir import Site
from spikewright.neurons import IntegrateFire, Rounding, TwoPhase
from tests.builders import images, wired

SITE = Site("block.relu")


def statistics_of(values: torch.Tensor) -> SiteStatistics:
    statistics = SiteStatistics.empty(values.shape[1])
    statistics.add(values, values)
    return statistics


def activations(seed: int = 0, samples: int = 300, channels: int = 3) -> torch.Tensor:
    """`[N, C, 4]`, relu of Gaussians of several widths."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(samples, channels, 4, generator=generator, dtype=torch.float64)
    return (values * torch.linspace(0.5, 4, channels)[:, None]).clamp(min=0)


def choose(strategy, values, steps=8, neuron=None, learned=None):
    return strategy.choose(SITE, statistics_of(values), neuron or TwoPhase(), steps, learned)


def test_maximum_is_the_largest_activation():
    values = activations()
    assert torch.equal(choose(Maximum(), values), values.max().reshape(1))
    assert torch.equal(choose(Maximum(per="channel"), values), values.amax((0, 2)))


@settings(max_examples=50, derandomize=True)
@given(st.floats(55, 100), st.integers(0, 100), st.sampled_from(["layer", "channel"]))
def test_percentile_is_the_quantile_within_a_bin(q, seed, per):
    values = activations(seed)
    chosen = choose(Percentile(q, per=per), values)
    rows = values.reshape(1, -1) if per == "layer" else values.transpose(0, 1).flatten(1)
    below, above = (torch.quantile(rows, q / 100, 1, interpolation=i) for i in ("lower", "higher"))
    width = rows.amax(1) * 2 / 512  # a bin is at most that wide
    assert bool((chosen >= below * (1 - 1e-12)).all())
    assert bool((chosen <= above + width).all())


def test_the_whole_percentile_is_the_maximum():
    values = activations()
    assert torch.equal(choose(Percentile(100), values), choose(Maximum(), values))


@pytest.mark.parametrize(("q", "values"), [(99.9, 1000), (99.9, 2000), (1.1, 3000)])
def test_a_percentile_of_many_values_stands_at_its_own_place(q: float, values: int) -> None:
    """The rank is a whole number, which floats miss by one."""
    place = round(q * values / 100)
    ordered = torch.ones(values, 1, 1, dtype=torch.float64)
    ordered[place:] = 100
    assert float(choose(Percentile(q), ordered)) < 2
    ordered[place - 1 :] = 100
    assert float(choose(Percentile(q), ordered)) == 100


@pytest.mark.parametrize("q", [0, -1, 100.1, float("nan"), torch.tensor(50.0)])
def test_a_percentile_out_of_range_is_refused(q):
    with pytest.raises(ValueError, match=r"a percentile lies in \(0, 100\]"):
        Percentile(q)


def brute_force_error(values, theta, steps, rounding):
    """Mean squared error of rounded activations, written out; draws averaged exactly."""
    x = values * steps / theta
    if rounding == "nearest":
        return ((x + 0.5).floor().clamp(0, steps) * theta / steps - values).square().mean()
    x = x.clamp(0, steps)
    low, p = x.floor(), x - x.floor()
    below = (low * theta / steps - values).square()
    above = ((low + 1) * theta / steps - values).square()
    return ((1 - p) * below + p * above).mean()


@pytest.mark.parametrize("rounding", ["nearest", "unbiased"])
@pytest.mark.parametrize("steps", [1, 2, 4, 16])
def test_min_error_finds_the_best_candidate(rounding, steps):
    values = activations(seed=steps)
    for channel in range(values.shape[1]):
        mine = values[:, channel : channel + 1]
        chosen = choose(MinError(), mine, steps, TwoPhase(rounding))
        grid = mine.max() * torch.arange(1, 65, dtype=torch.float64) / 64
        errors = torch.stack([brute_force_error(mine, theta, steps, rounding) for theta in grid])
        reached = brute_force_error(mine, chosen, steps, rounding)
        assert float(reached) <= float(errors.min()) * 1.01  # bins stand for their centres
        assert float((chosen - grid).abs().min()) < 1e-9


@pytest.mark.parametrize(
    "neuron", [IntegrateFire(), *map(TwoPhase, Rounding)], ids=lambda n: n.label
)
def test_thresholds_follow_the_unit_of_the_activations(neuron):
    """Activations times a power of two give thresholds times that power, bit for bit."""
    values = activations()
    for strategy in (MinError(), MinError(per="layer"), Percentile(99), Maximum(), LocalBalance()):
        base = choose(strategy, values, neuron=neuron)
        for power in (2.0**-90, 2.0**70):
            assert torch.equal(choose(strategy, values * power, neuron=neuron), base * power)


def test_more_steps_clip_less():
    values = activations()
    thetas = [float(choose(MinError(per="layer"), values, steps)) for steps in (2, 4, 16, 64)]
    assert thetas == sorted(thetas)


def test_min_error_per_channel_is_per_layer_of_each_channel():
    values = activations()
    per_channel = choose(MinError(), values)
    alone = [choose(MinError(per="layer"), values[:, c : c + 1]) for c in range(3)]
    assert torch.equal(per_channel, torch.cat(alone))


@pytest.mark.parametrize(
    "strategy", [Maximum(per="channel"), MinError(), Percentile(100, per="channel"), LocalBalance()]
)
def test_a_dead_channel_takes_the_threshold_of_the_layer(strategy):
    values = activations()
    values[:, 1] = 0
    assert choose(strategy, values)[1] == values.max()


def test_learned_takes_the_trained_threshold():
    chosen = choose(Learned(), activations(), learned=torch.tensor(1.5))
    assert torch.equal(chosen, torch.tensor([1.5], dtype=torch.float64))


def test_learned_refuses_a_threshold_that_is_not_positive():
    with pytest.raises(sw.CalibrationError, match=r"'block.relu': its learned threshold is -0.5"):
        choose(Learned(), activations(), learned=torch.tensor(-0.5))


def test_learned_refuses_a_site_without_a_learned_threshold():
    model = wired(lambda m, x: F.relu(m.c(x)).flatten(1), c=nn.Conv2d(3, 4, 3))
    with pytest.raises(sw.CalibrationError, match=r"'relu' has no learned.*Learned\(otherwise="):
        sw.convert(model, images(), threshold=Learned())
    otherwise = sw.convert(model, images(), threshold=Learned(otherwise=Maximum()))
    plain = sw.convert(model, images(), threshold=Maximum())
    assert torch.equal(otherwise.design().thresholds["relu"], plain.design().thresholds["relu"])


@pytest.mark.parametrize("candidates", [1, 0, -3])
def test_too_few_candidates_are_refused(candidates):
    with pytest.raises(ValueError, match=f"at least 2 candidates, got {candidates}"):
        MinError(candidates=candidates)


def two_layers():
    return wired(
        lambda m, x: m.l(F.relu(m.b(F.relu(m.a(x)))).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 5, 3),
        l=nn.Linear(20, 3),
    )


@pytest.mark.parametrize("strategy", [MinError(), Percentile(99.9), Maximum(), LocalBalance()])
def test_an_undesigned_t_is_what_a_conversion_for_it_gives(strategy):
    model, x = two_layers(), images(8)
    designed = sw.convert(model, x, threshold=strategy, steps=4, correction=None)
    other = sw.convert(model, x, threshold=strategy, steps=16)
    assert other.designed_steps == (16,)
    for site in designed.sites:
        assert torch.equal(other.design(4).thresholds[site], designed.design().thresholds[site])
    assert not other.design(4).corrections
    assert torch.equal(other(x, steps=4), designed(x))


def test_a_percentile_among_the_zeros_takes_the_maximum_of_its_own_channel():
    values = torch.zeros(1, 2, 100)
    values[0, 0, 0] = 3.0  # 99 zeros of 100
    values[0, 1, :] = torch.linspace(1, 2, 100)
    statistics = statistics_of(values)
    chosen = Percentile(90, per="channel").choose(SITE, statistics, TwoPhase(), 4, None)
    assert chosen[0] == 3.0
    assert chosen[1] == pytest.approx(1.9, abs=0.02)


@pytest.mark.parametrize("rounding", list(Rounding))
def test_thresholds_are_fitted_to_the_levels_of_the_code(rounding):
    values = activations(seed=1)
    binary, rate = TwoPhase(rounding, "binary"), TwoPhase(rounding)
    thresholds = [choose(MinError(), values, *at) for at in ((3, binary), (7, rate), (3, rate))]
    assert torch.equal(thresholds[0], thresholds[1])  # seven levels each
    assert not torch.equal(thresholds[0], thresholds[2])


@pytest.mark.parametrize(
    "unit", [nn.ReLU6(), sw.activations.ClippedReLU(0.4), sw.QCFS(levels=8, threshold=0.4)]
)
def test_room_ends_at_the_ceiling_of_a_unit_given_or_learned(unit: nn.Module) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), unit, nn.Linear(8, 3)).eval()
    x = 100 * torch.rand(64, 4)  # every unit reaches its ceiling or is silent
    snn = sw.convert(model, x, threshold=Headroom(sw.Maximum("layer"), 1.5), correction=None)
    (theta,) = snn.design().thresholds.values()
    assert float(theta) == pytest.approx(6.0 if isinstance(unit, nn.ReLU6) else 0.4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Headroom(sw.Maximum), "threshold of Headroom must be a strategy.*: call it"),
        (lambda: Headroom(sw.Maximum(), None), "takes a factor of at least 1, got None"),
        (lambda: sw.Learned(otherwise=sw.MinError), "otherwise of Learned must be .*: call it"),
        (lambda: Auto(thresholds=sw.MinError()), "thresholds of Auto must be a tuple, each a str"),
        (lambda: Auto(thresholds=(sw.MinError,)), r"thresholds\[0\] of Auto must .*: call it"),
        (lambda: Auto(corrections=(Refit,)), r"corrections\[0\] of Auto must .*: call it"),
        (lambda: Auto(corrections=None), "corrections of Auto must be a tuple, each a correct"),
    ],
)
def test_what_is_put_inside_is_of_the_kind_that_belongs_there(make, message):
    with pytest.raises(ValueError, match=message):
        make()
