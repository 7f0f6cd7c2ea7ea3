"""The count engine of a deterministic network as an ONNX graph of standard operators."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from spikewright.errors import InterchangeError, UnsupportedOperation
from spikewright.graph.inputs import Batch, tensors_of
from spikewright.graph.ir import Graph, Operation
from spikewright.network.compiler import StraightLine
from spikewright.network.plan import Plan

OPSET = 23
"""The newest set of operators that torch exports; onnxruntime runs it since 1.23."""

COUNTS = "counts:"
"""What the names of the values that hold a site's counts begin with."""

_LARGEST_FILE = 2**31 - 2**20
"""A protobuf message holds less than 2 GiB; some is left to the graph itself."""


class CountingModule(nn.Module):
    """A network's count engine at one T as a module of plain tensor operations.

    Its forward takes images `[B, *S]` and returns the outputs `[B, ...]`, then the counts
    `[B, *S]` of every site, in order: the arithmetic of `run_counts`, operation by operation.
    """

    def __init__(self, plan: Plan) -> None:
        """Take over a plan's weights, gains and corrections, each by its own name.

        Args:
            plan: a plan of neurons whose count follows from their charge alone, without draws.
        """
        super().__init__()
        graph = plan.count_graph
        sites = [site.name for site in graph.sites]
        tensors = {
            **{f"gain:{site}": plan.gain(site) for site in sites},
            **{f"correction:{site}": shift for site, shift in plan.corrections.items()},
            **graph.tensors,
        }
        self._names = [name.replace(".", "/") for name in tensors]
        for name, tensor in zip(self._names, tensors.values(), strict=True):
            self.register_buffer(name, tensor)
        self._code = _straight_line(plan, list(tensors))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self._code(*inputs, *(self.get_buffer(name) for name in self._names))


def _straight_line(plan: Plan, stored: list[str]) -> fx.GraphModule:
    graph = plan.count_graph
    names = [name for name in stored if name not in graph.tensors]
    inputs = [port.name for port in graph.inputs]
    line = StraightLine([*inputs, *names], list(graph.tensors), inputs[0])
    counts: list[fx.Node] = []
    for op in graph.operations:
        if op.site is None:
            arguments, options = line.arguments(op)
            line.values[op.name] = line.call(op.target, *arguments, **options)
            continue
        value, shift = line.values[op.inputs[0]], line.values.get(f"correction:{op.site.name}")
        value = value if shift is None else line.call(torch.add, value, shift)
        if not op.site.rectifies:
            value = line.applied(op, value)
        gain = line.values[f"gain:{op.site.name}"]
        line.values[op.name] = line.call(_emitting(plan, op), value, gain)
        counts.append(line.values[op.name])
    return line.module([*(line.values[name] for name in graph.outputs), *counts])


def _emitting(plan: Plan, op: Operation) -> Callable[..., Tensor]:
    """A layer of neurons as a function of what it rounds and its gain."""
    assert op.site is not None
    neuron = plan.neurons[op.site.name]
    layer = plan.layer(op.site.name, 0, torch.zeros(1, dtype=torch.int64))

    def emit(value: Tensor, gain: Tensor) -> Tensor:
        return neuron.count(value * gain, layer)

    return emit


def counting_model(plan: Plan, images: Batch) -> Any:
    """The ONNX model of a plan: `input_names` to the outputs and the counts of every site.

    Args:
        plan: see `CountingModule`; on the CPU.
        images: a batch of all inputs, of at least two samples, to trace with; any size runs
            afterwards.

    Returns:
        An `onnx.ModelProto` that holds its weights and names no file of this machine.

    Raises:
        UnsupportedOperation: for an operation that ONNX has no operator for.
        InterchangeError: for more than 2 GiB.
    """
    module = CountingModule(plan)
    size = sum(tensor.nbytes for tensor in module.buffers())
    if size > _LARGEST_FILE:
        raise InterchangeError(
            f"its tensors take {size:,} bytes, and one ONNX file holds less than 2 GiB"
        )
    sites = [site.name for site in plan.source.sites]
    try:
        outputs = [*output_names(plan.source), *(f"{COUNTS}{site}" for site in sites)]
        model = _exported(module, tensors_of(images), input_names(plan.source), outputs)
    except torch.onnx.OnnxExporterError as error:
        raise UnsupportedOperation(
            f"torch's exporter has no ONNX operator for {_untranslated(error)}; nothing was written"
        ) from error
    return _tidied(model)


def input_names(graph: Graph) -> list[str]:
    """The names of a model's inputs: those of the source model, "images" of a single signal."""
    return ["images"] if graph.takes_one_signal else list(graph.call.names.values())


def output_names(graph: Graph) -> list[str]:
    """The names of a model's outputs: their places in the source model's answer.

    Every value of an ONNX graph has a name of its own: an output that is called as an input, or as
    a site's counts, has ".out" after its name.
    """
    places = list(graph.structure.names.values())
    others = {*input_names(graph), *(f"{COUNTS}{site.name}" for site in graph.sites)}
    names: list[str] = []
    for place in places:
        name = place
        while name in others or (name != place and name in (*places, *names)):
            name = f"{name}.out"
        names.append(name)
    return names


def _exported(
    module: nn.Module, tensors: tuple[Tensor, ...], inputs: list[str], outputs: list[str]
) -> Any:
    dim = torch.export.Dim.DYNAMIC if len(tensors) == 1 else torch.export.Dim("batch")
    shapes = (tuple({0: dim} for _ in tensors),)
    program = torch.export.export(module, tensors, dynamic_shapes=shapes, strict=False)
    given = {f"input:{number}": name for number, name in enumerate(inputs)}
    made = {f"output:{number}": name for number, name in enumerate(outputs)}
    exported: Any = torch.onnx.export(
        program,
        tensors,
        input_names=[*given],
        output_names=[*made],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    model = exported.model_proto
    _rename(model.graph, {**given, **made})
    return model


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Rename values; inner ones that have one of the new names already, as "linear", get others.

    Args:
        graph: an `onnx.GraphProto`, changed in place.
        names: the new ones, by the old.
    """
    taken = frozenset(names.values())

    def other(name: str) -> str:
        if name in names:
            return names[name]
        while name in taken:
            name = f"{name}:inner"
        return name

    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = other(value.name)
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [other(name) for name in values]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)


def _untranslated(error: Exception) -> str:
    """The operator that torch's exporter stopped at, or its reason where it names none."""
    reason = str(error.__cause__ or error).strip().partition("\n")[0]
    operator = re.search(r"torch\.ops\.([\w.]+)", reason)
    return operator[1].removesuffix(".default") if operator else f"this network ({reason})"


def _tidied(model: Any) -> Any:
    """The model with its batch called so, and without the Python stack that each node came from."""
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == symbol:
                dim.dim_param = "batch"
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    return model
