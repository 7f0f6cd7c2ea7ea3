"""The figures of docs/reservoir.md: memory of reservoirs, and what pruning costs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from docs_tools import records
from spikewright.reservoir import (
    Distribution,
    Gamma,
    Homogeneous,
    LogNormal,
    Reservoir,
    ReservoirRecipe,
    draw_reservoir,
    filtered,
    keep_probabilities,
    lyapunov_spectrum,
    memory_capacity,
    noise_covariance,
    noise_importance,
    sampled_edges,
    smoothed_jacobians,
    strongest_edges,
)

RECORD = Path("docs/results/reservoir.json")
SEEDS = tuple(range(10))
DOUBLE = torch.float64


@dataclass(frozen=True)
class Extent:
    """How long everything is measured.

    Attributes:
        steps: of a run, with the washout.
        runs: beside each other, of which a half is fitted to and a quarter held out.
        delays: that a memory capacity sums.
        washout: steps of a run that are not read.
        read_out: the time constant of the filter of spikes, in steps.
        width: of the noise that makes spikes smooth for Lyapunov exponents, in potential.
        exponents: steps that these are the mean of, after the washout.
    """

    steps: int = 600
    runs: int = 16
    delays: int = 60
    washout: int = 100
    read_out: float = 5.0
    width: float = 0.2
    exponents: int = 300


@dataclass(frozen=True)
class Memory:
    """The memory of one reservoir.

    Attributes:
        table: which it stands in.
        setting: which row of it.
        seed: of the reservoir and its input.
        potentials: memory capacity, read from potentials.
        filtered: the same from filtered spikes.
        rate: spikes a neuron and step.
    """

    table: str
    setting: str
    seed: int
    potentials: float
    filtered: float
    rate: float


@dataclass(frozen=True)
class Pruned:
    """One reservoir with some of its edges.

    Attributes:
        kind: "homogeneous" or "gamma".
        way: of pruning, or "none".
        seed: of the reservoir, its input and the draws of edges.
        edges: that are left.
        memory: its memory.
        events: spikes that pass along edges in a step.
        largest: Lyapunov exponent, a step.
        moved: how far an exponent is from that of the same rank before pruning, in the mean.
    """

    kind: str
    way: str
    seed: int
    edges: int
    memory: Memory
    events: float
    largest: float
    moved: float


@dataclass(frozen=True)
class Linear:
    """A linear network within the theorem, pruned.

    Attributes:
        way: of pruning.
        seed: of the network and the draws of edges.
        kept: the share of edges wanted.
        error: relative, of an eigenvalue, in the mean.
        slowest: relative error of the eigenvalue nearest to 0 that tells clusters apart.
    """

    way: str
    seed: int
    kept: float
    error: float
    slowest: float


@dataclass(frozen=True)
class Record:
    """All of it."""

    versions: dict[str, str]
    memories: tuple[Memory, ...]
    pruned: tuple[Pruned, ...]
    linear: tuple[Linear, ...]


DRAWN: Mapping[str, tuple[Distribution, Distribution]] = {
    "homogeneous": (Homogeneous(5.0), Homogeneous(1.0)),
    "τ gamma, 0.5": (Gamma(5.0, 0.5), Homogeneous(1.0)),
    "τ gamma, 1": (Gamma(5.0, 1.0), Homogeneous(1.0)),
    "τ log-normal, 1": (LogNormal(5.0, 1.0), Homogeneous(1.0)),
    "θ gamma, 0.5": (Homogeneous(5.0), Gamma(1.0, 0.5)),
    "τ gamma, 1; θ gamma, 0.5": (Gamma(5.0, 1.0), Gamma(1.0, 0.5)),
}
"""What time constants (mean 5 steps) and thresholds (mean 1) are drawn from; the number is the
standard deviation over the mean."""
MEANS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
RADII = (0.0, 1.0, 3.0, 6.0)
KINDS: Mapping[str, Callable[[float], Distribution]] = {"homogeneous": Homogeneous, "gamma": Gamma}


def settings() -> Iterator[tuple[str, str, ReservoirRecipe]]:
    """Every table, row and recipe of the memories."""
    plain = ReservoirRecipe()
    for name, (tau, theta) in DRAWN.items():
        yield "drawn", name, replace(plain, time_constant=tau, threshold=theta)
    for kind, distribution in KINDS.items():
        for mean in MEANS:
            yield "mean", f"{kind} {mean:g}", replace(plain, time_constant=distribution(mean))
        for radius in RADII:
            recipe = replace(plain, time_constant=distribution(5.0), spectral_radius=radius)
            yield "radius", f"{kind} {radius:g}", recipe


def signal(seed: int, extent: Extent) -> Tensor:
    """Numbers drawn uniformly within -1 .. 1 at every step, `[T, B]`."""
    draw = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(extent.steps, extent.runs, generator=draw, dtype=DOUBLE) - 1


def measured(net: Reservoir, table: str, setting: str, seed: int, extent: Extent) -> Memory:
    """The memory of a reservoir."""
    x = signal(seed, extent)
    states = net.run(x)
    read = (states.potentials, filtered(states.spikes, extent.read_out))
    capacities = [
        memory_capacity(part, x, delays=extent.delays, washout=extent.washout).total
        for part in read
    ]
    rate = float(states.spikes[extent.washout :].mean())
    return Memory(table, setting, seed, *(round(value, 4) for value in (*capacities, rate)))


def memories(
    seeds: Sequence[int] = SEEDS,
    extent: Extent | None = None,
    wanted: Sequence[tuple[str, str, ReservoirRecipe]] | None = None,
) -> Iterator[Memory]:
    """The memories of all settings."""
    for table, setting, recipe in wanted or settings():
        for seed in seeds:
            net = draw_reservoir(recipe, seed)
            yield measured(net, table, setting, seed, extent or Extent())


WAYS = ("noise", "weight", "random", "magnitude")
"""By noise-driven covariance; the same without the covariance; each edge alike; the strongest."""


def importance(way: str, weights: Tensor, covariance: Tensor) -> Tensor:
    """What edges are drawn by."""
    if way == "noise":
        return noise_importance(weights, covariance)
    return weights.abs() if way == "weight" else (weights != 0).to(weights.dtype)


def pruned_ways(net: Reservoir, seed: int, kept: float) -> Iterator[tuple[str, Reservoir]]:
    """A reservoir pruned in every way."""
    felt, covariance = net.felt_weights, noise_covariance(net, seed=seed)
    for way in WAYS[:-1]:
        probability = keep_probabilities(importance(way, felt, covariance), kept)
        yield way, net.connected(sampled_edges(net.weights, probability, seed))
    yield WAYS[-1], net.connected(strongest_edges(net.weights, kept))


def spectrum(net: Reservoir, seed: int, extent: Extent) -> Tensor:
    """The Lyapunov exponents of one run, its spikes made smooth."""
    x = signal(seed, extent)[: extent.washout + extent.exponents, :1]
    jacobians = smoothed_jacobians(net, net.run(x).potentials[:, 0], width=extent.width)
    return lyapunov_spectrum(jacobians, skipped=extent.washout)


def prunings(
    seeds: Sequence[int] = SEEDS,
    extent: Extent | None = None,
    recipe: ReservoirRecipe | None = None,
    kept: float = 0.5,
) -> Iterator[Pruned]:
    """Both kinds of reservoir, whole and pruned in every way."""
    extent, recipe = extent or Extent(), recipe or ReservoirRecipe()
    for kind, distribution in KINDS.items():
        for seed in seeds:
            own = replace(recipe, time_constant=distribution(recipe.time_constant.mean))
            whole = draw_reservoir(own, seed)
            before = spectrum(whole, seed, extent)
            for way, net in (("none", whole), *pruned_ways(whole, seed, kept)):
                after = before if way == "none" else spectrum(net, seed, extent)
                yield Pruned(
                    kind,
                    way,
                    seed,
                    net.edges,
                    measured(net, "pruned", f"{kind} {way}", seed, extent),
                    round(events(net, seed, extent), 2),
                    round(float(after[0]), 5),
                    round(float((after - before).abs().mean()), 5),
                )


def events(net: Reservoir, seed: int, extent: Extent) -> float:
    """Spikes times the edges that they leave by, in the mean of a step."""
    spikes = net.run(signal(seed, extent)).spikes[extent.washout :]
    return float(spikes.mean((0, 1)) @ torch.count_nonzero(net.weights, 0).to(DOUBLE))


def clusters(seed: int, size: int = 30, count: int = 3) -> Tensor:
    """Symmetric weights, uniform within 0 .. 1: all within a cluster, 1 in 100 between clusters."""
    draw = torch.Generator().manual_seed(seed)
    number = torch.arange(size * count) // size
    same = number[:, None] == number
    strength = torch.rand(len(number), len(number), generator=draw, dtype=DOUBLE)
    bridges = torch.rand(len(number), len(number), generator=draw, dtype=DOUBLE) < 0.01
    upper = torch.triu(strength * (same | bridges), 1)
    return upper + upper.T


def dominant(weights: Tensor, leak: float = 0.1) -> Tensor:
    """The linear network x' = A x whose diagonal outweighs its row by the leak: A."""
    return weights - torch.diag(weights.abs().sum(1) + leak)


def linear(seeds: Sequence[int] = SEEDS, kept: Sequence[float] = (0.5, 0.2)) -> Iterator[Linear]:
    """Symmetric, diagonally dominant networks, where the theorem holds, pruned in every way.

    An edge and its opposite are drawn as one, and the diagonal follows the edges.
    """
    for share in kept:
        for seed in seeds:
            weights = clusters(seed)
            whole = torch.linalg.eigvalsh(dominant(weights))
            covariance = -torch.linalg.inv(dominant(weights)) / 2  # of A C + C A' = -1
            upper = torch.triu(weights)
            for way in WAYS:
                if way == "magnitude":
                    left = strongest_edges(upper, share)
                else:
                    probability = keep_probabilities(importance(way, upper, covariance), share)
                    left = sampled_edges(upper, probability, seed)
                found = torch.linalg.eigvalsh(dominant(left + left.T))
                error = ((found - whole) / whole).abs()
                slowest = float(error[-3:-1].mean())  # two modes tell three clusters apart
                yield Linear(way, seed, share, round(float(error.mean()), 5), round(slowest, 5))


def write(record: Record, path: Path = RECORD) -> Path:
    """Write the record; returns its file."""
    return records.write(path, record)


def read(path: Path = RECORD) -> Record:
    """The record as it was written."""
    return records.read(path, Record)
