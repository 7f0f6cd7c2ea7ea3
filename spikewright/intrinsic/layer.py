"""A layer of leaky neurons that hear themselves or each other, and may fire by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikewright.errors import ModelError
from spikewright.intrinsic.firing import EscapeNoise
from spikewright.neurons import Draws, sample_ids_of
from spikewright.recurrent import MultiGaussian
from spikewright.recurrent.alif import decay, first_log_tau
from spikewright.recurrent.leaky import leaky_step


class Form(StrEnum):
    """Which entries a self-connection has."""

    DIAGONAL = "diagonal"
    """Every neuron hears itself alone: H weights."""
    FULL = "full"
    """Every neuron hears all of its layer: H x H weights."""


class Hears(StrEnum):
    """What of the step before a self-connection carries."""

    POTENTIALS = "potentials"
    """Potentials: the eigenvalues of the integration change."""
    SPIKES = "spikes"
    """Spikes: the reset changes (diagonal), or it is a recurrent layer (full)."""


@dataclass(frozen=True)
class SelfConnection:
    """How the neurons of a layer are connected among themselves.

    Args:
        form: "diagonal" or "full".
        hears: "potentials" or "spikes".

    Raises:
        ValueError: for other words.

    Source: Zhang et al., arXiv 2207.04876.

    Example:
        >>> SelfConnection("full", hears="spikes").weights(2)
        tensor([[0., 0.],
                [0., 0.]])
    """

    form: Form | str = Form.DIAGONAL
    hears: Hears | str = Hears.POTENTIALS

    def __post_init__(self) -> None:
        for name, words in (("form", Form), ("hears", Hears)):
            if getattr(self, name) not in list(words):
                raise ValueError(f"{name} is {' or '.join(words)}, got {getattr(self, name)!r}")

    def weights(self, units: int) -> Tensor:
        """The first weights, all 0: `[H]` or `[H, H]`."""
        return torch.zeros((units,) if self.form == Form.DIAGONAL else (units, units))


class Trace(NamedTuple):
    """What a layer did.

    Attributes:
        potentials: u `[T, B, H]`, after every step, before the reset of its own spike.
        spikes: s `[T, B, H]`, 0 or 1.
    """

    potentials: Tensor
    spikes: Tensor


class SelfConnectedLayer(nn.Module):
    """Leaky neurons with a self-connection, which fire at a threshold or by chance.

        u[t] = alpha u[t-1] + (1 - alpha) (W x[t] + b + V h[t-1]) - theta s[t-1]
        s[t] = 1 where u[t] > theta, or with a probability of u[t] - theta

    alpha = exp(-1 / tau), and h are the potentials or spikes of the layer itself. Time constants,
    W, b and V are trained; V starts at 0, where the layer is one of plain leaky neurons.

    Args:
        inputs: the number F of input features, at least 1.
        units: the number H of neurons, at least 1.
        connection: V; None has none.
        firing: `MultiGaussian` fires at the threshold and says what gradient a spike has,
            `EscapeNoise` fires by chance.
        time_constant: mean and standard deviation of the normal distribution that the first tau are
            drawn from, in time steps; the mean above 0. Draws below 1 are raised to it.
        threshold: theta, above 0.
        site: names the draws: layers of one network that fire by chance need names of their own.

    Attributes:
        self_weights: V, a parameter `[H]` or `[H, H]`, or None.
        log_tau: a parameter `[H]`.

    Raises:
        ValueError: for a number out of its range, or a site where nothing is drawn.

    Source: Zhang et al., arXiv 2207.04876.

    Example:
        >>> layer = SelfConnectedLayer(3, 4, SelfConnection("full"), EscapeNoise(0.3))
        >>> layer, x = layer.double(), torch.rand(20, 2, 3, dtype=torch.float64)
        >>> torch.equal(layer(x, seed=1)[:, 1:], layer(x[:, 1:], seed=1))
        True
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        connection: SelfConnection | None = None,
        firing: EscapeNoise | MultiGaussian | None = None,
        *,
        time_constant: tuple[float, float] = (20.0, 5.0),
        threshold: float = 1.0,
        site: str | None = None,
    ) -> None:
        super().__init__()
        if inputs < 1 or units < 1 or not threshold > 0:
            raise ValueError(
                "inputs and units must be at least 1 and threshold above 0, got "
                f"{inputs}, {units} and {threshold}"
            )
        if not (time_constant[0] > 0 and time_constant[1] >= 0):
            raise ValueError(
                "time_constant is a mean above 0 and a standard deviation of at least 0, got "
                f"{time_constant}"
            )
        self.connection = connection
        self.firing = firing or MultiGaussian()
        self.threshold = threshold
        if site is not None and not self.stochastic:
            raise ValueError(
                f"site={site!r} has no effect on neurons that fire at a threshold: nothing is "
                "drawn; leave it out, or give firing=EscapeNoise(...)"
            )
        self.site = site or "self-connected"
        self.inward = nn.Linear(inputs, units)
        nn.init.xavier_uniform_(self.inward.weight)
        nn.init.zeros_(self.inward.bias)
        self.self_weights = nn.Parameter(connection.weights(units)) if connection else None
        self.log_tau = nn.Parameter(first_log_tau(units, time_constant))

    @property
    def units(self) -> int:
        """H."""
        return self.inward.out_features

    @property
    def stochastic(self) -> bool:
        """Whether spikes are drawn."""
        return isinstance(self.firing, EscapeNoise)

    @property
    def decay(self) -> Tensor:
        """The decays alpha `[H]`, in 0 .. 1."""
        return decay(self.log_tau)

    def matrix(self, hears: Hears | str) -> Tensor:
        """V `[H, H]` of what is heard; all 0 for what is not."""
        if self.connection is None or self.self_weights is None or self.connection.hears != hears:
            return torch.zeros_like(self.log_tau).diag()
        return torch.diag(self.self_weights) if self.self_weights.ndim == 1 else self.self_weights

    def forward(
        self, x: Tensor, *, seed: int | None = None, sample_ids: Tensor | None = None
    ) -> Tensor:
        """The spikes `[T, B, H]`, 0 or 1, for an input `[T, B, F]`; arguments as in `observe`."""
        return self.observe(x, seed=seed, sample_ids=sample_ids).spikes

    def observe(
        self, x: Tensor, *, seed: int | None = None, sample_ids: Tensor | None = None
    ) -> Trace:
        """Potentials and spikes, from rest.

        Draws are those of the library's counter-based generator: a pure function of seed, site,
        sample, neuron and step, and so the same in a batch of any size. Spikes are the same but for
        potentials that a matrix product of another size rounds across their draw.

        Args:
            x: the input `[T, B, F]`, of any numbers.
            seed: of the draws; 0 by default.
            sample_ids: what tells samples apart, int64 `[B]`; by default their content, so that
                equal samples have equal draws.

        Raises:
            ModelError: for an input of another shape, or a seed or sample ids where nothing is
                drawn.
        """
        if x.ndim != 3 or x.shape[2] != self.inward.in_features or not len(x):
            raise ModelError(
                f"this layer takes [T, B, {self.inward.in_features}] with T at least 1, got "
                f"{tuple(x.shape)}"
            )
        fire = self._firing(x, seed, sample_ids)
        alpha, currents = self.decay, self.inward(x)
        u = s = currents.new_zeros(currents.shape[1:])
        potentials: list[Tensor] = []
        spikes: list[Tensor] = []
        for t, current in enumerate(currents):
            u = leaky_step(u, s, self._heard(current, u, s), alpha, self.threshold)
            s = fire(u - self.threshold, t)
            potentials.append(u)
            spikes.append(s)
        return Trace(torch.stack(potentials), torch.stack(spikes))

    def _heard(self, current: Tensor, u: Tensor, s: Tensor) -> Tensor:
        if self.connection is None or self.self_weights is None:
            return current
        h = s if self.connection.hears == Hears.SPIKES else u
        v = self.self_weights
        return current + (h * v if v.ndim == 1 else h @ v.T)

    def _firing(
        self, x: Tensor, seed: int | None, sample_ids: Tensor | None
    ) -> Callable[[Tensor, int], Tensor]:
        """Spikes of distances from the threshold at a step."""
        firing = self.firing
        if isinstance(firing, MultiGaussian):
            if seed is not None or sample_ids is not None:
                raise ModelError(
                    "seed and sample_ids have no effect on neurons that fire at a threshold: "
                    "nothing is drawn; leave them out, or give firing=EscapeNoise(...)"
                )
            return lambda distance, _: firing(distance)
        ids = sample_ids_of(x.transpose(0, 1)) if sample_ids is None else sample_ids
        if ids.shape != x.shape[1:2]:
            raise ModelError(f"sample_ids are [B] = ({x.shape[1]},), got {tuple(ids.shape)}")
        draws = Draws(seed or 0, self.site, ids)
        return lambda distance, step: firing.spikes(distance, draws.uniform(step, distance.shape))

    def extra_repr(self) -> str:
        return f"connection={self.connection}, firing={self.firing}, threshold={self.threshold}"
