"""Layers of networks with state: recurrent spiking neurons, and a read-out that never spikes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikewright.recurrent.alif import ALIF, decay, first_log_tau


class RecurrentLayer(nn.Module):
    """Neurons that hear the layer below and, one step later, each other.

        I[t] = W x[t] + b + V s[t - 1]

    Args:
        inputs: the number F of input features, at least 1.
        units: the number H of neurons, at least 1.
        neuron: what they are; its first time constants are drawn from torch's generator.
        recurrent: whether they hear each other.

    Raises:
        ValueError: for a number below 1.
    """

    def __init__(
        self, inputs: int, units: int, neuron: ALIF | None = None, *, recurrent: bool = True
    ) -> None:
        super().__init__()
        if inputs < 1 or units < 1:
            raise ValueError(f"inputs and units must be at least 1, got {inputs} and {units}")
        self.neuron = neuron or ALIF()
        self.inward = nn.Linear(inputs, units)
        nn.init.xavier_uniform_(self.inward.weight)
        nn.init.zeros_(self.inward.bias)
        self.among = nn.Linear(units, units, bias=False) if recurrent else None
        if self.among is not None:
            nn.init.orthogonal_(self.among.weight)
        self.log_tau = nn.Parameter(first_log_tau(units, self.neuron.time_constant))
        self.log_tau_adaptation = (
            nn.Parameter(first_log_tau(units, self.neuron.drawn_adaptation))
            if self.neuron.adapts
            else None
        )

    @property
    def units(self) -> int:
        """H."""
        return self.inward.out_features

    def forward(self, x: Tensor) -> Tensor:
        """The spikes `[T, B, H]`, 0 or 1, for an input `[T, B, F]` that may be of any numbers."""
        neuron = self.neuron
        alpha = decay(self.log_tau)
        rho = None if self.log_tau_adaptation is None else decay(self.log_tau_adaptation)
        state = neuron.start(x.shape[1], self.units, x)
        trains: list[Tensor] = []
        for current in self.inward(x).unbind(0):
            heard = current if self.among is None else current + self.among(state.spikes)
            state = neuron.step(heard, state, alpha, rho)
            trains.append(state.spikes)
        return torch.stack(trains)

    def extra_repr(self) -> str:
        return f"neuron={self.neuron}"


class ReadOut(nn.Module):
    """Leaky integrators that never spike, one a class: `v <- alpha v + (1 - alpha) (W s + b)`.

    Args:
        inputs: the number of neurons below, at least 1.
        classes: the number of integrators, at least 1.
        time_constant: mean and standard deviation that the first time constants are drawn from, in
            time steps; draws below 1 are raised to it. They are trained.
    """

    def __init__(
        self, inputs: int, classes: int, time_constant: tuple[float, float] = (20.0, 5.0)
    ) -> None:
        super().__init__()
        if inputs < 1 or classes < 1:
            raise ValueError(f"inputs and classes must be at least 1, got {inputs} and {classes}")
        self.inward = nn.Linear(inputs, classes)
        nn.init.xavier_uniform_(self.inward.weight)
        nn.init.zeros_(self.inward.bias)
        self.log_tau = nn.Parameter(first_log_tau(classes, time_constant))

    def forward(self, spikes: Tensor) -> Tensor:
        """The potentials `[T, B, C]` of spikes `[T, B, H]`."""
        alpha = decay(self.log_tau)
        v = spikes.new_zeros(())
        potentials: list[Tensor] = []
        for current in self.inward(spikes).unbind(0):
            v = alpha * v + (1 - alpha) * current
            potentials.append(v)
        return torch.stack(potentials)
