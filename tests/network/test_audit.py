"""The audit: what every edge into weights, products and maxima carries, and what it objects to."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import Kind, Operation, capture, rule
from spikewright.graph.routes import Moved, moved_by
from spikewright.graph.rule import Rule, register
from spikewright.network.audit import Audit, Carried
from spikewright.neurons import two_phase
from tests.builders import images, wired
from tests.network.nets import NETS, converted


def carried(audit: Audit) -> dict[str, str]:
    """What each edge carries, by the edge's text."""
    return {str(edge): str(edge.carries) for edge in audit.edges}


NEURONS = [
    sw.TwoPhase("nearest"),
    sw.TwoPhase("unbiased", "binary"),
    sw.TwoPhase("nearest", "first-spike"),
    sw.TPP(),
    sw.IntegrateFire(),
    sw.SRP(),
    sw.COS(),
    sw.Shuffled(),
]


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: neuron.label)
@pytest.mark.parametrize("name", sorted(NETS))
def test_networks_are_clean_whatever_the_neuron(name: str, neuron: Any) -> None:
    audit = converted(name, neuron=neuron, steps=3).audit(images(3, seed=1))
    assert not audit.objections
    assert not audit.carrying("floats")
    assert (audit.steps, audit.samples) == (3, 3)


def test_a_rehearsal_longer_than_a_chunk_of_time_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snn, x, observe = (
        converted("plain", neuron=sw.SRP(), steps=3),
        images(3),
        sw.SpikingNetwork.observe,
    )
    whole = snn.audit(x)

    def step_by_step(self: sw.SpikingNetwork, *args: Any, **options: Any) -> Any:
        return observe(self, *args, **options, memory_budget=1)

    monkeypatch.setattr(sw.SpikingNetwork, "observe", step_by_step)
    assert snn.audit(x) == whole


def test_every_edge_is_told_what_it_carries() -> None:
    assert carried(converted("residual", steps=4).audit(images(3))) == {
        "x -> a (conv2d)": "input",
        "relu -> b (conv2d)": "spikes",
        "mean -> l (linear)": "held counts",
        "l (linear) -> logits": "currents",
    }
    assert carried(converted("cat", steps=4).audit(images(3))) == {
        "x -> a (conv2d)": "input",
        "x -> b (conv2d)": "input",
        "cat -> c (conv2d)": "currents",  # spikes beside a convolution of the input
        "relu:2 -> l (linear)": "spikes",
        "l (linear) -> logits": "currents",
    }


def test_scales_that_no_weights_take_in_are_scales_still() -> None:
    model = wired(
        lambda m, x: m.l(F.relu(m.a(x)).reshape(x.shape[0], 4, 16).transpose(1, 2)).mean(1),
        a=nn.Conv2d(3, 4, 3),
        l=nn.Linear(4, 3),
    )
    snn = sw.convert(model, images(32), threshold=sw.Maximum(per="channel"), steps=4)
    assert carried(snn.audit(images(3)))["relu -> l (linear)"] == "spikes"
    sums = wired(
        lambda m, x: m.l(m.p(F.relu(m.a(x))) + x.mean((1, 2, 3))[:, None]),
        a=nn.Conv2d(3, 4, 3),
        p=nn.Sequential(nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten()),
        l=nn.Linear(24, 3),
    )
    snn = sw.convert(sums, images(32), threshold=sw.Maximum(per="channel"), steps=4)
    audit = snn.audit(images(3))
    assert "currents" in carried(audit).values()
    assert not audit.objections


def test_products_carry_held_counts() -> None:
    model = wired(
        lambda m, x: m.l(F.silu(m.a(x.flatten(1))) * torch.sigmoid(m.b(x.flatten(1)))),
        a=nn.Linear(12, 6),
        b=nn.Linear(12, 6),
        l=nn.Linear(6, 3),
    )
    x = images(32, size=2)
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=3)
    assert carried(snn.audit(x[:3])) == {
        "x -> a (linear)": "input",
        "x -> b (linear)": "input",
        "silu -> mul": "spikes",
        "sigmoid -> mul": "spikes",
        "mul -> l (linear)": "held counts",
        "l (linear) -> logits": "currents",
    }


def test_every_output_is_an_edge() -> None:
    model = wired(
        lambda m, x: {"maps": F.relu(m.a(x)), "scores": [m.l(F.relu(m.a(x)).mean((2, 3))), x]},
        a=nn.Conv2d(3, 4, 3),
        l=nn.Linear(4, 3),
    )
    edges = carried(sw.convert(model, images(32), steps=4).audit(images(3)))
    assert edges["relu -> maps"] == "spikes"
    assert edges["l (linear) -> scores.0"] == "currents"
    assert edges["x -> scores.1"] == "input"


def test_the_text_is_the_edges_counted_and_named() -> None:
    assert str(converted("max pool", steps=4).audit(images(1))) == (
        "What arrives at weights, products, maxima and outputs, seen at T = 4 on 1 sample\n\n"
        "              weights  product      max   output\n"
        "spikes              2                 1\n"
        "currents                                       1\n"
        "input               1\n\n"
        "not whole numbers:\n"
        "  input      x -> a (conv2d)\n"
        "  currents   l (linear) -> logits\n\n"
        "no objections"
    )


def test_a_maximum_of_currents_is_objected_to_and_gives_floats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = wired(
        lambda m, x: m.l(F.max_pool2d(m.a(F.relu(m.b(x))), 2).flatten(1)),
        b=nn.Conv2d(3, 4, 1),
        a=nn.Conv2d(4, 4, 3),
        l=nn.Linear(16, 3),
    )
    assert not sw.convert(model, images(32), steps=4).audit(images(3)).objections
    monkeypatch.setattr(capture, "with_relays", lambda graph: graph)
    audit = sw.convert(model, images(32), steps=4).audit(images(3))
    first, second, _ = audit.objections
    assert first.startswith("a (conv2d) -> max_pool2d carries currents: a maximum must choose")
    assert second.startswith("max_pool2d -> l (linear) carries floats")
    assert str(audit).partition("objection: ")[2].startswith(f"{first}\nobjection: {second}")


@torch.library.custom_op("toy::squashed", mutates_args=())
def squashed(x: Tensor) -> Tensor:
    """tanh(x), which somebody takes for linear."""
    return x.tanh()


@squashed.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Squashed(Rule):
    targets = (torch.ops.toy.squashed.default,)
    kind = Kind.LINEAR

    def route(self, op: Operation, graph: Any) -> Moved:
        return moved_by(op, graph)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> sw.SpikingNetwork:
    """A network with an operation from outside that is no linear one."""
    monkeypatch.setattr(rule, "_RULES", dict(rule._RULES))
    monkeypatch.setattr(rule, "_TARGETS", dict(rule._TARGETS))
    register(Squashed())
    model = wired(
        lambda m, x: m.l(squashed(m.b(F.relu(m.a(x))).flatten(1))),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 4, 3),
        l=nn.Linear(16, 3),
    )
    return sw.convert(model, images(32), steps=4)


def test_an_operation_that_is_not_linear_is_seen_and_named(toy: sw.SpikingNetwork) -> None:
    audit = toy.audit(images(3))
    misfit, edge, *answer = audit.objections
    assert misfit.startswith("squashed is taken for linear, but its mean over time")
    assert "builders.py:" in misfit  # where the model wires its modules
    assert edge.startswith("squashed -> l (linear) carries floats")
    assert len(answer) == 1
    assert [e.reader for e in audit.carrying(Carried.FLOATS)] == ["l (linear)", "logits"]


def test_neurons_that_send_floats_are_seen_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    emit = two_phase._CountedDynamics.emit

    def halved(self: Any, steps: int) -> Tensor:
        train = emit(self, steps)
        return train * torch.linspace(0.5, 1, train.shape[-1]).to(train)

    snn = converted("plain", steps=4)
    assert not snn.audit(images(3)).objections
    monkeypatch.setattr(two_phase._CountedDynamics, "emit", halved)
    lines = snn.audit(images(3)).objections
    assert [line.partition(" carries")[0] for line in lines] == [
        "relu -> b (conv2d)",
        "relu:2 -> l (linear)",
        "l (linear) -> logits",
    ]


def test_factors_that_are_currents_are_seen_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wired(
        lambda m, x: m.l(m.a(x.flatten(1)).relu() * m.b(m.a(x.flatten(1)).relu())),
        a=nn.Linear(12, 6),
        b=nn.Linear(6, 6),
        l=nn.Linear(6, 3),
    )
    x = images(32, size=2)
    assert not sw.convert(model, x, steps=4).audit(x[:3]).objections
    monkeypatch.setattr(capture, "with_relays", lambda graph: graph)
    (line,) = sw.convert(model, x, steps=4).audit(x[:3]).objections
    assert line.startswith("b (linear) -> mul carries currents: a factor of a product must be")


def test_what_a_maximum_never_chooses_is_no_objection() -> None:
    """Borders of minus infinity, as networks with padding "same" have them before a maximum."""

    def forward(m: Any, x: Tensor) -> Tensor:
        bordered = F.pad(m.a(x), (0, 1, 0, 1), value=-torch.inf)
        return m.b(F.max_pool2d(bordered, 3, 2)).relu()

    model = wired(forward, a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(4, 2, 2))
    snn = sw.convert(model, images(16), sw.TwoPhase("nearest", "binary"), steps=4, correction=None)
    assert snn.audit(images(8)).objections == ()
    torch.testing.assert_close(snn(images(8), engine="steps"), snn(images(8)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masks_of_the_least_number_are_no_objection(dtype: torch.dtype) -> None:
    """As transformers write them: summed over time they would leave the range of the dtype."""
    mask = torch.triu(torch.full((4, 4), torch.finfo(dtype).min, dtype=dtype), 1)
    model = wired(
        lambda m, x: m.l(torch.softmax(m.q(x) @ m.k(x).mT + m.mask, -1) @ m.v(x)),
        **{name: nn.Linear(6, 6) for name in "qkvl"},
    ).to(dtype)
    model.register_buffer("mask", mask)
    x = torch.randn(32, 4, 6, dtype=dtype)
    assert not sw.convert(model, x, steps=6).audit(x[:3]).objections


def test_frames_are_input_that_varies() -> None:
    snn = converted("plain", steps=4)
    frames = torch.stack([images(3, seed=seed) for seed in range(4)])
    audit = snn.audit(frames)
    assert audit.samples == 3
    assert carried(audit) == carried(snn.audit(images(3)))


def test_the_precision_and_the_compiler_change_nothing() -> None:
    snn = converted("avg pool, relu6", steps=4)
    expected = carried(snn.audit(images(3)))
    single, x = copy.deepcopy(snn).float(), images(3).float()
    for other in (single, single.with_precision("bf16"), copy.deepcopy(single).compile()):
        assert carried(other.audit(x)) == expected
        assert not other.audit(x).objections
    with pytest.raises(sw.ConversionError, match="too coarse"):
        copy.deepcopy(single).bfloat16().audit(x.bfloat16())
