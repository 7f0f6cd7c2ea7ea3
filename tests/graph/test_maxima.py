"""What scales and shifts a channel stands behind the max pool that alone reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import Graph, evaluate
from tests.builders import captured, images, settle, wired


def net(*, negative: bool) -> nn.Module:
    model = wired(
        lambda m, x: m.l(F.max_pool2d(m.n(F.relu(m.a(x))), 2, padding=1).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        n=nn.BatchNorm2d(4),
        l=nn.Linear(36, 3),
    )
    settle(model.n)
    with torch.no_grad():
        model.n.weight.copy_(torch.tensor([0.7, -0.9 if negative else 0.9, 1.1, 0.0]))
    return model


def functions(graph: Graph) -> list[str]:
    return [op.function for op in graph.operations]


@pytest.mark.parametrize("negative", [False, True])
def test_the_graph_computes_what_the_model_does(negative: bool) -> None:
    model, x = net(negative=negative), images(5)
    graph = captured(model, x)
    signs = ["mul"] if negative else []
    expected = ["conv2d", "relu", *signs, "max_pool2d", "addcmul", "reshape", "linear"]
    assert functions(graph) == expected
    with torch.no_grad():
        torch.testing.assert_close(evaluate(graph, x)[0], model(x))


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("neuron", [sw.TwoPhase(code="binary"), sw.IntegrateFire(), sw.SRP()])
def test_maxima_choose_among_spikes(negative: bool, neuron: sw.TwoPhase) -> None:
    model, x = net(negative=negative), images(32)
    snn = sw.convert(model, x, neuron=neuron, steps=5)
    audit = snn.audit(x[:3])
    assert not audit.objections
    assert [str(edge.carries) for edge in audit.edges if edge.role == "max"] == ["spikes"]
    if snn.neurons["relu"].has_count_law:
        torch.testing.assert_close(snn(x, engine="steps"), snn(x, engine="counts"))
        torch.testing.assert_close(snn.twin()(x), snn(x))


def test_what_others_read_stays_where_it_is() -> None:
    shared = wired(
        lambda m, x: m.l(
            F.max_pool2d(y := m.n(F.relu(m.a(x))), 2).flatten(1) + y[:, :, :2, :2].flatten(1)
        ),
        a=nn.Conv2d(3, 4, 3),
        n=nn.BatchNorm2d(4),
        l=nn.Linear(16, 3),
    )
    assert functions(captured(shared, images(2)))[2:4] == ["addcmul", "max_pool2d"]
    graph = captured(net(negative=False), images(2))
    assert functions(replace(graph)) == functions(graph)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6()])
def test_a_rectifier_behind_a_maximum_comes_before_it(activation: nn.Module) -> None:
    model = wired(
        lambda m, x: m.l(m.act(F.max_pool2d(m.b(m.act(F.max_pool2d(m.a(x), 2))), 2)).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 4, 1),
        act=activation,
        l=nn.Linear(4, 3),
    )
    x = images(32)
    graph = captured(model, x)
    unit = "relu" if isinstance(activation, nn.ReLU) else "hardtanh"
    assert functions(graph)[1:6] == [unit, "max_pool2d", "conv2d", unit, "max_pool2d"]
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=12)
    assert not snn.audit(x[:3]).objections
    torch.testing.assert_close(snn(x), model(x), rtol=0.02, atol=0.02)
    torch.testing.assert_close(snn(x, engine="steps"), snn(x))


def test_a_maximum_of_two_currents_chooses_among_spikes_of_one_threshold() -> None:
    model = wired(
        lambda m, x: m.out(torch.maximum(m.a(x), m.b(x))),
        a=nn.Linear(8, 16),
        b=nn.Linear(8, 16),
        out=nn.Linear(16, 3),
    )
    x = torch.randn(32, 8).double()
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=12)
    left, right = (op.site for op in snn.graph.neurons)
    assert left is not None
    assert right is not None
    assert left.group_name == right.group_name
    assert not snn.audit(x[:3]).objections
    torch.testing.assert_close(snn(x), model(x), rtol=0.01, atol=0.01)
    torch.testing.assert_close(snn(x, engine="steps"), snn(x))


MEETINGS: dict[str, tuple[Callable[..., torch.Tensor], list[str]]] = {
    "two rectifiers": (lambda a, b: torch.maximum(a.relu(), b.relu()), ["relu"] * 2),
    "three rectifiers": (
        lambda a, b: torch.maximum(torch.maximum(a.relu(), b.relu()), (a - b).relu()),
        ["relu"] * 3,
    ),
    "halves of a rectifier, one the other way round": (
        lambda a, b: torch.maximum(*torch.cat([a, b.flip(1)], 1).relu().chunk(2, 1)).flip(1),
        ["relu"],
    ),
    "a value in two maxima": (
        lambda a, b: torch.maximum(a, b) + torch.minimum(a, b - 1),
        ["relay"] * 3,
    ),
    "units of two functions": (
        lambda a, b: torch.maximum(a.relu(), b.tanh()),
        ["relu", "tanh", "relay", "relay"],
    ),
    "a unit and a current": (
        lambda a, b: torch.minimum(a.tanh(), b),
        ["tanh", "relay", "relay"],
    ),
    "values behind a border of ones": (
        lambda a, b: torch.maximum(F.pad(a[:, :8], (0, 8), value=1.0), b),
        ["relay"] * 2,
    ),
    "values repeated to the other's shape": (
        lambda a, b: torch.maximum(a.relu(), b[:, :1].relu()),
        ["relu", "relu", "relay", "relay"],
    ),
    "values repeated both ways": (
        lambda a, b: torch.maximum(a[:, :4, None], b[:, None, :4]).flatten(1),
        ["relay"] * 2,
    ),
    "a value upsampled and one as large": (
        lambda a, b: torch.maximum(F.interpolate(a[:, None, :8], scale_factor=2.0)[:, 0], b),
        ["relay"] * 2,
    ),
}


@pytest.mark.parametrize("case", MEETINGS)
def test_both_values_of_a_maximum_are_spikes_of_one_threshold(case: str) -> None:
    meet, units = MEETINGS[case]
    model = wired(
        lambda m, x: m.out(meet(m.a(x), m.b(x))),
        a=nn.Linear(8, 16),
        b=nn.Linear(8, 16),
        out=nn.Linear(16, 3),
    )
    x = torch.randn(32, 8).double()
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=12)
    assert sorted(functions(replace(snn.graph, operations=snn.graph.neurons))) == sorted(units)
    assert not snn.audit(x[:3]).objections
    torch.testing.assert_close(snn(x), model(x), rtol=0.01, atol=0.01)
    torch.testing.assert_close(snn(x, engine="steps"), snn(x))


def test_a_maximum_of_what_is_given_needs_no_units() -> None:
    model = wired(
        lambda m, x: m.l(F.relu(m.a(F.max_pool2d(x, 2))).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        l=nn.Linear(4, 3),
    )
    assert [site.name for site in captured(model, images(5)).sites] == ["relu"]


ACROSS_CHANNELS: dict[str, tuple[nn.Module, nn.Module, Callable[[Tensor], Tensor]]] = {
    "lines": (nn.Conv1d(18, 4, 1), nn.BatchNorm1d(4), lambda x: F.max_pool2d(x, 3, 1, 1)),
    "planes": (
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        lambda x: F.max_pool3d(x, (3, 1, 1), 1, (1, 0, 0)),
    ),
}


@pytest.mark.parametrize("case", ACROSS_CHANNELS)
def test_a_batch_norm_stays_before_a_maximum_of_several_channels(case: str) -> None:
    """Without a dimension of channels, a pool takes the batch for it, and channels for a plane."""
    conv, norm, pool = ACROSS_CHANNELS[case]
    model = wired(lambda m, x: pool(m.n(F.relu(m.a(x)))), a=conv, n=norm)
    with torch.no_grad():
        model.n.bias.copy_(torch.tensor([0.0, 3.0, -2.0, 1.0]))
    x = images(5).flatten(1, 2) if case == "lines" else images(5)
    with torch.no_grad():
        torch.testing.assert_close(evaluate(captured(model, x), x)[0], model(x))
