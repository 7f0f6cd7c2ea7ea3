"""The optimiser of a recipe, its learning rate at every step, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from spikewright.activations import MINIMUM_THRESHOLD, learned_thresholds
from spikewright.errors import ModelError
from spikewright.runs.kinds import OptimizerKind, ScheduleKind
from spikewright.runs.recipe import OptimisationRecipe

DEFAULT_MOMENTUM = 0.9
ONE_CYCLE_RISE = 0.3
"""The rising part of all steps, as in `torch.optim.lr_scheduler.OneCycleLR`."""
ONE_CYCLE_START = 1 / 25
"""The first learning rate as a part of the peak, as there."""


def make_optimizer(model: nn.Module, recipe: OptimisationRecipe) -> torch.optim.Optimizer:
    """The optimiser, with learned thresholds in a group of their own.

    It is fused, one pass over the memory of weights and gradients: a tenth of the time on a CPU.

    Raises:
        ModelError: if the model has no parameter to train.
    """
    thresholds = learned_thresholds(model)
    own = {id(parameter) for parameter in thresholds}
    weights = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    if not weights:
        raise ModelError(f"{type(model).__name__} has no parameter that requires a gradient")
    decay = recipe.weight_decay
    groups = [{"params": weights, "weight_decay": decay}]
    if thresholds:
        share = decay if recipe.decay_thresholds else 0.0
        groups.append({"params": thresholds, "weight_decay": share})
    if recipe.optimizer is OptimizerKind.ADAMW:
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    momentum = DEFAULT_MOMENTUM if recipe.momentum is None else recipe.momentum
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True
    )


def learning_rate(recipe: OptimisationRecipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one step: a function of its number, so that nothing is remembered.

        cosine:     peak * (s + 1) / (w + 1) up to s = w, then
                    peak * (1 + cos(pi * (s - w) / (S - w))) / 2
        one-cycle:  a cosine from peak / 25 to peak over 30 % of all steps, then one to 0

    Args:
        recipe: how the weights are optimised.
        step: the step s, counted from 0 over all epochs.
        steps_per_epoch: S and w are this times the epochs and the warm-up's epochs.

    Returns:
        The learning rate, in (0, peak].
    """
    total = recipe.epochs * steps_per_epoch
    peak = recipe.learning_rate
    if recipe.schedule is ScheduleKind.ONE_CYCLE:
        rise = ONE_CYCLE_RISE * total
        if step < rise:
            start = ONE_CYCLE_START
            return peak * (1 - (1 - start) * (1 + math.cos(math.pi * step / rise)) / 2)
        return peak * (1 + math.cos(math.pi * (step - rise) / (total - rise))) / 2
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


def take_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, recipe: OptimisationRecipe, rate: float
) -> None:
    """Clip the gradient if asked, step at this learning rate, and keep thresholds positive."""
    if recipe.clip_gradient is not None:
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_gradient)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    with torch.no_grad():
        for threshold in learned_thresholds(model):
            threshold.clamp_(min=MINIMUM_THRESHOLD)


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A moving average of all weights and running statistics of a model, made of its first ones.

    The first update takes the weights over; in the n-th after it

        average <- d * average + (1 - d) * weights,    d = min(decay, (1 + n) / (10 + n)),

    as with `num_updates` in TensorFlow's `ExponentialMovingAverage`: with a constant d = 0.999,
    83 % of the average would still be the weights of the first step after 192 steps. Counters
    (integers) are copied.
    """

    def follow(averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor | int) -> None:
        n = float(count)
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, 1 - min(decay, (1 + n) / (10 + n)))
            else:
                average.copy_(weight)

    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)  # pyright: ignore[reportArgumentType]
