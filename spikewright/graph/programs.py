"""What an exported program takes, holds and answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind

from spikewright.errors import ConversionError
from spikewright.graph.origins import own
from spikewright.graph.structure import Structure


def require_pure(program: ExportedProgram) -> None:
    """Refuse a program that writes to its own buffers, or to its input.

    Raises:
        ConversionError: naming them.
    """
    signature = program.graph_signature
    if signature.buffers_to_mutate:
        raise ConversionError(
            "the model changes its own buffers when it runs "
            f"({', '.join(signature.buffers_to_mutate.values())}); a converted network has none"
        )
    if signature.parameters_to_mutate:
        raise ConversionError(
            "the model changes its own parameters when it runs "
            f"({', '.join(signature.parameters_to_mutate.values())}); do that once, before "
            "it is converted"
        )
    if signature.user_inputs_to_mutate:
        raise ConversionError(
            "the model writes into its own input (an in-place operation such as relu_ or "
            "ReLU(inplace=True) on it); use the operation that returns a new tensor"
        )


def inputs_of(program: ExportedProgram) -> list[str]:
    """The names of the tensors that a program takes; numbers that it was exported for are none."""
    return [
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.USER_INPUT and not isinstance(spec.arg, ConstantArgument)
    ]


def placeholders(
    program: ExportedProgram,
) -> tuple[list[fx.Node], dict[fx.Node, tuple[str, Tensor]]]:
    """The inputs, and what stands for parameters, buffers and constants: their names and tensors.

    Tensors are copies, and named as in the user's model.
    """
    inputs: list[fx.Node] = []
    stored: dict[fx.Node, tuple[str, Tensor]] = {}
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(nodes, program.graph_signature.input_specs, strict=True):
        if spec.kind is InputKind.USER_INPUT:
            inputs += [] if isinstance(spec.arg, ConstantArgument) else [node]
            continue
        name = str(spec.target)
        tensor: Any = program.state_dict.get(name)
        tensor = program.constants[name] if tensor is None else tensor
        stored[node] = own(name), tensor.detach().clone()
    return inputs, stored


def dtype_of(program: ExportedProgram) -> torch.dtype:
    """The dtype of a program's signals: of its floating-point inputs, else of its weights.

    Of one that has neither it is torch's own; single numbers tell where nothing else does.
    """
    floats = [value for value in _given_to(program) if value.is_floating_point()]
    floats.sort(key=lambda value: value.ndim == 0)
    return floats[0].dtype if floats else torch.get_default_dtype()


def device_of(program: ExportedProgram) -> torch.device:
    """The device of a program's inputs."""
    return _given_to(program)[0].device


def _given_to(program: ExportedProgram) -> list[Tensor]:
    """The inputs of a program as its trace has them, then its weights."""
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"]
    given = inputs_of(program)
    nodes.sort(key=lambda node: node.name not in given)
    return [value for node in nodes if isinstance(value := node.meta["val"], Tensor)]


def answer_of(program: ExportedProgram) -> Structure:
    """The model's answer, with nodes for its tensors.

    Raises:
        ConversionError: where it holds no tensor.
    """
    results: Any = program.graph.output_node().args[0]
    structure: Any = program.call_spec.out_spec
    if not any(isinstance(leaf, fx.Node) for leaf in results):
        raise ConversionError("the model returns no tensor")
    return Structure(tuple(results), structure)
