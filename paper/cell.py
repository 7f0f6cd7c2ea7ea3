"""One cell: a row of a table at one T with one seed, measured on test images, and its record."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paper.rows import Row
from spikewright.errors import AnalysisError, ExperimentError
from spikewright.measure import RunClock, operations
from spikewright.measure.answers import Answers, Batches, Tally, spiking_answers
from spikewright.network import SpikingNetwork

ANN = "ann"
"""The name of the row of the source network; its T is 0."""
ANN_IN_DOUBLE = "ann-float64"
"""The same in float64; it differs from `ANN` where float32 rounds across a boundary of QCFS."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table for one seed.

    Attributes:
        row: name of its row, or `ANN`.
        steps: T; 0 for the ANN.
        seed: of the random draws.
    """

    row: str
    steps: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its record."""
        return ANN if self.row == ANN else f"{self.row}-t{self.steps}-s{self.seed}"


@dataclass(frozen=True)
class CellRecord:
    """What was measured in one cell.

    Attributes:
        cell: which.
        method: name of the conversion method; empty for the ANN.
        neuron: label of the neuron; empty for the ANN.
        images: how many were measured: the first so many of the experiment's fixed order.
        right: how many it got right.
        low, high: Wilson 95 % interval of `right / images`.
        differs: images whose predicted class is not the ANN's.
        only_network, only_ann: images that one of the two alone gets right.
        p_value: the exact McNemar test of those.
        spikes_per_image: of all layers.
        spikes_by_site: the same by neuron site.
        energy: estimates for one image in nJ, under the names of `measure.Energy`; empty where it
            was not measured: for the ANN, for seeds but 0, and for operations that are not counted.
        energy_images: how many it is the mean over, the first so many; 0 where there is none.
        latency: time steps from the first input to the answer, unpipelined; of spike tracers until
            the last of the images whose energy is counted has settled.
        hits: which images it got right, one bit each, packed and base64; of the first seed only.
        run: versions, device, seed, samples, wall seconds (`RunRecord.to_dict`).
    """

    cell: Cell
    method: str
    neuron: str
    images: int
    right: int
    low: float
    high: float
    differs: int
    only_network: int
    only_ann: int
    p_value: float
    spikes_per_image: float
    spikes_by_site: Mapping[str, float]
    energy: Mapping[str, float]
    energy_images: int
    latency: int
    hits: str | None
    run: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.images or self.images < 1:
            raise ValueError(f"{self.right} of {self.images} images are right")

    @property
    def accuracy(self) -> float:
        """Fraction right."""
        return self.right / self.images


@dataclass(frozen=True)
class Conversion:
    """A converted network, and the images that its operations are counted on.

    Attributes:
        row: of the table.
        network: converted by the row's method with its neuron.
        counted: batches of these images; None counts no operations.
    """

    row: Row
    network: SpikingNetwork
    counted: Batches | None = None


def measure_cell(
    cell: Cell, conversion: Conversion, images: Batches, ann: Answers, device: torch.device
) -> CellRecord:
    """Simulate a network in one cell.

    Args:
        cell: its T and seed; energies are those of seed 0.
        conversion: the network.
        images: the test images of this cell.
        ann: the source network's answers to them.
        device: where the network is.
    """
    clock, network = RunClock(), conversion.network
    who = f"row '{cell.row}' at T = {cell.steps}"
    answers = spiking_answers(network, images, cell.steps, cell.seed, who)
    return record_of(cell, answers, ann, clock, device, conversion)


def record_of(
    cell: Cell,
    answers: Answers,
    ann: Answers,
    clock: RunClock,
    device: torch.device,
    conversion: Conversion | None = None,
) -> CellRecord:
    """The record of answers beside those of the source network; both are its own for the ANN."""
    tally = Tally.of(answers, ann)
    low, high = tally.accuracy.interval
    by_site = {site: total / tally.samples for site, total in answers.spikes.items()}
    run = clock.finish(device, seed=cell.seed, samples=tally.samples, configuration={})
    energy, counted, latency = _costs(cell, conversion)
    return CellRecord(
        cell=cell,
        method="" if conversion is None else conversion.row.method.name,
        neuron="" if conversion is None else conversion.row.neuron.label,
        images=tally.samples,
        right=tally.right,
        low=low,
        high=high,
        differs=tally.samples - tally.agree,
        only_network=tally.only_network,
        only_ann=tally.only_reference,
        p_value=tally.p_value,
        spikes_per_image=sum(by_site.values()),
        spikes_by_site=by_site,
        energy=energy,
        energy_images=counted,
        latency=latency,
        hits=packed(answers.right) if cell.seed == 0 else None,
        run=run.to_dict(),
    )


def _costs(cell: Cell, conversion: Conversion | None) -> tuple[Mapping[str, float], int, int]:
    """The energy of one image in nJ, how many it is the mean over, and the latency.

    Nothing where operations are not counted. A network that settles has the latency of the image
    among those counted that took longest.
    """
    if conversion is None:
        return {}, 0, 0
    latency = conversion.network.latency(cell.steps)
    if conversion.counted is None or cell.seed != 0:
        return {}, 0, latency
    try:
        counted = operations(conversion.network, conversion.counted, cell.steps, seed=cell.seed)
    except AnalysisError:  # an operation or a neuron that it has no rule for: the cell stands
        return {}, 0, latency
    return counted.energy.to_dict(), counted.record.samples, counted.latency


def packed(right: Tensor) -> str:
    """Truth values `[N]` as one bit each, compressed, base64."""
    bits = np.packbits(right.numpy().astype(np.uint8)).tobytes()
    return base64.b64encode(zlib.compress(bits, 9)).decode()


def unpacked(hits: str, images: int) -> Tensor:
    """What `packed` packed, bool `[images]`.

    Raises:
        ExperimentError: when it is damaged, or of fewer images.
    """
    try:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(hits)), dtype=np.uint8)
    except (ValueError, zlib.error) as error:
        raise ExperimentError(f"the hits of a cell are damaged ({error}); run it again") from error
    if 8 * len(bits) < images:
        raise ExperimentError(f"the hits of a cell are of fewer than {images} images; run it again")
    return torch.from_numpy(np.unpackbits(bits)[:images].astype(bool))
