"""What a network answers to a batch, with what its units send: all that a loss may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import answered, apply, evaluate
from spikewright.graph.full_precision import full_precision
from spikewright.graph.ir import Graph, Kind, Operation


@dataclass(frozen=True)
class Answer:
    """What a network answers to a batch.

    Attributes:
        graph: of the network.
        outputs: the values of `Graph.outputs`, `[B, ...]` each, as means over time.
        values: what every site sends on average, or its activation, by site name, `[B, *S]`.
        spikes: how many spikes carry that, by the name of each site that sends any, `[B, *S]`,
            where they were asked for. Their gradient is that of the count.
    """

    graph: Graph
    outputs: tuple[Tensor, ...]
    values: Mapping[str, Tensor]
    spikes: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def output(self) -> Any:
        """The answer as the model gives it."""
        return answered(self.graph, self.outputs)

    @property
    def logits(self) -> Tensor:
        """The only output, or that called "logits", `[B, classes]`.

        Raises:
            ConversionError: where several outputs have other names.
        """
        number = self.graph.structure.logits
        if number is None:
            names = ", ".join(self.graph.structure.names.values())
            raise ConversionError(
                f"the network answers several tensors ({names}), and none of them is called "
                "'logits', by which right answers are counted: wrap the model in a module whose "
                "forward returns it, and convert that"
            )
        return self.outputs[number]


@torch.no_grad()
@full_precision()
def ann_answer(graph: Graph, images: Any) -> Answer:
    """What the ANN answers, that a spiking network was converted from.

    Args:
        graph: of that network, `snn.graph`.
        images: a batch; of several inputs a tuple of the positional arguments, or a dict.
    """
    values: dict[str, Tensor] = {}

    def activate(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        values[op.site.name] = apply(op, inputs, graph.tensors)
        return values[op.site.name]

    batch = graph.call.batch(images, graph.tensors)
    return Answer(graph, evaluate(graph, batch, {Kind.UNIT: activate}), values)
