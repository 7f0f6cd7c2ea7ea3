"""Spikes counted as a QCFS network trains, for a loss of them (Datta et al., TMLR 2025).

A level n of QCFS with L = 2^T - 1 levels is sent in T steps of the binary code, by as many spikes
as n has ones. The gradient of each bit is passed straight through to n (arXiv 2312.06900).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikewright.activations import QCFS
from spikewright.neurons.codes.binary import popcount


class SpikeCounter:
    """Counts the ones in the levels of all QCFS activations of a network, in training mode alone.

    Args:
        model: a network with QCFS activations; it gets forward hooks.
    """

    def __init__(self, model: nn.Module) -> None:
        self._sent: list[tuple[Tensor, int]] = []
        for module in model.modules():
            if isinstance(module, QCFS):
                module.register_forward_hook(self._count)

    def _count(self, module: QCFS, inputs: Any, output: Tensor) -> None:
        if module.training:
            spikes = ones_of(output.float(), module.threshold, module.levels)
            self._sent.append((spikes.sum(), spikes.numel()))

    def mean(self) -> Tensor:
        """The spikes of the mean neuron since this was last asked, a scalar with a gradient."""
        sent, self._sent[:] = tuple(self._sent), ()
        return torch.stack([spikes for spikes, _ in sent]).sum() / sum(n for _, n in sent)


def ones_of(output: Tensor, threshold: Tensor, levels: int) -> Tensor:
    """The ones in the levels of QCFS, with the gradient of the levels.

    Args:
        output: of QCFS, multiples of threshold / levels, any shape.
        threshold: lambda, a scalar tensor.
        levels: L.
    """
    level = output * (levels / threshold)
    ones = popcount(level.detach().round(), levels.bit_length())
    return level + (ones - level.detach())
