"""`torch.set_default_device` is the caller's, as scripts for a GPU begin with it.

The device "meta" stands for a GPU: what is made there by chance cannot be computed with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.measure import decompose
from spikewright.methods.finetune import DSR
from spikewright.training import finetune_in_memory

ONE_PHASE = {"IF": sw.IntegrateFire(), "SRP": sw.SRP(tau=2), "COS": sw.COS(rho=2)}
NEURONS = {
    **ONE_PHASE,
    "nearest": sw.TwoPhase(),
    "digits": sw.TwoPhase("nearest", "digits"),
    "TPP": sw.TPP(),
    "tracer": sw.SpikeTracer(),
    "few spikes": sw.FewSpikes(),
}


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3),
    ).eval()  # fmt: skip


def samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(24, 1, 8, 8, generator=generator), torch.arange(24) % 3


def found(source: nn.Module, data: tuple[Tensor, Tensor], neuron: Any, folder: Path) -> list[Any]:
    """What all of the library comes to for one network, as plain values."""
    x, _ = data
    network = sw.convert(source, x, neuron, steps=(4, 2))
    network.save(folder / "network.safetensors")
    again = sw.load(folder / "network.safetensors")
    swept = sw.sweep({"it": network}, [data], [2, 4], 2, reference=source)
    account = sw.operations(network, [data], 4)
    over_time = sw.trajectories({"it": network}, [data], 4)
    return [
        network(x).tolist(),
        again(x, engine="steps").tolist(),
        {site: count.tolist() for site, count in network.counts(x).items()},
        network.audit(x).objections,
        network.summary(),
        [(row.accuracy, row.agreement) for row in swept.rows],
        account.total,
        [point.accuracy for point in over_time.of("it")],
    ]


@pytest.mark.parametrize("name", NEURONS)
def test_every_figure_is_as_without_it(name: str, tmp_path: Path) -> None:
    source, data, neuron = model(), samples(), NEURONS[name]
    expected = found(source, data, neuron, tmp_path)
    with torch.device("meta"):
        assert found(source, data, neuron, tmp_path) == expected
        assert torch.zeros(()).is_meta


@pytest.mark.parametrize(
    "analysis",
    [
        lambda source, x, y: sw.misalignment(
            sw.convert(source, x, sw.IntegrateFire(), steps=3), [(x, y)], 3
        ),
        lambda source, x, y: decompose(sw.convert(source, x, steps=3), [x], 3),
        lambda source, x, y: sw.fewest_steps(sw.prepare(source, x), 0.5),
        lambda source, x, y: sw.assign_steps(sw.prepare(source, x)),
        lambda source, x, y: sw.code_costs(sw.convert(source, x, steps=3), [x], 3),
        lambda source, x, y: finetune_in_memory(
            sw.convert(source, x, sw.IntegrateFire(), steps=3), DSR(epochs=1, batch_size=6), x, y
        ),
    ],
    ids=["misalignment", "decompose", "fewest steps", "assign steps", "code costs", "fine-tuning"],
)
def test_no_analysis_makes_anything_there(analysis: Callable[..., Any]) -> None:
    source, (x, y) = model(), samples()
    with torch.device("meta"):
        analysis(source, x, y)


def test_what_is_called_finds_the_callers() -> None:
    """The model, its data and a metric run as they would without the library around them."""
    seen: dict[str, set[str]] = {"model": set(), "data": set(), "metric": set()}

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.within = model()

        def forward(self, x: Tensor) -> Any:
            seen["model"].add(torch.get_default_device().type)
            return self.within(x)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(2):
            seen["data"].add(torch.get_default_device().type)
            yield samples_before

    def metric(answer: Tensor, labels: Tensor) -> float:
        seen["metric"].add(torch.get_default_device().type)
        return float((answer.argmax(1) == labels).float().mean())

    source, samples_before = Noting().eval(), samples()
    with torch.device("meta"):
        network = sw.convert(source, batches(), steps=2)
        sw.sweep({"it": network}, batches(), [2], reference=source, metric=metric)
        sw.operations(network, batches(), 2)
    assert seen == {"model": {"meta"}, "data": {"meta"}, "metric": {"meta"}}


def test_a_device_without_float64_cannot_be_calibrated_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikewright.graph.model_checks.has_float64", lambda kind: kind != "cpu")
    with pytest.raises(sw.ConversionError, match="the model is on cpu, which has no float64"):
        sw.convert(model(), samples()[0])
