"""convert() and the network it returns: the model untouched, the answers right, misuse refused."""

from __future__ import annotations

import copy
from functools import reduce

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from tests.builders import images, wired


def small():
    torch.manual_seed(0)
    return wired(
        lambda m, x: m.l(F.relu(m.b(F.relu(m.n(m.a(x))))).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        n=nn.BatchNorm2d(4),
        b=nn.Conv2d(4, 5, 3),
        l=nn.Linear(20, 3),
    )


@pytest.fixture(scope="module")
def snn():
    return sw.convert(small(), images(8), steps=4)


def portrait(model):
    """Everything about a model that conversion could disturb."""
    hooks = [
        (name, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
        for name, m in model.named_modules()
    ]
    state = {name: (t.data_ptr(), t._version, t.clone()) for name, t in model.state_dict().items()}
    flags = [(name, m.training) for name, m in model.named_modules()]
    grads = [(p.requires_grad, p.grad) for p in model.parameters()]
    return hooks, flags, grads, state, list(model.__dict__)


def assert_untouched(model, before):
    after = portrait(model)
    assert after[:3] == before[:3]
    assert after[4] == before[4]
    for name, (where, version, values) in before[3].items():
        assert after[3][name][:2] == (where, version)
        assert torch.equal(after[3][name][2], values)


def test_conversion_leaves_the_model_untouched():
    model, x = small(), images(8)
    before, given = portrait(model), x.clone()
    snn = sw.convert(model, x, steps=4)
    snn(x)
    snn.double().float()
    assert_untouched(model, before)
    assert torch.equal(x, given)


@pytest.mark.parametrize(
    "calibration", [[], [torch.full((2, 3, 6, 6), float("nan"))], images(size=5)]
)
def test_a_failed_conversion_leaves_the_model_untouched(calibration):
    model = small()
    before = portrait(model)
    with pytest.raises(sw.ConversionError):
        sw.convert(model, calibration)
    assert_untouched(model, before)


def test_later_training_does_not_reach_the_spiking_network():
    model, x = small(), images(8)
    snn = sw.convert(model, x, steps=4)
    before = snn(x)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert torch.equal(snn(x), before)


def qcfs_network(levels):
    torch.manual_seed(1)
    return wired(
        lambda m, x: m.l((m.q2(m.b(y := m.q1(m.a(x)))) + y).mean((2, 3))),
        a=nn.Conv2d(3, 6, 3, padding=1),
        b=nn.Conv2d(6, 6, 3, padding=1),
        l=nn.Linear(6, 4),
        q1=sw.QCFS(levels, 1.7),
        q2=sw.QCFS(levels, 0.9),
    )


@pytest.mark.parametrize(
    ("levels", "code", "steps"),
    [(1, "random", 1), (4, "random", 4), (7, "random", 7), (1, "binary", 1), (7, "binary", 3)],
)
def test_a_qcfs_network_converts_without_loss(levels, code, steps):
    model, x = qcfs_network(levels), images(200, seed=3)
    snn = sw.convert(
        model,
        images(4),
        neuron=sw.TwoPhase("nearest", code),
        threshold=sw.Learned(),
        steps=steps,
        correction=None,
    )
    with torch.no_grad():
        expected = model(x)
    for engine in ("counts", "steps"):
        answer = snn(x, engine=engine)
        torch.testing.assert_close(answer, expected, rtol=0, atol=1e-9)
        assert torch.equal(answer.argmax(1), expected.argmax(1))


def test_an_integrate_fire_network_is_the_naive_loop():
    model, x, steps = small(), images(3, seed=2), 6
    snn = sw.convert(
        model,
        images(8),
        neuron=sw.IntegrateFire(),
        threshold=sw.Maximum(),
        steps=steps,
        correction=None,
    )
    first, second = (snn.design().thresholds[site].item() for site in snn.sites)
    v1, v2, total = first / 2, second / 2, torch.zeros(3, 3, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(steps):
            v1 = v1 + model.n(model.a(x))
            s1 = (v1 >= first).double()
            v1 = v1 - first * s1
            v2 = v2 + model.b(first * s1)
            s2 = (v2 >= second).double()
            v2 = v2 - second * s2
            total += model.l((second * s2).flatten(1))
    torch.testing.assert_close(snn(x), total / steps, rtol=1e-9, atol=1e-9)


def hand_made():
    """Weights that are multiples of one another, so every number below is worked out by hand."""
    model = wired(
        lambda m, x: m.out(m.act(m.inp(x))), inp=nn.Linear(2, 2), act=nn.ReLU(), out=nn.Linear(2, 1)
    )
    with torch.no_grad():
        model.inp.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
        model.out.weight.copy_(torch.tensor([[1.0, -1.0]]))
        model.inp.bias.zero_()
        model.out.bias.fill_(0.25)
    return model


def test_a_hand_made_network_gives_the_hand_derived_counts():
    calibration = torch.tensor([[1.0, 0.5], [2.0, 1.0]], dtype=torch.float64)
    snn = sw.convert(
        hand_made(),
        calibration,
        threshold=sw.Maximum(per="channel"),
        steps=4,
        correction=None,
    )
    assert snn.design().thresholds["act"].tolist() == [2.0, 3.0]
    x = torch.tensor([[0.9, 0.7], [-1.0, 5.0]], dtype=torch.float64)
    # charges 4 * 0.9 / 2 = 1.8 and 4 * 2.1 / 3 = 2.8; -2 and 20
    assert snn.counts(x)["act"].tolist() == [[2, 3], [0, 4]]
    # 2/4 * 2 - 3/4 * 3 + 1/4 and 0 - 3 + 1/4
    assert snn(x).flatten().tolist() == [-1.0, -2.75]


def test_the_summary_tells_sites_operations_and_latency():
    calibration = torch.tensor([[1.0, 0.5], [2.0, 1.0]], dtype=torch.float64)
    snn = sw.convert(
        hand_made(),
        calibration,
        threshold=sw.Maximum(per="channel"),
        steps=4,
        correction=None,
    )
    assert [line.rstrip() for line in snn.summary().splitlines()] == [
        "Spiking network at T = 4",
        "",
        "site   unit        neuron           neurons  threshold",
        "act    relu        nearest                2  2 .. 3 in 2 channels",
        "total                                     2",
        "",
        "operation                    class      times",
        "aten.linear                  linear         2",
        "",
        "latency: 8 time steps (2 windows of 4)",
        "",
        "corrected by: nothing",
    ]


def test_copies_and_dtypes_answer_alike(snn):
    x = images(5, seed=1)
    expected = snn(x)
    assert torch.equal(copy.deepcopy(snn)(x), expected)
    single = copy.deepcopy(snn).float()
    torch.testing.assert_close(single(x.float()).double(), expected, rtol=1e-4, atol=1e-4)
    assert snn(x).dtype is torch.float64
    torch.testing.assert_close(single.double()(x), expected, rtol=1e-4, atol=1e-4)


def test_a_loaded_state_takes_effect_at_once(snn):
    x = images(5, seed=1)
    other = copy.deepcopy(snn)
    expected = other(x)
    state = {name: t.clone() for name, t in other.state_dict().items()}
    other.load_state_dict({name: t * 0 for name, t in state.items()})
    assert float(other(x).abs().max()) < float(expected.abs().max())
    assert not torch.equal(other(x), expected)
    other.load_state_dict(state)
    assert torch.equal(other(x), expected)


def test_a_network_without_weights_converts():
    model = wired(lambda m, x: F.relu(x).flatten(1)).float()
    x = images().float()
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=4096)
    torch.testing.assert_close(snn(x), model(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("steps", [0, -1, True, 1.5, "8", (), (4, 0), [4, 2.0], None])
def test_steps_that_are_no_positive_whole_numbers_are_refused(steps):
    with pytest.raises(sw.ConversionError, match="steps must be whole numbers, at least 1"):
        sw.convert(small(), images(), steps=steps)


@pytest.mark.parametrize("steps", [0, -1, True, 1.5, "8"])
def test_a_call_with_such_steps_is_refused(snn, steps):
    with pytest.raises(sw.ConversionError, match="steps must be a whole number, at least 1"):
        snn(images(), steps=steps)


CALLS = {
    "another size": (
        lambda s: s(images(size=7)),
        r"batches of shape \[B, 3, 6, 6\], got \[4, 3, 7, 7\]",
    ),
    "one image": (lambda s: s(images()[0]), r"got one sample \[3, 6, 6\].*: give x\[None\]"),
    "empty batch": (lambda s: s(images()[:0]), "got an empty batch"),
    "integers": (lambda s: s(images().long()), "floating-point input, got torch.int64"),
    "another dtype": (
        lambda s: s(images().float()),
        "is torch.float64 on cpu, the input is torch.float32",
    ),
    "engine": (
        lambda s: s(images(), engine="fast"),
        "must be 'auto', 'counts' or 'steps', got 'fast'",
    ),
    "ids of another batch": (
        lambda s: s(images(), sample_ids=torch.arange(3)),
        r"integers of shape \[4\], got torch.int64 \[3\]",
    ),
    "ids that are no integers": (
        lambda s: s(images(), sample_ids=torch.rand(4)),
        r"integers of shape \[4\], got torch.float32",
    ),
    "a site that is none": (
        lambda s: s.with_neuron(sw.TPP(), ["relux"]),
        "no site matches 'relux'; .* sites are relu, relu:2",
    ),
    "count engine without law": (
        lambda s: s.with_neuron(sw.IntegrateFire(), ["relu:2"])(images(), engine="counts"),
        "count engine needs .* 'IF' at relu:2 does not: use engine='steps'",
    ),
}


def test_a_site_is_chosen_by_its_whole_name_whatever_stands_in_it():
    layers = {"[0]": nn.Linear(6, 8), "[1]": nn.ReLU(), "*": nn.ReLU(), "[3]": nn.Linear(8, 3)}
    model = wired(lambda m, x: reduce(lambda y, f: f(y), m.m.values(), x), m=nn.ModuleDict(layers))
    network = sw.convert(model, torch.rand(16, 6).double(), steps=4, correction=None)
    for site in network.sites:
        one = network.with_neuron(sw.TPP(), sites=[site])
        assert [name for name, neuron in one.neurons.items() if neuron == sw.TPP()] == [site]


@pytest.mark.parametrize("case", CALLS)
def test_a_call_the_network_was_not_made_for_is_refused(snn, case):
    call, message = CALLS[case]
    with pytest.raises(sw.ConversionError, match=message):
        call(snn)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neuron": sw.TPP}, "neuron must be a neuron such as.*call it"),
        ({"neuron": "TPP"}, "neuron must be a neuron such as"),
        ({"neuron": {"*": None}}, r"neuron must be a neuron such as.* at '\*', got None"),
        ({"neuron": {1: sw.TPP()}}, r"from sites, by name or shell pattern such as .*, got 1"),
        ({"threshold": sw.MinError}, "threshold must be a strategy such as.*call it"),
        ({"threshold": 99.9}, "threshold must be a strategy such as"),
        ({"seed": 1.5}, "seed must be an integer, got 1.5"),
    ],
)
def test_a_configuration_of_the_wrong_kind_is_refused(options, message):
    with pytest.raises(sw.ConversionError, match=message):
        sw.convert(small(), images(), **options)


def test_steps_of_numpy_are_whole_numbers(snn):
    made = sw.convert(small(), images(), steps=np.arange(2, 4), correction=None)
    assert made.designed_steps == (2, 3)
    assert all(type(t) is int for t in made.designed_steps)
    assert torch.equal(snn(images(), steps=np.int64(3)), snn(images(), steps=3))


class Moody(nn.Module):
    """Chooses its path by batch size, which capture cannot see."""

    def forward(self, x):
        return F.relu(x) + (torch.ones(()) if len(x) > 1000 else torch.zeros(())) * len(x)


def test_a_model_that_chooses_by_batch_size_is_refused():
    with pytest.raises(sw.ConversionError):
        sw.convert(Moody().eval(), images().float())


@pytest.mark.parametrize(
    ("neuron", "steps", "message"),
    [
        (sw.TwoPhase("nearest", "binary"), 30, "at T = 30 would count beyond 16,777,216"),
        (sw.TwoPhase("bernoulli", "binary"), 13, "tabulated for counts up to 4096, got 8191"),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
def test_more_levels_than_can_be_counted_are_refused(neuron, steps, message):
    with pytest.raises(sw.ConversionError, match=message):
        sw.convert(small(), images(8), neuron=neuron, steps=steps)
