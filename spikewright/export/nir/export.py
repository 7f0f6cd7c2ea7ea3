"""Exporting one-phase networks to NIR, the Neuromorphic Intermediate Representation.

Pedersen et al., "Neuromorphic intermediate representation: A unified instruction set for
interoperable brain-inspired computing", Nature Communications 15, 8122 (2024).
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from spikewright.devices import cpu_by_default
from spikewright.errors import InterchangeError
from spikewright.export.nir.graph import Drawing, drawn
from spikewright.extras import require_extra
from spikewright.files import AnyPath, write_whole
from spikewright.network import SpikingNetwork
from spikewright.version import __version__

DT = 1.0
"""Units of NIR's time that a step takes; r = 1, so a current adds itself to the potential."""

CONTRACT = {
    "input": (
        "a current, not spikes: the image itself at each of the steps, prepared as the network "
        "was trained on it; or, of a recording, one frame a step"
    ),
    "neuron": (
        "at each step v <- v + i; it spikes once if v >= reset_by (v > v_threshold), never twice; "
        "then v <- v - reset_by; v starts at v_init, without a lower bound; reset_by and v_init "
        "are in the metadata of the neuron's node"
    ),
    "edges": "without delay: a spike arrives in the step in which it is sent; several edges add up",
    "readout": "the logits are the mean over the steps of what reaches the output node",
}
"""What a reader must know and NIR's own fields do not hold; part of the graph's metadata."""


@cpu_by_default()
def export_nir(
    network: SpikingNetwork, path: AnyPath, steps: int, source_sha256: str | None = None
) -> str:
    """Write a network of integrate-and-fire neurons as a NIR graph, whole or not at all.

    Batch norm and thresholds are folded, so that every edge out of a neuron carries 0 or 1. What
    NIR has no field for is in metadata (see `CONTRACT`); what it cannot say at all is refused.

    Args:
        network: one of one-phase neurons with soft reset; it stays as it is.
        path: the path of the file, `.nir` by custom; an older file there is replaced in one move.
        steps: T that thresholds and corrections are for.
        source_sha256: the SHA-256 of the saved network that this one was loaded from, for the
            metadata.

    Returns:
        What was written, and what a reader must know, as text.

    Raises:
        UnsupportedOperation: listing every operation and neuron that NIR cannot say.
        InterchangeError: when the file cannot be written.
        MissingExtra: if the package `nir` is not installed.
    """
    nir, path = require_extra("nir", "nir", "exporting to NIR"), Path(path)
    drawing = drawn(network.plan(steps))
    content = io.BytesIO()
    nir.write(content, _Written(_graph(nir, network, drawing, steps, source_sha256)))
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise InterchangeError(f"cannot write '{path}' ({error.strerror})") from error
    return _summary(drawing, path, steps)


class _Written:
    """A NIR graph as `nir.write` reads it, its neurons without `v_reset`.

    nir 1.0.6 and later read the default, 0, in its place; earlier ones know no such field, and
    would not read the file.
    """

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def to_dict(self) -> dict[str, Any]:
        content = self._graph.to_dict()
        for node in content["nodes"].values():
            node.pop("v_reset", None)
        return content


def _graph(
    nir: ModuleType,
    network: SpikingNetwork,
    drawing: Drawing,
    steps: int,
    source_sha256: str | None,
) -> Any:
    """The graph as objects of the package `nir`."""
    known: Mapping[str, Any] = {
        "Input": {"input_type": {"input": np.array(network.graph.signal.shape)}},
        "Output": {"output_type": {"output": np.array(network.graph.output_shape)}},
    }
    nodes: dict[str, Any] = {}
    for name, node in drawing.nodes.items():
        made = getattr(nir, node.kind)(**known.get(node.kind, {}), **node.fields)
        made.metadata = dict(node.metadata)
        nodes[name] = made
    metadata = {"writer": f"spikewright {__version__}", "steps": steps, "dt": DT, **CONTRACT}
    if source_sha256 is not None:
        metadata["source_sha256"] = source_sha256
    return nir.NIRGraph(nodes=nodes, edges=drawing.edges, metadata=metadata)


def _summary(drawing: Drawing, path: Path, steps: int) -> str:
    kinds = Counter(node.kind for node in drawing.nodes.values())
    listed = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    neurons = sum(n.fields["r"].size for n in drawing.nodes.values() if n.kind == "IF")
    return "\n".join(
        [
            f"{path}: NIR graph at T = {steps}, {len(drawing.nodes)} nodes ({listed}), "
            f"{len(drawing.edges)} edges, {neurons:,} neurons",
            *(f"{what}: {text}" for what, text in CONTRACT.items()),
            "Without reading the metadata another network runs. Its neurons reset to 0 where a "
            "reader goes by NIR's field v_reset, which cannot say a subtraction.",
        ]
    )
