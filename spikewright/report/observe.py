"""Looks into networks for a report: an image's spikes through the layers, and thresholds."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from spikewright.devices import cpu_by_default
from spikewright.errors import AnalysisError
from spikewright.extras import require_extra
from spikewright.graph import Operation
from spikewright.measure import LayerError, decompose
from spikewright.measure.accuracy import logits_of
from spikewright.network import Observer, SpikingNetwork
from spikewright.network.frames import batch_dimension, mean_image, samples_in
from spikewright.network.stages import paths_of
from spikewright.report.bins import RATE_EDGES, binned, rate_counts, threshold_edges
from spikewright.report.contents import (
    NetworkRaster,
    Raster,
    RasterLayer,
    SiteRow,
    Thresholds,
)

_Item = TypeVar("_Item")

NEURONS_SHOWN = 16
LAYERS_SHOWN = 8
BATCH = 16


@cpu_by_default()
def observe_raster(
    networks: Mapping[str, SpikingNetwork],
    image: Tensor,
    label: str,
    classes: Sequence[str],
    steps: int,
    seed: int = 0,
) -> Raster:
    """Record one image through several networks of the same source.

    At most `LAYERS_SHOWN` layers are kept, evenly spaced, and of each at most `NEURONS_SHOWN`
    neurons, evenly spaced among those that fire in any of the networks. The picture beside the
    spikes is the mean of frames.

    Args:
        networks: networks by name, with the same sites.
        image: `[C, H, W]`, or frames `[T, C, H, W]`, on the networks' device.
        label: the image's class.
        classes: the names of the classes by number.
        steps: T.
        seed: the seed of stochastic neurons.
    """
    graph = next(iter(networks.values())).graph
    batch = image.unsqueeze(image.ndim - len(graph.signal.shape))  # [1, C, H, W] or [T, 1, C, H, W]
    trains = {
        name: {site: train[:, 0].flatten(1).cpu() for site, train in by_site.items()}
        for name, by_site in ((n, s.record(batch, steps, seed)) for n, s in networks.items())
    }
    sites = _spaced(next(iter(networks.values())).sites, LAYERS_SHOWN)
    shown = {site: _neurons_shown([by_site[site] for by_site in trains.values()]) for site in sites}
    pictures = tuple(
        _network_raster(
            name,
            network,
            {site: trains[name][site] for site in sites},
            shown,
            _class_named(network(batch, steps=steps, seed=seed), classes),
            steps,
        )
        for name, network in networks.items()
    )
    return Raster(steps, png_uri(mean_image(graph, batch)[0]), label, pictures)


def _class_named(answer: Any, classes: Sequence[str]) -> str:
    """The class that an answer to one sample names, or "" where it names none."""
    try:
        logits = logits_of(answer, "the network")
    except AnalysisError:
        return ""
    return classes[int(logits.argmax())] if logits.shape == (1, len(classes)) else ""


def _network_raster(
    name: str,
    network: SpikingNetwork,
    trains: Mapping[str, Tensor],
    shown: Mapping[str, Sequence[int]],
    answer: str,
    steps: int,
) -> NetworkRaster:
    paths = paths_of(network.graph, network.neurons, steps)
    ends = {op.site.name: sum(paths[op.name]) for op in network.graph.neurons if op.site}
    settled = max(len(trains[site]) - network.neurons[site].duration(steps) for site in trains)
    layers = tuple(
        RasterLayer(
            site=site,
            start=ends[site] - network.neurons[site].duration(steps),
            window=len(train),  # with the steps of settling
            trains=tuple(_firing_steps(train[:, neuron]) for neuron in shown[site]),
            neurons=train.shape[1],
            active=int(train.any(dim=0).sum()),
        )
        for site, train in trains.items()
    )
    return NetworkRaster(name, network.latency(steps) + settled, answer, layers)


def _firing_steps(train: Tensor) -> tuple[int, ...]:
    return tuple(step + 1 for step in train.nonzero().flatten().tolist())


def _neurons_shown(trains: Sequence[Tensor]) -> list[int]:
    fires = torch.stack([train.any(dim=0) for train in trains]).any(dim=0)
    return list(_spaced(fires.nonzero().flatten().tolist(), NEURONS_SHOWN))


def _spaced(items: Sequence[_Item], count: int) -> Sequence[_Item]:
    """At most `count` of the items, evenly spaced, the first and last among them."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


@cpu_by_default()
def observe_thresholds(
    name: str, network: SpikingNetwork, images: Tensor, steps: int, seed: int = 0
) -> Thresholds:
    """The thresholds of every site at one T, and how often its neurons fire on some images.

    Args:
        name: the network's name.
        network: a converted network.
        images: `[B, *S]`, or frames `[T, B, *S]`, on the network's device.
        steps: T.
        seed: the seed of stochastic neurons.
    """
    spikes: dict[str, float] = {}
    rates: dict[str, tuple[int, ...]] = {}
    largest = network.plan(steps).reach

    def watch_sent(op: Operation, sent: Tensor) -> None:
        assert op.site is not None
        spikes[op.site.name] = float(sent.mean()) / math.prod(op.shape)

    def watch_layer(op: Operation, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        assert op.site is not None
        rates[op.site.name] = rate_counts(count.abs().mean(dim=0) / largest[op.site.name])

    network.observe(images, Observer(layer=watch_layer, sent=watch_sent), steps=steps, seed=seed)
    thresholds = {site: theta.cpu() for site, theta in network.design(steps).thresholds.items()}
    edges = threshold_edges(list(thresholds.values()))
    rows = tuple(
        _site_row(op, thresholds[op.site.name], spikes[op.site.name], edges, rates[op.site.name])
        for op in network.graph.neurons
        if op.site is not None
    )
    samples = samples_in(network.graph, images)
    return Thresholds(name, steps, samples, rows, edges, RATE_EDGES)


@cpu_by_default()
def observe_errors(
    networks: Mapping[str, SpikingNetwork], images: Tensor, steps: int, seed: int = 0
) -> tuple[LayerError, ...]:
    """Where the errors of the layers of several networks come from, network after network.

    Args:
        networks: networks by name, of the same source.
        images: `[B, *S]`, or frames `[T, B, *S]`, on the networks' device.
        steps: T.
        seed: the seed of stochastic neurons.
    """
    dimension = batch_dimension(next(iter(networks.values())).graph, images)
    batches = images.split(BATCH, dimension)  # the ANN's activations of one are kept all at once
    return tuple(
        error
        for name, network in networks.items()
        for error in decompose(network, batches, steps, seed=seed, name=name)
    )


def _site_row(
    op: Operation,
    threshold: Tensor,
    spikes: float,
    edges: tuple[float, ...],
    rates: tuple[int, ...],
) -> SiteRow:
    assert op.site is not None
    return SiteRow(
        site=op.site.name,
        neurons=math.prod(op.shape),
        channels=len(threshold),
        low=float(threshold.min()),
        median=float(threshold.quantile(0.5)),
        high=float(threshold.max()),
        spikes_per_neuron=spikes,
        threshold_counts=binned(threshold, edges),
        rate_counts=rates,
    )


def png_uri(image: Tensor) -> str:
    """An image `[C, H, W]` as a PNG in a `data:` URI, its own range stretched to 0 .. 255.

    One channel gives grey, three give colour, any other number the grey mean of all.

    Raises:
        MissingExtra: without the packages of the extra `report`.
    """
    pictures = require_extra("PIL.Image", "report", "the image on a report")
    pixels = image.detach().float().cpu()
    pixels = pixels if len(pixels) in (1, 3) else pixels.mean(dim=0, keepdim=True)
    low, high = pixels.min(), pixels.max()
    scaled = ((pixels - low) / (high - low).clamp(min=1e-12) * 255).round().to(torch.uint8)
    height, width = scaled.shape[1:]
    mode = "RGB" if len(scaled) == 3 else "L"
    picture = pictures.frombytes(mode, (width, height), scaled.permute(1, 2, 0).numpy().tobytes())
    png = io.BytesIO()
    picture.save(png, "PNG")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode("ascii")
