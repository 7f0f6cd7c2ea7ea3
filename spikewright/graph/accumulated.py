"""Maxima and products over spike trains: what leaves a step is the rise of a function of sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from spikewright.graph.evaluate import apply
from spikewright.graph.ir import Kind, Operation


def degree_of(op: Operation) -> int:
    """How often the value of a maximum or product doubles where all of its inputs double."""
    return 2 if op.kind is Kind.PRODUCT else 1


class Accumulated:
    """A maximum or product over trains, causal and exact.

    With A[t] the weighted sum of what each input has sent up to step t, w[t] the weight of a step,
    W the sum of all weights, F the operation and d its degree (1 of a maximum, 2 of a product),
    step t emits

        (F(A[t]) - F(A[t-1])) / (w[t] W^(d-1))

    so that its mean over the window, sum_t w[t] out[t] / W = F(A / W), is F of the means of the
    inputs, as the ANN has it, for one-phase and two-phase neurons alike. A maximum of spike trains
    is a spike train: with rate codes a maximum of counts rises by 0 or 1 a step, and with the
    binary code, most significant bit first, by that step's weight or 0. A product rises by
    a[t] B[t] + A[t-1] b[t]: every spike adds the sum that the other factor holds. Steps of a
    rehearsal, whose weight is 0, are a run of their own, in which each weighs 1.

    Args:
        op: of kind `MAX` or `PRODUCT`.
        tensors: the stored tensors of its graph.
        weights: of all steps.
    """

    def __init__(
        self, op: Operation, tensors: Mapping[str, Tensor], weights: Sequence[float]
    ) -> None:
        self._op = op
        self._tensors = tensors
        power = degree_of(op) - 1
        self._share = sum(weights) ** power
        self._share_rehearsing = float(sum(not weight for weight in weights)) ** power
        self._sums: list[Tensor] | None = None
        self._reached: Tensor | None = None
        self._rehearsing = False

    def advance(self, inputs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """What leaves at the next steps, `[t, B, *R]`, of all inputs, each `[t, B, *S]`."""
        rises: list[Tensor] = []
        for *arriving, weight in zip(*inputs, weights, strict=True):
            if self._rehearsing and weight:
                self._sums = self._reached = None
            self._rehearsing = not weight
            share = self._share if weight else self._share_rehearsing
            weight = weight or 1.0
            gained = [spikes * weight for spikes in arriving]
            before = self._sums or [torch.zeros_like(spikes) for spikes in gained]
            self._sums = [a + b for a, b in zip(before, gained, strict=True)]
            reached: Tensor = apply(self._op, self._sums, self._tensors)
            rise = reached if self._reached is None else reached - self._reached
            self._reached = reached
            rises.append(rise / (weight * share))
        return torch.stack(rises)
