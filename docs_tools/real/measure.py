"""What trained networks of others come to as spikes: their own figure, error, time, energy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import spikewright as sw
from docs_tools import records
from docs_tools.energies import over_int8
from docs_tools.real.networks import NETWORKS, Real
from spikewright.cli.parse import neuron_of
from spikewright.measure import HOROWITZ_45NM
from spikewright.measure.likeness import Likeness
from spikewright.measure.shown import answer_to, size_of, some_of
from spikewright.neurons import Neuron

RECORDS = Path("docs/results")
COMPARED = (
    ("nearest:binary", 4),
    ("nearest:binary", 6),
    ("nearest:binary", 8),
    ("nearest:digits", 2),
    ("nearest:digits", 3),
    ("tracer", 15),
)
"""Neurons as the command line spells them, and T."""
LONGER = (
    ("nearest:binary", 4, 1),
    ("nearest:binary", 6, 1),
    ("nearest:binary", 4, 3),
    ("nearest:binary", 6, 3),
    ("nearest:binary", 8, 3),
)
"""Those which are measured again with longer windows, and at how many layers."""
MORE = 4
"""Time steps by which they are longer."""
IN_BYTES = (("nearest:binary", 6), ("nearest:binary", 8))
"""Those which are measured again with weights in 8 bits, in each of these ways."""
KEPT, AFTERWARDS = "in 8 bits", "rounded to 8 bits afterwards"

FUNCTIONS = ("gelu", "layer_norm", "softmax", "sigmoid", "tanh")
PRICES = replace(HOROWITZ_45NM, function_pj=dict.fromkeys(FUNCTIONS, 20.0))
"""Functions without a published price at 20 pJ a value, for the ANN and the SNN alike."""
PRICED = 2
"""Samples whose operations are counted."""


@dataclass(frozen=True)
class Row:
    """One neuron on one network.

    Attributes:
        neuron: as the command line spells it.
        steps: T.
        figure: the network's own, 0 .. 1.
        twin: of the ANN with its activations rounded to the same levels; None where a neuron has no
            such twin.
        error: norm of what the answers differ by from the ANN's, over the norm of the ANN's.
        cosine: of the answers, the mean.
        latency: time steps until the answer; of spike tracers until the last sample has settled.
        spikes: of one neuron and sample, the mean.
        energy: arithmetic in integers over that of the ANN with weights and activations of 8 bits;
            None where an operation has no price.
        same: for what share of the samples it chooses what the ANN does; None where none chooses.
        longer: the layers with longer windows, with spaces between their names; sites that are
            alike, such as a gate at all time steps, are one layer.
        weights: "" for those of the network's own precision, else how they came to be in 8 bits:
            the conversion made up for what rounding changed, or knew nothing of it.
    """

    neuron: str
    steps: int
    figure: float
    twin: float | None
    error: float
    cosine: float
    latency: int | None
    spikes: float | None
    energy: float | None
    same: float | None = None
    longer: str = ""
    weights: str = ""


@dataclass(frozen=True)
class Result:
    """A network's record.

    Attributes:
        name, title: of the network.
        samples, calibration: how many were measured, and how many thresholds and weights came from.
        ann: the network's own figure on the same samples.
        rows: one a neuron.
        versions: of this library and torch.
    """

    name: str
    title: str
    samples: int
    calibration: int
    ann: float
    rows: tuple[Row, ...]
    versions: dict[str, str]


def path_of(name: str) -> Path:
    """Where a network's record is."""
    return RECORDS / f"real-{name.replace(' ', '-')}.json"


def write(result: Result) -> None:
    """Write a record, whole."""
    records.write(path_of(result.name), result)


def read(name: str) -> Result | None:
    """A network's record; None where there is none."""
    path = path_of(name)
    return records.read(path, Result) if path.exists() else None


def measured(name: str, samples: int, calibration: int, batch: int) -> Iterator[Result]:
    """Measure a network with one neuron after the other; yield its record after each.

    A record of as many samples is gone on with.

    Args:
        name: of `NETWORKS`.
        samples: to measure on.
        calibration: samples for the conversion: of the training split, or the next ones after those
            measured.
        batch: samples at a time.
    """
    real = NETWORKS[name]
    model = real.make()
    shown, labels, fit = _split(real, samples, calibration)
    batches = _batches(shown, batch)
    output = _answers(model, batches)
    expected = real.answer(output, labels).flatten(1)
    prepared = sw.prepare(model, _batches(fit, batch))
    ann, kept = _share(real.figure(output, labels), samples), read(name)
    same_samples = kept and (kept.samples, kept.calibration, kept.ann) == (
        samples,
        calibration,
        ann,
    )
    rows = list(kept.rows) if kept and same_samples else []
    known = {(row.neuron, row.steps, len(row.longer.split()), row.weights) for row in rows}
    asked = [(*one, 0, "") for one in COMPARED] + [(*one, "") for one in LONGER]
    asked += [(*one, 0, weights) for one in IN_BYTES for weights in (KEPT, AFTERWARDS)]
    windows = cache(partial(_windows, prepared))
    for neuron, steps, layers, weights in asked:
        if (neuron, steps, layers, weights) in known:
            continue
        neurons, longer = neuron_of(neuron), ""
        if layers:
            if layers not in (found := windows(neuron, steps)):
                continue  # more of them gain nothing
            neurons, longer = found[layers]
        precision = "int8" if weights == KEPT else "float32"
        snn = prepared.convert(neurons, steps=steps, precision=precision)
        if weights == AFTERWARDS:
            snn = snn.with_precision("int8")
        answered = _answers(snn, batches)
        given = real.answer(answered, labels).flatten(1)
        like = Likeness.of(given, expected)
        twin = None
        if not neuron.startswith("tracer"):
            twin = _share(real.figure(_answers(snn.twin(), batches), labels), samples)
        figure = _share(real.figure(answered, labels), samples)
        error = (like.gap / like.size) ** 0.5
        told = (figure, twin, error, like.cosine / samples)
        same = None
        if real.chooses:
            same = int((given.argmax(1) == expected.argmax(1)).sum()) / samples
        cost = _cost(snn, _batches(shown, PRICED)[:1])
        rows.append(Row(neuron, steps, *told, *cost, same, longer, weights))
        yield Result(name, real.title, samples, calibration, ann, tuple(rows), records.versions())


def _windows(
    prepared: sw.Prepared, neuron: str, steps: int
) -> dict[int, tuple[Mapping[str, Neuron], str]]:
    """Neurons with longer windows, and the layers that have them, by how many these are."""
    two_phase, most = neuron_of(neuron), max(layers for *_, layers in LONGER)
    assert isinstance(two_phase, sw.TwoPhase)
    found = sw.assign_steps(prepared, two_phase, steps, MORE, most)
    return {len(one.longer): (one.neurons, " ".join(one.longer)) for one in found}


def _share(figure: float, samples: int) -> float:
    """A figure, which is a share of the samples, without the rounding of float32."""
    return round(figure * samples) / samples


def _split(real: Real, samples: int, calibration: int) -> tuple[Any, Any, Any]:
    """Inputs to measure with their labels, and inputs to calibrate on: no sample is in both."""
    if not real.one_split:
        return *real.samples(samples), real.samples(calibration, "train")[0]
    inputs, labels = real.samples(samples + calibration)
    return inputs[:samples], labels[:samples], inputs[samples:]


def _batches(inputs: Any, batch: int) -> list[Any]:
    """Batches of a tensor, or of a dict of tensors."""
    starts = range(0, size_of(inputs), batch)
    return [some_of(inputs, slice(start, start + batch)) for start in starts]


def _answers(network: nn.Module, batches: list[Any]) -> Any:
    """The outputs for all batches, in the structure of one."""
    with torch.no_grad():
        outputs = [answer_to(network, shown) for shown in batches]
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.cat(outputs)
    if isinstance(first, tuple):
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))
    return {key: torch.cat([o[key] for o in outputs]) for key in first if first[key] is not None}


def _cost(
    snn: sw.SpikingNetwork, batches: list[Any]
) -> tuple[int | None, float | None, float | None]:
    """Latency, spikes a neuron, and energy in integers over that of the ANN in 8 bits."""
    try:
        used = sw.operations(snn, batches, model=PRICES)
    except sw.AnalysisError:
        return None, None, None
    spikes = used.total.spikes / sum(row.neurons for row in used.rows)
    return used.latency, spikes, over_int8(used)
