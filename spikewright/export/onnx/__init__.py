"""The count engine of deterministic networks as ONNX models."""

from spikewright.export.onnx.export import export_onnx

__all__ = ["export_onnx"]
