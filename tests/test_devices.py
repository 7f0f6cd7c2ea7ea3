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
from spikewright.data import calibration_subset, open_dataset
from spikewright.data.in_memory import in_memory
from spikewright.measure import decompose
from spikewright.methods.finetune import DSR
from spikewright.recurrent import SRNN, SequenceRecipe, recall_sequences, train_on_sequences
from spikewright.reservoir import ReservoirRecipe, draw_reservoir, noise_covariance
from spikewright.search import EvolutionRecipe, SearchSpace, evolve
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


def sequences() -> list[Any]:
    data = recall_sequences(5, sizes=(16, 8, 8))
    torch.manual_seed(0)
    with torch.device("cpu"):
        network = SRNN(5, (6,), 4)
    trained = train_on_sequences(network, data, SequenceRecipe(epochs=1, batch_size=8))
    return [data.train[0][0].tolist(), trained.history[0].training_loss]


def kicked() -> list[Any]:
    reservoir = draw_reservoir(ReservoirRecipe(neurons=20), seed=0)
    return noise_covariance(reservoir, steps=20, runs=2).tolist()


def evolved() -> list[float]:
    pytest.importorskip("pymoo", reason="needs the extra 'search'")
    images = torch.rand(2, 6, 1, 8, 8, generator=torch.Generator().manual_seed(0), device="cpu")
    recipe = EvolutionRecipe(evaluations=4, population=4, draws=1)
    found = evolve(SearchSpace(cells=1), images, 10, recipe)
    return [candidate.score for candidate in found.candidates]


def opened() -> list[Any]:
    data = open_dataset("digits", mean=[0.5], std=[0.5])
    drawn = calibration_subset(data.train, 8, seed=0)
    plain = in_memory(open_dataset("digits").test)
    return [list(drawn.indices), drawn[0][0].tolist(), plain.images.tolist()]


@pytest.mark.parametrize("work", [sequences, kicked, evolved, opened])
def test_data_and_what_is_no_conversion_are_as_without_it(work: Callable[[], Any]) -> None:
    expected = work()
    with torch.device("meta"):
        assert work() == expected


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
