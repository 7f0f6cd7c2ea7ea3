"""Calibration by what layers send: bias by channel means, then potentials, on simulated trains."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright.calibration import Auto, OutputMeans
from spikewright.calibration.layer_simulation import LayerSimulation
from spikewright.calibration.layers import Layers, Sent
from spikewright.calibration.output_means import fitting
from spikewright.calibration.samples import Samples
from spikewright.graph import Kind, evaluate
from spikewright.graph.evaluate import apply
from spikewright.network import Observer
from spikewright.neurons import SRP
from tests.builders import captured, exported, images, wired
from tests.network.nets import NETS, converted, net, program

SHIFTED = sw.IntegrateFire(v0=0.0, shift=0.5)


def ann_means(snn, x):
    """By site, the ANN's mean activation of every neuron."""
    found = {}

    def keep(op, inputs):
        found[op.site.name] = apply(op, inputs, snn.graph.tensors)
        return found[op.site.name]

    evaluate(snn.graph, x, {Kind.UNIT: keep})
    return {name: values.mean(0).detach() for name, values in found.items()}


def sent_means(snn, x):
    """By site, what every neuron sends, in the unit of the ANN."""
    found = {}

    def keep(op, charge, count, residual):
        theta = snn.design().thresholds[op.site.name].reshape(1, -1, *[1] * (count.ndim - 2))
        found[op.site.name] = (count * theta / snn.steps).mean(0)

    snn.observe(x, Observer(layer=keep))
    return found


def one_layer():
    """A layer whose activations are far from both ends of its range, as hand calculation needs."""
    model = wired(lambda m, x: F.relu(m.a(x)).mean((2, 3)), a=nn.Conv2d(1, 2, 1))
    with torch.no_grad():
        model.a.weight.copy_(torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1))
        model.a.bias.zero_()
    return model


def test_the_bias_is_the_error_of_the_channel_means_by_hand():
    x = torch.tensor([1.0, 0.25, 0.25, 0.4375]).double().reshape(1, 1, 2, 2)
    snn = sw.convert(
        one_layer(),
        x,
        neuron=sw.IntegrateFire(v0=0),
        threshold=sw.Maximum(per="channel"),
        steps=4,
        correction=OutputMeans(potential=False),
    )
    # theta = 1, charges 4, 1, 1, 1.75: the last neuron sends 1/4 of .4375, the others are right
    (site,) = snn.sites
    assert snn.design().corrections[site].tolist() == [0.1875 / 4, 0.375 / 4]
    assert not snn.design().potentials


def test_a_channel_of_a_fully_connected_layer_is_one_neuron():
    model = wired(lambda m, x: F.relu(m.a(x)), a=nn.Linear(1, 2))
    with torch.no_grad():
        model.a.weight.copy_(torch.tensor([[1.0], [2.0]]))
        model.a.bias.zero_()
    snn = sw.convert(
        model,
        torch.tensor([[1.0], [0.25], [0.25], [0.4375]]).double(),
        neuron=sw.IntegrateFire(v0=0),
        threshold=sw.Maximum(per="channel"),
        steps=4,
        correction=OutputMeans(potential=False),
    )
    (site,) = snn.sites  # the same charges as those of the four places above
    assert snn.design().corrections[site].tolist() == [0.1875 / 4, 0.375 / 4]


def test_the_potential_is_the_error_of_each_neuron_by_hand():
    x = torch.tensor([[1.0, 0.25, 0.25, 0.4375], [0.5, 0.25, 0.25, 0.6875]])
    x = x.double().reshape(2, 1, 2, 2)
    snn = sw.convert(
        one_layer(),
        x,
        neuron=sw.IntegrateFire(v0=0),
        threshold=sw.Maximum(per="channel"),
        steps=4,
        correction=OutputMeans(bias=False),
    )
    # the last neuron sends .25 of .4375 and .5 of .6875, so v0 = 4 * .1875
    (site,) = snn.sites
    expected = torch.tensor([[[0, 0], [0, 0.75]], [[0, 0], [0, 1.5]]]).double()
    assert torch.equal(snn.design().potentials[site], expected)
    # 1.75 + .75 and 2.75 + .75 thresholds: two spikes and three
    assert snn.counts(x)[site][:, 0, 1, 1].tolist() == [2, 3]


@pytest.mark.parametrize("neuron", [SHIFTED, sw.TwoPhase(), sw.Shuffled(SHIFTED)])
@pytest.mark.parametrize("rule", [OutputMeans(potential=False), OutputMeans()])
def test_channel_means_come_back_to_those_of_the_ann(neuron, rule):
    """Layer by layer on the calibration set: what is left is a fraction of what was there."""
    torch.manual_seed(0)
    model, x = net("residual"), images(64, seed=4)
    model.a.bias.data += 0.5
    model.b.bias.data += 0.5
    model = exported(model, x)
    options = {"neuron": neuron, "threshold": sw.Maximum(), "steps": 3}
    plain = sw.convert(model, x, correction=None, **options)
    corrected = sw.convert(model, x, correction=rule, **options)
    wanted = ann_means(plain, x)
    before, after = sent_means(plain, x), sent_means(corrected, x)

    def error(sent, site):
        return float((sent[site] - wanted[site]).flatten(1).mean(1).abs().max())

    late = plain.sites[-1]
    assert error(after, late) < 0.4 * error(before, late)
    for site in plain.sites:
        assert error(after, site) < 0.01 + 0.4 * error(before, site)


def test_potentials_also_mend_single_neurons():
    model, x = program("plain"), images(64, seed=4)
    options = {"neuron": SHIFTED, "threshold": sw.Maximum(), "steps": 3}
    found = {}
    for rule in (OutputMeans(potential=False), OutputMeans()):
        snn = sw.convert(model, x, correction=rule, **options)
        wanted, sent = ann_means(snn, x), sent_means(snn, x)
        found[rule.potential] = [float((sent[s] - wanted[s]).abs().mean()) for s in snn.sites]
    assert all(mended < left for mended, left in zip(found[True], found[False], strict=True))


def assert_simulated_as_run(name, neuron, x):
    """The simulation of layers gives the counts of the converted network, of one neuron or more."""
    graph = captured(program(name), x)
    snn = converted(name, neuron=neuron, threshold=sw.Maximum(), steps=4, correction=None)
    found, levels = {}, snn.plan().levels
    simulation = LayerSimulation(snn.neurons, 4, 0, graph.tensors, frozenset())
    samples = Samples(graph, x.split(2), len(x))
    layers = Layers(graph, samples.parts, simulation.duration, simulation.rehearsal)
    for layer in layers.units():
        site, shares = layer.site, []
        for number, current in layer.currents():
            theta = snn.design().thresholds[site].reshape(1, -1, *[1] * (current.ndim - 2))
            ids = samples.ids[number]
            current = current.unflatten(0, (simulation.duration, len(ids)))
            sent = simulation.trains(layer.operation, current, theta, 0.0, ids)
            shares.append(simulation.mean(sent) * levels[site] / theta)
            layer.send(number, Sent(sent.numbers.flatten(0, 1), sent.unit))
        found[site] = torch.cat(shares)
    for site, counts in snn.counts(x).items():
        torch.testing.assert_close(found[site], counts, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "neuron",
    [
        sw.TwoPhase(),
        sw.TwoPhase("unbiased"),
        sw.IntegrateFire(),
        {"*": sw.IntegrateFire(), "*:2": sw.TwoPhase("nearest", "digits")},
        {"*": sw.TwoPhase("unbiased"), "*:2": sw.TwoPhase("nearest", "binary", steps=3)},
    ],
)
@pytest.mark.parametrize("name", sorted(NETS))
def test_the_layers_are_those_that_the_engines_run(name, neuron):
    """The simulation that measures is the network that comes out: count for count."""
    x = images(5, seed=3)
    assert_simulated_as_run(name, neuron, x)


@pytest.mark.parametrize("name", ["plain", "max pool"])
def test_a_rehearsal_is_simulated_and_not_counted(name):
    x, neuron = images(5, seed=3), SRP(2)
    assert_simulated_as_run(name, neuron, x)


def test_a_potential_is_a_current_to_neurons_that_know_their_total_charge_only():
    x = images(64, seed=4)
    snn = converted("plain", neuron=sw.TwoPhase(), steps=4, correction=OutputMeans())
    design = snn.design()
    assert design.potentials
    counts, steps = (snn.counts(x, engine=engine) for engine in ("counts", "steps"))
    charges = {}
    snn.observe(x, Observer(layer=lambda op, c, n, r: charges.update({op.site.name: c})))
    bare = sw.SpikingNetwork(
        snn.graph, snn.neurons, 4, {4: replace(design, potentials={})}, snn.calibration
    )
    first = snn.sites[0]
    plain = {}
    bare.observe(x, Observer(layer=lambda op, c, n, r: plain.update({op.site.name: c})))
    theta = design.thresholds[first].reshape(1, -1, 1, 1)
    added = design.potentials[first] / theta
    torch.testing.assert_close(charges[first] - plain[first], added.expand_as(charges[first]))
    for site in snn.sites:
        assert torch.equal(counts[site], steps[site])


def test_the_charge_told_of_a_one_phase_layer_holds_its_potential():
    x, kept = images(6, seed=4), {}
    snn = converted("plain", neuron=sw.IntegrateFire(), steps=4, correction=OutputMeans())
    snn.observe(x, Observer(layer=lambda op, c, n, r: kept.update({op.site.name: (c, n, r)})))
    for charge, count, residual in kept.values():
        torch.testing.assert_close(charge + 0.5, count + residual, rtol=0, atol=1e-9)


def test_another_t_has_no_offsets_and_the_same_seed_the_same_ones():
    snn = converted("plain", neuron=sw.TPP(), steps=(4, 8), correction=OutputMeans())
    again = converted("plain", neuron=sw.TPP(), steps=(4, 8), correction=OutputMeans())
    assert not snn.design(5).potentials
    assert not snn.design(5).corrections
    site = snn.sites[-1]
    for t in (4, 8):
        for part in ("corrections", "potentials"):
            one, other = (getattr(s.design(t), part)[site] for s in (snn, again))
            assert torch.equal(one, other)
    assert not torch.equal(snn.design(4).potentials[site], snn.design(8).potentials[site])


def test_samples_are_spread_and_fit_the_memory():
    x = torch.arange(100.0).reshape(100, 1, 1, 1).expand(100, 3, 6, 6).double()
    samples = Samples(captured(program("plain"), images(2)), x.split(30), 100)

    def chosen(number, steps=1):
        return samples.spread(number, steps).parts

    assert torch.cat(chosen(5))[:, 0, 0, 0].tolist() == [0, 25, 50, 74, 99]
    assert torch.equal(torch.cat(chosen(100)), x)
    assert [len(part) for part in chosen(50, steps=4)] == [7, 7, 1] * 3 + [5]
    counted, simulated = (
        LayerSimulation({"a": sw.TPP(), "b": neuron}, 4, 0, {}, frozenset())
        for neuron in (sw.TwoPhase(), sw.IntegrateFire())
    )
    assert fitting(samples, counted, 5) == 100
    each = 6 * 64 * 4 * 8  # values of the largest layer, steps, bytes
    assert fitting(samples, simulated, 50) == 50
    assert fitting(samples, simulated, 50, memory=3 * each) == 3
    assert fitting(samples, simulated, 50, memory=1) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bias": False, "potential": False}, "got neither"),
        ({"samples": 0}, "needs at least 1 sample, got 0"),
    ],
)
def test_a_wrong_configuration_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        OutputMeans(**options)


@pytest.mark.parametrize("wrong", [OutputMeans, "yes", True])
def test_convert_refuses_what_is_no_correction(wrong):
    with pytest.raises(sw.ConversionError, match="correction must be None or a correction"):
        sw.convert(program("plain"), images(), correction=wrong)


def test_tracers_that_settle_for_some_steps_are_calibrated_as_those_that_settle() -> None:
    """Trains cut off at T would be made up for, and the settled network would err by as much."""
    x, settling = images(16), sw.SpikeTracer(settle=50)
    model = program("residual")
    for correction in (Auto(), OutputMeans()):
        options = {"steps": 4, "correction": correction}
        found = sw.convert(model, x, settling, **options)
        wanted = sw.convert(model, x, sw.SpikeTracer(), **options)
        assert found.expected() == wanted.expected()
        torch.testing.assert_close(found(x), wanted(x))
