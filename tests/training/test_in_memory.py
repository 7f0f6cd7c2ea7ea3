"""Training without a folder: it learns, it repeats, it keeps its best epoch, it leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.data import open_dataset
from spikewright.errors import SpikewrightError
from spikewright.training import (
    DataRecipe,
    NetworkRecipe,
    OptimisationRecipe,
    Recipe,
    Trained,
    intra_op_threads,
    seeded,
    train,
    train_in_memory,
)
from tests.builders import accuracy

pytest.importorskip("sklearn", reason="needs the extra 'digits'")


def recipe(seed: int = 0, **changes: Any) -> Recipe:
    settings = {"epochs": 2, "batch_size": 64, "learning_rate": 0.01, **changes}
    optimisation = OptimisationRecipe(optimizer="adamw", schedule="one-cycle", **settings)
    data = DataRecipe("digits", augment=())
    return Recipe(data, NetworkRecipe("digits_cnn", "relu"), optimisation, seed=seed)


def trained(made: Recipe, progress: Any = None) -> Trained:
    return train_in_memory(made, open_dataset("digits"), progress=progress)


def test_it_is_the_training_of_a_folder(tmp_path: Path) -> None:
    data, made = open_dataset("digits"), recipe()
    before = torch.get_rng_state()
    found = train_in_memory(made, data)
    assert torch.equal(before, torch.get_rng_state())
    card = train(made, str(tmp_path / "run"), data=data)
    assert found.best.epoch == card.best_epoch
    assert found.best.validation_accuracy == card.validation.accuracy
    assert accuracy(found.model, data.test) == card.test.accuracy


def test_the_model_is_left_with_its_best_epoch_in_eval_mode() -> None:
    seen: list[Any] = []
    made = recipe(epochs=6, learning_rate=0.3)
    found = trained(made, lambda *told: seen.append(told[-1]))
    assert tuple(metrics for metrics in seen if metrics is not None) == found.history
    scores = [metrics.validation_accuracy for metrics in found.history]
    assert found.best.epoch == scores.index(max(scores)) + 1
    assert accuracy(found.model, open_dataset("digits").validation) == max(scores)
    assert not any(module.training for module in found.model.modules())
    last = trained(recipe(epochs=6, learning_rate=0.3, keep_last=True))
    assert last.best.epoch == 6
    assert accuracy(last.model, open_dataset("digits").validation) == scores[-1]


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
