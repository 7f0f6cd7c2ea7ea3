"""A converted network as one file that holds no code: parts in, parts out.

The file is safetensors: weights, thresholds, corrections and site statistics as tensors, and one
JSON document (graph, neurons, strategy, provenance, versions, SHA-256) in its header. The format
is specified in docs/artefacts.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright.artefact import (
    calibrations,
    configurations,
    container,
    dry_run,
    graphs,
    layouts,
)
from spikewright.artefact.fields import items, mapping, named, typed, whole
from spikewright.calibration import Calibration
from spikewright.calibration.design import Design
from spikewright.errors import ConversionError, InterchangeError
from spikewright.files import AnyPath, write_whole
from spikewright.graph.full_precision import full_precision
from spikewright.graph.ir import Graph
from spikewright.neurons import Neuron
from spikewright.version import __version__

_FIELDS = (
    "format",
    "version",
    "sha256",
    "versions",
    "notes",
    "graph",
    "tensors",
    "layouts",
    "neurons",
    "steps",
    "precision",
    "designs",
    "calibration",
)


@dataclass(frozen=True)
class Parts:
    """All parts of a converted network.

    Attributes:
        graph: the captured network with its tensors, batch norm folded, scales not folded.
        neurons: by site name, one for every site.
        steps: the default T, one of `designs`.
        designs: thresholds and corrections by T.
        calibration: gives thresholds at any other T.
        precision: the name of the number format, see `network.Precision`.
    """

    graph: Graph
    neurons: Mapping[str, Neuron]
    steps: int
    designs: Mapping[int, Design]
    calibration: Calibration
    precision: str


@dataclass(frozen=True)
class Description:
    """The contents of the header of a file.

    Attributes:
        sha256: of the contents.
        versions: of spikewright and torch, when the file was saved.
        notes: the notes that `save` was given.
    """

    sha256: str
    versions: Mapping[str, str]
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@full_precision()
def save(parts: Parts, path: AnyPath, notes: Mapping[str, Any] | None = None) -> None:
    """Write the parts of a network as one file, whole or not at all.

    Args:
        parts: stay as they are.
        path: an older file there is replaced in one move.
        notes: plain JSON values for people, such as how images were prepared.

    Raises:
        InterchangeError: for neurons or strategies of your own, which a file without code cannot
            hold; for what `load` would refuse, such as weights that are not finite and T beyond
            2**20; for notes that are not plain values; when the file cannot be written.
    """
    _require_finite(parts.graph.tensors)
    tensors, document = _taken_apart(parts, notes or {})
    try:
        json.dumps(document["notes"], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InterchangeError(f"notes must be plain JSON values ({error})") from error
    try:
        text = container.written(document)
    except (TypeError, ValueError) as error:
        raise InterchangeError(
            "the network cannot be saved: a setting of its neurons or of its threshold strategy "
            f"is no plain number or text: convert again with plain ones ({error})"
        ) from error
    try:
        _Loader(dict(tensors), json.loads(text)).parts()
    except (ConversionError, InterchangeError) as error:
        raise InterchangeError(f"the network cannot be saved: {error}") from error
    try:
        write_whole(Path(path), container.packed(tensors, document))
    except OSError as error:
        raise InterchangeError(f"cannot write '{path}' ({error.strerror})") from error


def _require_finite(tensors: Mapping[str, Tensor]) -> None:
    # -inf stands in masks before a softmax; a graph that it breaks does not run on a sample
    broken = [name for name, t in tensors.items() if bool((t.isnan() | t.isposinf()).any())]
    if broken:
        raise InterchangeError(f"tensor '{broken[0]}' holds NaN or infinite values")


def _taken_apart(
    parts: Parts, notes: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    graph = parts.graph
    if parts.calibration.sites != graph.sites:
        raise InterchangeError("the network's calibration is of another graph: convert it again")
    listed, design_tensors = calibrations.encoded_designs(parts.designs, parts.graph)
    calibration, calibration_tensors = calibrations.encoded_calibration(parts.calibration)
    tensors = {f"graph/{name}": t for name, t in graph.tensors.items()}
    document = {
        "versions": {"spikewright": __version__, "torch": torch.__version__},
        "notes": dict(notes),
        "graph": graphs.encoded(graph),
        "tensors": list(graph.tensors),
        "layouts": layouts.orders_of(graph.tensors),
        "neurons": configurations.encoded_neurons(parts.neurons),
        "steps": parts.steps,
        "precision": parts.precision,
        "designs": listed,
        "calibration": calibration,
    }
    return {**tensors, **design_tensors, **calibration_tensors}, document


def describe(path: AnyPath) -> Description:
    """The description in a file's header (the SHA-256 is not checked).

    Raises:
        InterchangeError: for a file that is no saved network of this version.
    """
    document = container.read_document(Path(path))
    versions = mapping(document.get("versions"), "the versions")
    return Description(
        typed(document["sha256"], str, "the sha256"),
        {name: typed(value, str, "a version") for name, value in versions.items()},
        mapping(document.get("notes"), "the notes"),
    )


@full_precision()
def load(path: AnyPath) -> Parts:
    """Read the parts of a network that `save` wrote; nothing of the file is executed.

    Args:
        path: the file.

    Returns:
        The parts, their tensors on the CPU.

    Raises:
        InterchangeError: for a file that is not there, foreign, of a newer version, cut short,
            changed, or that describes no network that runs.
    """
    tensors, document = container.unpacked(Path(path))
    try:
        return _Loader(tensors, document).parts()
    except (ConversionError, RecursionError) as error:
        raise InterchangeError(f"'{path}' holds no network that runs ({error})") from error
    except InterchangeError as error:
        raise InterchangeError(f"'{path}' holds no network that runs: {error}") from error


class _Loader:
    """A builder of the parts from the contents of one file."""

    def __init__(self, tensors: dict[str, Tensor], document: Mapping[str, Any]) -> None:
        self._left = tensors
        values = named(document, _FIELDS, "the document")
        self._fields = dict(zip(_FIELDS, values, strict=True))

    def parts(self) -> Parts:
        """The parts; every tensor of the file must belong to one of them."""
        fields = self._fields
        graph = self._graph()
        designs = calibrations.decoded_designs(fields["designs"], graph, self._take)
        calibration = calibrations.decoded_calibration(fields["calibration"], graph, self._take)
        neurons = configurations.decoded_neurons(fields["neurons"], graph.sites, "the neurons")
        steps = whole(fields["steps"], "the default T", 1)
        if steps not in designs:
            raise InterchangeError(f"the default T = {steps} has no design")
        if self._left:
            raise InterchangeError(f"tensor '{next(iter(self._left))}' belongs to nothing")
        precision = typed(fields["precision"], str, "the precision")
        return Parts(graph, neurons, steps, designs, calibration, precision)

    def _take(self, name: str) -> Tensor:
        if name not in self._left:
            raise InterchangeError(f"tensor '{name}' is not in the file")
        return self._left.pop(name)

    def _graph(self) -> Graph:
        names = items(self._fields["tensors"], "the names of tensors")
        tensors = {
            typed(name, str, "a tensor's name"): self._take(f"graph/{name}") for name in names
        }
        for name, order in layouts.checked(self._fields["layouts"], tensors).items():
            tensors[name] = layouts.laid_out(tensors[name], order, name)
        _require_finite(tensors)
        graph = graphs.decoded(self._fields["graph"], tensors)
        if set(graph.pruned().tensors) != set(tensors):
            raise InterchangeError("the graph holds tensors that it does not read")
        dry_run.check_graph(graph)
        return graph
