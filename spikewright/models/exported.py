"""Networks exported by `torch.export.save`, read with as little trust as torch allows."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from spikewright.errors import ConversionError, ModelError
from spikewright.graph.model_checks import check_program

WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def load_exported(path: Path) -> nn.Module:
    """Load a `.pt2` file; **trust it as you would trust a Python program**.

    `torch.export.load` can unpickle objects (tensor subclasses, custom classes, the example
    inputs), evaluates the expressions of symbolic shapes, and looks operators up by name: a
    file made for the purpose can run code. This function closes the first of these ways, not
    the others: it refuses files that hold pickled objects, and makes torch read whatever else
    was pickled as plain tensors (`TORCH_FORCE_WEIGHTS_ONLY_LOAD`, set while the file is read).
    Prefer a factory with safetensors weights for files from people you do not know.

    Args:
        path: a file saved by `torch.export.save`; export the model in eval mode.

    Returns:
        The program's module, flagged as in eval mode.

    Raises:
        ModelError: if the file is not there, holds pickled objects, torch cannot read it,
            or it was exported in training mode, for one size of batches or several inputs.
    """
    if not path.is_file():
        raise ModelError(f"there is no exported program '{path}'")
    pickled = _pickled_objects(path)
    if pickled:
        raise ModelError(
            f"'{path}' holds pickled objects, which could run code when read: "
            f"{', '.join(pickled)}; export the model without custom classes and tensor "
            "subclasses, by a current torch.export.save"
        )
    try:
        with _weights_only():
            program = torch.export.load(path)
            module = program.module()
    except Exception as error:  # torch raises whatever the broken part of the file leads to
        raise ModelError(
            f"torch {torch.__version__} cannot read '{path}' ({type(error).__name__}: {error}); "
            "export the model again with torch.export.save in this version of torch"
        ) from error
    try:
        check_program(program)
    except ConversionError as error:
        raise ModelError(f"'{path}': {error}") from error
    _refuse_training_mode(path, module)
    for part in module.modules():  # module.eval() is not supported: the mode is in the graph
        part.training = False
    return module


def _refuse_training_mode(path: Path, module: nn.Module) -> None:
    """Refuse a program with operations (batch norm, dropout) frozen in training mode."""
    graph = getattr(module, "graph", None)
    nodes: list[torch.fx.Node] = [] if graph is None else list(graph.nodes)
    training = [node.name for node in nodes if _trains(node)]
    if training:
        raise ModelError(
            f"'{path}' was exported in training mode: {', '.join(training)}; "
            "call model.eval() before torch.export.export"
        )


def _trains(node: torch.fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)  # torch has no public name for it
    if schema is None:
        return False
    names: list[str] = [argument.name for argument in schema.arguments]
    arguments = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    return arguments.get("training") is True or arguments.get("train") is True


def exported_shape(model: nn.Module) -> tuple[int, ...] | None:
    """The shape of a sample that an exported program takes; None for other models."""
    graph = getattr(model, "graph", None)
    if not isinstance(graph, torch.fx.Graph):
        return None
    for node in graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and isinstance(value, torch.Tensor):
            sizes = value.shape[1:]
            return tuple(sizes) if all(isinstance(n, int) for n in sizes) else None
    return None


def _pickled_objects(path: Path) -> list[str]:
    """List what an archive stores as pickles, by the archive's own index of its payloads."""
    payloads: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                _, _, inner = name.partition("/")
                if inner.startswith(("data/weights/", "data/constants/")):
                    payloads += _pickled_payloads(inner, archive.read(name))
    except (zipfile.BadZipFile, ValueError, RecursionError, AttributeError) as error:
        raise ModelError(
            f"'{path}' is not a program saved by torch.export.save: {error}"
        ) from error
    return payloads


def _pickled_payloads(name: str, content: bytes) -> list[str]:
    if name.endswith(".json"):
        payloads = json.loads(content).get("config", {})
        return [key for key, payload in payloads.items() if payload.get("use_pickle", True)]
    legacy_or_object = name.endswith(".pt") or "custom_obj" in name or "opaque_obj" in name
    return [name] if legacy_or_object else []


@contextmanager
def _weights_only() -> Generator[None]:
    before = os.environ.get(WEIGHTS_ONLY)
    os.environ[WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[WEIGHTS_ONLY]
        else:
            os.environ[WEIGHTS_ONLY] = before
