"""A spiking network as an object: what it shares, copies, keeps and refuses."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.calibration import Auto, Refit
from spikewright.network.byte_cache import ByteCache
from tests.builders import images, wired
from tests.network.nets import converted, program


@pytest.fixture(scope="module")
def snn() -> sw.SpikingNetwork:
    return converted("plain", steps=(4, 3))


def test_neurons_and_precision_are_read_only(snn):
    site = snn.sites[0]
    with pytest.raises(TypeError, match="does not support item assignment"):
        snn.neurons[site] = sw.TPP()
    with pytest.raises(AttributeError):
        snn.neurons = {}
    with pytest.raises(AttributeError):
        snn.precision = "nonsense"
    assert snn.neurons == dict.fromkeys(snn.sites, sw.TwoPhase())


@pytest.mark.parametrize("given", [np.zeros((4, 3, 6, 6)), [images()]])
def test_what_is_no_tensor_is_refused(snn, given):
    with pytest.raises(sw.ConversionError, match=r"takes a tensor \[B, 3, 6, 6\], got (nda|lis)"):
        snn(given)
    with pytest.raises(sw.ConversionError, match=r"takes (input|x); '(input|x)' is missing"):
        snn(None)
    with pytest.raises(sw.ConversionError, match="whole number, at least 1, got tensor"):
        snn(images(), steps=torch.tensor(8))


def test_a_choice_of_no_site_or_no_neuron_is_refused(snn):
    with pytest.raises(sw.ConversionError, match=r"sites=\[\] chooses no site; leave it out"):
        snn.with_neuron(sw.TPP(), sites=[])
    with pytest.raises(sw.ConversionError, match="expected a neuron such as TPP"):
        snn.with_neuron("TPP")
    one = snn.with_neuron(sw.TPP(), sites=snn.sites[0])  # one name, as it is
    assert one.neurons[snn.sites[0]] == sw.TPP()


def test_what_is_made_of_a_compiled_network_is_compiled(monkeypatch):
    served = []
    compiled = converted("plain", steps=4).compile()
    monkeypatch.setattr(
        "spikewright.network.compiled.CompiledEngines.serving",
        lambda self, plan, engine, observer: served.append(plan.quick),
    )
    for made in (compiled, compiled.with_precision("bf16"), compiled.with_neuron(sw.TPP())):
        made(images())
        copy.deepcopy(made)(images())
    assert served == [True] * 6
    converted("plain", steps=4).with_neuron(sw.TPP())(images())
    assert len(served) == 6


@pytest.mark.parametrize("write", [pickle.dumps, lambda net: torch.save(net, io.BytesIO())])
def test_pickling_points_to_save(snn, write):
    for network in (snn, snn.ann()):
        with pytest.raises(sw.InterchangeError, match=r"snn\.save\(path\).*spikewright\.load"):
            write(network)


def test_a_state_loaded_into_one_network_does_not_reach_its_siblings(snn):
    x = images(5, seed=1)
    sibling, before = snn.with_neuron(sw.TPP()), snn(x)
    sibling.load_state_dict({name: 0 * t for name, t in sibling.state_dict().items()})
    assert torch.equal(snn(x), before)
    assert torch.equal(copy.deepcopy(snn)(x), before)


@pytest.mark.parametrize("other", [sw.SpikingNetwork.ann, sw.SpikingNetwork.twin])
def test_a_state_loaded_into_its_ann_does_not_reach_a_network(other):
    network, x = converted("plain", steps=4), images(5, seed=1)
    before, thresholds = network(x), network.plan(5).thresholds
    ann = other(network)
    ann.load_state_dict({name: 0 * t for name, t in ann.state_dict().items()})
    assert all(not bool(tensor.any()) for tensor in ann.state_dict().values())
    assert torch.equal(network(x), before)
    assert torch.equal(network(x, steps=5), converted("plain", steps=4)(x, steps=5))
    assert all(
        bool((theta > 0).all())
        for theta in (*thresholds.values(), *network.plan().thresholds.values())
    )


def test_names_with_dots_and_slashes_hold_tensors_of_their_own():
    inside = nn.ModuleDict({"b": nn.Linear(4, 4)})
    model = wired(
        lambda m, x: getattr(m, "a/b")(m.a["b"](x).relu()), **{"a/b": nn.Linear(4, 4), "a": inside}
    )
    x = torch.randn(16, 4, dtype=torch.float64)
    network = sw.convert(model, x, steps=4)
    assert len(network.state_dict()) == len(network.graph.tensors)
    torch.testing.assert_close(network.ann()(x), model(x))
    assert {"a.b.weight", "a/b.weight"} <= network.graph.tensors.keys()


def test_a_state_that_fitted_weights_would_hide_is_refused():
    network = sw.convert(program("plain"), images(40), steps=(4, 3), correction=Refit())
    before = network(images(5))
    with pytest.raises(RuntimeError, match=r"at T = 3, 4 weights were fitted .* sw\.load"):
        network.load_state_dict({name: 0 * t for name, t in network.state_dict().items()})
    assert torch.equal(network(images(5)), before)


def test_nothing_is_expected_of_other_weights():
    network = sw.convert(program("plain"), images(40), steps=4, correction=Auto(corrections=()))
    assert network.expected() is not None
    network.load_state_dict({name: 0 * t for name, t in network.state_dict().items()})
    assert network.expected() is None
    assert "expected" not in network.summary()


def test_a_state_of_another_dtype_is_not_assigned(snn):
    network, x = copy.deepcopy(snn), images(3)
    other = torch.float32 if snn.dtype is torch.float64 else torch.float64
    theirs = copy.deepcopy(snn).to(other)
    with pytest.raises(RuntimeError, match=f"would put {other} into a network of {snn.dtype}"):
        network.load_state_dict(theirs.state_dict(), assign=True)
    assert torch.equal(network(x), snn(x))
    network.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(network(x), snn(x), rtol=1e-4, atol=1e-4)


def test_plans_are_bounded_by_their_bytes():
    network = converted("plain", steps=4)
    size = 0
    for steps in range(1, 20):
        network(images(), steps=steps)
        size = network.plan(steps).made_bytes
    assert 0 < size < sum(t.nbytes for t in network.graph.tensors.values()) * 2
    assert len(network._made.plans) == 19  # small ones are all kept
    cache = ByteCache(lambda value: value, budget=100)
    for key, value in enumerate((40, 50, 30, 1000)):
        assert cache.get(key, lambda value=value: value) == value
        assert len(cache) == (1, 2, 2, 1)[key]


def test_a_plan_makes_the_copies_of_the_weights_that_are_used():
    plan = converted("plain", steps=4).plan()
    assert plan.made_bytes == 0
    one = sum(t.nbytes for t in plan.step_graph.tensors.values())
    assert plan.graph is plan.step_graph  # the summary reads the same copy
    assert 0 < plan.made_bytes <= one
    low = converted("plain", steps=4).with_precision("bf16").plan()
    assert low.step_graph.operations
    assert "graph" not in low.__dict__
