"""Converted networks as files: saved here, loaded elsewhere, without the model's Python code."""

from spikewright.artefact.artefact import Description, describe, load, save

__all__ = ["Description", "describe", "load", "save"]
