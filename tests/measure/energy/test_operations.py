from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph.accumulated import Accumulated
from spikewright.graph.ir import Kind
from spikewright.graph.rule import Rule, registered
from spikewright.measure import HOROWITZ_45NM, Counts, EnergyModel, code_table
from spikewright.neurons import codes
from tests.builders import images, wired
from tests.network.nets import NETS, converted


def naive_additions(snn: sw.SpikingNetwork, x: Tensor) -> dict[str, float]:
    """Additions of `plain`, from recorded trains and one convolution with weights of 1 a step."""
    graph = snn.plan(4).graph
    trains = snn.record(x, steps=4)
    found: dict[str, float] = {}
    ones = {n: (t != 0).double() for n, t in graph.tensors.items()}
    first, second = (trains[name].double().flatten(0, 1) for name in snn.sites)
    weights = [op.stored[0] for op in graph.operations if op.stored]
    found[snn.sites[1]] = float(F.conv2d(first, ones[weights[1]]).sum()) / len(x)
    found["output"] = float(F.linear(second.flatten(1), ones[weights[2]]).sum()) / len(x)
    return found


@pytest.mark.parametrize("neuron", [sw.IntegrateFire(), sw.TwoPhase(), sw.SRP(2), sw.Shuffled()])
def test_additions_are_those_of_a_naive_loop(neuron: sw.TwoPhase) -> None:
    snn, x = converted("plain", neuron=neuron, steps=4), images(5, seed=3)
    found = sw.operations(snn, [x], engine="steps")
    for site, additions in naive_additions(snn, x).items():
        assert additions > 0
        assert found.row(site).snn.additions == pytest.approx(additions)


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("code", ["random", "burst", "binary", "first-spike"])
def test_both_engines_count_alike(name: str, code: str) -> None:
    """A pooled train is read from counts by one engine, from spikes by the other."""
    snn, x = converted(name, neuron=sw.TwoPhase("nearest", code), steps=5), images(4, seed=2)
    counts, steps = (sw.operations(snn, [x], engine=engine) for engine in ("counts", "steps"))
    assert counts.rows == steps.rows


@pytest.mark.parametrize("code", list(codes()))
def test_pooled_spikes_are_those_that_the_step_engine_pools(code: str) -> None:
    """Every code, against the trains that leave the step engine's own causal pooling."""
    snn, x = converted("max pool", neuron=sw.TwoPhase("nearest", code), steps=5), images(4)
    plan = snn.plan()
    (pool,) = (op for op in plan.graph.operations if op.kind is Kind.MAX)
    train = snn.record(x)[snn.sites[0]].double()
    weights = plan.weights.tolist()
    pooled = Accumulated(pool, {}, weights).advance([train], weights).flatten(0, 1)
    weight = [op.stored[0] for op in plan.graph.operations if op.stored][1]
    reached = F.conv2d((pooled != 0).double(), (plan.graph.tensors[weight] != 0).double())
    row = sw.operations(snn, [x]).row(snn.sites[1])
    assert row.snn.additions == pytest.approx(float(reached.sum()) / len(x))
    assert row.snn.additions > 0


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_cut_into_batches_does_not_matter(name: str) -> None:
    snn, x = converted(name, neuron=sw.IntegrateFire(), steps=3), images(6)
    whole, parts = sw.operations(snn, [x]), sw.operations(snn, list(x.split(4)))
    for row, other in zip(whole.rows, parts.rows, strict=True):
        assert row.snn.numbers == pytest.approx(other.snn.numbers)
        assert row.ann == other.ann


def test_totals_are_sums_of_rows() -> None:
    found = sw.operations(converted("residual", steps=4), [images(4)])
    total = found.total
    assert total.spikes == sum(row.spikes for row in found.rows)
    assert total.snn.additions == sum(row.snn.additions for row in found.rows)
    lines = list(csv.DictReader(io.StringIO(found.to_csv())))
    *rows, last = lines
    assert last["site"] == "total"
    for column in ("spikes", "additions", "weight_bytes", "snn_nj", "ann_nj", "snn_memory_nj"):
        assert float(last[column]) == pytest.approx(sum(float(row[column]) for row in rows))


def test_the_document_is_json_and_names_neurobench_metrics() -> None:
    found = sw.operations(converted("plain", steps=4), [(images(4), torch.zeros(4).long())])
    told = json.loads(json.dumps(found.to_dict()))
    assert set(told["neurobench"]) == {
        "Footprint",
        "ConnectionSparsity",
        "ActivationSparsity",
        "SynapticOperations",
    }
    assert told["neurobench"]["SynapticOperations"] == {
        "Effective_MACs": found.total.snn.effective_macs,
        "Effective_ACs": found.total.snn.additions,
        "Dense": 4 * found.total.ann.all_macs,
    }
    assert told["accuracy"] == found.accuracy is not None
    assert told["energy_model"]["source"].startswith("Horowitz")
    assert "operations for one sample" in str(found)
    snn = found.total.snn
    work = snn.updates + snn.comparisons + snn.draws + snn.bias_additions
    assert snn.bias_additions > 0
    assert f" {work:,.0f} " in str(found).splitlines()[-4]


@pytest.mark.parametrize("settle", [0, 1, None])
def test_spikes_that_take_others_back_are_spikes_too(settle: int | None) -> None:
    snn, x = converted("residual", neuron=sw.SpikeTracer(settle=settle), steps=8), images(6)
    found, recorded = sw.operations(snn, [x]), snn.record(x)
    assert any(bool((train < 0).any()) for train in recorded.values())
    for site, train in recorded.items():
        assert found.row(site).spikes == pytest.approx(float((train != 0).sum()) / len(x))


def test_activation_sparsity_of_spike_tracers_counts_the_steps_in_which_they_settle() -> None:
    """NeuroBench's share of zeros, of one image, among all that its neurons sent."""
    x = images(1)
    snn = converted("residual", neuron=sw.SpikeTracer(), steps=2)
    found = sw.operations(snn, [x])
    trains = torch.cat([train.flatten() for train in snn.record(x).values()])
    assert found.settling == found.latency - 2 > 0
    assert found.neurobench()["ActivationSparsity"] == float((trains == 0).double().mean())


def test_energy_by_hand() -> None:
    """10 MACs at 4.6 pJ, 100 additions, comparisons and updates at 0.9 pJ; in integers, 0.2 + 0.1
    a MAC on the input, 0.2 * 4/8 + 0.1 on 4-bit activations, 0.1 an addition."""
    counts = Counts(input_macs=10, additions=50, updates=20, comparisons=30)
    assert HOROWITZ_45NM.parts(counts).arithmetic_nj == pytest.approx((46 + 90) / 1000)
    assert HOROWITZ_45NM.integer_nj(counts) == pytest.approx((3 + 10) / 1000)
    assert HOROWITZ_45NM.integer_nj(Counts(macs=10), 4) == pytest.approx(2 / 1000)
    # 60 weights of 4 bytes at 12.5 pJ; 70 potentials read and written, 10 inputs read, 2.5 pJ
    assert HOROWITZ_45NM.parts(counts).memory_nj == pytest.approx((60 * 50 + 150 * 10) / 1000)


def test_parts_of_energy_by_hand() -> None:
    """Each kind of operation in its own part; memory: weights of 4 bytes at 12.5 pJ a byte, states
    at 2.5 pJ, read and written (8 bytes) by additions and updates, read (4) by MACs."""
    counts = Counts(
        input_macs=10, macs=20, additions=50, scale_multiplications=5, bias_additions=7,
        updates=20, comparisons=30, draws=40,
    )  # fmt: skip
    parts = HOROWITZ_45NM.parts(counts)
    assert parts.macs_nj == pytest.approx(30 * 4.6 / 1000)
    assert parts.additions_nj == pytest.approx(50 * 0.9 / 1000)
    assert parts.neurons_nj == pytest.approx(57 * 0.9 / 1000)
    assert parts.draws_nj == pytest.approx(40 * 0.1 / 1000)
    assert parts.scales_nj == pytest.approx(5 * 3.7 / 1000)
    assert parts.weights_nj == pytest.approx((30 + 50 + 5) * 50 / 1000)
    assert parts.states_nj == pytest.approx((77 * 20 + 30 * 10) / 1000)
    told = (parts.macs_nj, parts.additions_nj, parts.neurons_nj, parts.draws_nj, parts.scales_nj)
    assert sum(told) == pytest.approx(HOROWITZ_45NM.parts(counts).arithmetic_nj)
    assert parts.weights_nj + parts.states_nj == pytest.approx(
        HOROWITZ_45NM.parts(counts).memory_nj
    )


def test_constants_can_be_replaced() -> None:
    snn = converted("plain", steps=4)
    free = replace(HOROWITZ_45NM, fp32_add_pj=0.0, fp32_multiply_pj=0.0, random_draw_pj=0.0)
    assert sw.operations(snn, [images(2)], model=free).energy.snn_nj == 0
    with pytest.raises(ValueError, match="fp32_add_pj must be finite and at least 0"):
        EnergyModel(fp32_add_pj=-1)


def test_numbers_beside_spikes_are_multiplied_once_a_window() -> None:
    """6 spiking values, and 2 numbers, read by 3 outputs; half of the samples are silent."""
    model = wired(
        lambda m, x: m.c(torch.cat([y := F.relu(m.a(x)), m.b(y)], 1)),
        a=nn.Linear(4, 6, bias=False), b=nn.Linear(6, 2), c=nn.Linear(8, 3),
    )  # fmt: skip
    x = torch.randn(16, 4, dtype=torch.float64)
    snn = sw.convert(model, x, steps=4, correction=None)
    x[::2] = 0
    for batches in ([x], list(x.split(1))):
        found = sw.operations(snn, batches)
        assert found.row("output").snn.macs == 2 * 3
        assert found.row("output").snn.additions == pytest.approx((2 + 3) * found.total.spikes)


ARITHMETIC: dict[str, tuple[Callable[[Tensor], Tensor], int, int]] = {
    "a leaky ReLU by hand": (lambda x: torch.where(x > 0, x, 0.1 * x), 1, 1),
    "hard swish by hand": (lambda x: x * F.relu6(x + 3) / 6, 2, 3),
    "a square": (lambda x: x**2, 1, 0),
    "a seventh power": (lambda x: x.pow(7), 4, 0),
    "softshrink": (lambda x: F.softshrink(x), 2, 5),
    "a mask by hand": (lambda x: x.square().masked_fill((x < 0) & (x > -1), 0.0), 1, 2),
}
"""Functions with the multiplications and additions (comparisons too) of one value."""


@pytest.mark.parametrize("name", ARITHMETIC)
def test_functions_of_arithmetic_and_comparisons_alone_have_a_price(name: str) -> None:
    function, multiplications, additions = ARITHMETIC[name]
    model = wired(
        lambda m, x: m.b(function(m.a(x))), a=nn.Linear(4, 6, bias=False), b=nn.Linear(6, 3)
    )
    x = torch.randn(16, 4, dtype=torch.float64)
    row = sw.operations(sw.convert(model, x, steps=4), [x]).rows[0]
    picojoules = 6 * (3.7 * multiplications + 0.9 * additions)
    assert HOROWITZ_45NM.parts(row.snn).functions_nj == pytest.approx(picojoules / 1000)
    assert HOROWITZ_45NM.parts(row.ann).functions_nj == pytest.approx(picojoules / 1000)


def test_codes_share_counts_and_differ_in_spikes() -> None:
    snn, x = converted("max pool", steps=7), images(6)
    labels = snn(x).argmax(1)
    found = sw.code_costs(snn, [(x, labels)])
    assert [one.network for one in found] == [
        "nearest",
        "nearest, burst",
        "nearest, binary",
        "nearest, first-spike",
    ]
    assert {one.accuracy for one in found} == {1.0}
    assert [one.duration for one in found] == [7, 7, 3, 7]
    assert [one.latency for one in found] == [21, 21, 9, 21]
    random, burst, binary, first = (one.total for one in found)
    assert random.spikes == burst.spikes > binary.spikes > first.spikes
    assert random.snn.draws > 0 == burst.snn.draws
    for one in found:
        assert (one.steps, one.levels) == (one.duration, 7)
        code = one.network.partition(", ")[2] or "random"
        alone = converted("max pool", neuron=sw.TwoPhase("nearest", code), steps=one.steps)
        assert sw.operations(alone, [x]).rows == one.rows
    table = code_table(found).splitlines()
    assert len(table) == 5
    assert len({len(line) for line in table}) == 1


def test_a_network_after_compile_counts_alike() -> None:
    snn, x = converted("plain", steps=4), images(3)
    before = sw.operations(snn, [x])
    assert sw.operations(snn.compile(), [x]).rows == before.rows


@pytest.mark.parametrize(
    ("neuron", "work"),
    [
        (sw.IntegrateFire(), (8, 8, 0)),
        (sw.SRP(2), (10, 11, 0)),
        (sw.COS(2), (10, 14, 0)),
        (sw.COS(9, iterations=2), (24, 44, 0)),
        (sw.TPP(), (8, 8, 8)),
        (sw.TwoPhase("unbiased", "burst"), (1, 9, 1)),
        (sw.TwoPhase("nearest", "binary"), (9, 9, 0)),
        (sw.TwoPhase("nearest", "first-spike"), (1, 9, 0)),
        (sw.Shuffled(sw.IntegrateFire()), (16, 16, 8)),
    ],
    ids=lambda v: getattr(v, "label", ""),
)
def test_the_work_of_a_neuron(neuron: sw.TwoPhase, work: tuple[int, int, int]) -> None:
    """Updates, comparisons and draws in a window of T = 8."""
    found = neuron.work(8)
    assert (found.updates, found.comparisons, found.draws) == work


def test_labels_must_be_classes_of_the_network() -> None:
    snn, x = converted("plain", steps=4), images(5, seed=3)
    classes = snn(x).shape[1]
    with pytest.raises(sw.AnalysisError, match=f"the labels run from {classes} to {classes}"):
        sw.operations(snn, [(x, torch.full((5,), classes))])
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)).double().eval()
    masks = sw.convert(model, images(6), steps=4)
    with pytest.raises(sw.AnalysisError, match=r"accuracy needs logits \[B, classes\]"):
        sw.operations(masks, [(x, torch.zeros(5, dtype=torch.int64))])


def test_the_ann_beside_fitted_tables_has_the_bits_of_their_steps() -> None:
    """Weights of tables are large; K spikes of whatever weights are 2**K values."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 3)).eval()
    x = torch.rand(64, 4)
    snn = sw.convert(model, x, sw.FewSpikes(rounds=20), steps=6)
    assert len(snn.counts(x)["1"].unique()) <= 2**6 < snn.neurons["1"].levels(6)
    priced = replace(HOROWITZ_45NM, function_pj={"silu": 20.0})  # the ANN computes it
    assert sw.operations(snn, [x], model=priced).energy.ann_bits == 6


def test_refusals() -> None:
    with pytest.raises(sw.AnalysisError, match="got a Linear: convert it first"):
        sw.operations(nn.Linear(2, 2), [])  # type: ignore[arg-type]
    snn = converted("plain", neuron=sw.IntegrateFire(), steps=2)
    with pytest.raises(sw.AnalysisError, match="no code to choose"):
        sw.code_costs(snn, [images(2)])
    with pytest.raises(sw.AnalysisError, match="held no sample"):
        sw.operations(snn, [])
    with pytest.raises(sw.AnalysisError, match="batch 2 holds"):
        sw.operations(snn, [images(2), images(2)[:0], "x"])
    with pytest.raises(sw.AnalysisError, match="there is no row of 'x'"):
        sw.operations(snn, [images(2)]).row("x")


def test_every_rule_has_a_route() -> None:
    counted = {Kind.LINEAR, Kind.MAX}
    rules = {rule for rule in registered().values() if rule.kind in counted}
    silent = {
        type(rule).__name__
        for rule in rules
        if type(rule).route is Rule.route and type(rule).normal_form is Rule.normal_form
    }
    silent -= {"Embedding", "Sampling"}  # by indices, which are no events
    gone = {"BatchNorm", "Bags"}  # folded away, and written out where they are read
    assert silent == gone, "a normal form is counted as itself"


def test_dense_operations_count_weights_that_are_0() -> None:
    """6 -> 8 -> 3: 72 multiply-accumulates a step, of which zeros leave 40."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[0].weight[:, ::2] = 0
        model[2].weight[0] = 0
    x = torch.rand(8, 6)
    found = sw.operations(sw.convert(model, x, steps=4), [x])
    assert found.total.ann.all_macs == 40
    assert found.neurobench()["SynapticOperations"]["Dense"] == 72 * 4
    assert found.connection_sparsity == 32 / 72


class Twice(nn.Module):
    """One layer called twice, only its diagonal not 0, and another."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.last = nn.Linear(6, 6), nn.Linear(6, 6)
        with torch.no_grad():
            self.shared.weight.copy_(torch.eye(6))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.shared(self.shared(x).relu()).relu())


def test_weights_that_are_used_twice_are_sparse_once() -> None:
    x = torch.rand(16, 6)
    found = sw.operations(sw.convert(Twice().eval(), x, steps=4), [x])
    assert found.connection_sparsity == 30 / 72
