"""Drawing a NIR graph: every operation of a network becomes nodes and edges, or an offender.

What several edges bring to a node is added up there, so an addition is no node at all: a value is
known by the nodes whose outputs add up to it.

Nodes are named by a number and the module of the user's model. The file format keeps names sorted,
and some readers can only run nodes in the order in which they find them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from spikewright.errors import UnsupportedOperation
from spikewright.export.nir.neurons import neurons_of
from spikewright.graph.ir import Kind, Operation
from spikewright.graph.nodes import AFFINE, Array, Meeting, Node, Refusal, per_channel
from spikewright.graph.offenders import Offender, complaint
from spikewright.graph.precision import Precision
from spikewright.graph.primitives import PRODUCT, RELAY
from spikewright.graph.rule import rule_of
from spikewright.graph.units import computed_in
from spikewright.network.plan import Plan


@dataclass(frozen=True)
class Drawing:
    """Nodes by name, in an order in which they can run, and the edges between them."""

    nodes: dict[str, Node]
    edges: list[tuple[str, str]]


def drawn(plan: Plan) -> Drawing:
    """The NIR graph of a network at one T.

    Raises:
        UnsupportedOperation: listing everything that NIR cannot say.
    """
    return _Pen(plan).drawn()


class _Pen:
    """One drawing; one use."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._graph = plan.graph_with_affines
        self._nodes: dict[str, Node] = {}  # by title, made unique
        self._edges: list[tuple[str, str]] = []
        self._offenders: list[Offender] = []
        self._offsets: dict[str, tuple[Operation, Array]] = {}
        # By value: the nodes that add up to it; none for constants and what follows an offender.
        self._sources: dict[str, tuple[str, ...]] = {}

    def drawn(self) -> Drawing:
        self._check_numbers()
        graph = self._graph
        self._check_answer()
        self._sources[graph.signal.name] = self._add("input", Node("Input"), ())
        for op in graph.operations:
            self._sources[op.name] = () if op.kind is Kind.CONSTANT else self._draw(op)
        self._add("output", Node("Output"), self._sources[graph.outputs[0]])
        for title, (op, offset) in self._offsets.items():
            self._offset(title, op, offset)
        if self._offenders:
            raise UnsupportedOperation(
                complaint(self._offenders, "of this network cannot be exported to NIR")
            )
        return self._numbered()

    def _check_numbers(self) -> None:
        if self._plan.precision is not Precision.FLOAT32:
            rounded = {Precision.BF16: "currents are rounded to bfloat16"}
            what = rounded.get(self._plan.precision, "weights are rounded to 8 bits")
            reason = f"its {what}, which NIR cannot say"
            remedy = "export SpikingNetwork.with_precision('float32')"
            self._offenders.append(
                Offender(f"precision {self._plan.precision}", "", "", reason, remedy)
            )

    def _check_answer(self) -> None:
        names = list(self._graph.structure.names.values())
        if len(names) > 1:
            reason = f"the network has several outputs ({', '.join(names)}), NIR's graphs have one"
            remedy = "convert a model that returns one of them"
            self._offenders.append(Offender("several outputs", "", "", reason, remedy))

    def _draw(self, op: Operation) -> tuple[str, ...]:
        if op.site is not None:
            return self._draw_neurons(op)
        nodes = rule_of(op).nir(op, self._graph)
        if isinstance(nodes, Refusal):
            return self._refuse(op, nodes)
        if isinstance(nodes, Meeting):
            met = tuple(source for name in nodes.values for source in self._sources[name])
            if len(set(met)) == len(met):
                return met
            reason = "NIR has one edge between two nodes at most"
            return self._refuse(op, Refusal(reason, "multiply by 2 instead"))
        reached = self._sources[op.inputs[0]]
        for node in nodes:
            reached = self._add(_title(op), node, reached)
        return reached

    def _draw_neurons(self, op: Operation) -> tuple[str, ...]:
        assert op.site is not None
        if not op.site.rectifies:
            parts = computed_in(op) if op.body else ()
            return self._refuse(op, _no_such_unit(op), ", ".join(parts))
        neurons = neurons_of(op, self._plan)
        if isinstance(neurons, Refusal):
            return self._refuse(op, neurons, self._plan.neurons[op.site.name].label)
        (name,) = self._add(op.site.name, neurons.node, self._sources[op.inputs[0]])
        if neurons.offset is not None:
            self._offsets[name] = (op, neurons.offset)
        return (name,)

    def _refuse(self, op: Operation, refusal: Refusal, operator: str = "") -> tuple[str, ...]:
        place = op.site.name if op.site is not None else op.module
        self._offenders.append(
            Offender(operator or op.operator, place, op.source, refusal.reason, refusal.remedy)
        )
        return ()

    def _add(self, title: str, node: Node, sources: Sequence[str]) -> tuple[str]:
        unique, number = title, 1
        while unique in self._nodes:
            number += 1
            unique = f"{title}_{number}"
        self._nodes[unique] = node
        self._edges.extend((source, unique) for source in sources)
        return (unique,)

    def _offset(self, neurons: str, op: Operation, offset: Array) -> None:
        """Give a layer a current at every step: by a bias that it alone reads, or by a new node."""
        sources = [before for before, after in self._edges if after == neurons]
        for source in sources:
            readers = [after for before, after in self._edges if before == source]
            if readers == [neurons] and self._nodes[source].kind in AFFINE:
                self._nodes[source] = self._nodes[source].with_bias_added(offset)
                return
        current = torch.from_numpy(offset)
        shifting = per_channel(op.shape, torch.ones_like(current), current)
        if isinstance(shifting, Refusal):
            remedy = "convert without bias correction, and with neurons without shift"
            self._refuse(op, replace(shifting, remedy=remedy), "the current at every step")
            return
        (node,) = shifting
        self._edges = [edge for edge in self._edges if edge[1] != neurons]
        (added,) = self._add(f"{neurons}.current", node, sources)
        self._edges.append((added, neurons))
        self._nodes = _moved_before(self._nodes, added, neurons)

    def _numbered(self) -> Drawing:
        digits = len(str(len(self._nodes)))
        names = {
            title: f"{number:0{digits}}_" + re.sub(r"\W", "_", title, flags=re.ASCII)
            for number, title in enumerate(self._nodes)
        }
        nodes = {names[title]: node for title, node in self._nodes.items()}
        return Drawing(nodes, [(names[before], names[after]) for before, after in self._edges])


def _no_such_unit(op: Operation) -> Refusal:
    """Why NIR has no neuron for a unit that does not rectify."""
    if op.target is RELAY:
        return Refusal(
            "NIR's neurons rectify; it stands in front of a product, which NIR has no node for",
            "export the part of the network before it",
        )
    if op.site is not None and op.site.group > 1:
        return Refusal(
            "NIR's neurons rectify, each by itself; it has none of a group's function",
            "train the network with batch norm and ReLU instead",
        )
    return Refusal(
        "NIR's neurons rectify; it has no neuron of another function",
        "train the network with ReLU instead",
    )


def _moved_before(nodes: Mapping[str, Node], moved: str, place: str) -> dict[str, Node]:
    order = [title for title in nodes if title != moved]
    order.insert(order.index(place), moved)
    return {title: nodes[title] for title in order}


def _title(op: Operation) -> str:
    """What a node is called: the module of the user's model, or the operation."""
    if op.target is PRODUCT:  # of scales that no weights took in
        return f"{op.module or op.name}.scaled"
    return op.module or op.name
