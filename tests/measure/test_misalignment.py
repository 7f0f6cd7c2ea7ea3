from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.measure import Misalignment, SweepProgress, decompose, watch_spikes
from spikewright.measure.cells import Cells
from spikewright.measure.misalignment import shuffled

STEPS = (2, 5)


@pytest.fixture(scope="module")
def batches(images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(images.split(16), labels.split(16), strict=True))


@pytest.fixture(scope="module")
def found(
    integrate_fire: sw.SpikingNetwork, batches: list[tuple[Tensor, Tensor]], model: nn.Module
) -> Misalignment:
    return sw.misalignment(integrate_fire, batches, STEPS, 2, model)


def test_public_names_are_functions() -> None:
    import spikewright.measure

    assert callable(sw.sweep)
    assert callable(sw.misalignment)
    assert sw.sweep is spikewright.measure.sweep
    assert sw.misalignment is spikewright.measure.misalignment


def test_the_baseline_is_called_by_its_neurons(
    integrate_fire: sw.SpikingNetwork, batches: list[tuple[Tensor, Tensor]]
) -> None:
    hard = integrate_fire.with_neuron(sw.IntegrateFire("hard"))
    found = sw.misalignment(hard, batches, 2, 1, orders=("late",), layerwise=False)
    assert found.whole.networks == ("IF, hard reset", "late")
    assert {error.network for error in found.errors} == {"IF, hard reset", "independent"}


def test_every_order_is_measured(found: Misalignment) -> None:
    orders = ("independent", "shared", "early", "late", "reversed")
    assert found.whole.networks == ("IF", *orders)
    assert found.whole.steps == STEPS
    seeds = {name: found.whole.row(name, 5).seeds for name in found.whole.networks}
    assert [name for name, n in seeds.items() if n == 2] == ["independent", "shared"]
    assert found.whole.record.configuration["experiment"] == "misalignment"


@pytest.mark.parametrize("order", ["independent", "shared", "early", "late", "reversed"])
def test_a_whole_network_row_is_the_shuffled_networks_own(
    found: Misalignment,
    integrate_fire: sw.SpikingNetwork,
    images: Tensor,
    labels: Tensor,
    order: str,
) -> None:
    network = integrate_fire.with_neuron(sw.Shuffled(sw.IntegrateFire(), order))
    said = network(images, steps=5, seed=0).argmax(1)
    assert found.whole.row(order, 5).per_seed[0] == pytest.approx(
        float((said == labels).double().mean())
    )


@pytest.mark.parametrize("order", ["independent", "shared", "early", "late", "reversed"])
def test_shuffling_the_last_hidden_layer_changes_no_count(
    integrate_fire: sw.SpikingNetwork, images: Tensor, order: str
) -> None:
    last = integrate_fire.sites[-1]
    before = integrate_fire.counts(images, steps=5)
    after = shuffled(integrate_fire, order, [last]).counts(images, steps=5)
    assert all(torch.equal(before[site], after[site]) for site in integrate_fire.sites)
    first = shuffled(integrate_fire, order, integrate_fire.sites[:1]).counts(images, steps=5)
    assert not torch.equal(before[last], first[last])  # what is fed on does notice


def test_shuffling_keeps_the_neuron_inside(integrate_fire: sw.SpikingNetwork) -> None:
    hard = sw.IntegrateFire(reset="hard")
    mixed = integrate_fire.with_neuron(hard, sites=["5"])
    neurons = shuffled(mixed, "late").neurons
    assert neurons["5"] == sw.Shuffled(hard, "late")
    assert neurons["1"] == sw.Shuffled(sw.IntegrateFire(), "late")


def test_layers_are_shuffled_one_by_one(
    found: Misalignment, integrate_fire: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    base = integrate_fire(images, steps=5).argmax(1) == labels
    assert [(e.site, e.steps) for e in found.layers] == [(s, 5) for s in integrate_fire.sites]
    for effect in found.layers:
        network = integrate_fire.with_neuron(sw.Shuffled(), sites=[effect.site])
        right = network(images, steps=5).argmax(1) == labels
        assert effect.accuracy == pytest.approx(float(right.double().mean()))
        assert effect.baseline == pytest.approx(float(base.double().mean()))
        assert effect.only_shuffled == int((right & ~base).sum())
        assert effect.only_baseline == int((base & ~right).sum())
        assert effect.low < effect.accuracy < effect.high
        assert effect.samples == 40
    last = found.layers[-1]  # its counts stay and the mean over time is all the output sees
    assert (last.only_shuffled, last.only_baseline, last.p_value) == (0, 0, 1.0)


def test_histograms_add_up_to_the_counts(
    found: Misalignment, integrate_fire: sw.SpikingNetwork, images: Tensor
) -> None:
    after = integrate_fire.with_neuron(sw.Shuffled())
    for histogram in found.histograms:
        site = histogram.site
        assert histogram.steps == len(histogram.before) == len(histogram.after) == 5
        for network, times in ((integrate_fire, histogram.before), (after, histogram.after)):
            train = network.record(images, steps=5)[site].double()
            assert times == pytest.approx(train.flatten(1).mean(1).tolist())
            count = network.counts(images, steps=5)[site]
            assert sum(times) == pytest.approx(float(count.mean()))
    assert [h.site for h in found.histograms] == list(integrate_fire.sites)


def test_residuals_are_the_charge_not_sent(
    found: Misalignment, integrate_fire: sw.SpikingNetwork, images: Tensor
) -> None:
    """Soft reset conserves charge: residual = v0 + x - n."""
    from spikewright.network import Observer

    residual: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}

    def watch(op: Any, charge: Tensor, count: Tensor, _: Tensor | None) -> None:
        residual[op.site.name] = charge + 0.5 - count
        counts[op.site.name] = count

    integrate_fire.observe(images, Observer(layer=watch), steps=5)
    for summary in found.residuals:
        left, count = residual[summary.site], counts[summary.site]
        edges = torch.tensor(summary.edges, dtype=torch.float64)
        inside = left.clamp(edges[0] + 0.01, edges[-1] - 0.01)
        expected = torch.histogram(inside.flatten(), edges).hist
        assert sum(summary.counts) == left.numel()
        moved = (torch.tensor(summary.counts).double() - expected).abs().sum()
        assert moved <= 4  # potentials on an edge, and rounding
        assert summary.mean == pytest.approx(float(left.mean()))
        assert summary.below_zero == pytest.approx(float((left < -1e-9).double().mean()), abs=0.01)
        assert summary.at_or_above_one == pytest.approx(
            float((left >= 1).double().mean()), abs=0.01
        )
        over = ((left < -1e-9) & (count > 0)).double().mean()
        under = ((left >= 1) & (count < 5)).double().mean()
        assert summary.overfired == pytest.approx(float(over), abs=0.01)
        assert summary.underfired == pytest.approx(float(under), abs=0.01)
        assert summary.overfired <= summary.below_zero
    assert found.residuals[0].overfired == 0  # even input cannot overfire
    assert any(summary.overfired > 0 for summary in found.residuals[1:])


def test_a_potential_on_an_edge_is_in_the_bin_above_it() -> None:
    """Without input it stays at v0 = 1/2, which is an edge."""
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)).eval()
    network = sw.convert(model, torch.rand(32, 3), sw.IntegrateFire(), steps=4, correction=None)
    _, (residual,) = watch_spikes(network, network, [torch.zeros(5, 3)], 4)
    assert residual.mean == 0.5
    assert residual.counts[residual.edges.index(0.5)] == 5 * 4


def test_errors_are_told_before_and_after(found: Misalignment) -> None:
    told = [(e.network, e.steps) for e in found.errors]
    assert told == [(n, t) for n in ("IF", "independent") for t in STEPS for _ in range(3)]
    before, after = found.errors[3:6], found.errors[9:12]
    assert before[0].total == after[0].total  # the first layer's own counts do not change
    assert before[2].total != after[2].total


def test_the_result_can_be_written(found: Misalignment) -> None:
    told = json.loads(json.dumps(found.to_dict()))
    assert set(told) == {"whole", "layers", "histograms", "residuals", "errors"}
    assert len(told["errors"]) == len(found.errors) == 12


def test_layerwise_may_be_left_out(
    integrate_fire: sw.SpikingNetwork, batches: list[tuple[Tensor, Tensor]]
) -> None:
    told: list[SweepProgress] = []
    found = sw.misalignment(
        integrate_fire, batches, 2, 1, orders=("late",), layerwise=False, progress=told.append
    )
    assert found.layers == ()
    assert found.whole.networks == ("IF", "late")
    assert found.whole.reference is None
    parts = list(dict.fromkeys(p.network for p in told))
    assert parts == ["IF", "late", "spike times", "errors of IF", "errors of independent"]
    assert [p.done for p in told if p.network == "spike times"] == [1, 2, 3]


def test_all_parts_draw_by_the_first_seed(
    integrate_fire: sw.SpikingNetwork, batches: list[tuple[Tensor, Tensor]]
) -> None:
    kept, probe = Cells(), integrate_fire.with_neuron(sw.Shuffled())
    for seeds in ((7, 1), (8,)):
        asked = {"seeds": seeds, "orders": ("late",), "cells": kept}
        found = sw.misalignment(integrate_fire, batches, 5, **asked)
        histograms, _ = watch_spikes(integrate_fire, probe, batches, 5, seed=seeds[0])
        assert found.histograms == histograms
        errors = decompose(probe, batches, 5, seed=seeds[0], name="independent")
        assert found.errors[len(integrate_fire.sites) :] == errors
        for effect in found.layers:
            network = integrate_fire.with_neuron(sw.Shuffled(), sites=[effect.site])
            right = [network(x, steps=5, seed=seeds[0]).argmax(1) == y for x, y in batches]
            assert effect.accuracy == pytest.approx(float(torch.cat(right).double().mean()))


def test_kept_parts_of_other_steps_are_not_taken_for_these(
    integrate_fire: sw.SpikingNetwork, batches: list[tuple[Tensor, Tensor]]
) -> None:
    kept, asked = Cells(), {"seeds": 1, "orders": ("late",)}
    for steps, at in (((2, 3), 3), ((2, 4), 4), ((2, 4), 2)):
        again = sw.misalignment(integrate_fire, batches, steps, **asked, layer_steps=at, cells=kept)
        fresh = sw.misalignment(integrate_fire, batches, steps, **asked, layer_steps=at)
        assert again.errors == fresh.errors
        assert again.histograms == fresh.histograms
        assert again.layers == fresh.layers


def test_time_chunks_do_not_change_what_is_watched(
    integrate_fire: sw.SpikingNetwork, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = integrate_fire.with_neuron(sw.Shuffled())
    whole = watch_spikes(integrate_fire, after, [images], 5)
    observe = sw.SpikingNetwork.observe

    def in_single_steps(self: sw.SpikingNetwork, *args: Any, **kwargs: Any) -> Tensor:
        return observe(self, *args, **kwargs, memory_budget=1)

    monkeypatch.setattr(sw.SpikingNetwork, "observe", in_single_steps)
    assert watch_spikes(integrate_fire, after, [images], 5) == whole


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"data": iter([])}, "several times and a list_iterator can be read once: pass a list"),
        ({"orders": ("random",)}, "'random' is not a valid Order; the orders are independent, sh"),
        ({"orders": ()}, r"at least one of independent.*got \(\)"),
        ({"orders": ("late", "late")}, "orders must be different"),
        ({"layerwise": False, "layer_steps": 4}, "layer_steps=4 has no effect with layerwise=Fal"),
        ({"layer_steps": 0}, "steps must be whole numbers"),
        ({"steps": ()}, "steps must be whole numbers"),
    ],
)
def test_refusals(
    integrate_fire: sw.SpikingNetwork,
    batches: list[tuple[Tensor, Tensor]],
    changed: dict[str, Any],
    told: str,
) -> None:
    with pytest.raises(sw.AnalysisError, match=told):
        sw.misalignment(integrate_fire, **{"data": batches, "steps": 2, **changed})


def test_frames_are_refused(integrate_fire: sw.SpikingNetwork, images: Tensor) -> None:
    frames = [(images.expand(2, *images.shape), torch.zeros(len(images), dtype=torch.int64))]
    with pytest.raises(sw.AnalysisError, match=r"shows images \[B, \*S\] as constant currents"):
        sw.misalignment(integrate_fire, frames, steps=2)


def test_two_phase_neurons_are_refused(
    integrate_fire: sw.SpikingNetwork, batches: list[tuple[Tensor, Tensor]]
) -> None:
    mixed = integrate_fire.with_neuron(sw.Shuffled(), sites=["5"])
    with pytest.raises(sw.AnalysisError, match="at every site, got shuffled IF at 5: convert with"):
        sw.misalignment(mixed, batches)
