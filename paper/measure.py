"""One cell: answers of a network to the test images, and its record beside the ANN's answers."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from paper.rows import Row
from paper.store import ANN, Cell, CellRecord
from spikewright.errors import AnalysisError, ExperimentError
from spikewright.graph import Operation
from spikewright.measure import RunClock, mcnemar_exact, operations, wilson_interval
from spikewright.network import Observer, SpikingNetwork

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Answers:
    """What a network said.

    Attributes:
        predicted: class numbers, int64 `[N]`, on the CPU.
        labels: the right ones, `[N]`.
    """

    predicted: Tensor
    labels: Tensor

    @property
    def right(self) -> Tensor:
        """Which are right, bool `[N]`."""
        return self.predicted == self.labels

    def first(self, count: int) -> Answers:
        """Those of the first images alone."""
        return Answers(self.predicted[:count], self.labels[:count])


def answers_of(
    network: Callable[[Tensor], Tensor], batches: Batches, device: torch.device, who: str
) -> Answers:
    """Ask a network, without gradients.

    Raises:
        ExperimentError: for answers that are no finite logits `[B, classes]`, or labels that the
            network has no class for.
    """
    predicted: list[Tensor] = []
    expected: list[Tensor] = []
    for images, labels in batches:
        with torch.no_grad():
            logits = network(images.to(device))
        if logits.ndim != 2 or not bool(logits.isfinite().all()):
            raise ExperimentError(
                f"{who} answers {list(logits.shape)}, or not finite numbers; tables need finite "
                "logits [B, classes]"
            )
        if int(labels.max()) >= logits.shape[1]:
            raise ExperimentError(
                f"{who} knows {logits.shape[1]} classes and the data has label "
                f"{int(labels.max())}: this network was trained on other data"
            )
        predicted.append(logits.argmax(dim=1).cpu())
        expected.append(labels)
    return Answers(torch.cat(predicted), torch.cat(expected))


@dataclass(frozen=True)
class Ground:
    """What the cells of one network are measured on.

    Attributes:
        images: batches of just the images of this cell.
        ann: the ANN's answers to them.
        device: where the network is.
        energy: batches of the images that operations are counted on; None counts none.
    """

    images: Batches
    ann: Answers
    device: torch.device
    energy: Batches | None = None


def measure_ann(
    ann: Answers,
    clock: RunClock,
    device: torch.device,
    cell: Cell = Cell(ANN, 0, 0),  # noqa: B008 (immutable)
    usual: Answers | None = None,
) -> CellRecord:
    """The record of the source network, beside its usual answers where these are others."""
    return _record(cell, ann, usual or ann, clock, device)


def measure_cell(network: SpikingNetwork, row: Row, cell: Cell, ground: Ground) -> CellRecord:
    """Simulate one cell.

    Args:
        network: converted by the row's method with its neuron.
        row: of the table.
        cell: its T and seed.
        ground: images and the ANN's answers; energies are those of seed 0.
    """
    clock = RunClock()
    spikes = dict.fromkeys(network.sites, 0.0)

    def watch(op: Operation, sent: Tensor) -> None:
        assert op.site is not None
        spikes[op.site.name] += float(sent.sum())

    def simulate(images: Tensor) -> Tensor:
        watching = Observer(sent=watch)
        return network.observe(images, watching, steps=cell.steps, seed=cell.seed)

    who = f"row '{row.name}' at T = {cell.steps}"
    answers = answers_of(simulate, ground.images, ground.device, who)
    found = _record(cell, answers, ground.ann, clock, ground.device, row, spikes)
    energy, images = _energy(network, cell, ground.energy if cell.seed == 0 else None)
    return replace(found, latency=network.latency(cell.steps), energy=energy, energy_images=images)


def _energy(
    network: SpikingNetwork, cell: Cell, images: Batches | None
) -> tuple[Mapping[str, float], int]:
    """The energy of one image in nJ and how many it is the mean over; nothing if not counted."""
    if images is None:
        return {}, 0
    try:
        counted = operations(network, images, cell.steps, seed=cell.seed)
    except AnalysisError:  # an operation or a neuron that it has no rule for: the cell stands
        return {}, 0
    return counted.energy.to_dict(), counted.record.samples


def _record(
    cell: Cell,
    answers: Answers,
    ann: Answers,
    clock: RunClock,
    device: torch.device,
    row: Row | None = None,
    spikes: dict[str, float] | None = None,
) -> CellRecord:
    images, right = len(answers.labels), int(answers.right.sum())
    low, high = wilson_interval(right, images)
    only_network = int((answers.right & ~ann.right).sum())
    only_ann = int((~answers.right & ann.right).sum())
    per_site = {site: total / images for site, total in (spikes or {}).items()}
    run = clock.finish(device, seed=cell.seed, samples=images, configuration={})
    return CellRecord(
        cell=cell,
        method="" if row is None else row.method.name,
        neuron="" if row is None else row.neuron.label,
        images=images,
        right=right,
        low=low,
        high=high,
        differs=int((answers.predicted != ann.predicted).sum()),
        only_network=only_network,
        only_ann=only_ann,
        p_value=mcnemar_exact(only_network, only_ann),
        spikes_per_image=sum(per_site.values()),
        spikes_by_site=per_site,
        energy={},
        energy_images=0,
        latency=0,
        hits=packed(answers.right) if cell.seed == 0 else None,
        run=run.to_dict(),
    )


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
