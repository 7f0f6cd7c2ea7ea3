"""Which of the two engines simulates a network."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from spikewright.errors import ConversionError
from spikewright.neurons import Neuron


class Engine(StrEnum):
    """How a network is simulated."""

    AUTO = "auto"
    """The count engine when every neuron has a count law, else the step engine."""
    COUNTS = "counts"
    STEPS = "steps"


def chosen(engine: Engine | str, neurons: Mapping[str, Neuron]) -> Engine:
    """The engine that will run: `COUNTS` or `STEPS`.

    Raises:
        ConversionError: for another name, or the count engine with neurons that have no count law.
    """
    try:
        engine = Engine(engine)
    except ValueError:
        raise ConversionError(
            f"engine must be 'auto', 'counts' or 'steps', got {engine!r}"
        ) from None
    lawless = [name for name, n in neurons.items() if not n.has_count_law]
    if engine is Engine.COUNTS and lawless:
        label = neurons[lawless[0]].label
        raise ConversionError(
            f"the count engine needs neurons whose count depends on their total charge alone; "
            f"'{label}' at {lawless[0]} does not: use engine='steps'"
        )
    if engine is Engine.AUTO:
        return Engine.STEPS if lawless else Engine.COUNTS
    return engine
