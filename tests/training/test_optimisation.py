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
    averaged,
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
    model = nn.BatchNorm1d(1)
    average = averaged(model, 0.15)
    values = []
    for step, value in enumerate((2.0, 4.0, 8.0)):
        for tensor in (model.weight.data, model.running_mean, model.num_batches_tracked):
            assert tensor is not None
            tensor.fill_(value)
        average.update_parameters(model)
        assert average.module.num_batches_tracked == int(value), step
        values.append(float(average.module.weight.detach()))
        assert average.module.running_mean == pytest.approx(values[-1])
    second = 0.15 * 2.0 + 0.85 * 4.0
    assert values == pytest.approx([2.0, second, 0.15 * second + 0.85 * 8.0])


def test_the_average_forgets_the_first_weights_within_a_short_run() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = averaged(model, 0.999)
    model.weight.data.fill_(1.0)
    average.update_parameters(model)
    model.weight.data.fill_(0.0)
    decays = []
    for _ in range(192):
        before = float(average.module.weight.detach())
        average.update_parameters(model)
        decays.append(float(average.module.weight.detach()) / before)
    assert decays[:3] == pytest.approx([2 / 11, 3 / 12, 4 / 13])
    assert decays[-1] < 0.96
    assert float(average.module.weight.detach()) < 1e-9


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(ModelError, match="ReLU has no parameter that requires a gradient"):
        make_optimizer(nn.ReLU(), OptimisationRecipe())
