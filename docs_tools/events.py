"""The figures of docs/events.md: simulated recordings shown as frames, through both engines."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import spikewright as sw
from docs_tools import records
from spikewright.cli.parse import neuron_of
from spikewright.data import loader
from spikewright.data.events import Framing, frame_batches, open_event_data
from spikewright.runs import load_model

RECORD = Path("docs/results/events.json")
STEPS = (4, 8, 16)
SEEDS = 5
BATCH = 50
SHOWN = ("nearest", "nearest:digits", "tpp", "tracer", "if")
REFUSED = ("nearest:binary", "nearest:first-spike", "srp")
"""Neurons as the command line spells them: those that are measured, and others that are tried."""

Batches = Sequence[tuple[Tensor, Tensor]]
"""Frames `[T, B, 2, H, W]` and labels `[B]`."""


@dataclass(frozen=True)
class Row:
    """One neuron at one T.

    Attributes:
        neuron: as the command line spells it.
        steps: T.
        counted: recordings that the count engine gets right, by seed, of a neuron without draws
            once; empty where it refuses.
        stepped: the same of the step engine.
        as_ann: answers of the step engine that are the ANN's to the mean frame, first seed.
        differ: counts of all neurons and recordings in which the engines differ, in float32 and in
            float64; empty where a neuron draws, or only one engine serves.
        in_window: recordings right after T steps; None where nothing has answered by then.
        latency: time steps until the last recording's answer is final.
        still: recordings right when the mean frame is shown at every step, first seed.
    """

    neuron: str
    steps: int
    counted: tuple[int, ...]
    stepped: tuple[int, ...]
    as_ann: int
    differ: tuple[int, ...]
    in_window: int | None
    latency: int
    still: int


@dataclass(frozen=True)
class Record:
    """What was measured.

    Attributes:
        data: what the recordings are; says that they are simulated.
        recordings: of the test split, all of which were measured.
        counts: of one recording and T: the neurons of the network.
        ann: recordings that the source network gets right by their mean frames.
        rows: one for each neuron and T.
        refusals: why, by neuron or by neuron and engine.
        versions: of this library and torch.
    """

    data: str
    recordings: int
    counts: int
    ann: int
    rows: tuple[Row, ...]
    refusals: Mapping[str, str]
    versions: Mapping[str, str]


def measured(folder: Path, run: str, size: int = 32, steps: Sequence[int] = STEPS) -> Record:
    """Measure every neuron at every T on all test recordings.

    Args:
        folder: of the recordings.
        run: the network that was trained on their mean frames, as `load_model` names it.
        size: of those frames.
        steps: every T.
    """
    recordings = open_event_data(folder, Framing(frames=10, size=size))
    model = load_model(run)
    prepared = sw.prepare(model, loader(recordings.mean_images().train, BATCH))
    nets = {
        name: prepared.convert(neuron_of(name), sw.Learned(), steps=steps, correction=None)
        for name in (*SHOWN, *REFUSED)
    }
    test = {t: list(frame_batches(recordings.in_frames(t).test, BATCH)) for t in steps}
    first = test[steps[0]]
    with torch.no_grad():
        expected = torch.cat([model(frames.mean(0)).argmax(1) for frames, _ in first])
    labels = torch.cat([named for _, named in first])
    rows = [_row(nets[n], n, test[t], t, labels, expected) for n in SHOWN for t in steps]
    return Record(
        recordings.description,
        len(labels),
        sum(int(c.numel()) for c in nets["nearest"].counts(first[0][0][:, :1]).values()),
        int((expected == labels).sum()),
        tuple(rows),
        dict(_refusals(nets, first[0][0], steps[0])),
        records.versions(),
    )


def _row(
    snn: sw.SpikingNetwork, name: str, test: Batches, steps: int, labels: Tensor, expected: Tensor
) -> Row:
    seeds = range(SEEDS if snn.stochastic else 1)
    lawful = all(neuron.has_count_law for neuron in snn.neurons.values())
    counted = [_answers(snn, test, steps, "counts", seed) for seed in seeds if lawful]
    stepped = [_answers(snn, test, steps, "steps", seed) for seed in seeds]
    trained = [snn.trajectory(frames, steps) for frames, _ in test]
    still = [(frames.mean(0), named) for frames, named in test]
    early = [t.answers[t.times.index(steps)].argmax(1) for t in trained if steps in t.times]
    return Row(
        name,
        steps,
        tuple(int((a == labels).sum()) for a in counted),
        tuple(int((a == labels).sum()) for a in stepped),
        int((stepped[0] == expected).sum()),
        tuple(_differing(snn, test, steps)) if lawful and not snn.stochastic else (),
        int((torch.cat(early) == labels).sum()) if early else None,
        max(t.times[-1] for t in trained),
        int((_answers(snn, still, steps, "steps", 0) == labels).sum()),
    )


def _answers(snn: sw.SpikingNetwork, shown: Batches, steps: int, engine: str, seed: int) -> Tensor:
    answered = (snn(x, steps=steps, engine=engine, seed=seed) for x, _ in shown)
    return torch.cat([logits.argmax(1) for logits in answered])


def _differing(snn: sw.SpikingNetwork, test: Batches, steps: int) -> Iterator[int]:
    """In float32 and in float64: how many counts are not the same in both engines."""
    for network in (snn, copy.deepcopy(snn).double()):
        differ = 0
        for frames, _ in test:
            shown = frames.to(network.dtype)
            one, other = (network.counts(shown, steps, engine) for engine in ("counts", "steps"))
            differ += sum(int((one[site] != other[site]).sum()) for site in one)
        yield differ


def _refusals(
    nets: Mapping[str, sw.SpikingNetwork], frames: Tensor, steps: int
) -> Iterator[tuple[str, str]]:
    """Which neurons refuse frames, and by which engine alone where the other serves."""
    for name, snn in nets.items():
        found: dict[str, str] = {}
        for engine in ("counts", "steps"):
            try:
                snn(frames, steps=steps, engine=engine)
            except sw.ConversionError as error:
                found[engine] = str(error)
        if len(found) == 2:
            yield name, found["steps"]
        else:
            yield from ((f"{name}, {engine}", reason) for engine, reason in found.items())


def write(record: Record, path: Path = RECORD) -> Path:
    """Write the record; returns its file."""
    return records.write(path, record)


def read(path: Path = RECORD) -> Record:
    """The record."""
    return records.read(path, Record)
