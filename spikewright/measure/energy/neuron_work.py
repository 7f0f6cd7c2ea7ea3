"""What a neuron does in a window besides taking in what arrives."""

from __future__ import annotations

from spikewright.errors import AnalysisError
from spikewright.measure.energy.counts import Counts
from spikewright.neurons import SRP, IntegrateFire, Neuron, Order, Shuffled, TwoPhase
from spikewright.neurons.emission import Emission
from spikewright.neurons.rounding import Rounding

_KEEP_A_STATE = (Emission.RANDOM, Emission.BINARY)
"""Emissions that keep what is still unsent; the others compare the count with the step."""


def neuron_work(neuron: Neuron, levels: int) -> Counts:
    """Updates, comparisons and draws of one neuron in one window.

    A one-phase neuron is updated and compared at every step. A two-phase neuron is rounded once
    and then compared at every step of its emission; TPP draws its rounding and its order together.

    Args:
        neuron: what stands there.
        levels: T.

    Raises:
        AnalysisError: for a neuron whose work is not known.
    """
    steps = neuron.duration(levels)
    if isinstance(neuron, IntegrateFire):
        return Counts(updates=steps, comparisons=steps)
    if isinstance(neuron, SRP):  # and one look back on the rehearsal
        return Counts(updates=steps, comparisons=steps + 1)
    if isinstance(neuron, TwoPhase):
        emission = Emission(neuron.emission)
        if neuron.rounding is Rounding.BERNOULLI and emission is Emission.RANDOM:
            return Counts(updates=steps, comparisons=steps, draws=steps)
        drawn = neuron.rounding is not Rounding.NEAREST
        return Counts(updates=1, comparisons=1, draws=drawn) + _emission_work(emission, steps)
    if isinstance(neuron, Shuffled):
        emission = Emission.RANDOM if neuron.order is Order.INDEPENDENT else Emission.BURST
        return neuron_work(neuron.neuron, levels) + _emission_work(emission, steps)
    raise AnalysisError(
        f"the operations of '{neuron.label}' are not known; they are those of IntegrateFire, SRP, "
        "Shuffled and TwoPhase: convert with one of these, or network.with_neuron(...)"
    )


def _emission_work(emission: Emission, steps: int) -> Counts:
    return Counts(
        updates=steps if emission in _KEEP_A_STATE else 0,
        comparisons=steps,
        draws=steps if emission is Emission.RANDOM else 0,
    )
