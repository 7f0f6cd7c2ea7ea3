"""Emission in random order, and the TPP neuron: one rule, on a whole number or on any charge."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.neurons.counter_random import StepDraws, neuron_words, step_words
from spikewright.neurons.layer import Layer


def tpp_step(charge: Tensor, steps_left: int | Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
    """One emission step of the TPP neuron (arXiv 2502.14487).

        s ~ Bernoulli(clip(x / R, 0, 1)),   x <- x - s

    Of a whole number 0 <= x <= R it sends exactly x spikes in R steps, in uniformly random order.

    Args:
        charge: x, the charge left in units of the threshold, `[B, *S]`.
        steps_left: R = T - t + 1, this step counted.
        draw: uniform in `[0, 1)`; the spike is `draw * R < x`, which needs no division.

    Returns:
        Spikes (0 or 1) and the charge that remains.
    """
    spikes = (draw * steps_left < charge).to(charge.dtype)
    return spikes, charge - spikes


class RandomOrder:
    """Emits a layer's charge by `tpp_step`.

    Attributes:
        left: the charge that is left, `[B, *S]`.
    """

    def __init__(self, charge: Tensor, layer: Layer) -> None:
        """Start with a charge in units of the threshold, at the first of the layer's steps."""
        self.left = charge
        self._layer = layer
        self._neurons = neuron_words(charge.shape[1:], charge.device)
        self._run = layer.fuse(_drawn_step)
        self._step = 0

    def emit(self, steps: int) -> Tensor:
        """The next `steps` steps, `[steps, B, *S]`, 0 or 1."""
        train: list[Tensor] = []
        for _ in range(steps):
            words = step_words(self._layer.draws.keys, self._step)
            left = float(self._layer.steps - self._step)
            steps_left = torch.full((), left, dtype=torch.float32, device=self.left.device)
            spikes, self.left = self._run(self.left, steps_left, *words, self._neurons)
            self._step += 1
            train.append(spikes)
        return torch.stack(train)


def _drawn_step(
    charge: Tensor, steps_left: Tensor, low: Tensor, high: Tensor, neurons: Tensor
) -> tuple[Tensor, Tensor]:
    """`tpp_step` with its draw; steps left are a tensor, so that it compiles once."""
    draw = StepDraws(low, high, neurons).uniform()
    return tpp_step(charge, steps_left, draw.to(torch.promote_types(draw.dtype, charge.dtype)))
