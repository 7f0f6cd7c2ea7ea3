"""A linear operation and an activation from outside the library: one class and one call each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import InputMeans
from spikewright.export.nir import export_nir
from spikewright.graph import Graph, Kind, Operation, rule, survey
from spikewright.graph.nodes import Refusal
from spikewright.graph.routes import Weighted
from spikewright.graph.rule import Rule, register
from tests.builders import images


@torch.library.custom_op("toy::circulant", mutates_args=())
def circulant(x: Tensor, taps: Tensor) -> Tensor:
    """`y[i] = sum_j taps[j] x[i - j]`, indices modulo the number of features."""
    return sum((tap * x.roll(shift, -1) for shift, tap in enumerate(taps)), torch.zeros_like(x))


@circulant.register_fake
def _(x: Tensor, taps: Tensor) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("toy::capped", mutates_args=())
def capped(x: Tensor) -> Tensor:
    """`min(max(x, 0), 2)`."""
    return x.clamp(0, 2)


@capped.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Circulant(Rule):
    targets = (torch.ops.toy.circulant.default,)
    kind = Kind.LINEAR
    weight_at = 1

    def absorbed(self, op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
        return weight * scale.flatten() if scale.numel() == 1 else None

    def route(self, op: Operation, graph: Graph) -> Weighted:
        taps = graph.stored(op, 1, "taps")
        assert taps is not None
        reach = float((taps != 0).sum())
        return Weighted(lambda: torch.full((1, *op.shape), reach, dtype=torch.float64), False)

    def words(self, op: Operation, graph: Graph) -> str:
        return f"circulant of {op.shape[-1]}"

    def nir(self, op: Operation, graph: Graph) -> Refusal:
        return Refusal("NIR has no circulant matrices", "write it as a linear layer")


class Capped(Rule):
    targets = (torch.ops.toy.capped.default,)
    kind = Kind.UNIT
    rectifies = True


class Toy(nn.Module):
    def __init__(self, *, toys: bool = True) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 8), nn.Linear(8, 3)
        self.taps = nn.Parameter(torch.tensor([0.5, 0.0, -0.25, 1.0]))
        self.toys = toys

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        if self.toys:
            return self.last(capped(circulant(capped(x), self.taps)))
        matrix = torch.stack([circulant(row, self.taps) for row in torch.eye(8).to(x)])
        return self.last(F.hardtanh(F.hardtanh(x, 0, 2) @ matrix, 0, 2))


@pytest.fixture
def registered_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "_RULES", dict(rule._RULES))
    monkeypatch.setattr(rule, "_TARGETS", dict(rule._TARGETS))
    register(Circulant(), Capped())


def model(**options: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return Toy(**options).double().eval()


def x_of(batch: int) -> Tensor:
    return images(batch, size=2)


CONVERSIONS = {
    "absorbed": sw.Maximum(per="layer"),
    "explicit": sw.Maximum(per="channel"),
}


@pytest.mark.usefixtures("registered_rules")
@pytest.mark.parametrize("scales", CONVERSIONS)
@pytest.mark.parametrize("neuron", [sw.TwoPhase("nearest"), sw.IntegrateFire()])
def test_toys_convert_as_the_operations_that_they_are(neuron: sw.TwoPhase, scales: str) -> None:
    options = {
        "neuron": neuron,
        "threshold": CONVERSIONS[scales],
        "steps": 6,
        "correction": InputMeans(),
    }
    toy = sw.convert(model(), x_of(32), **options)
    same = sw.convert(model(toys=False), x_of(32), **options)
    assert toy.sites == ("capped", "capped:2")
    explicit = "aten.mul.Tensor" in [op.operator for op in toy.plan().graph.operations]
    assert explicit == (scales == "explicit")
    engines = ["steps", "counts"] if toy.neurons["capped"].has_count_law else ["steps"]
    for engine in engines:
        torch.testing.assert_close(toy(x_of(7), engine=engine), same(x_of(7), engine=engine))


@pytest.mark.usefixtures("registered_rules")
def test_toys_cost_what_their_connections_cost() -> None:
    snn = sw.convert(model(), x_of(32), threshold=sw.Maximum(per="layer"), steps=6)
    rows = sw.operations(snn, [x_of(5)]).rows
    first, second, output = rows
    assert [row.kind for row in rows] == ["linear, 12 → 8", "circulant of 8", "linear, 8 → 3"]
    assert second.snn.additions == pytest.approx(3 * first.spikes)  # one of four taps is 0
    assert output.snn.additions == pytest.approx(3 * second.spikes)
    assert second.ann.macs == 3 * 8


@pytest.mark.usefixtures("registered_rules")
def test_toys_are_saved_loaded_and_summed_up(tmp_path: Path) -> None:
    snn = sw.convert(model(), x_of(32), steps=6)
    snn.save(tmp_path / "toy.safetensors")
    loaded = sw.load(tmp_path / "toy.safetensors")
    assert torch.equal(loaded(x_of(7)), snn(x_of(7)))
    assert "toy.circulant" in snn.summary()
    assert snn.summary() == loaded.summary()


@pytest.mark.usefixtures("registered_rules")
def test_nir_refuses_a_toy_in_the_words_of_its_rule(tmp_path: Path) -> None:
    snn = sw.convert(
        model(), x_of(32), neuron=sw.IntegrateFire(), steps=6, threshold=sw.Maximum(per="layer")
    )
    with pytest.raises(sw.UnsupportedOperation, match=r"toy\.circulant.*NIR has no circulant") as e:
        export_nir(snn, tmp_path / "toy.nir", 6)
    assert "write it as a linear layer" in str(e.value)
    assert "toy.capped" not in str(e.value)  # its neurons are integrate-and-fire neurons


def test_without_rules_toys_are_refused_and_no_file_of_them_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offenders = survey(model(), x_of(2)).offenders
    assert {o.operator for o in offenders} == {"toy.capped", "toy.circulant"}
    with monkeypatch.context() as patch:
        patch.setattr(rule, "_RULES", dict(rule._RULES))
        patch.setattr(rule, "_TARGETS", dict(rule._TARGETS))
        register(Circulant(), Capped())
        sw.convert(model(), x_of(8), steps=2).save(tmp_path / "toy.safetensors")
    with pytest.raises(sw.InterchangeError, match=r"'toy\.capped\.default' has no rule here"):
        sw.load(tmp_path / "toy.safetensors")
