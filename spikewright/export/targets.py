"""The formats that a converted network can be exported to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

Export = Callable[..., str]
"""Writes a network at T = `steps` to a path, whole or not at all; returns what to tell the user.
It is called with the network, the path, T, and the SHA-256 of the saved network's file."""


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
            "spikewright.export.nir:export_nir",
        ),
        Target(
            "onnx",
            "ONNX graph (.onnx) of the count engine of a deterministic network",
            "spikewright.export.onnx:export_onnx",
        ),
    )
}
