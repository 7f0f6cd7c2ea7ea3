"""The count engine: one forward pass, whatever T."""

from __future__ import annotations

from torch import Tensor

from spikewright.devices import where_float64_is
from spikewright.graph.evaluate import evaluate
from spikewright.graph.inputs import Batch
from spikewright.graph.ir import Kind, Operation
from spikewright.network.plan import SILENT, Observer, Plan, spikes_per_sample


def run_counts(
    plan: Plan, x: Batch, *, seed: int, sample_ids: Tensor, observer: Observer = SILENT
) -> tuple[Tensor, ...]:
    """The outputs, as means over time, of a network whose neurons all have a count law.

    A value on an edge is the mean over a window's steps, `[B, *S]`; a spike train appears as its
    count, a whole number, and what a count stands for is in the weights that read it.

    Args:
        plan: the network at one T.
        x: a batch of all inputs, constant in time.
        seed: of the random draws.
        sample_ids: int64 `[B]`.
        observer: what to watch; `observer.spikes` is never called, as there are no trains.
    """

    def emit(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        (current,) = inputs
        name = op.site.name
        layer = plan.layer(name, seed, sample_ids)
        charge = plan.charge(name, current)
        count = plan.neurons[name].count(charge, layer)
        if observer.layer is not None:
            observer.layer(op, charge, count, None)
        if observer.sent is not None:
            observer.sent(op, spikes_per_sample(plan.neurons[name], where_float64_is(count)))
        return count

    return evaluate(plan.count_graph, x, {Kind.UNIT: emit})
