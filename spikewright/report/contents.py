"""What a report is made of: plain data, measured before and rendered after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikewright.measure import (
    LayerEffect,
    LayerError,
    Operations,
    ResidualSummary,
    SpikeTimeHistogram,
    Sweep,
    Trajectories,
)


@dataclass(frozen=True)
class SiteRow:
    """One layer of neurons in the table of thresholds.

    Attributes:
        site: its name.
        neurons: how many neurons it has for one sample.
        channels: how many thresholds it has; 1 when the layer shares one.
        low, median, high: the range and median of its thresholds, in units of the ANN's activation.
        spikes_per_neuron: mean over neurons and the samples looked at, in one window.
        threshold_counts: how many of its thresholds lie in each bin of the table's edges.
        rate_counts: how many of its neurons are silent on all samples looked at, then how many
            have their mean rate in each bin of the table's edges.
    """

    site: str
    neurons: int
    channels: int
    low: float
    median: float
    high: float
    spikes_per_neuron: float
    threshold_counts: tuple[int, ...] = ()
    rate_counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Thresholds:
    """The table of thresholds of one network at one T.

    Attributes:
        network: its name.
        steps: T.
        samples: how many samples the spikes were counted on.
        rows: one a site, in the order in which they run.
        threshold_edges: edges of the bins of thresholds, ascending, in units of the ANN's
            activation.
        rate_edges: edges of the bins of rates, ascending, from 0 to 1: of the mean magnitude of a
            count over the largest of its neuron.

    Raises:
        ValueError: when a row has another number of bins than the edges make.
    """

    network: str
    steps: int
    samples: int
    rows: tuple[SiteRow, ...]
    threshold_edges: tuple[float, ...] = ()
    rate_edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            bins = (len(row.threshold_counts), len(row.rate_counts))
            if bins != (max(0, len(self.threshold_edges) - 1), len(self.rate_edges)):
                raise ValueError(f"the histograms of {row.site} do not fit the edges of their bins")

    @property
    def binned(self) -> bool:
        """Whether there are histograms."""
        return bool(self.threshold_edges)


@dataclass(frozen=True)
class RasterLayer:
    """Spikes of some neurons of one layer, for one image.

    Attributes:
        site: its name.
        start: time steps that pass before its window begins.
        window: time steps of its window.
        trains: for each neuron shown, the steps 1, 2, ... of its window at which it fires.
        neurons: all neurons of the layer.
        active: those of them that fire at least once.
    """

    site: str
    start: int
    window: int
    trains: tuple[tuple[int, ...], ...]
    neurons: int
    active: int


@dataclass(frozen=True)
class NetworkRaster:
    """What one network does with the image.

    Attributes:
        network: its name.
        latency: time steps to the answer.
        answer: the class it names, or "".
        layers: the layers in the order in which they run.
    """

    network: str
    latency: int
    answer: str
    layers: tuple[RasterLayer, ...]


@dataclass(frozen=True)
class Raster:
    """One image through several networks.

    Attributes:
        steps: T.
        image: a PNG as a `data:` URI.
        label: the image's class.
        networks: one picture each, of the same neurons.
    """

    steps: int
    image: str
    label: str
    networks: tuple[NetworkRaster, ...]


@dataclass(frozen=True)
class Study:
    """One source network and what was measured on its conversions; empty parts are left out.

    Attributes:
        title: names the source network.
        sweep: the accuracies.
        note: what a reader should know of this network, in a sentence or two.
        raster: one image through the layers.
        histograms: spike times before and after shuffling.
        thresholds: the thresholds of one network.
        layers: accuracies with one layer rearranged at a time.
        errors: the decomposition of each layer's error.
        error_samples: how many samples the errors come from; 0 means all of the sweep.
        residuals: what the one-phase neurons of each layer keep after the last step.
        trajectories: accuracies after every time step.
    """

    title: str
    sweep: Sweep
    note: str = ""
    raster: Raster | None = None
    histograms: tuple[SpikeTimeHistogram, ...] = ()
    thresholds: Thresholds | None = None
    layers: tuple[LayerEffect, ...] = ()
    errors: tuple[LayerError, ...] = ()
    error_samples: int = 0
    residuals: tuple[ResidualSummary, ...] = ()
    trajectories: Trajectories | None = None


@dataclass(frozen=True)
class Report:
    """What a command measured.

    Attributes:
        title: the title of its page.
        subject: what was converted and measured on which data, in a sentence.
        studies: accuracies, of each source network.
        command: repeats the run.
        configuration: what was asked for, as plain JSON values.
        operations: counted, of every network and T.
        skipped_pictures: names of pictures that were left out, as they cannot be read.

    Raises:
        ValueError: without a study and without operations.
    """

    title: str
    subject: str
    studies: tuple[Study, ...]
    command: str
    configuration: Mapping[str, Any] = field(default_factory=dict[str, Any])
    operations: tuple[Operations, ...] = ()
    skipped_pictures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.studies and not self.operations:
            raise ValueError("a report needs at least one study, or operations")
