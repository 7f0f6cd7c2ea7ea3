"""Layers of different codes and windows in one network."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import Correction, InputMeans, OutputMeans, Refit
from spikewright.calibration.auto import Auto
from spikewright.errors import ConversionError
from spikewright.finetuning.trainable import TrainableNetwork
from spikewright.network import Observer, compiled_counts
from spikewright.network.mixing import step_weights
from spikewright.neurons import SRP, Neuron, codes
from tests.builders import images, wired
from tests.network.nets import assert_audit_is_clean, assert_equals_its_twin, converted

STEPS = 5
SITES: tuple[str, ...] = ("relu", "silu", "sigmoid", "mul.left", "relu:2")


def joined() -> nn.Module:
    """A residual sum, its product with a gate, a join and a maximum of the joined."""

    def forward(m: Any, x: Tensor) -> Tensor:
        y = F.relu(m.a(x))
        z = (F.silu(m.b(y)) + y) * torch.sigmoid(m.c(y))
        w = F.relu(m.d(z))
        return m.l(F.max_pool2d(torch.cat([w, y], 1), 2).flatten(1))

    return wired(
        forward,
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 4, 3, padding=1),
        c=nn.Conv2d(4, 4, 1),
        d=nn.Conv2d(4, 2, 1),
        l=nn.Linear(24, 3),
    )


@lru_cache
def prepared() -> sw.Prepared:
    torch.manual_seed(0)
    return sw.prepare(joined().double(), images(16))


def mixed(*neurons: Neuron, **options: Any) -> sw.SpikingNetwork:
    """The network with a neuron for each of its sites."""
    options = {"correction": InputMeans(), **options}
    return prepared().convert(dict(zip(SITES, neurons, strict=True)), steps=STEPS, **options)


@st.composite
def nearest(draw: st.DrawFn) -> sw.TwoPhase:
    """A two-phase neuron of any code, with a window of its own or the network's."""
    code = draw(st.sampled_from(sorted(codes())))
    return sw.TwoPhase("nearest", code, steps=draw(st.none() | st.integers(1, 7)))


@given(st.lists(nearest(), min_size=5, max_size=5))
@settings(max_examples=12)
def test_any_codes_and_windows_go_together(neurons: list[sw.TwoPhase]) -> None:
    snn, x = mixed(*neurons), images(3, seed=1)
    assert snn.sites == SITES
    counts, steps = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
    assert all(torch.equal(counts[site], steps[site]) for site in SITES)
    torch.testing.assert_close(snn(x, engine="steps"), snn(x), rtol=1e-11, atol=1e-11)
    assert_equals_its_twin(snn, x)
    assert_audit_is_clean(snn, x)
    first, silu, sigmoid, relay, second = (n.duration(STEPS) for n in neurons)
    # the input is shown for the first window; the gate waits for no relay, nor the relay for it
    assert snn.latency() == 2 * first + max(silu + relay, sigmoid) + second
    trains = snn.record(x)
    for neuron, site in zip(neurons, SITES, strict=True):
        weights = neuron.step_weights(STEPS).reshape(-1, 1, 1, 1, 1)
        assert torch.equal((trains[site] * weights).sum(0), counts[site])


@pytest.mark.parametrize("code", sorted(codes()))
def test_steps_of_its_own_are_those_of_the_network_where_all_have_them(code: str) -> None:
    x = images(4, seed=2)
    own, same = (
        prepared().convert(
            sw.TwoPhase("nearest", code, steps=each), steps=t, correction=InputMeans()
        )
        for each, t in ((4, 9), (None, 4))
    )
    assert torch.equal(own(x), same(x))
    assert torch.equal(own(x, engine="steps"), same(x, engine="steps"))
    assert (own.latency(), own.duration()) == (same.latency(), same.duration()) == (20, 4)
    assert own.trajectory(x).times == same.trajectory(x).times == (17, 18, 19, 20)


def test_thresholds_are_fitted_for_the_neuron_and_the_window_of_each_layer() -> None:
    neurons = (
        sw.TwoPhase("nearest", "binary"),
        sw.TwoPhase("unbiased", steps=3),
        sw.TwoPhase("nearest", "digits", steps=2),
        sw.TPP(),
        sw.TwoPhase("nearest", "first-spike", steps=2),
    )
    design = mixed(*neurons, correction=None).design()
    for neuron, site in zip(neurons, SITES, strict=True):
        alone = prepared().convert(neuron, steps=STEPS, correction=None)
        assert torch.equal(design.thresholds[site], alone.design().thresholds[site])
    of_first = prepared().convert(neurons[0], steps=STEPS, correction=None)
    assert not torch.equal(design.thresholds["relu:2"], of_first.design().thresholds["relu:2"])


@pytest.mark.parametrize("correction", [OutputMeans(), Refit(), Auto()], ids=repr)
def test_corrections_run_the_neuron_of_each_layer(correction: Correction) -> None:
    neurons = (
        sw.TwoPhase("nearest", "binary", steps=3),
        sw.TwoPhase("nearest", "digits"),
        sw.TwoPhase("nearest", steps=7),
        sw.TwoPhase("nearest", "first-spike"),
        sw.TwoPhase("nearest", "binary", steps=2),
    )
    snn, x = mixed(*neurons, correction=correction), images(16)
    assert_equals_its_twin(snn, x)
    plain = mixed(*neurons, correction=None)
    assert not torch.equal(snn(x), plain(x))


def test_mean_inputs_are_put_back_for_the_neuron_of_each_layer() -> None:
    """The charge of every channel, in the unit of the ANN, on the samples that corrected it."""
    neurons = [sw.TwoPhase("nearest", "binary", steps=steps) for steps in (3, 1, 2, 4, 2)]
    snn, x, charges = mixed(*neurons), images(16), dict[str, Tensor]()
    plan = snn.plan()

    def keep(op: Any, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        charges[op.site.name] = charge / plan.gain(op.site.name)

    snn.observe(x, Observer(layer=keep))
    for site in ("relu", "mul.left", "relu:2"):  # of the others charge is a function's value
        mean = prepared().statistics[site].input_mean
        torch.testing.assert_close(charges[site].mean((0, 2, 3)), mean, rtol=0, atol=1e-9)


def test_units_of_one_group_may_differ() -> None:
    """Gates of a recurrent layer share statistics, and thresholds where neurons are the same."""
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True).double()
    model = wired(lambda m, x: m.l(m.lstm(x)[0][:, -1]), lstm=lstm, l=nn.Linear(4, 2).double())
    x = torch.randn(16, 3, 3, dtype=torch.float64)
    plain = sw.convert(model, x, steps=6, correction=None)
    first, second, *_ = (site for site in plain.sites if site.startswith("lstm.forget"))
    neurons = {"*": sw.TwoPhase(), second: sw.TwoPhase("nearest", "binary", steps=5)}
    snn = sw.convert(model, x, neurons, steps=6, correction=None)
    thresholds, of_one = snn.design().thresholds, plain.design().thresholds
    assert torch.equal(thresholds[first], of_one[first])
    assert not torch.equal(thresholds[second], of_one[second])
    assert_equals_its_twin(snn, x)
    assert f"\n{second} " in snn.summary()
    assert "lstm.forget:*" in plain.summary()
    assert "lstm.forget:*" not in snn.summary()


@pytest.mark.parametrize("asked", [(3, 8), (8,)])
def test_t_is_no_choice_where_all_windows_are_of_their_own(asked: tuple[int, ...]) -> None:
    own = sw.TwoPhase("nearest", "binary", steps=3)
    whole = prepared().convert(own, steps=3, correction=InputMeans())
    data = [(images(4, seed=1), torch.tensor([0, 1, 2, 0]))]
    told = re.escape(
        "T = 8 would change no window of this network: every layer has one of its own, of 3 time "
        "steps at any T, and they were calibrated at T = 3. Give T = 3 (or leave --steps out)"
    )
    with pytest.raises(ConversionError, match=told):
        sw.sweep({"whole": whole}, data, asked)
    with pytest.raises(ConversionError, match=told):
        TrainableNetwork(whole, steps=8)
    assert sw.sweep({"whole": whole}, data, 3).rows
    assert TrainableNetwork(whole, steps=3).steps == 3
    some = whole.with_neuron(sw.TwoPhase("nearest"), sites=["relu:2"])
    assert len(sw.sweep({"some": some}, data, (3, 8)).rows) == 2
    assert TrainableNetwork(some, steps=8).steps == 8


def test_t_of_a_call_is_that_of_the_layers_without_steps_of_their_own() -> None:
    own, other = sw.TwoPhase("nearest", "binary", steps=3), sw.TwoPhase("nearest")
    snn, x = mixed(own, other, own, other, own, correction=None), images(3, seed=1)
    trains = {steps: snn.record(x, steps=steps) for steps in (2, 9)}
    for steps, of_site in trains.items():
        assert [len(of_site[site]) for site in SITES] == [3, steps, 3, steps, 3]
        assert snn.latency(steps) == 3 + 3 + 2 * steps + 3
        assert snn.duration(steps) == max(3, steps)
    assert torch.equal(trains[2]["relu"], trains[9]["relu"])
    for steps in (2, 9):
        torch.testing.assert_close(snn(x, steps=steps, engine="steps"), snn(x, steps=steps))
    whole = prepared().convert(own, steps=8, correction=None)
    assert torch.equal(whole(x, steps=2), whole(x))


def test_latency_is_that_of_the_longest_path_by_hand() -> None:
    """relu -> relu:2 -> relu:3, and relu past both: 4 + 4 + 6 + 2 steps, or 4 + 4 of the branch."""
    snn = converted("unequal depths", steps=8)
    for site, steps in zip(snn.sites, (4, 6, 2), strict=True):
        snn = snn.with_neuron(sw.TwoPhase("nearest", "binary", steps=steps), sites=[site])
    assert (snn.latency(), snn.duration(), snn.layers_that_wait) == (16, 6, 3)
    assert "latency: 16 time steps (2 windows of 4, 1 window of 6, 1 window of 2)" in snn.summary()
    trajectory = snn.trajectory(x := images(3))
    assert trajectory.times == (16,)
    torch.testing.assert_close(trajectory.answers[0], snn(x), rtol=1e-11, atol=1e-11)
    digits = snn.with_neuron(sw.TwoPhase("nearest", "digits", steps=3), sites=["relu:2"])
    assert digits.latency() == 13
    told = "payload: 5 bits a neuron and step of 'nearest, digits, T = 3', where a spike or none"
    assert told in digits.summary()


def test_windows_side_by_side_take_as_long_as_the_longer_one() -> None:
    snn = converted("cat", steps=8)
    assert snn.sites == ("relu", "relu:2")
    late = snn.with_neuron(sw.TwoPhase("nearest", "late", steps=3), sites=["relu:2"])
    assert late.latency() == 8 + 8 + 3


def test_a_saved_network_answers_alike(tmp_path: Path) -> None:
    draw = sw.TwoPhase("unbiased", "burst", steps=6)
    snn = mixed(sw.TPP(), draw, sw.TwoPhase("nearest", "digits", steps=2), draw, sw.TwoPhase())
    snn.save(tmp_path / "mixed.safetensors")
    again, x = sw.load(tmp_path / "mixed.safetensors"), images(3, seed=1)
    assert dict(again.neurons) == dict(snn.neurons)
    for steps in (STEPS, 3):  # of a design, and of thresholds chosen anew
        assert torch.equal(again(x, steps=steps, seed=4), snn(x, steps=steps, seed=4))


def test_chance_goes_with_any_window() -> None:
    """A TPP layer behind binary ones: its counts follow its law in either engine."""
    snn = converted("plain", neuron=sw.TwoPhase("nearest", "binary", steps=3), steps=8)
    snn = snn.with_neuron(sw.TPP(), sites=["relu:2"])
    many, ids = images(2).repeat_interleave(1000, 0), torch.arange(2000)
    means = [
        snn.counts(many, engine=engine, sample_ids=ids)["relu:2"].reshape(2, 1000, -1).mean(1)
        for engine in ("counts", "steps")
    ]
    torch.testing.assert_close(*means, rtol=0, atol=5 * 0.5 * (2 / 1000) ** 0.5)
    assert float(means[0].max()) > 1


def test_the_compiled_count_engine_has_the_levels_of_each_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its code, run as it is: two TPP laws, three numbers of levels, digits of another window."""
    monkeypatch.setattr(compiled_counts, "compiled", lambda code, dynamic: code)
    neurons = (
        sw.TPP(),
        sw.TwoPhase("bernoulli", "burst", steps=3),
        sw.TwoPhase("nearest", "digits", steps=2),
        sw.TwoPhase("unbiased", "binary"),
        sw.TPP(),
    )
    plain, fast, x = mixed(*neurons), mixed(*neurons).compile(), images(3, seed=1)
    ids, sent = torch.arange(3), ([], [])
    for steps in (STEPS, 2):
        answers = [snn(x, steps=steps, sample_ids=ids) for snn in (plain, fast)]
        torch.testing.assert_close(*answers)
        for snn, spikes in zip((plain, fast), sent, strict=True):
            watched = Observer(sent=lambda op, of_sample, to=spikes: to.append(of_sample))
            snn.observe(x, watched, steps=steps, engine="counts", sample_ids=ids)
    torch.testing.assert_close(*(torch.stack(spikes) for spikes in sent))
    assert float(torch.stack(sent[0]).min()) > 0


def test_frames_are_shown_where_t_steps_of_weight_one_hold_every_window() -> None:
    binary = sw.TwoPhase("nearest", "binary", steps=3)
    snn = converted("residual", steps=4).with_neuron(binary, sites=["relu:2"])
    frames = torch.stack([images(3, seed=seed) for seed in range(4)])
    for engine in ("counts", "steps"):
        torch.testing.assert_close(snn(frames, engine=engine), snn(frames.mean(0)))
    with pytest.raises(sw.ConversionError, match="longest window of 'nearest' and 'nearest, bin"):
        snn(frames[:2], steps=2)


@pytest.mark.parametrize(
    ("neuron", "other", "match"),
    [
        (sw.IntegrateFire(), sw.TwoPhase("nearest", "binary"), "'IF' at relu count by the time"),
        (sw.Shuffled(), sw.TwoPhase(steps=3), "'nearest, T = 3' at relu:2. Put two-phase neurons"),
        (SRP(2), sw.TwoPhase(), "'SRP, tau 2' at relu count by the time"),
        (sw.SpikeTracer(), sw.TwoPhase(), "settle alike.*'tracer' at relu; 'nearest' at relu:2"),
    ],
    ids=lambda value: value.label if isinstance(value, Neuron) else "",
)
def test_neurons_that_mind_when_spikes_come_are_refused(
    neuron: Neuron, other: Neuron, match: str
) -> None:
    with pytest.raises(sw.ConversionError, match=match):
        step_weights({"relu": neuron, "relu:2": other}, 8)
    with pytest.raises(sw.ConversionError, match=match):
        converted("plain", neuron={"relu": neuron, "relu:2": other}, steps=8)


def test_one_phase_neurons_meet_windows_of_their_own_length() -> None:
    snn = converted("plain", steps=3).with_neuron(sw.IntegrateFire(), sites=["relu"])
    snn = snn.with_neuron(sw.TwoPhase("nearest", "burst", steps=3), sites=["relu:2"])
    assert snn(images(2)).isfinite().all()
    with pytest.raises(sw.ConversionError, match="here windows differ in that at T = 4"):
        snn(images(2), steps=4)


@pytest.mark.parametrize(
    ("neurons", "match"),
    [
        ({"relu": sw.TPP()}, "no neuron is given for relu:2: put one for all others first"),
        ({"relu*": sw.TPP(), "*": sw.TwoPhase()}, r"'relu\*' has no effect"),
        ({"*": sw.TPP(), "act*": sw.TPP()}, r"no site matches 'act\*'"),
        ({"*": sw.TPP}, "neuron must be a neuron such as.*call it"),
        ({}, "no neuron is given for relu, relu:2"),
    ],
)
def test_a_mapping_chooses_a_neuron_for_every_site(neurons: Any, match: str) -> None:
    with pytest.raises(sw.ConversionError, match=match):
        converted("plain", neuron=neurons)
    snn = converted("plain", neuron={"*": sw.TPP(), "relu:2": sw.TwoPhase()})
    assert dict(snn.neurons) == {"relu": sw.TPP(), "relu:2": sw.TwoPhase()}


@pytest.mark.parametrize("sites", [5, [0], b"relu", [None]])
def test_sites_are_chosen_by_text(sites: Any) -> None:
    snn = converted("plain", steps=3)
    with pytest.raises(
        sw.ConversionError, match=r"by their names or patterns .* network's sites are"
    ):
        snn.with_neuron(sw.TPP(), sites=sites)
    assert set(snn.with_neuron(sw.TPP(), sites={"relu"}).neurons.values()) == {
        sw.TPP(),
        sw.TwoPhase(),
    }


def test_steps_are_whole_numbers_from_one() -> None:
    for steps in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="steps is a whole number of time steps, at least 1"):
            sw.TwoPhase("nearest", steps=steps)  # pyright: ignore[reportArgumentType]


def test_what_is_expected_of_answers_is_told_of_the_neurons_that_were_fitted() -> None:
    own = sw.TwoPhase("nearest", "binary", steps=3)
    neurons = dict.fromkeys(SITES, sw.TwoPhase("nearest", steps=6)) | {"relu:2": own}
    snn = prepared().convert(neurons, steps=STEPS)
    assert snn.expected() is not None
    assert snn.with_neuron(own).expected() is None
    assert "expected of samples not seen" in snn.summary()
