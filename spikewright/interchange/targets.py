"""The formats that a converted network can be exported to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

Export = Callable[..., str]
"""Writes a network at T = `steps` to a path, whole or not at all; returns what to tell the user.
Called with the network, the path, T, and the SHA-256 of the saved network that it was loaded from,
and with the options of its target by name."""


@dataclass(frozen=True)
class Target:
    """A format to export to.

    Attributes:
        name: as on the command line.
        title: what it is, in a line.
        function: where the `Export` is, as `module:name`; imported when it is used, because it
            may need an extra.
        options: names of the keyword arguments that it takes besides.
    """

    name: str
    title: str
    function: str
    options: tuple[str, ...] = ()

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
            ("input_format", "measured_on", "notes"),
        ),
    )
}
