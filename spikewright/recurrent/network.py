"""A spiking recurrent network: layers of adaptive neurons and a leaky read-out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikewright.errors import ModelError
from spikewright.recurrent.alif import ALIF
from spikewright.recurrent.layers import ReadOut, RecurrentLayer


@dataclass(frozen=True)
class Answer:
    """What a network says to a batch of sequences.

    Attributes:
        log_probabilities: of the classes, `[B, C]`.
        spikes: the trains of every layer, `[T, B, H]` each.
    """

    log_probabilities: Tensor
    spikes: tuple[Tensor, ...]


class SRNN(nn.Module):
    """A spiking recurrent network with trained time constants (SRNN), trained through time.

    The answer is the softmax of the read-out's potentials, averaged over time steps:

        p = mean over t of softmax(v[t]).

    Args:
        inputs: the number F of input features.
        units: the number of neurons of each layer.
        classes: the number C of classes.
        neuron: what the neurons are; `ALIF(beta=0.0, ...)` gives LIF.
        recurrent: whether the neurons of a layer hear each other.
        input_gain: the first weights on the input are multiplied by it, above 0: inputs of small
            numbers want more than spikes.
        answer_steps: only the last so many steps count for the answer, at least 1. Default: all.

    Raises:
        ValueError: for no layer, or a number below 1.

    Source: Yin, Corradi, Bohte, Nature Machine Intelligence 2021, arXiv 2103.12593.

    Example:
        >>> network = SRNN(8, (32,), 10)
        >>> network(torch.rand(20, 5, 8)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        inputs: int,
        units: Sequence[int],
        classes: int,
        neuron: ALIF | None = None,
        *,
        recurrent: bool = True,
        input_gain: float = 1.0,
        answer_steps: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 < input_gain < math.inf:
            raise ValueError(f"input_gain must be above 0 and finite, got {input_gain}")
        if not units:
            raise ValueError("units names the number of neurons of each layer, e.g. (128,); got ()")
        if answer_steps is not None and answer_steps < 1:
            raise ValueError(f"answer_steps must be at least 1, got {answer_steps}")
        sizes = (inputs, *units)
        layers = [
            RecurrentLayer(below, here, neuron, recurrent=recurrent)
            for below, here in zip(sizes, units, strict=False)
        ]
        with torch.no_grad():
            layers[0].inward.weight.mul_(input_gain)
        self.layers = nn.ModuleList(layers)
        self.read_out = ReadOut(sizes[-1], classes)
        self.answer_steps = answer_steps

    @property
    def inputs(self) -> int:
        """F."""
        first = self.layers[0]
        assert isinstance(first, RecurrentLayer)
        return first.inward.in_features

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities, `[B, C]`.

        `torch.nn.functional.cross_entropy` takes them as logits, as their softmax is themselves.

        Args:
            x: `[T, B, F]`: numbers, or spikes as 0 and 1.

        Raises:
            ModelError: for an input of another shape.
        """
        return self.observe(x).log_probabilities

    def observe(self, x: Tensor) -> Answer:
        """The answer to `[T, B, F]`, with the spikes of every layer; see `forward`."""
        if x.ndim != 3 or x.shape[2] != self.inputs or not len(x):
            raise ModelError(
                f"a sequence has shape [T, B, {self.inputs}] with T at least 1, got "
                f"{tuple(x.shape)}; batches of [B, T, F] are turned by x.transpose(0, 1)"
            )
        if self.answer_steps is not None and self.answer_steps > len(x):
            raise ModelError(
                f"answer_steps={self.answer_steps}, but the sequence has {len(x)} time steps"
            )
        trains: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            trains.append(x)
        potentials = self.read_out(x)
        if self.answer_steps is not None:
            potentials = potentials[-self.answer_steps :]
        said = torch.log_softmax(potentials, 2)
        return Answer(torch.logsumexp(said, 0) - math.log(len(said)), tuple(trains))
