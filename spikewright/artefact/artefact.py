"""save() and load(): a converted network as one file that holds no code.

The file is safetensors: weights, thresholds, corrections and site statistics as tensors, and one
JSON document (graph, neurons, strategy, provenance, versions, SHA-256) in its header.
"""

from __future__ import annotations

import os
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
from spikewright.errors import ConversionError, InterchangeError
from spikewright.files import write_whole
from spikewright.graph.ir import Graph
from spikewright.network import Precision, SpikingNetwork
from spikewright.neurons import Neuron
from spikewright.version import __version__

_PARTS = (
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
class Description:
    """What a file says of itself.

    Attributes:
        sha256: of its contents.
        versions: of spikewright and torch, when it was saved.
        notes: what `save` was given.
    """

    sha256: str
    versions: Mapping[str, str]
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])


def save(
    network: SpikingNetwork, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None
) -> None:
    """Write a network as one file, whole or not at all; `SpikingNetwork.save` calls it.

    Everything a network answers from is saved: graph, weights, neurons, precision, the design of
    every T and the statistics that give thresholds at any other T. Whether it is compiled and where
    it lies are not: it is loaded on the CPU, uncompiled.

    Args:
        network: stays as it is.
        path: an older file there is replaced in one move.
        notes: plain JSON values for people, such as how images were prepared.

    Raises:
        InterchangeError: for neurons or strategies of your own, which a file without code cannot
            hold; for weights that are not finite, which it would not be loaded with; for notes that
            are not plain values; when the file cannot be written.
    """
    _require_finite(network.graph.tensors)
    tensors, document = _taken_apart(network, notes or {})
    try:
        content = container.packed(tensors, document)
    except (TypeError, ValueError) as error:
        raise InterchangeError(f"notes must be plain JSON values ({error})") from error
    dry_run.check_graph(graphs.decoded(document["graph"], network.graph.tensors))
    try:
        write_whole(Path(path), content)
    except OSError as error:
        raise InterchangeError(f"cannot write '{path}' ({error.strerror})") from error


def _require_finite(tensors: Mapping[str, Tensor]) -> None:
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise InterchangeError(f"tensor '{broken[0]}' holds NaN or infinite values")


def _taken_apart(
    network: SpikingNetwork, notes: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    graph = network.graph
    if network.calibration.sites != graph.sites:
        raise InterchangeError("the network's calibration is of another graph: convert it again")
    designs = {steps: network.design(steps) for steps in network.designed_steps}
    listed, design_tensors = calibrations.encoded_designs(designs)
    calibration, calibration_tensors = calibrations.encoded_calibration(network.calibration)
    tensors = {f"graph/{name}": t for name, t in graph.tensors.items()}
    document = {
        "versions": {"spikewright": __version__, "torch": torch.__version__},
        "notes": dict(notes),
        "graph": graphs.encoded(graph),
        "tensors": list(graph.tensors),
        "layouts": layouts.orders_of(graph.tensors),
        "neurons": {site: configurations.encoded(n) for site, n in network.neurons.items()},
        "steps": network.steps,
        "precision": str(network.precision),
        "designs": listed,
        "calibration": calibration,
    }
    return {**tensors, **design_tensors, **calibration_tensors}, document


def describe(path: str | os.PathLike[str]) -> Description:
    """What a file says of itself, read from its header alone (its SHA-256 is not checked).

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


def load(path: str | os.PathLike[str]) -> SpikingNetwork:
    """Load a network that `SpikingNetwork.save` wrote; nothing of the file is executed.

    Args:
        path: the file.

    Returns:
        The network, on the CPU, in the dtype and precision it was saved in: bit for bit the same
        answers at every T, designed or not (on the same kind of machine and version of torch).

    Raises:
        InterchangeError: for a file that is not there, foreign, of a newer version, cut short,
            changed, or that describes no network that runs.
    """
    tensors, document = container.unpacked(Path(path))
    try:
        return _Loader(tensors, document).network()
    except (ConversionError, RecursionError) as error:
        raise InterchangeError(f"'{path}' holds no network that runs ({error})") from error
    except InterchangeError as error:
        raise InterchangeError(f"'{path}' holds no network that runs: {error}") from error


class _Loader:
    """Puts a network together from what a file holds; one use."""

    def __init__(self, tensors: dict[str, Tensor], document: Mapping[str, Any]) -> None:
        self._left = tensors
        values = named(document, _PARTS, "the document")
        self._parts = dict(zip(_PARTS, values, strict=True))

    def network(self) -> SpikingNetwork:
        """The network; every tensor of the file must have been of use."""
        parts = self._parts
        graph = self._graph()
        designs = calibrations.decoded_designs(parts["designs"], graph, self._take)
        calibration = calibrations.decoded_calibration(parts["calibration"], graph, self._take)
        steps = whole(parts["steps"], "the default T", 1)
        if steps not in designs:
            raise InterchangeError(f"the default T = {steps} has no design")
        if self._left:
            raise InterchangeError(f"tensor '{next(iter(self._left))}' belongs to nothing")
        precision = Precision.named(typed(parts["precision"], str, "the precision"))
        network = SpikingNetwork(graph, self._neurons(graph), steps, designs, calibration)
        return network if precision is network.precision else network.with_precision(precision)

    def _take(self, name: str) -> Tensor:
        if name not in self._left:
            raise InterchangeError(f"tensor '{name}' is not in the file")
        return self._left.pop(name)

    def _graph(self) -> Graph:
        names = items(self._parts["tensors"], "the names of tensors")
        tensors = {
            typed(name, str, "a tensor's name"): self._take(f"graph/{name}") for name in names
        }
        for name, order in layouts.checked(self._parts["layouts"], tensors).items():
            tensors[name] = layouts.laid_out(tensors[name], order, name)
        _require_finite(tensors)
        graph = graphs.decoded(self._parts["graph"], tensors)
        if set(graph.pruned().tensors) != set(tensors):
            raise InterchangeError("the graph holds tensors that it does not read")
        dry_run.check_graph(graph)
        return graph

    def _neurons(self, graph: Graph) -> dict[str, Neuron]:
        listed = mapping(self._parts["neurons"], "the neurons")
        if set(listed) != {site.name for site in graph.sites}:
            raise InterchangeError("there must be one neuron for every site, and no other")
        return {
            site: configurations.decoded_neuron(entry, f"the neuron of '{site}'")
            for site, entry in listed.items()
        }
