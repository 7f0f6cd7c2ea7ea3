"""The figures of docs/reservoir.md: memory of reservoirs, and what pruning costs them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from docs_tools import markdown
from docs_tools.intervals import interval
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
from spikewright.version import __version__

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
    text = msgspec.json.format(msgspec.json.encode(record), indent=1)
    path.write_bytes(text + b"\n")
    return path


def read(path: Path = RECORD) -> Record:
    """The record as it was written."""
    return msgspec.json.decode(path.read_bytes(), type=Record)


def versions() -> dict[str, str]:
    """Of what measured."""
    return {"spikewright": __version__, "torch": str(torch.__version__)}


def told(values: Sequence[float], digits: int = 2, sign: str = "") -> str:
    """A mean and half of its interval."""
    mean, half = interval(values)
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


def memory_rows(record: Record, table: str, setting: str) -> list[Memory]:
    """The memories of one row, by seed."""
    own = [m for m in record.memories if (m.table, m.setting) == (table, setting)]
    return sorted(own, key=lambda m: m.seed)


def drawn_table(record: Record) -> str:
    """Every distribution beside the homogeneous control."""
    control = memory_rows(record, "drawn", "homogeneous")
    rows: list[Sequence[str]] = []
    for name in DRAWN:
        own = memory_rows(record, "drawn", name)
        cells = [told([m.potentials for m in own]), told([m.filtered for m in own])]
        for value in ("potentials", "filtered"):
            apart = [
                getattr(m, value) - getattr(c, value) for m, c in zip(own, control, strict=True)
            ]
            cells.append("-" if own == control else told(apart, sign="+"))
        rows.append((name, *cells, f"{statistics.fmean(m.rate for m in own):.3f}"))
    head = ("drawn", "potentials", "filtered spikes", "difference", "difference", "rate")
    return markdown.table(head, rows)


def swept_table(record: Record, table: str, values: Sequence[float], title: str) -> str:
    """Both kinds over a mean time constant or a spectral radius."""
    rows: list[Sequence[str]] = []
    for value in values:
        both = [memory_rows(record, table, f"{kind} {value:g}") for kind in KINDS]
        cells = [told([m.potentials for m in own]) for own in both]
        cells += [told([m.filtered for m in own]) for own in both]
        cells += [f"{statistics.fmean(m.rate for m in own):.3f}" for own in both]
        rows.append((f"{value:g}", *cells))
    reads = [f"{read}, {kind}" for read in ("potentials", "filtered", "rate") for kind in KINDS]
    return markdown.table((title, *reads), rows)


def best_difference(record: Record, value: str) -> tuple[str, str, str]:
    """The best mean time constant of either kind, and how far gamma is above homogeneous there."""
    best: list[list[Memory]] = []
    for kind in KINDS:
        every = [memory_rows(record, "mean", f"{kind} {mean:g}") for mean in MEANS]
        best.append(max(every, key=lambda own: sum(getattr(m, value) for m in own)))
    control, mixed = best
    apart = [getattr(m, value) - getattr(c, value) for m, c in zip(mixed, control, strict=True)]
    means = (own[0].setting.split()[1] for own in best)
    return *means, told(apart, sign="+")


def pruned_table(record: Record, kind: str) -> str:
    """One kind of reservoir, whole and pruned."""
    rows: list[Sequence[str]] = []
    whole = [p for p in record.pruned if (p.kind, p.way) == (kind, "none")]
    for way in ("none", *WAYS):
        own = [p for p in record.pruned if (p.kind, p.way) == (kind, way)]
        cells = [told([p.largest for p in own], 3)]
        cells.append("-" if way == "none" else told([p.moved for p in own], 3))
        for value in ("potentials", "filtered"):
            capacities = [getattr(p.memory, value) for p in own]
            lost = [c - getattr(p.memory, value) for c, p in zip(capacities, whole, strict=True)]
            cells.append(told(capacities) if way == "none" else told(lost, sign="+"))
        edges, passed = (statistics.fmean(getattr(p, v) for p in own) for v in ("edges", "events"))
        rows.append((way, f"{edges:,.0f}", f"{passed:,.0f}", *cells))
    head = ("pruned by", "edges", "events", "largest exponent", "exponents moved")
    return markdown.table((*head, "MC, potentials", "MC, filtered spikes"), rows)


def moved_difference(record: Record, kind: str, other: str) -> str:
    """How much further noise-driven pruning moves the exponents than another way."""
    noise, others = (
        [p.moved for p in record.pruned if (p.kind, p.way) == (kind, way)]
        for way in ("noise", other)
    )
    return told([a - b for a, b in zip(noise, others, strict=True)], 3, "+")


def slowest_difference(record: Record, kept: float, other: str) -> str:
    """By how many points noise-driven pruning errs more in the slow modes than another way."""
    noise, others = (
        [100 * row.slowest for row in record.linear if (row.way, row.kept) == (way, kept)]
        for way in ("noise", other)
    )
    return told([a - b for a, b in zip(noise, others, strict=True)], 1, "+")


def linear_table(record: Record) -> str:
    """The linear networks."""
    shares = sorted({row.kept for row in record.linear}, reverse=True)
    rows: list[Sequence[str]] = []
    for way in WAYS:
        cells: list[str] = []
        for share in shares:
            own = [row for row in record.linear if (row.way, row.kept) == (way, share)]
            for value in ("error", "slowest"):
                cells.append(told([100 * getattr(row, value) for row in own], 1) + " %")
        rows.append((way, *cells))
    head = [
        f"{what}, {100 * share:.0f} % kept"
        for share in shares
        for what in ("all eigenvalues", "between clusters")
    ]
    return markdown.table(("pruned by", *head), rows)


def tables(record: Record) -> tuple[str, ...]:
    """All tables of the page."""
    return (
        drawn_table(record),
        swept_table(record, "mean", MEANS, "mean τ"),
        swept_table(record, "radius", RADII, "spectral radius"),
        *(pruned_table(record, kind) for kind in KINDS),
        linear_table(record),
    )
