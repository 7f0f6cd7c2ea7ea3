"""What an answer costs: operations of a spiking recurrent network, and of an LSTM of its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.measure import Counts
from spikewright.recurrent.layers import RecurrentLayer
from spikewright.recurrent.network import SRNN


@dataclass(frozen=True)
class RecurrentCosts:
    """Operations for the mean sequence of a batch.

    A spike costs one addition for every connection that it passes: to the layer above, to its own
    layer, to the read-out. Inputs other than 0 and 1 cost multiply-accumulates, each step anew.
    `updates` are the additions and multiplications of neurons and read-out at every step: 5 of a
    LIF neuron, 10 of an adaptive one, 3 of a read-out; comparisons with the threshold stand apart.

    Attributes:
        spikes: of all neurons, for a sequence.
        snn: operations of the spiking network.
        lstm: operations of an LSTM with the same inputs, layers, units and classes; its `functions`
            are the sigmoids and tanhs.
        steps: T.
        neurons: of all layers.
    """

    spikes: float
    snn: Counts
    lstm: Counts
    steps: int
    neurons: int

    @property
    def rate(self) -> float:
        """Spikes of a neuron in a time step, 0 .. 1."""
        return self.spikes / (self.steps * self.neurons)


LIF_UPDATES, ALIF_UPDATES, READ_OUT_UPDATES = 5, 10, 3


def recurrent_costs(network: SRNN, x: Tensor) -> RecurrentCosts:
    """Count the operations of a network on a batch of sequences.

    Args:
        network: is put to no other use: it is left as it was.
        x: `[T, B, F]`.

    Returns:
        Operations and spikes for the mean sequence.

    Raises:
        ModelError: for a batch of another shape.

    Example:
        >>> costs = recurrent_costs(SRNN(5, (8,), 4), torch.zeros(20, 3, 5))
        >>> costs.snn.macs, costs.lstm.macs
        (0.0, 8352.0)
    """
    with torch.no_grad():
        answer = network.observe(x)
    steps, batch, features = x.shape
    layers = [layer for layer in network.layers if isinstance(layer, RecurrentLayer)]
    classes = network.read_out.inward.out_features
    above = [*(layer.units for layer in layers[1:]), classes]
    snn = _input(x, layers[0].units)
    for layer, train, fan_out in zip(layers, answer.spikes, above, strict=True):
        sent = float(train.sum()) / batch
        heard = float(train[:-1].sum()) / batch if layer.among is not None else 0.0
        work = ALIF_UPDATES if layer.neuron.adapts else LIF_UPDATES
        visits = float(steps * layer.units)
        snn += Counts(
            additions=sent * fan_out + heard * layer.units,
            updates=work * visits,
            comparisons=visits,
        )
    snn += Counts(updates=float(READ_OUT_UPDATES * steps * classes))
    lstm = lstm_network_counts(steps, features, [layer.units for layer in layers], classes)
    spikes = sum(float(train.sum()) for train in answer.spikes) / batch
    return RecurrentCosts(spikes, snn, lstm, steps, sum(layer.units for layer in layers))


def lstm_counts(steps: int, inputs: int, units: int) -> Counts:
    """One layer of an LSTM over T steps: four gates, then `c <- f c + i g` and `h = o tanh(c)`."""
    gates = 4 * units * (inputs + units)
    cell = 3 * units  # f c + i g and o tanh(c)
    return Counts(
        macs=float(steps * gates),
        updates=float(steps * (cell + units)),
        functions={"sigmoid": float(steps * 3 * units), "tanh": float(steps * 2 * units)},
    )


def lstm_network_counts(steps: int, inputs: int, units: Sequence[int], classes: int) -> Counts:
    """Layers of LSTM over T steps, and a linear layer that reads the last state of the last one."""
    counts, below = Counts(), inputs
    for own in units:
        counts += lstm_counts(steps, below, own)
        below = own
    return counts + Counts(macs=float(below * classes))


def _input(x: Tensor, fan_out: int) -> Counts:
    """What the first layer does with its input: additions where it is spikes, else MACs."""
    binary = bool(((x == 0) | (x == 1)).all())
    per_sequence = fan_out / x.shape[1]
    if binary:
        return Counts(additions=float(x.sum()) * per_sequence)
    return Counts(
        macs=x.numel() * per_sequence, effective_macs=float((x != 0).sum()) * per_sequence
    )
