"""When the spikes of a layer come, and what charge its neurons keep at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.devices import cpu_by_default, where_float64_is
from spikewright.graph import Operation
from spikewright.measure.batches import image_batches
from spikewright.measure.placement import device_of
from spikewright.measure.shown import moved
from spikewright.network import Observer, SpikingNetwork
from spikewright.network.spiking_network import Engine

RESIDUAL_EDGES = tuple(k / 8 for k in range(-16, 25))
"""Edges of the bins of residual potentials, in thresholds: -2 to 3 in eighths."""


@dataclass(frozen=True)
class SpikeTimeHistogram:
    """When the spikes of a layer are sent.

    Attributes:
        site: the layer.
        steps: T.
        before: mean spikes per neuron at each of the T steps, one-phase baseline; they add up to
            the mean count.
        after: the same when the trains of every layer are shuffled.

    Raises:
        ValueError: when made with other numbers of steps.
    """

    site: str
    steps: int
    before: tuple[float, ...]
    after: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.before) == len(self.after) == self.steps:
            raise ValueError(
                f"spikes at {len(self.before)} and {len(self.after)} steps, of T = {self.steps}"
            )


@dataclass(frozen=True)
class ResidualSummary:
    """The residual membrane potential of a layer after the last step, in thresholds.

    With even input and a soft reset it ends in [0, 1) for every neuron that neither stays silent
    nor fires all the time; what lies outside came too late, or was spent too early (the unevenness
    error; Hao et al., AAAI 2023).

    Attributes:
        site: the layer.
        steps: T.
        edges: the edges of the bins, one more than `counts`.
        counts: neurons and samples in each bin; the first and last bin also hold all beyond.
        mean: mean potential.
        below_zero: fraction below 0, silent neurons with negative input included.
        at_or_above_one: fraction at or above 1, neurons that fired at every step included.
        overfired: fraction below 0 that fired at least once: they sent more than they had.
        underfired: fraction at or above 1 that fired less than T times: they have more to send.
    """

    site: str
    steps: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float
    below_zero: float
    at_or_above_one: float
    overfired: float
    underfired: float


class _Residuals:
    """Sums over the neurons and samples of one layer."""

    def __init__(self) -> None:
        self._counts = torch.zeros(len(RESIDUAL_EDGES) - 1, dtype=torch.int64)
        self._fractions = {"below_zero": 0, "at_or_above_one": 0, "overfired": 0, "underfired": 0}
        self._sum = 0.0
        self._values = 0

    def add(self, residual: Tensor, count: Tensor, steps: int) -> None:
        inner = torch.tensor(RESIDUAL_EDGES[1:-1], dtype=residual.dtype, device=residual.device)
        bins = torch.bucketize(residual.flatten(), inner, right=True)
        self._counts += torch.bincount(bins, minlength=len(self._counts)).cpu()
        below, above = residual < 0, residual >= 1
        self._fractions["below_zero"] += int(below.sum())
        self._fractions["at_or_above_one"] += int(above.sum())
        self._fractions["overfired"] += int((below & (count > 0)).sum())
        self._fractions["underfired"] += int((above & (count < steps)).sum())
        self._sum += float(where_float64_is(residual).sum(dtype=torch.float64))
        self._values += residual.numel()

    def summary(self, site: str, steps: int) -> ResidualSummary:
        fractions = {key: number / self._values for key, number in self._fractions.items()}
        return ResidualSummary(
            site=site,
            steps=steps,
            edges=RESIDUAL_EDGES,
            counts=tuple(self._counts.tolist()),
            mean=self._sum / self._values,
            **fractions,
        )


class _Times:
    """Spikes at each step of one layer."""

    def __init__(self, steps: int) -> None:
        self._spikes = torch.zeros(steps, dtype=torch.int64)
        self._neurons = 0

    def add(self, start: int, spikes: Tensor) -> None:
        at_step = spikes.flatten(1).sum(dim=1, dtype=torch.int64).cpu()
        self._spikes[start : start + len(at_step)] += at_step
        if start == 0:
            self._neurons += spikes[0].numel()

    def means(self) -> tuple[float, ...]:
        return tuple((self._spikes.double() / self._neurons).tolist())


@cpu_by_default()
def watch_spikes(
    baseline: SpikingNetwork,
    shuffled: SpikingNetwork,
    data: Iterable[Any],
    steps: int,
    *,
    seed: int = 0,
) -> tuple[tuple[SpikeTimeHistogram, ...], tuple[ResidualSummary, ...]]:
    """Spike times of two networks of the same sites, and residual potentials of the first.

    Args:
        baseline: the network before.
        shuffled: the same network after its trains are rearranged.
        data: batches `[B, *S]`, or (batch, labels) pairs whose labels are ignored; read once.
        steps: T.
        seed: the seed of the random draws.

    Returns:
        Histograms and residuals, one a site each, in the order in which they run.

    Raises:
        AnalysisError: when the data is empty or not made of tensors.
    """
    sites = baseline.sites
    before = {site: _Times(steps) for site in sites}
    after = {site: _Times(steps) for site in sites}
    residuals = {site: _Residuals() for site in sites}

    def watch_layer(op: Operation, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        assert op.site is not None
        assert residual is not None  # the step engine always gives it
        residuals[op.site.name].add(residual, count, steps)

    first = Observer(layer=watch_layer, spikes=_spikes_into(before))
    second = Observer(spikes=_spikes_into(after))
    place = device_of(baseline)
    for images in image_batches(data):
        here = moved(images, place)
        for network, observer in ((baseline, first), (shuffled, second)):
            network.observe(here, observer, steps=steps, engine=Engine.STEPS, seed=seed)
    histograms = tuple(
        SpikeTimeHistogram(site, steps, before[site].means(), after[site].means()) for site in sites
    )
    return histograms, tuple(residuals[site].summary(site, steps) for site in sites)


def _spikes_into(times: dict[str, _Times]) -> Any:
    def watch(op: Operation, start: int, spikes: Tensor) -> None:
        assert op.site is not None
        times[op.site.name].add(start, spikes)

    return watch
