"""A reservoir: leaky integrate-and-fire neurons with fixed random connections, and a signal."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikewright.errors import ModelError
from spikewright.recurrent.leaky import leaky_step
from spikewright.reservoir.timescales import Distribution, Gamma, Homogeneous


@dataclass(frozen=True)
class ReservoirRecipe:
    """What a reservoir is drawn from.

    Args:
        neurons: H, at least 2.
        time_constant: what the tau of each neuron is drawn from, in time steps.
        threshold: what the theta of each neuron is drawn from.
        density: the probability of an edge between two neurons, in 0 .. 1; none to itself.
        spectral_radius: of the matrix of weights, at least 0; 0 leaves the edges out. Weights are
            normal before they are scaled to it.
        input_gain: input weights are uniform within -gain .. gain; above 0.
        input_share: the probability that a neuron hears the input, above 0 and at most 1.
        bias: constant currents are uniform within 0 .. 2 bias; at least 0.

    Raises:
        ValueError: for a number out of its range, or a density that the edges never have.
    """

    neurons: int = 200
    time_constant: Distribution = field(default_factory=lambda: Gamma(5.0))
    threshold: Distribution = field(default_factory=lambda: Homogeneous(1.0))
    density: float = 0.1
    spectral_radius: float = 3.0
    input_gain: float = 3.0
    input_share: float = 0.3
    bias: float = 1.0

    def __post_init__(self) -> None:
        ranges = {
            "neurons": (self.neurons >= 2, "at least 2"),
            "density": (0 < self.density <= 1, "above 0 and at most 1"),
            "spectral_radius": (0 <= self.spectral_radius < math.inf, "at least 0 and finite"),
            "input_gain": (0 < self.input_gain < math.inf, "above 0 and finite"),
            "input_share": (0 < self.input_share <= 1, "above 0 and at most 1"),
            "bias": (0 <= self.bias < math.inf, "at least 0 and finite"),
        }
        for name, (fits, told) in ranges.items():
            if not fits:
                raise ValueError(f"{name} must be {told}, got {getattr(self, name)}")


class States(NamedTuple):
    """What a reservoir did.

    Attributes:
        potentials: u `[T, B, H]`, after every time step, before the reset of its own spike.
        spikes: s `[T, B, H]`, 0 or 1.
    """

    potentials: Tensor
    spikes: Tensor


@dataclass(frozen=True)
class Reservoir:
    """Leaky integrate-and-fire neurons that hear an input and, one step later, each other.

        u[t] = alpha u[t-1] + (1 - alpha) (V x[t] + b + W s[t-1]) - theta s[t-1]
        s[t] = 1 where u[t] > theta, else 0;     alpha = exp(-1 / tau)

    `draw_reservoir(recipe, seed)` draws one.

    Attributes:
        weights: W `[H, H]`, from column to row.
        input_weights: V `[H]`.
        bias: b `[H]`.
        time_constants: tau `[H]`, above 0, in time steps.
        thresholds: theta `[H]`, above 0.

    Raises:
        ModelError: for shapes that do not fit, or time constants or thresholds not above 0.
    """

    weights: Tensor
    input_weights: Tensor
    bias: Tensor
    time_constants: Tensor
    thresholds: Tensor

    def __post_init__(self) -> None:
        count = self.neurons
        vectors = (self.input_weights, self.bias, self.time_constants, self.thresholds)
        shapes = [tuple(part.shape) for part in (self.weights, *vectors)]
        if shapes != [(count, count), *[(count,)] * 4]:
            raise ModelError(
                "a reservoir has weights [H, H] and input weights, bias, time constants and "
                f"thresholds [H], got {shapes}"
            )
        if not bool((self.time_constants > 0).all() and (self.thresholds > 0).all()):
            raise ModelError("every time constant and threshold of a reservoir must be above 0")

    @property
    def neurons(self) -> int:
        """H."""
        return len(self.weights)

    @property
    def edges(self) -> int:
        """How many weights are not 0."""
        return int(torch.count_nonzero(self.weights))

    @property
    def decay(self) -> Tensor:
        """The decays alpha `[H]`, in 0 .. 1."""
        return torch.exp(-1 / self.time_constants)

    @property
    def felt_weights(self) -> Tensor:
        """What a spike adds to each potential, `(1 - alpha_i) W_ij`, `[H, H]`."""
        return (1 - self.decay)[:, None] * self.weights

    def connected(self, weights: Tensor) -> Reservoir:
        """The same neurons with other weights `[H, H]`."""
        return replace(self, weights=weights)

    def run(self, x: Tensor, kicks: Tensor | None = None) -> States:
        """Run from rest.

        Args:
            x: the input `[T, B]` of B independent runs, in the dtype of the weights.
            kicks: added to the potentials, `[T, B, H]`: noise.

        Returns:
            Potentials and spikes of every time step.

        Raises:
            ModelError: for an input or kicks of another shape.

        Example:
            >>> x = 2 * torch.rand(50, 4, dtype=torch.float64) - 1
            >>> draw_reservoir(ReservoirRecipe(neurons=30), seed=0).run(x).spikes.shape
            torch.Size([50, 4, 30])
        """
        if x.ndim != 2 or not len(x):
            raise ModelError(
                f"a reservoir takes an input [T, B] with T at least 1, got {tuple(x.shape)}"
            )
        expected = (*x.shape, self.neurons)
        if kicks is not None and kicks.shape != expected:
            raise ModelError(f"kicks are [T, B, H] = {expected}, got {tuple(kicks.shape)}")
        decay, across = self.decay, self.weights.T
        u = s = self.weights.new_zeros(expected[1:])
        potentials: list[Tensor] = []
        spikes: list[Tensor] = []
        for t, heard in enumerate(x):
            current = heard[:, None] * self.input_weights + self.bias + s @ across
            u = leaky_step(u, s, current, decay, self.thresholds)
            if kicks is not None:
                u = u + kicks[t]
            s = (u > self.thresholds).to(u.dtype)
            potentials.append(u)
            spikes.append(s)
        return States(torch.stack(potentials), torch.stack(spikes))


def draw_reservoir(recipe: ReservoirRecipe, seed: int) -> Reservoir:
    """Draw a reservoir, float64.

    Connections, time constants and thresholds have generators of their own, so reservoirs of one
    seed that differ in their distributions alone have the same connections.

    Args:
        recipe: what is drawn.
        seed: of all draws, at least 0.

    Returns:
        The reservoir; its weights are not trained.

    Raises:
        ModelError: if no edges were drawn that a spectral radius above 0 could scale.

    Example:
        >>> recipe = ReservoirRecipe(time_constant=Homogeneous(5.0))
        >>> control, mixed = (draw_reservoir(r, seed=0) for r in (recipe, ReservoirRecipe()))
        >>> torch.equal(control.weights, mixed.weights)
        True
    """
    links, slow, high = (np.random.default_rng([seed, part]) for part in range(3))
    count = recipe.neurons
    edges = links.random((count, count)) < recipe.density
    np.fill_diagonal(edges, val=False)
    weights = links.standard_normal((count, count)) * edges
    radius = np.abs(np.linalg.eigvals(weights)).max() if recipe.spectral_radius else 1.0
    if radius < RADIUS_OF_NONE:
        raise ModelError(
            f"{count} neurons at density {recipe.density} have no loop of edges, so no spectral "
            "radius; make it denser, or leave the edges out with spectral_radius=0"
        )
    hears = links.random(count) < recipe.input_share
    parts = (
        weights * (recipe.spectral_radius / radius),
        links.uniform(-recipe.input_gain, recipe.input_gain, count) * hears,
        links.uniform(0, 2 * recipe.bias, count),
        recipe.time_constant.draw(count, slow),
        recipe.threshold.draw(count, high),
    )
    return Reservoir(*map(torch.from_numpy, parts))


RADIUS_OF_NONE = 1e-6
"""Eigenvalues of a graph without loops are 0, but for rounding."""


def filtered(spikes: Tensor, time_constant: float) -> Tensor:
    """Spikes as a read-out that decays sees them: `r <- rho r + (1 - rho) s`, rho = exp(-1 / tau).

    Args:
        spikes: `[T, ...]`.
        time_constant: tau of the read-out, above 0, in time steps; the same for all.

    Returns:
        r, of the same shape.

    Raises:
        ValueError: for a time constant that is not above 0, or no time step.

    Example:
        >>> filtered(torch.tensor([1.0, 0.0]), 1.0)
        tensor([0.6321, 0.2325])
    """
    if not (time_constant > 0 and len(spikes)):
        raise ValueError(
            "time_constant must be above 0 and T at least 1, got "
            f"{time_constant} and spikes of shape {tuple(spikes.shape)}"
        )
    rho = math.exp(-1 / time_constant)
    r = torch.zeros_like(spikes[0])
    traces: list[Tensor] = []
    for sent in spikes:
        r = rho * r + (1 - rho) * sent
        traces.append(r)
    return torch.stack(traces)
