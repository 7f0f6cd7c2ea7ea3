"""The account of a network's source: what one forward pass takes, and what zeros save it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from spikewright.graph import Graph, Operation
from spikewright.graph.inputs import Batch
from spikewright.graph.ir import ROOT, Kind
from spikewright.graph.rule import rule_of
from spikewright.measure.energy.account import Account
from spikewright.measure.energy.arriving import flows_of_one
from spikewright.measure.energy.counts import Counts
from spikewright.measure.energy.flow import Flow, Form, evenly


class Source:
    """The running account of the network that was converted.

    Args:
        graph: as captured.

    Attributes:
        reads_samples: whether values move by indices or masks of each sample; else one forward
            pass is as another.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._account = Account(graph)
        self.reads_samples = self._account.reads_samples
        weights = self._account.weights
        self._zeros = sum(int((weight == 0).sum()) for weight in weights.values())
        self._weights = sum(weight.numel() for weight in weights.values())
        self._whole = None
        if self._zeros:
            ones = {name: torch.ones_like(weight) for name, weight in weights.items()}
            self._whole = Account(replace(graph, tensors={**graph.tensors, **ones}))
        self._charged: dict[str, Counts] = {}
        self._left_out = 0.0
        self._passes = 0

    @property
    def sparsity(self) -> float:
        """The fraction of weights, of weighted operations, that are 0; shared ones count once."""
        return self._zeros / max(1, self._weights)

    def add(self, shown: Batch) -> None:
        """Count the forward pass of one sample, unless it is as that before."""
        if self._passes and not self.reads_samples:
            return
        flows = flows_of_one(self._graph, shown)
        own = self._account.walk(flows, 1, 1, _analogue)
        for site, counts in own.items():
            self._charged[site] = self._charged.get(site, Counts()) + counts
        if self._whole is not None:
            whole = self._whole.walk(flows, 1, 1, _analogue)
            self._left_out += sum(whole[site].all_macs - own[site].all_macs for site in own)
        self._passes += 1

    @property
    def counts(self) -> dict[str, Counts]:
        """Operations of one forward pass by site, and of the outputs: the mean over samples."""
        return {site: counts.divided(self._passes) for site, counts in self._charged.items()}

    @property
    def zero_macs(self) -> float:
        """Multiply-accumulates by weights that are 0, which `counts` leaves out."""
        return self._left_out / self._passes


def evaluations(op: Operation, times: int) -> Counts:
    """What neurons compute besides rectifying; in parts where the model writes them out.

    A part that adds values up, such as a mean, is evaluated for every value that it reads.
    """
    assert op.site is not None
    counts = Counts()
    sizes = {ROOT: math.prod(op.shape), **{part.name: math.prod(part.shape) for part in op.body}}
    for part in () if op.site.rectifies else op.body or (op,):
        if part.kind is not Kind.CONSTANT:
            values = max(math.prod(part.shape), *(sizes.get(name, 0) for name in part.inputs))
            function, often = rule_of(part).evaluated(part)
            counts += Counts(functions={function: float(times * values * often)})
    return counts


def _analogue(op: Operation, arriving: Flow) -> tuple[Flow, Counts]:
    """Sites of the source: a rectifier is one comparison, a bias one addition."""
    size = math.prod(op.shape)
    assert op.site is not None
    work = Counts(bias_additions=size * arriving.constant, comparisons=size * op.site.rectifies)
    work += evaluations(op, 1)
    return evenly(Form.CURRENT, op.shape, 1), work
