"""The formats that a converted network can be exported to."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

Export = Callable[..., str]
"""Writes a network at one T to a path, whole or not at all, and returns a summary for the user.

It is called with the network, the path, T, and the SHA-256 of the saved network's file.
"""

TARGETS = {
    "nir": "spikewright.export.nir:export_nir",
    "onnx": "spikewright.export.onnx:export_onnx",
}
"""The function that writes each format, as `module:name`. It is imported when it is used, as it may
need an extra. A new format is a module with an `Export` and one line here."""


def exporter(target: str) -> Export:
    """The function that writes a format of `TARGETS`."""
    module, _, name = TARGETS[target].partition(":")
    return cast(Export, getattr(import_module(module), name))
