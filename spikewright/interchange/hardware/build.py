"""What the rules of the hardware bundle build: nodes of whole numbers, and edges between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from spikewright.graph.ir import Operation, Stored, Value

MOST_BITS = 53
"""Sums of more bits have no reference simulator (and hardly any chip)."""


class Refused(Exception):  # noqa: N818 (the rules' way to answer; nobody outside sees it)
    """A rule's reason why an operation has no integer form."""


@dataclass(frozen=True)
class Edge:
    """A value of the network, in whole numbers.

    Attributes:
        node: what computes it.
        scale: what a one stands for at one time step, positive, float64, broadcastable to
            `[1, *S]`.
        bound: its largest absolute value at one time step.
    """

    node: str
    scale: Tensor
    bound: int


class Build:
    """The nodes and arrays of a bundle while it is made; one use.

    Attributes:
        nodes: descriptions, as `network.json` holds them.
        arrays: by name.
        edges: by the name of the graph's value.
        constants: values that do not depend on the input, float64, by name.
        offsets: values of the graph when the input and all spikes are 0, `[1, *S]`, of neurons
            (their current), max pools (their input) and the output.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        shapes: Mapping[str, tuple[int, ...]],
        steps: int,
        constants: Mapping[str, Tensor],
        offsets: Mapping[str, Tensor],
    ) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self.edges: dict[str, Edge] = {}
        self.constants = constants
        self.offsets = offsets
        self._steps = steps
        self._tensors = tensors
        self._shapes = shapes

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a value for one sample."""
        return self._shapes[name]

    def signals(self, op: Operation) -> list[str]:
        """The values that an operation reads and that depend on the input."""
        return [name for name in op.inputs if name not in self.constants]

    def source(self, op: Operation) -> Edge:
        """The one signal that an operation reads."""
        names = self.signals(op)
        if len(names) != 1:
            raise Refused("it reads several signals")
        return self.edges[names[0]]

    def constant(self, leaf: Any) -> Tensor:
        """An argument that is a number, a stored tensor or a constant value, float64."""
        if isinstance(leaf, Stored):
            return self._tensors[leaf.name]
        if isinstance(leaf, Value):
            return self.constants[leaf.name]
        return torch.tensor(float(leaf), dtype=torch.float64)

    def is_signal(self, leaf: Any) -> bool:
        """Whether an argument depends on the input."""
        return isinstance(leaf, Value) and leaf.name not in self.constants

    def add(
        self,
        op: Operation,
        kind: str,
        inputs: Sequence[Edge],
        scale: Tensor,
        bound: int,
        arrays: Mapping[str, Tensor] | None = None,
        **options: Any,
    ) -> Edge:
        """Add a node, and return the edge of its value.

        Args:
            op: what it stands for.
            kind: as in `network.json`.
            inputs: the edges that it reads.
            scale: of its value.
            bound: of its value.
            arrays: by role, without a batch dimension.
            options: the rest of its description.

        Raises:
            Refused: when its sums may not fit.
        """
        check_bits(bound * self._steps)
        held = {**(arrays or {}), "scale": scale[0]}
        self.nodes.append(
            {
                "name": op.name,
                "kind": kind,
                "module": op.module,
                "inputs": [edge.node for edge in inputs],
                "shape": list(op.shape),
                **options,
                "bits": bits_of(bound),
                "arrays": {role: f"{op.name}.{role}" for role in held},
            }
        )
        self.arrays.update({f"{op.name}.{role}": held[role].contiguous().numpy() for role in held})
        return Edge(op.name, scale, bound)


Rule = Callable[[Operation, Build], Edge]
"""Makes an operation's node and gives its edge, or raises `Refused`."""


def bits_of(bound: int) -> int:
    """Bits of a signed number of at most this absolute value."""
    return bound.bit_length() + 1


def check_bits(bound: int) -> int:
    """The bits of a sum of at most this absolute value.

    Raises:
        Refused: when the reference simulator cannot hold it.
    """
    bits = bits_of(bound)
    if bits > MOST_BITS:
        raise Refused(f"its sums may need {bits} bits; {MOST_BITS} at most")
    return bits


def whole(values: Tensor) -> Tensor:
    """Whole float64 numbers as integers of 32 bits, or of 64 where they need them."""
    fits = values.numel() == 0 or float(values.abs().amax()) < 2**31
    return values.to(torch.int32 if fits else torch.int64)


def each_dimension(value: int | Sequence[int], dimensions: int) -> list[int]:
    """An option of the plane's dimensions, one value for each."""
    listed = [value] if isinstance(value, int) else list(value)
    return listed * dimensions if len(listed) == 1 else listed
