"""What scales and shifts a channel before weights is part of them, so that spikes arrive there."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright.graph import Graph, evaluate
from spikewright.graph.affines import with_affines_in_weights
from spikewright.network.audit import Carried
from tests.builders import captured, images, settle, wired


def functions(graph: Graph) -> list[str]:
    return [op.function for op in graph.operations]


def net(forward: object, **modules: nn.Module) -> nn.Module:
    """A model with batch norm `n` behind the ReLU of convolution `a`; `n` has seen data."""
    model = wired(forward, a=nn.Conv2d(3, 4, 3), n=nn.BatchNorm2d(4), **modules)  # type: ignore[arg-type]
    settle(model.n)
    with torch.no_grad():
        model.n.weight.copy_(torch.tensor([0.7, -0.9, 1.1, 0.3]))
        model.n.bias.copy_(torch.tensor([0.5, 1.0, -2.0, 0.1]))
    return model


def padded() -> nn.Module:
    return net(
        lambda m, x: m.l(F.relu(m.b(m.n(F.relu(m.a(x))))).flatten(1)),
        b=nn.Conv2d(4, 5, 3, padding=1),
        l=nn.Linear(80, 3),
    )


def unpadded() -> nn.Module:
    return net(
        lambda m, x: m.l(F.relu(m.b(m.n(F.relu(m.a(x))))).flatten(1)),
        b=nn.Conv2d(4, 5, 3, bias=False),
        l=nn.Linear(20, 3),
    )


def branched() -> nn.Module:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = F.avg_pool2d(m.n(F.relu(m.a(x))), 2)
        return m.l(torch.cat([F.relu(m.b(y)), F.relu(m.c(F.pad(y, (1, 0, 2, 0))))], 1).flatten(1))

    return net(forward, b=nn.Conv2d(4, 5, 1), c=nn.Conv2d(4, 2, (3, 2)), l=nn.Linear(28, 3))


@pytest.mark.parametrize(("make", "added"), [(padded, 1), (unpadded, 0), (branched, 1)])
def test_spikes_arrive_at_the_weights(make: object, added: int) -> None:
    model, x = make().double(), images(32).double()  # type: ignore[operator]
    graph = with_affines_in_weights(captured(model, x))
    assert "addcmul" not in functions(graph)
    assert functions(graph).count("add") == added  # a bias one a place, for the border alone
    with torch.no_grad():
        torch.testing.assert_close(evaluate(graph, x)[0], model(x))
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=5)
    audit = snn.audit(x[:3])
    assert audit.objections == ()
    weights = [edge for edge in audit.edges if edge.role == "weights"]
    assert {edge.carries for edge in weights[1:]} <= {Carried.SPIKES, Carried.COUNTS}
    torch.testing.assert_close(snn(x[:4]), snn.twin()(x[:4]))
    torch.testing.assert_close(snn(x[:4], engine="steps"), snn(x[:4]))


@pytest.mark.parametrize("shape", [(6,), (5, 1), (1, 6), (1, 1, 6), (1, 5, 1)], ids=str)
def test_scales_and_shifts_lie_where_broadcasting_has_them(shape: tuple[int, ...]) -> None:
    """Of 5 channels of 6 places: a scale of one row is one a place, not one a channel."""
    torch.manual_seed(0)
    model = wired(
        lambda m, x: m.b(torch.addcmul(m.shift, F.relu(m.a(x)), m.scale)),
        a=nn.Conv1d(3, 5, 3, padding=1),
        b=nn.Conv1d(5, 4, 3, padding=1),
    )
    model.shift, model.scale = (nn.Parameter(torch.randn(shape)) for _ in range(2))
    model, x = model.double(), torch.randn(16, 3, 6, dtype=torch.float64)
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=8, correction=None)
    torch.testing.assert_close(snn(x), snn.twin()(x))


def test_an_affine_that_makes_channels_of_one_stays() -> None:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = torch.addcmul(m.shift, F.relu(m.a(x)), m.scale)
        return m.b(y).mean((2, 3))

    torch.manual_seed(0)
    model = wired(forward, a=nn.Conv2d(3, 1, 3, padding=1), b=nn.Conv2d(4, 4, 3, padding=1))
    model.shift, model.scale = (
        nn.Parameter(torch.randn(1, 4, 1, 1, dtype=torch.float64)) for _ in range(2)
    )
    x = images(16)
    graph = with_affines_in_weights(captured(model, x))
    assert functions(graph)[2] == "addcmul"
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=8, correction=None)
    torch.testing.assert_close(snn.ann()(x), model(x))
    torch.testing.assert_close(snn(x), snn.twin()(x))
    torch.testing.assert_close(snn(x, engine="steps"), snn(x))


@pytest.mark.parametrize("shifts", [False, True], ids=["scale", "shift"])
def test_a_scale_or_a_shift_computed_from_a_mask_stays(shifts: bool) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.constant = (
                nn.Linear(3, 5),
                nn.Linear(5, 4),
                nn.Parameter(torch.ones(5)),
            )

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            y = F.relu(self.a(x))
            if shifts:
                return self.b(torch.addcmul(mask.float(), y, self.constant))
            return self.b(torch.addcmul(self.constant, y, mask.float()))

    torch.manual_seed(0)
    model, x, mask = Masked().eval(), torch.randn(16, 3), torch.rand(16, 5) > 0.3
    snn = sw.convert(model, [(x, mask)], threshold=sw.Maximum(), steps=8, correction=None)
    torch.testing.assert_close(snn(x, mask), snn.twin()(x, mask))


def test_binary_spikes_meet_weights_without_products() -> None:
    model, x = padded(), images(32)
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=5)
    assert all(row.snn.macs == 0 for row in sw.operations(snn, [x[:4]]).rows)


@pytest.mark.parametrize("reader", ["output", "sum"])
def test_a_shift_that_more_than_weights_read_stays(reader: str) -> None:
    def forward(m: nn.Module, x: torch.Tensor) -> object:
        y = m.n(F.relu(m.a(x)))
        z = F.relu(m.b(y))
        return (z, y) if reader == "output" else F.relu(z + y)

    model, x = net(forward, b=nn.Conv2d(4, 4, 3, padding=1)), images(4)
    graph = with_affines_in_weights(captured(model, x))
    assert "addcmul" in functions(graph)
    with torch.no_grad():
        expected = model(x)
        found = evaluate(graph, x)
    for one, other in zip(found, expected if reader == "output" else (expected,), strict=True):
        torch.testing.assert_close(one, other)
