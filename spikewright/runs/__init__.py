"""Finished runs: their folder, their card, the zoo, and networks by name."""

from spikewright.runs.names import load_model

__all__ = ["load_model"]
