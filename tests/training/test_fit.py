"""The trainer: it learns, it repeats, it keeps its best epoch, and it refuses nonsense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from spikewright.data import open_dataset
from spikewright.errors import DataError, ModelError, SpikewrightError
from spikewright.models import digits_cnn
from spikewright.training import (
    EpochRecord,
    TrainingResult,
    accuracy,
    fit,
    intra_op_threads,
    seeded,
)

SETTINGS: dict[str, Any] = {"epochs": 4, "learning_rate": 0.05, "batch_size": 8, "seed": 3}


def quadrants(count: int, seed: int) -> TensorDataset:
    """Points of the plane, labelled by whether their coordinates have the same sign."""
    points = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(points, (points.prod(dim=1) > 0).long())


def network() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


def trained(**changes: Any) -> tuple[nn.Module, TrainingResult]:
    model = network()
    return model, fit(model, quadrants(67, 1), quadrants(40, 2), **{**SETTINGS, **changes})


def test_the_digits_are_learned() -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    data = open_dataset("digits")
    with seeded(0):
        model = digits_cnn()
    result = fit(
        model, data.train, data.validation, epochs=12, learning_rate=0.01, batch_size=64, seed=0
    )
    assert accuracy(model, data.test) >= 0.975
    assert result.validation_accuracy >= 0.975


def test_the_same_seed_gives_the_same_weights_and_history() -> None:
    (first, one), (second, two), (_, other) = trained(), trained(), trained(seed=4)
    assert one == two
    assert one.history != other.history
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_training_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    trained()
    assert torch.equal(before, torch.get_rng_state())


def test_the_model_is_left_with_its_best_epoch_in_eval_mode() -> None:
    seen: list[EpochRecord] = []
    model, result = trained(epochs=9, learning_rate=1.0, seed=2, progress=seen.append)
    assert tuple(seen) == result.history
    assert [record.epoch for record in seen] == list(range(1, 10))
    scores = [record.validation_accuracy for record in seen]
    assert result.best_epoch == scores.index(max(scores)) + 1
    assert scores[-1] < max(scores), "pick settings where the last epoch is not the best"
    assert accuracy(model, quadrants(40, 2)) == result.validation_accuracy == max(scores)
    assert not any(module.training for module in model.modules())


def test_accuracy_by_hand() -> None:
    logits = torch.eye(4)
    assert accuracy(nn.Identity(), TensorDataset(logits, torch.tensor([0, 1, 2, 0]))) == 0.75


def test_accuracy_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="the data set is empty"):
        accuracy(nn.Identity(), TensorDataset(torch.zeros(0, 2), torch.zeros(0)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs=0; train for at least 1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0; it must be finite and above 0"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"batch_size": 1}, "batch_size=1, but the training set holds 67 images; give 2 to 67"),
        ({"batch_size": 68}, "batch_size=68, but the training set holds 67"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        trained(**changes)


def test_an_empty_validation_split_is_refused() -> None:
    with pytest.raises(DataError, match="the validation split is empty"):
        fit(network(), quadrants(16, 0), quadrants(0, 0), **SETTINGS)


def test_a_model_without_parameters_is_refused() -> None:
    with pytest.raises(ModelError, match="Identity has no parameter that requires a gradient"):
        fit(nn.Identity(), quadrants(16, 0), quadrants(8, 0), **SETTINGS)


def test_a_loss_that_is_not_finite_stops_training() -> None:
    broken: Dataset[Any] = TensorDataset(
        torch.full((16, 2), torch.nan), torch.zeros(16, dtype=torch.long)
    )
    with pytest.raises(ModelError, match="the training loss of epoch 1 is nan; lower learning_rat"):
        fit(network(), broken, quadrants(8, 0), **SETTINGS)


def test_seeded_repeats_and_restores() -> None:
    outside = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)
    with pytest.raises(ZeroDivisionError), seeded(5):
        _ = torch.rand(3) / (1 // 0)
    assert torch.equal(torch.get_rng_state(), outside)


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), intra_op_threads(before + 1):
        _ = torch.get_num_threads() / (torch.get_num_threads() - before - 1)
    assert torch.get_num_threads() == before
    with pytest.raises(SpikewrightError, match="count=0; give at least 1"), intra_op_threads(0):
        pass


def test_records_are_immutable() -> None:
    record = EpochRecord(1, 0.5, 0.9)
    with pytest.raises(AttributeError):
        record.epoch = 2  # type: ignore[misc]
    assert replace(record, epoch=2).epoch == 2
