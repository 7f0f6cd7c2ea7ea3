"""The formats that a converted network can be exported to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from spikewright.network import SpikingNetwork

Export = Callable[["SpikingNetwork", Path, int, str | None], str]
"""Writes a network at T = `steps` to a path, whole or not at all; returns what to tell the user.
The last argument is the SHA-256 of the saved network that it was loaded from."""


@dataclass(frozen=True)
class Target:
    """A format to export to.

    Attributes:
        name: as on the command line.
        title: what it is, in a line.
        function: where the `Export` is, as `module:name`; imported when it is used, because it
            may need an extra.
    """

    name: str
    title: str
    function: str

    def load(self) -> Export:
        """The function that exports."""
        module, _, name = self.function.partition(":")
        return cast(Export, getattr(import_module(module), name))


TARGETS = {
    target.name: target
    for target in (
        Target(
            "nir",
            "NIR graph (.nir) of a one-phase network, for neuromorphic simulators and chips",
            "spikewright.interchange.nir:export_nir",
        ),
        Target(
            "onnx",
            "ONNX graph (.onnx) of the count engine of a deterministic network",
            "spikewright.interchange.onnx:export_onnx",
        ),
        Target(
            "hardware",
            "folder with int8 weights and integer thresholds (npz) and their description (JSON)",
            "spikewright.interchange.hardware:export_hardware",
        ),
    )
}
