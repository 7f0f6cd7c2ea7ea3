"""Training on sequences, and what an answer costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import DataError, ModelError, RecipeError
from spikewright.recurrent import (
    ALIF,
    SRNN,
    SequenceData,
    SequenceRecipe,
    lstm_counts,
    recall_sequences,
    recurrent_costs,
    sequence_accuracy,
    train_on_sequences,
)
from spikewright.recurrent.sequences import InMemorySequences
from spikewright.runs.metrics import EpochMetrics


@pytest.fixture(scope="module")
def data() -> SequenceData:
    return recall_sequences(5, noise=0.0, sizes=(192, 64, 64))


def network(seed: int = 0) -> SRNN:
    torch.manual_seed(seed)
    neuron = ALIF(0.1, 0.5, time_constant=(10, 2), adaptation_time_constant=(30, 5))
    return SRNN(5, (32,), 4, neuron, answer_steps=5)


def test_a_symbol_is_learned_and_the_model_given_stays_as_it_was(data: SequenceData) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    told: list[EpochMetrics] = []
    steps: list[tuple[int, int, int, int]] = []

    def progress(epoch: int, epochs: int, done: int, of: int, metrics: EpochMetrics | None) -> None:
        if metrics is None:
            steps.append((epoch, epochs, done, of))
        else:
            told.append(metrics)

    recipe = SequenceRecipe(epochs=5, batch_size=16)
    trained = train_on_sequences(model, data, recipe, progress=progress)
    assert sequence_accuracy(trained.model, data.test) > 0.5  # chance is 0.25
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert tuple(told) == trained.history
    assert steps == [(n, 5, done, 12) for n in range(1, 6) for done in range(1, 13)]
    assert trained.history[-1].training_loss < trained.history[0].training_loss
    assert trained.history[-1].training_accuracy > 0.5
    assert trained.best.validation_accuracy == max(e.validation_accuracy for e in told)
    assert sequence_accuracy(trained.model, data.validation) == trained.best.validation_accuracy
    assert not torch.equal(model.layers[0].log_tau, trained.model.layers[0].log_tau)  # type: ignore


def test_the_same_recipe_gives_the_same_network(data: SequenceData) -> None:
    recipe = SequenceRecipe(epochs=1, clip_gradient=1.0)
    first, again = (train_on_sequences(network(), data, recipe).model for _ in range(2))
    other = train_on_sequences(network(), data, replace(recipe, seed=1)).model
    weights = [m.state_dict()["layers.0.among.weight"] for m in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.log() * torch.nan + x[-1, :, :4]


def test_a_loss_that_is_no_number_is_refused(data: SequenceData) -> None:
    with pytest.raises(ModelError, match=r"loss of epoch 1 is nan; lower learning_rate=0.01"):
        train_on_sequences(Broken(), data)


def test_an_empty_split_is_refused() -> None:
    empty = InMemorySequences(torch.zeros(0, 4, 5), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(DataError, match="a split of sequences is empty"):
        sequence_accuracy(network(), empty)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"rate_steps": 0},
        {"learning_rate": 0.0},
        {"learning_rate": 1e7},
        {"clip_gradient": 0.0},
        {"seed": -1},
    ],
)
def test_a_recipe_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=f"{next(iter(wrong))} must be"):
        SequenceRecipe(**wrong)  # type: ignore[arg-type]


def test_the_rate_is_halved_after_every_so_many_epochs() -> None:
    recipe = SequenceRecipe(learning_rate=0.8, rate_steps=2)
    assert [recipe.rate(epoch) for epoch in range(1, 6)] == [0.8, 0.8, 0.4, 0.4, 0.2]


def test_operations_are_those_of_every_spike_and_connection() -> None:
    torch.manual_seed(0)
    model = SRNN(5, (6, 7), 4, ALIF(0.05, 0.5))
    x = (torch.rand(9, 3, 5) < 0.4).float()
    first, second = (train.detach() for train in model.observe(x).spikes)
    costs = recurrent_costs(model, x)
    additions = 0.0
    for t in range(9):
        for i in range(3):
            additions += 6 * float(x[t, i].sum())
            additions += float(first[t, i].sum()) * (7 + (6 if t < 8 else 0))
            additions += float(second[t, i].sum()) * (4 + (7 if t < 8 else 0))
    assert first.sum() > 0
    assert costs.snn.additions == pytest.approx(additions / 3)
    assert costs.snn.macs == 0
    assert costs.spikes == pytest.approx(float(first.sum() + second.sum()) / 3)
    assert costs.rate == pytest.approx(costs.spikes / (9 * 13))
    assert costs.snn.updates == 9 * (13 * 10 + 4 * 3)
    assert costs.snn.comparisons == 9 * 13
    assert costs.lstm.macs == 9 * (4 * 6 * 11 + 4 * 7 * 13) + 7 * 4


def test_an_analogue_input_costs_multiply_accumulates() -> None:
    torch.manual_seed(0)
    model = SRNN(5, (6,), 4, ALIF(beta=0.0), recurrent=False)
    x = torch.rand(9, 3, 5)
    x[0] = 0
    costs = recurrent_costs(model, x)
    assert costs.snn.macs == 9 * 5 * 6
    assert costs.snn.effective_macs == 8 * 5 * 6
    assert costs.snn.additions == pytest.approx(costs.spikes * 4)
    assert costs.snn.updates == 9 * (6 * 5 + 4 * 3)


def test_an_lstm_has_four_gates() -> None:
    counts = lstm_counts(2, 3, 5)
    assert counts.macs == 2 * 4 * 5 * (3 + 5)
    assert counts.updates == 2 * 4 * 5
    assert counts.functions == {"sigmoid": 30, "tanh": 20}
