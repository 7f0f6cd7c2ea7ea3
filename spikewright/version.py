"""The version of this library, importable from everywhere without a cycle."""

from __future__ import annotations

__version__ = "0.1.0"
