"""A graph of 16-bit tensors in float32, for sums that 16 bits cannot hold.

A number of 16 bits has 8 (bfloat16) or 11 (float16) significant ones, so from 256 or 2,048 on a
count no longer grows by 1: 256 + 1 = 256. Charges, counts and sums over time are therefore never
kept in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from spikewright.graph.fusing import mapped_body
from spikewright.graph.ir import Graph, mapped

_NARROW = (torch.float16, torch.bfloat16)


def wide(dtype: torch.dtype) -> torch.dtype:
    """float32 for floating types of 16 bits, else the type itself."""
    return torch.float32 if dtype in _NARROW else dtype


def widened(graph: Graph) -> Graph:
    """The graph with 16-bit tensors and dtypes as float32; itself when it has none."""
    if not any(tensor.dtype in _NARROW for tensor in graph.tensors.values()):
        return graph

    tensors = {name: tensor.to(wide(tensor.dtype)) for name, tensor in graph.tensors.items()}
    return replace(with_dtypes(graph, dict.fromkeys(_NARROW, torch.float32)), tensors=tensors)


def with_dtypes(graph: Graph, others: Mapping[torch.dtype, torch.dtype]) -> Graph:
    """The graph with other dtypes in the arguments of its operations; its tensors stay.

    Args:
        graph: such as one that takes images of whole numbers, and converts them.
        others: by the dtype in whose place each comes.
    """

    def other(leaf: Any) -> Any:
        return others.get(leaf, leaf) if isinstance(leaf, torch.dtype) else leaf

    operations = tuple(
        replace(
            op,
            args=mapped(op.args, other),
            kwargs=mapped(op.kwargs, other),
            body=mapped_body(op, other),
        )
        for op in graph.operations
    )
    return replace(graph, operations=operations)
