"""Networks of spike tracers: an answer from the first step on, and nearest's at the end."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

import spikewright as sw
from spikewright.graph.ir import Operation
from spikewright.measure import HOROWITZ_45NM
from spikewright.network import Observer
from spikewright.network.rest import Rest
from spikewright.neurons import Neuron, StreamingDynamics
from tests.builders import exported, images, wired
from tests.network.nets import NETS, assert_audit_is_clean, converted, program
from tests.network.test_compiled import needs_compiler

STEPS = 6
PRICED = replace(HOROWITZ_45NM, function_pj={"silu": 10.0, "softmax": 10.0, "layer_norm": 10.0})


def attention(m: Any, x: Tensor) -> Tensor:
    """A max pool, a curve, a norm, and a product with softmax over a mask."""
    y = F.max_pool2d(F.relu(m.a(x)), 2)
    y = m.n(F.silu(m.b(y)).flatten(2).mT)
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    scores = (m.q(y) @ y.mT).masked_fill(~mask, float("-inf"))
    return m.l((torch.softmax(scores, -1) @ y).mean(1)) + m.offset


@lru_cache(maxsize=1)
def attending() -> ExportedProgram:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = wired(
            attention,
            a=nn.Conv2d(3, 4, 3, padding=1),
            b=nn.Conv2d(4, 5, 3),
            n=nn.LayerNorm(5),
            q=nn.Linear(5, 5),
            l=nn.Linear(5, 3),
        )
        model.offset = nn.Parameter(torch.randn(3).double())
    return exported(model, inputs(2))


def inputs(batch: int, seed: int = 0) -> Tensor:
    return images(batch, size=8, seed=seed)


@lru_cache(maxsize=8)
def network(neuron: Neuron, steps: int = STEPS) -> sw.SpikingNetwork:
    return sw.convert(attending(), inputs(8), neuron=neuron, steps=steps)


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("rounding", ["nearest", "unbiased"])
def test_it_ends_at_the_two_phase_counts(name: str, rounding: str) -> None:
    snn = converted(name, neuron=sw.SpikeTracer(rounding), steps=STEPS)
    two_phase, x = snn.with_neuron(sw.TwoPhase(rounding)), images(5, seed=3)
    counts, wanted = snn.counts(x, engine="steps", seed=2), two_phase.counts(x, seed=2)
    assert all(torch.equal(counts[site], wanted[site]) for site in snn.sites)
    torch.testing.assert_close(snn(x, engine="steps", seed=2), two_phase(x, seed=2))
    torch.testing.assert_close(snn(x, seed=2), two_phase(x, seed=2))


@pytest.mark.parametrize("rounding", ["nearest", "unbiased"])
def test_with_norms_products_and_masks_too(rounding: str) -> None:
    snn, x = network(sw.SpikeTracer(rounding)), inputs(5, seed=3)
    two_phase = snn.with_neuron(sw.TwoPhase(rounding))
    counts, wanted = snn.counts(x, engine="steps", seed=2), two_phase.counts(x, seed=2)
    assert all(torch.equal(counts[site], wanted[site]) for site in snn.sites)
    torch.testing.assert_close(snn(x, engine="steps", seed=2), two_phase(x, seed=2))


def test_its_edges_carry_spikes() -> None:
    assert_audit_is_clean(network(sw.SpikeTracer()), inputs(2, seed=5))


def test_its_twin_is_that_of_nearest() -> None:
    snn, x = network(sw.SpikeTracer()), inputs(3, seed=6)
    torch.testing.assert_close(snn.twin()(x), snn(x))
    with pytest.raises(sw.ConversionError, match="2 to settle"):
        snn.with_neuron(sw.SpikeTracer(settle=2)).twin()


def test_the_trajectory_is_the_answer_after_every_step() -> None:
    """Beside sums of what `record` and the weights after the last layer tell by hand."""
    model = wired(lambda m, x: m.l(F.relu(m.a(x))), a=nn.Linear(4, 6), l=nn.Linear(6, 2))
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    snn = sw.convert(model, x, neuron=sw.SpikeTracer(), steps=STEPS, correction=None)
    trajectory, (train,) = snn.trajectory(x), snn.record(x).values()
    assert trajectory.times == tuple(range(1, len(train) + 1))
    (theta,) = snn.design().thresholds.values()
    last: nn.Linear = model.l  # type: ignore[assignment]
    for time, answer in zip(trajectory.times, trajectory.answers, strict=True):
        steps = min(time, STEPS)
        sums = train[:time].double().sum(0) * theta / steps
        torch.testing.assert_close(answer, sums @ last.weight.T + last.bias)
    sending = (train[STEPS:] != 0).any(-1)
    silent = [STEPS + int(s.nonzero().max()) + 1 if s.any() else STEPS for s in sending.T]
    assert trajectory.settled.tolist() == silent
    assert torch.equal(trajectory.at(10_000), trajectory.answers[-1])
    with pytest.raises(ValueError, match="first answer comes after 1 time step"):
        trajectory.at(0)


@pytest.mark.parametrize("rounding", ["nearest", "unbiased"])
def test_silence_is_skipped_and_changes_no_bit(
    rounding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snn, x = network(sw.SpikeTracer(rounding)), inputs(5, seed=3)
    is_silent, skipped = Rest.is_silent, set[str]()

    def telling(rest: Rest, op: Operation, neurons: StreamingDynamics | None) -> bool:
        silent = is_silent(rest, op, neurons)
        skipped.update({str(op.kind)} if silent else ())
        return silent

    ran: list[tuple[Any, ...]] = []
    for asked in (telling, lambda *_: False):
        monkeypatch.setattr(Rest, "is_silent", asked)
        trajectory = snn.trajectory(x, seed=2)
        ran.append((*trajectory.answers, trajectory.settled, *snn.record(x, seed=2).values()))
    assert skipped >= {"linear", "max", "unit"}
    for some, everything in zip(*ran, strict=True):
        assert torch.equal(some, everything)


def test_two_phase_networks_answer_in_the_last_window() -> None:
    snn, x = converted("plain", neuron=sw.TwoPhase("nearest", "burst"), steps=4), images(3)
    trajectory = snn.trajectory(x)
    assert trajectory.times == (9, 10, 11, 12)
    torch.testing.assert_close(trajectory.answers[-1], snn(x))
    assert trajectory.settled.tolist() == [12, 12, 12]  # the last layer sends in steps 9 to 12
    longer = snn.with_neuron(sw.TwoPhase("nearest", steps=6), snn.sites[:1]).trajectory(x)
    assert longer.settled.tolist() == [*longer.times] * 3 == [16, 16, 16]


def test_one_phase_networks_answer_from_the_first_step_on() -> None:
    snn, x = converted("residual", neuron=sw.IntegrateFire(), steps=4), images(3)
    trajectory = snn.trajectory(x)
    assert trajectory.times == (1, 2, 3, 4)
    torch.testing.assert_close(trajectory.answers[-1], snn(x))


def test_a_bounded_settling_ends_on_time() -> None:
    snn, x = network(sw.SpikeTracer(settle=1)), inputs(3, seed=2)
    assert snn.trajectory(x).times == tuple(range(1, STEPS + 2))
    assert all(len(train) == STEPS + 1 for train in snn.record(x).values())
    with pytest.raises(sw.ConversionError, match="count engine needs neurons"):
        snn(x, engine="counts")


def test_frames_end_with_the_window() -> None:
    snn = converted("residual", neuron=sw.SpikeTracer(), steps=STEPS)
    frames = torch.stack([images(4, seed=seed) for seed in range(STEPS)])
    counts = snn.counts(frames, engine="steps")
    wanted = snn.with_neuron(sw.TwoPhase("nearest")).counts(frames.mean(0))
    assert all(torch.equal(counts[site], wanted[site]) for site in snn.sites)


def test_neurons_that_settle_otherwise_do_not_meet() -> None:
    snn = converted("residual", neuron=sw.SpikeTracer(), steps=STEPS)
    with pytest.raises(sw.ConversionError, match="settle alike"):
        snn.with_neuron(sw.IntegrateFire(), sites=[snn.sites[0]])


def test_spikes_are_not_told_by_counts() -> None:
    snn, x = network(sw.SpikeTracer()), inputs(5, seed=3)
    observer = Observer(sent=lambda op, spikes: None)
    with pytest.raises(sw.ConversionError, match="engine='steps'"):
        snn.observe(x, observer, engine="counts")
    sent = {site: int(train.abs().sum()) for site, train in snn.record(x).items()}
    (row,) = sw.sweep({"tracer": snn}, [(x, torch.zeros(5, dtype=torch.int64))], steps=STEPS).rows
    assert row.spikes_per_image * 5 == sum(sent.values())
    assert row.latency == int(snn.trajectory(x).settled.max()) > STEPS
    taken = sw.operations(snn, [x[:2], x[2:]], model=PRICED)
    assert {r.site: round(r.spikes * 5) for r in taken.rows if r.site in sent} == sent
    assert taken.latency == row.latency
    assert taken.row(snn.sites[0]).snn.updates > taken.row(snn.sites[0]).neurons * STEPS


def test_functions_are_computed_at_every_step() -> None:
    x = inputs(2, seed=4)
    one = {
        name: sw.operations(network(n), [x], model=PRICED).total.snn.functions
        for name, n in (("tracer", sw.SpikeTracer()), ("nearest", sw.TwoPhase("nearest")))
    }
    steps = network(sw.SpikeTracer()).trajectory(x).settled.double().mean()
    for name, times in one["nearest"].items():
        assert one["tracer"][name] == pytest.approx(times * float(steps))


@needs_compiler
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it compiles
def test_compiled_it_is_the_same_step_by_step() -> None:
    """The compiled step keeps sums so far, the reference what each step adds to them."""
    for neuron in (sw.SpikeTracer("unbiased"), sw.SpikeTracer(settle=1)):
        eager = network(neuron)
        fast = eager.with_neuron(neuron).compile()
        for batch, steps in ((5, STEPS), (3, 3)):
            x = inputs(batch, seed=7)
            a, b = (n.trajectory(x, steps=steps, seed=3) for n in (eager, fast))
            assert a.times == b.times
            assert torch.equal(a.settled, b.settled)
            for plain, compiled in zip(a.answers, b.answers, strict=True):
                torch.testing.assert_close(plain, compiled, rtol=1e-9, atol=1e-9)
            sent = [dict[str, Tensor](), dict[str, Tensor]()]
            for seen, snn in zip(sent, (eager, fast), strict=True):
                observer = Observer(sent=lambda op, s, seen=seen: seen.update({op.name: s}))
                snn.observe(x, observer, steps=steps, seed=3, engine="steps")
            assert all(torch.equal(sent[0][name], sent[1][name]) for name in sent[0])


@needs_compiler
def test_compiled_with_a_max_pool_in_float32() -> None:
    model, x = program("max pool"), images(6)
    snn = sw.convert(model, x, neuron=sw.SpikeTracer(), steps=STEPS).float()
    fast = snn.with_neuron(sw.SpikeTracer()).compile()
    a, b = (n.trajectory(x.float()) for n in (snn, fast))
    assert torch.equal(a.settled, b.settled)
    torch.testing.assert_close(a.answers[-1], b.answers[-1], rtol=1e-4, atol=1e-5)
