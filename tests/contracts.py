"""The contract of neurons and codes: laws that everything registered inherits.

`tests/neurons/test_contracts.py` holds every registered neuron and code to them. A class from
elsewhere is held to them by a subclass:

    class TestMine(NeuronContract):
        neurons = (Mine(),)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.network import Observer
from spikewright.neurons import Code, Neuron, Order, Reset, StreamingDynamics
from tests.builders import assert_distributed, firing, images, layer, wired
from tests.network.nets import converted

STEPS = 5
THETA = 0.7


class NeuronContract:
    """What every neuron does, whatever its law and its code."""

    neurons: ClassVar[Sequence[Neuron]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "neuron" in metafunc.fixturenames:
            metafunc.parametrize("neuron", self.neurons, ids=lambda neuron: neuron.label)

    def test_cutting_time_changes_no_bit_of_a_layer(self, neuron: Neuron) -> None:
        current = currents(neuron)
        whole, residual = run_layer(neuron, current, ())
        for cuts in ((1,), (2, 3), range(1, len(current))):
            cut, left = run_layer(neuron, current, cuts)
            assert torch.equal(cut, whole)
            assert torch.equal(left, residual)

    def test_a_train_of_ones_carries_a_count(self, neuron: Neuron) -> None:
        train, _ = run_layer(neuron, currents(neuron), ())
        spikes = {float(2**power) for power in range(neuron.largest_spike.bit_length())}
        signed = neuron.settling != 0 or neuron.largest_spike > 1
        assert set(train.unique().tolist()) <= {0.0} | spikes | (
            {-s for s in spikes} if signed else set()
        )
        count = carried(neuron, train)
        assert torch.equal(count, count.round())
        assert float(count.min()) >= 0
        assert float(count.max()) <= neuron.reach(STEPS)
        counted = train[neuron.rehearsal :]
        if neuron.settling == 0:
            assert torch.equal((counted != 0).sum(0).double(), neuron.spikes_of(count))
        else:
            assert bool((counted.abs().sum(0) >= count).all())

    def test_it_settles_when_it_says(self, neuron: Neuron) -> None:
        """After the last current, a train goes on until nothing is owed, or as long as it may."""
        late = torch.zeros_like(currents(neuron))
        late[-1] = currents(neuron).sum(0)
        train, residual = run_layer(neuron, late, ())
        extra = len(train) - neuron.duration(STEPS)
        if neuron.settling is not None:
            assert extra <= neuron.settling
            return
        assert extra == STEPS - 1, "one spike a step, and a neuron owes T"
        count = carried(neuron, train)
        inside = residual[(count > 0) & (count < STEPS)]
        assert float(inside.abs().max()) <= (1.0 if neuron.stochastic else 0.5)

    def test_charge_is_sent_or_kept(self, neuron: Neuron) -> None:
        current = currents(neuron)
        train, residual = run_layer(neuron, current, ())
        kept = carried(neuron, train) + residual - charge_of(neuron, current)
        start = kept.max()  # what the neurons of the layer hold at the first step
        if loses_charge(neuron):
            assert bool((kept <= start).all())
        else:
            torch.testing.assert_close(kept, start.expand_as(kept), rtol=0, atol=1e-9)

    def test_both_forms_of_the_count_are_one_law(self, neuron: Neuron) -> None:
        """Counts from the total charge and from the dynamics: equal, or equal in distribution."""
        if not neuron.has_count_law:
            with pytest.raises(TypeError, match="has no count law"):
                neuron.count(torch.zeros(1, 1), layer(THETA, STEPS))
            return
        samples = 4000 if neuron.stochastic else 8
        levels, tops = neuron.levels(STEPS), (0.31, 0.57, 1.02)
        if neuron.reach(STEPS) > levels:  # thresholds are fitted without that room
            tops = (0.31, 0.57, 0.98)
        charge = levels * torch.tensor(tops, dtype=torch.float64).expand(samples, len(tops))
        law = neuron.count(charge, layer(THETA, STEPS, batch=samples, seed=1))
        even = charge * THETA / levels
        train, _ = run_layer(neuron, even.expand(len(weights_of(neuron)), *even.shape), ())
        stepped = carried(neuron, train)
        mean, variance = neuron.expected_count(charge[0], STEPS)
        for place in range(len(tops)):
            found = [counts[:, place] for counts in (law, stepped)]
            if not neuron.stochastic:
                assert found[0].tolist() == found[1].tolist() == [mean[place].item()] * samples
                continue
            spread = 6 * float(variance[place] / samples) ** 0.5 + 1e-3
            for counts in found:
                assert float(counts.mean()) == pytest.approx(mean[place].item(), abs=spread)

    def test_engines_agree(self, neuron: Neuron) -> None:
        if not neuron.has_count_law:
            with pytest.raises(sw.ConversionError, match="count engine needs neurons"):
                network(neuron)(images(1), engine="counts")
            return
        if not neuron.stochastic:
            snn, x = network(neuron), images(3, seed=1)
            counts, steps = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
            assert all(torch.equal(counts[site], steps[site]) for site in snn.sites)
            answers = [snn(x, engine=engine) for engine in ("counts", "steps")]
            torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)
            return
        assert_one_joint_law(neuron)

    def test_time_chunks_change_no_spike_of_a_network(self, neuron: Neuron) -> None:
        snn, x = network(neuron), images(3, seed=1)
        whole, values, last = watched(snn, x, 2 << 30)
        assert last == 0 or neuron.settling != 0
        largest = max(math.prod(op.shape) for op in snn.plan().graph.operations)
        for steps in (1, 2):
            cut, others, last = watched(
                snn, x, steps * 6 * 8 * 3 * largest
            )  # the engine's estimate
            assert last == (snn.duration() - 1) // steps * steps or neuron.settling != 0
            assert all(torch.equal(cut[site], whole[site]) for site in whole)
            for a, b in zip(others, values, strict=True):  # sums of kernels of another batch size
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)

    def test_records_carry_the_counts(self, neuron: Neuron) -> None:
        snn, x = network(neuron), images(3, seed=1)
        trains, counts, sent = snn.record(x, seed=4), snn.counts(x, engine="steps", seed=4), {}
        observer = Observer(sent=lambda op, spikes: sent.update({op.site.name: spikes}))
        snn.observe(x, observer, engine="steps", seed=4)
        assert list(trains) == list(snn.sites)
        for site, train in trains.items():
            assert train.dtype is (torch.int8 if neuron.largest_spike == 1 else torch.int32)
            assert train.shape[1:] == counts[site].shape
            assert len(train) == neuron.duration(STEPS) or neuron.settling != 0
            assert torch.equal(carried(neuron, train.double()), counts[site])
            assert torch.equal((train != 0).double().flatten(2).sum((0, 2)), sent[site])

    def test_batches_and_order_change_no_spike(self, neuron: Neuron) -> None:
        snn, x = network(neuron), images(7, seed=1)
        whole = snn.record(x, seed=9)
        parts = [snn.record(part, seed=9) for part in x.split(3)]
        order = torch.tensor([4, 0, 6, 2, 1, 5, 3])
        moved = snn.record(x[order], seed=9)
        for site, train in whole.items():
            assert torch.equal(torch.cat([part[site] for part in parts], dim=1), train)
            assert torch.equal(moved[site], train[:, order])

    def test_the_seed_matters_where_it_is_said_to(self, neuron: Neuron) -> None:
        snn, x = network(neuron), images(12, seed=1)
        assert snn.stochastic is neuron.stochastic
        answers = [snn.counts(x, seed=seed) for seed in (1, 1, 2, 3)]
        assert same(answers[0], answers[1])
        changed = not (same(answers[0], answers[2]) and same(answers[0], answers[3]))
        assert changed is neuron.stochastic

    def test_save_and_load_change_nothing(self, neuron: Neuron, tmp_path: Any) -> None:
        for precision in ("float32", "bf16"):
            snn, x = network(neuron).with_precision(precision), images(3, seed=9)
            path = tmp_path / precision
            snn.save(path)
            loaded = sw.load(path)
            assert loaded.neurons == snn.neurons
            assert loaded.precision == snn.precision
            for steps in (STEPS, STEPS - 1):  # one that was designed, one that was not
                assert torch.equal(*(n(x, steps=steps, seed=3) for n in (snn, loaded)))
                assert snn.summary(steps) == loaded.summary(steps)

    def test_many_steps_reach_the_ann(self, neuron: Neuron) -> None:
        if loses_charge(neuron) or sends_at_one_end(neuron):
            return
        steps = next(t for t in range(1, 512) if neuron.levels(t) > 400)
        steps = 4 if neuron.reads_steps else steps
        model, x = positive_net(), images(4).abs()
        program = exported(positive_net, (3, 6, 6))
        snn = sw.convert(program, x, neuron, sw.Maximum(), steps=steps, correction=None)
        with torch.no_grad():
            wanted = model(x)
        assert float((snn(x) - wanted).norm() / wanted.norm()) < 0.03


class CodeContract:
    """What every code does."""

    codes: ClassVar[Sequence[Code]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "code" in metafunc.fixturenames:
            metafunc.parametrize("code", self.codes, ids=lambda code: code.name)

    @pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
    def test_every_count_is_carried_exactly(self, code: Code, steps: int) -> None:
        levels, weights = code.levels(steps), code.step_weights(steps)
        every = torch.arange(levels * code.room + 1, dtype=torch.float64).repeat(3, 1)
        count = code.carried(every, steps)
        assert torch.equal(count, every) or not code.carries_all
        assert torch.equal(code.carried(count, steps), count)
        train = code.write(count, layer(1.0, steps, batch=3)).emit(steps)
        assert train.shape[0] == len(weights) == steps
        assert int(train.abs().max()) <= code.largest_spike
        assert torch.equal((train * weights[:, None, None]).sum(0), count)
        assert torch.equal((train != 0).sum(0).double(), code.spikes_of(count))

    @pytest.mark.parametrize("levels", [1, 2, 3, 4, 7, 8, 15, 16, 255])
    def test_the_shortest_window_that_counts_so_far(self, code: Code, levels: int) -> None:
        every = torch.arange(levels + 1, dtype=torch.float64)

        def carries(steps: int) -> bool:
            return code.levels(steps) >= levels and torch.equal(code.carried(every, steps), every)

        steps = code.steps_for(levels)
        assert carries(steps)
        assert steps == 1 or not carries(steps - 1)

    def test_its_work_is_counted(self, code: Code) -> None:
        work = code.work(4)
        assert work.comparisons >= 1
        assert min(work.updates, work.draws) >= 0


def weights_of(neuron: Neuron) -> Tensor:
    """The weights under which a layer takes its input in, adding up to its levels."""
    weights = neuron.step_weights(STEPS)
    return weights * (neuron.levels(STEPS) / weights.sum())


def currents(neuron: Neuron) -> Tensor:
    """Uneven input of both signs for a layer of 4 neurons, `[D, 3, 4]`."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(neuron.duration(STEPS), 3, 4, generator=generator, dtype=torch.float64)
    return 0.3 * noise + torch.linspace(-0.1, 0.6, 4, dtype=torch.float64)


def charge_of(neuron: Neuron, current: Tensor) -> Tensor:
    """The whole charge of a window, in counts."""
    return (current * weights_of(neuron)[:, None, None]).sum(0) / THETA


def carried(neuron: Neuron, train: Tensor) -> Tensor:
    """What a train `[D, ...]` counts; spikes after the window count 1."""
    weights = neuron.step_weights(STEPS)
    weights = torch.cat([weights, torch.ones(len(train) - len(weights), dtype=weights.dtype)])
    return (train * weights.reshape(-1, *[1] * (train.ndim - 1))).sum(0)


def run_layer(neuron: Neuron, current: Tensor, cuts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The train of a layer, its input and output cut at `cuts`; and the residual."""
    dynamics = neuron.start(layer(THETA, STEPS, batch=current.shape[1], seed=1))
    weights = weights_of(neuron)
    windows = list(pairwise([0, *cuts, len(weights)]))
    if isinstance(dynamics, StreamingDynamics):
        assert not neuron.waits
        trains = [dynamics.advance(current[a:b]) for a, b in windows]
        longest = len(current) + 4 * STEPS if neuron.settling is None else neuron.settling
        while dynamics.owes and len(trains) - len(windows) < longest:
            trains.append(dynamics.advance(torch.zeros_like(current[:1])))
        return torch.cat(trains), dynamics.residual
    assert neuron.waits
    for a, b in windows:
        dynamics.absorb(current[a:b], weights[a:b])
    twice: list[Tensor] = []
    for _ in range(2):
        dynamics.rewind()
        twice.append(torch.cat([dynamics.emit(b - a) for a, b in windows]))
    assert torch.equal(*twice), "the train changed after rewind"
    return twice[0], dynamics.residual


def loses_charge(neuron: Neuron) -> bool:
    """Whether spikes throw charge away, as a hard reset does."""
    return getattr(neuron, "reset", None) is Reset.HARD


def sends_at_one_end(neuron: Neuron) -> bool:
    """Whether all spikes stand at one end of the window, too dense for the one-phase layer next."""
    return getattr(neuron, "order", None) in (Order.EARLY, Order.LATE)


@lru_cache(maxsize=64)
def network(neuron: Neuron) -> sw.SpikingNetwork:
    """A small network of the neuron: a max pool, and two layers of it."""
    return converted("max pool", neuron=neuron, steps=STEPS)


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """Whether counts are equal at every site."""
    return all(torch.equal(left[site], right[site]) for site in left)


def watched(
    snn: sw.SpikingNetwork, x: Tensor, budget: int
) -> tuple[dict[str, Tensor], list[Tensor], int]:
    """Trains by site; logits, charges, counts and residuals; and the last chunk's first step."""
    trains: dict[str, list[Tensor]] = {}
    starts: list[int] = []
    rest: list[Tensor] = []

    def see_layer(op: Any, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        assert residual is not None
        rest.extend([charge, count, residual])

    def see_spikes(op: Any, start: int, train: Tensor) -> None:
        trains.setdefault(op.name, []).append(train)
        starts.append(start)

    observer = Observer(layer=see_layer, spikes=see_spikes)
    rest.append(snn.observe(x, observer, engine="steps", seed=2, memory_budget=budget))
    return {name: torch.cat(parts) for name, parts in trains.items()}, rest, max(starts)


@lru_cache(maxsize=2)
def exported(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> torch.export.ExportedProgram:
    """A model as a program: capturing it is what takes time."""
    batch, example = ({0: torch.export.Dim.DYNAMIC},), torch.zeros(2, *shape, dtype=torch.float64)
    program = torch.export.export(make(), (example,), dynamic_shapes=batch, strict=False)
    return program.run_decompositions({})


@lru_cache(maxsize=1)
def two_neurons() -> nn.Module:
    """Two neurons fed by a first one: their joint law is not a product."""
    model = wired(lambda m, x: F.relu(m.b(F.relu(m.a(x)))), a=nn.Linear(2, 1), b=nn.Linear(1, 2))
    with torch.no_grad():
        model.a.weight.copy_(torch.tensor([[0.7, 0.4]]))
        model.a.bias.fill_(0.05)
        model.b.weight.copy_(torch.tensor([[0.6], [-0.5]]))
        model.b.bias.copy_(torch.tensor([0.1, 0.7]))
    return model


def assert_one_joint_law(neuron: Neuron, samples: int = 8000) -> None:
    """Two-sample chi-square on the joint counts of two neurons, over many sample identities."""
    calibration = torch.rand(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    snn = sw.convert(exported(two_neurons, (2,)), calibration, neuron, steps=3)
    x = torch.tensor([[0.8, 0.3]], dtype=torch.float64).expand(samples, 2)
    values = neuron.levels(3) + 1
    joint: list[Tensor] = []
    for engine, first in (("counts", 0), ("steps", samples)):
        ids = torch.arange(first, first + samples)
        found = snn.counts(x, engine=engine, sample_ids=ids)["relu:2"].long()
        cells = found[:, 0] * values + found[:, 1]
        joint.append(torch.bincount(cells, minlength=values**2).double())
    pooled = (joint[0] + joint[1]) / 2
    seen = pooled > 0
    assert int(seen.sum()) >= 4
    # each engine against the pooled law at half the variance: scale the deviations by sqrt(2)
    difference = (joint[1] - joint[0]) / 2
    assert_distributed(pooled[seen] + difference[seen] * 2**0.5, pooled[seen])


@lru_cache(maxsize=1)
def positive_net() -> nn.Module:
    """No input or weight is negative anywhere, so no potential ever is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = wired(
            lambda m, x: m.l(F.relu(m.b(F.relu(m.a(x)))).mean((2, 3))),
            a=nn.Conv2d(3, 4, 3),
            b=nn.Conv2d(4, 4, 3),
            l=nn.Linear(4, 3),
        )
    return firing(model)
