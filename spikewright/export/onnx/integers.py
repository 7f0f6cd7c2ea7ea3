"""Convolutions and matrix products over counts as integer operators of ONNX.

A network in `int8` has weights that are whole numbers times one unit an output channel, and what
they read are counts. `ConvInteger` and `MatMulInteger` sum their products in 32-bit integers,
without rounding; one multiplication by the unit follows, and the bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikewright.export.onnx.check import PURPOSE
from spikewright.extras import require_extra
from spikewright.graph.ir import Stored
from spikewright.graph.rule import rule_of
from spikewright.graph.whole_numbers import LARGEST_DIGIT, whole_numbers
from spikewright.network.kernels import LARGEST_BYTE, beyond
from spikewright.network.plan import Plan


def in_integers(model: Any, plan: Plan) -> int:
    """Put integer operators in the place of those that read counts, where ONNX has them.

    Signed counts, and counts beyond 255, stay in float32: the operators read unsigned bytes.

    Args:
        model: an `onnx.ModelProto`, changed in place.
        plan: what it was made from, in `int8`.

    Returns:
        How many operators are in integers now.
    """
    onnx = require_extra("onnx", "onnx", PURPOSE)
    weights = _weights_over_counts(plan)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    changed = 0
    for node in model.graph.node:
        made = None
        if len(node.input) > 1 and node.input[1] in weights:
            weight = onnx.numpy_helper.to_array(stored[node.input[1]])
            made = _converted(onnx, node, weight)
        if made is None:
            nodes.append(node)
            continue
        changed += 1
        operators, tensors = made
        nodes += operators
        model.graph.initializer.extend(tensors)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    unread = [tensor for tensor in model.graph.initializer if tensor.name not in read]
    for tensor in unread:
        model.graph.initializer.remove(tensor)
    return changed


def _weights_over_counts(plan: Plan) -> set[str]:
    """The names, in the model, of rounded weights that read whole numbers from 0 to 255."""
    graph = plan.count_graph
    whole = whole_numbers(graph, plan.signed | beyond(LARGEST_BYTE, plan.reach))
    names: set[str] = set()
    for op in graph.operations:
        at = rule_of(op).weight_at
        weight = None if at is None else op.argument(at, "weight")
        if isinstance(weight, Stored) and op.inputs and whole.issuperset(op.inputs):
            names.add(weight.name.replace(".", "/"))
    return names


def _converted(onnx: Any, node: Any, weight: Any) -> tuple[list[Any], list[Any]] | None:
    """The operators that do in integers what a node does, and their tensors; None if none do."""
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "Conv":
        operator, rows = "ConvInteger", weight.reshape(len(weight), -1)
        places = (1, -1, *[1] * (weight.ndim - 2))
        options = attributes
    elif node.op_type == "Gemm" and attributes.get("transB", 0) and not attributes.get("transA", 0):
        operator, rows, places, options = "MatMulInteger", weight, (-1,), {}
        if (attributes.get("alpha", 1.0), attributes.get("beta", 1.0)) != (1.0, 1.0):
            return None
    else:
        return None
    unit = np.abs(rows).max(axis=1) / LARGEST_DIGIT
    unit = np.where(unit == 0, 1, unit).astype(np.float32)
    digits = np.rint(rows / unit[:, None]).astype(np.int8)
    digits = digits.reshape(weight.shape) if operator == "ConvInteger" else digits.T.copy()
    name, kinds = node.output[0], onnx.TensorProto
    tensors = [
        onnx.numpy_helper.from_array(digits, f"{node.input[1]}/digits"),
        onnx.numpy_helper.from_array(unit.reshape(places), f"{node.input[1]}/unit"),
    ]
    make = onnx.helper.make_node
    biased = len(node.input) > 2 and bool(node.input[2])
    scaled = f"{name}/scaled" if biased else name
    operators = [
        make("Cast", [node.input[0]], [f"{name}/bytes"], to=kinds.UINT8),
        make(operator, [f"{name}/bytes", tensors[0].name], [f"{name}/sums"], **options),
        make("Cast", [f"{name}/sums"], [f"{name}/floats"], to=kinds.FLOAT),
        make("Mul", [f"{name}/floats", tensors[1].name], [scaled]),
    ]
    if biased:
        bias = node.input[2]
        if operator == "ConvInteger":
            shape = onnx.numpy_helper.from_array(np.array(places, np.int64), f"{name}/shape")
            tensors.append(shape)
            operators.append(make("Reshape", [bias, shape.name], [f"{name}/placed"]))
            bias = f"{name}/placed"  # a folded batch norm has taken "/bias"
        operators.append(make("Add", [scaled, bias], [name]))
    return operators, tensors
