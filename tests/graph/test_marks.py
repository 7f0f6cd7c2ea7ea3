"""The largest values of a signal: `topk` whose places only choose, as a unit of marks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.export.onnx import export_onnx
from spikewright.graph import survey
from tests.builders import wired
from tests.graph.faithful import assert_faithful


class Experts(nn.Module):
    """A gate chooses two of four experts and weighs them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate = nn.Linear(6, 4)
        self.experts = nn.ModuleList([nn.Linear(6, 5) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        best, places = torch.topk(self.gate(x), 2, -1)
        scores = torch.zeros(x.shape[0], 4, dtype=x.dtype).scatter(1, places, best.softmax(-1))
        given = torch.stack([torch.relu(expert(x)) for expert in self.experts], 1)
        return (given * scores[..., None]).sum(1)


class OfTokens(nn.Module):
    """The same for every token, which stands beside the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = Experts()

    def forward(self, x: Tensor) -> Tensor:
        return self.experts(x.flatten(0, 1)).view(x.shape[0], x.shape[1], -1)


def rows(batch: int) -> Tensor:
    return torch.randn(batch, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_gate_that_chooses_experts_converts() -> None:
    snn = assert_faithful(Experts().double().eval(), rows(12))
    assert sum(bool(op.body) for op in snn.graph.neurons) == 1  # the gate, whole


def test_onnx_holds_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    neuron = sw.TwoPhase("nearest", "binary")
    snn = sw.convert(Experts().eval(), rows(12).float(), neuron, steps=6)
    assert "counts equal those of the count engine" in str(
        export_onnx(snn, tmp_path / "net.onnx", 6)
    )


def test_a_gate_chooses_for_every_token() -> None:
    assert_faithful(OfTokens().double().eval(), rows(12).view(4, 3, 6))


def values(m: nn.Module, x: Tensor) -> Tensor:
    return x.topk(3, dim=1).values + x.topk(3, dim=1, largest=False).values


def gathered(m: nn.Module, x: Tensor) -> Tensor:
    places = x.sin().topk(2, dim=1).indices
    return torch.gather(torch.relu(x), 1, places)


def kept(m: nn.Module, x: Tensor) -> Tensor:
    return torch.relu(x).scatter(1, x.cos().topk(2).indices, 0.5)


def more_than_places(m: nn.Module, x: Tensor) -> Tensor:
    """Of what is scattered as much is read as there are places."""
    places = x.topk(2, dim=1).indices
    ones = torch.zeros_like(x).scatter(1, places, torch.ones_like(x))
    return ones * torch.relu(x.flip(1)) + torch.relu(x).scatter(1, places, x.sin())


def softmax_beside_infinity(m: nn.Module, x: Tensor) -> Tensor:
    """The usual gate of a sparse mixture: whoever is not chosen has -inf before the softmax."""
    best, places = x.topk(2, dim=1)
    gate = torch.full_like(x, -torch.inf).scatter(-1, places, best).softmax(-1)
    even = torch.full_like(x, torch.finfo(x.dtype).min).scatter(1, places, 1.0).softmax(1)
    return gate * torch.relu(x.flip(1)) + even


def other_dimension(m: nn.Module, x: Tensor) -> Tensor:
    y = x.reshape(-1, 3, 2)
    best, places = y.topk(2, dim=1)
    return torch.relu(torch.zeros_like(y).scatter(1, places, best))


def equal_values(m: nn.Module, x: Tensor) -> Tensor:
    """Of equal values those are taken that `topk` takes."""
    return torch.gather(x.sigmoid(), 1, torch.relu(x - 0.3).topk(4).indices)


def rows_of_features(m: nn.Module, x: Tensor) -> Tensor:
    """The features of those places that matter most, as detectors choose their queries."""
    features = x.unsqueeze(-1) * torch.linspace(-1, 1, 3, dtype=x.dtype)
    places = x.sin().topk(2, dim=1).indices
    return torch.relu(torch.gather(features, 1, places.unsqueeze(-1).expand(-1, -1, 3)))


@pytest.mark.parametrize(
    "form",
    [
        values,
        gathered,
        kept,
        more_than_places,
        softmax_beside_infinity,
        other_dimension,
        equal_values,
        rows_of_features,
    ],
)
def test_places_that_choose_along_their_dimension_are_marks(
    form: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    model = wired(lambda m, x: form(m, m.mixed(x)), mixed=nn.Linear(6, 6))
    assert_faithful(model, rows(12))


def test_infinity_that_more_than_a_softmax_reads_is_refused() -> None:
    def wire(m: nn.Module, x: Tensor) -> Tensor:
        best, places = torch.relu(x).topk(2)
        gate = torch.full_like(x, -torch.inf).scatter(1, places, best)
        return gate.softmax(1) + gate.exp()

    (offender,) = survey(wired(wire), rows(4)).offenders
    assert offender.operator == "aten.topk"
    assert "zeros.scatter(-1, places, values)" in offender.remedy


def test_places_that_are_used_as_numbers_are_refused_once() -> None:
    def wire(m: nn.Module, x: Tensor) -> Tensor:
        places = torch.relu(x).topk(2).indices
        return x[:, :2] * (places + 1).to(x.dtype)

    (offender,) = survey(wired(wire), rows(4)).offenders
    assert offender.operator == "aten.topk"
    assert "gather or scatter" in offender.remedy
