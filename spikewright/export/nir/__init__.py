"""One-phase networks as NIR graphs."""

from spikewright.export.nir.export import CONTRACT, export_nir

__all__ = ["CONTRACT", "export_nir"]
