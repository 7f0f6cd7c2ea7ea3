"""The file of a converted network: its parts saved and read again, without the model's code."""

from spikewright.artefact.artefact import Description, Parts, describe, load, save

__all__ = ["Description", "Parts", "describe", "load", "save"]
