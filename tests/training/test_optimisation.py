"""The optimiser's groups, the learning rate at every step, positive thresholds, the average."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

import spikewright as sw
from spikewright.activations import MINIMUM_THRESHOLD
from spikewright.errors import ModelError
from spikewright.training import OptimisationRecipe, OptimizerKind, ScheduleKind
from spikewright.training.optimisation import (
    average,
    averaging_decay,
    learning_rate,
    make_optimizer,
    take_step,
)


def rates(recipe: OptimisationRecipe, steps: int) -> list[float]:
    return [learning_rate(recipe, step, steps) for step in range(recipe.epochs * steps)]


def test_the_cosine_by_hand() -> None:
    found = rates(OptimisationRecipe(epochs=2, learning_rate=1.0), steps=2)
    assert found == pytest.approx([1.0, 0.8535534, 0.5, 0.1464466])


def test_the_warm_up_rises_in_equal_steps_to_the_cosine() -> None:
    found = rates(OptimisationRecipe(epochs=4, learning_rate=1.0, warmup_epochs=1), steps=4)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[4:] == sorted(found[4:], reverse=True)


def test_one_cycle_is_that_of_torch() -> None:
    recipe = OptimisationRecipe(epochs=10, learning_rate=0.5, schedule=ScheduleKind.ONE_CYCLE)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    schedule = OneCycleLR(optimizer, 0.5, total_steps=101, cycle_momentum=False)
    expected = []
    for _ in range(100):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    # torch counts its two parts in steps less one, we in steps
    assert rates(recipe, steps=10) == pytest.approx(expected, abs=0.03)
    assert max(rates(recipe, steps=10)) == 0.5


@pytest.mark.parametrize("kind", OptimizerKind)
@pytest.mark.parametrize("decayed", [False, True])
def test_thresholds_decay_only_when_asked(kind: OptimizerKind, decayed: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 2), sw.QCFS(4))
    recipe = OptimisationRecipe(optimizer=kind, weight_decay=0.25, decay_thresholds=decayed)
    weights, thresholds = make_optimizer(model, recipe).param_groups
    assert weights["weight_decay"] == 0.25
    assert thresholds["weight_decay"] == (0.25 if decayed else 0)
    assert thresholds["params"] == [model[1].threshold]
    assert len(weights["params"]) == 2


def test_a_step_keeps_thresholds_positive_and_clips_the_gradient() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), sw.QCFS(4, threshold=0.5))
    recipe = OptimisationRecipe(momentum=0.0, weight_decay=0.0, clip_gradient=1.0)
    before = model[0].weight.item()
    model[0].weight.grad, model[1].threshold.grad = torch.tensor([[30.0]]), torch.tensor(40.0)
    take_step(model, make_optimizer(model, recipe), recipe, rate=1.0)
    assert model[0].weight.item() == pytest.approx(before - 0.6, abs=1e-4)
    assert model[1].threshold.item() == pytest.approx(MINIMUM_THRESHOLD)


def test_the_average_by_hand() -> None:
    shadow = {"w": torch.tensor([1.0]), "n": torch.tensor(3)}
    average(shadow, {"w": torch.tensor([2.0]), "n": torch.tensor(4)}, decay=0.75)
    assert shadow == {"w": torch.tensor([1.25]), "n": torch.tensor(4)}


def test_the_average_forgets_the_first_weights_within_a_short_run() -> None:
    decays = [averaging_decay(0.75, step) for step in range(40)]
    assert decays[:3] == [1 / 10, 2 / 11, 3 / 12]
    assert decays[25:28] == [26 / 35, 0.75, 0.75]
    shadow = {"w": torch.tensor([1.0], dtype=torch.float64)}
    for step in range(192):
        average(
            shadow, {"w": torch.tensor([0.0], dtype=torch.float64)}, averaging_decay(0.999, step)
        )
    assert shadow["w"].item() < 1e-9


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(ModelError, match="ReLU has no parameter that requires a gradient"):
        make_optimizer(nn.ReLU(), OptimisationRecipe())
