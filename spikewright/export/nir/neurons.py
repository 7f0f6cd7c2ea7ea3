"""Integrate-and-fire layers as IF nodes, and what of them stands in metadata.

NIR writes neurons in continuous time: `dv/dt = r * i`, a spike where `v > v_threshold`. There a
neuron is at its threshold when it fires, and subtracting the threshold is the same as resetting to
0; in steps it is not, and up to nir 1.0.5 the definition subtracted. Which of the two is meant,
where the potential starts and that a neuron fires at its threshold have no field: they stand in
metadata.

`v > v_threshold` is `v >= theta` when v_threshold is the largest number below theta, so this is
what is written. A reader of `>=`, or one that subtracts v_threshold in place of theta, is off by
one unit in the last place a spike, upwards; where currents are multiples of some 2^-k, as those of
quantised weights are, it sends the same spikes even so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spikewright.graph.ir import Operation
from spikewright.graph.nodes import Array, Node, Refusal, array
from spikewright.network.plan import Plan
from spikewright.neurons import IntegrateFire, Neuron
from spikewright.neurons.integrate_fire import Reset

_ONE_PHASE = (
    "convert with --neuron if (IntegrateFire()), or put it there with "
    "SpikingNetwork.with_neuron(IntegrateFire())"
)


@dataclass(frozen=True)
class NeuronLayer:
    """A layer of neurons to be.

    Attributes:
        node: a node of kind IF.
        offset: `[C]`, a current at every step, for the bias of what feeds the layer; None when 0.
    """

    node: Node
    offset: Array | None


def neurons_of(op: Operation, plan: Plan) -> NeuronLayer | Refusal:
    """The IF node that stands for a layer of neurons, or why there is none.

    Args:
        op: a neuron operation of `plan.graph`.
        plan: holds its neuron, threshold, correction and first potential.
    """
    assert op.site is not None
    site = op.site.name
    neuron = plan.neurons[site]
    refusal = _refusal(neuron)
    if refusal is not None or not isinstance(neuron, IntegrateFire):
        return refusal or _FOREIGN
    layer = plan.layer(site, 0, torch.zeros(1, dtype=torch.int64))
    potential, shift = neuron.initial(layer)
    theta = array(layer.threshold.expand(1, *op.shape)[0])
    fields = {"r": np.ones_like(theta), "v_threshold": np.nextafter(theta, np.zeros_like(theta))}
    metadata = {
        "site": site,
        "fires": "v >= reset_by, which is v > v_threshold",
        "reset": "subtract",
        "reset_by": theta,
        "v_init": array(potential.expand(1, *op.shape)[0]),
    }
    node = Node("IF", fields, metadata)
    offset = shift + plan.corrections.get(site, 0.0)
    if not bool(offset.any()):
        return NeuronLayer(node, None)
    if any(size != 1 for size in offset.shape[2:]):
        return Refusal(
            "NIR shifts whole channels only", "convert without bias correction or potentials"
        )
    return NeuronLayer(node, array(offset.flatten().expand(op.shape[0])))


def _refusal(neuron: Neuron) -> Refusal | None:
    if isinstance(neuron, IntegrateFire) and neuron.reset is Reset.HARD:
        return Refusal(
            "readers disagree about a hard reset: nir up to 1.0.5, Sinabs and snnTorch subtract "
            "the threshold whatever is written",
            "convert with a soft reset, IntegrateFire()",
        )
    if type(neuron) is IntegrateFire:
        return None
    if neuron.waits:
        return Refusal(
            "it sends after the whole of its input has arrived, NIR's neurons while it arrives",
            _ONE_PHASE,
        )
    if neuron.rehearsal:
        return Refusal("NIR has no rehearsal before the steps that count", _ONE_PHASE)
    return _FOREIGN


_FOREIGN = Refusal("NIR has no such neuron", _ONE_PHASE)
