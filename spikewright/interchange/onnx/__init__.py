"""The count engine of deterministic networks as ONNX models."""

from spikewright.interchange.onnx.export import export_onnx

__all__ = ["export_onnx"]
