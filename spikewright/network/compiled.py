"""The choice of the compiled engine for a call, kept from one call to the next."""

from __future__ import annotations

from spikewright.network.compiled_counts import CompiledCounts
from spikewright.network.compiled_engine import CompiledEngine
from spikewright.network.compiled_steps import CompiledSteps
from spikewright.network.compiled_tracers import CompiledTracers
from spikewright.network.engine import Engine
from spikewright.network.plan import Observer, Plan

_KEPT = 4
"""Compiled networks that differ in more than their tensors, such as T beyond an exact kernel's."""


class CompiledEngines:
    """The compiled forms of one network."""

    def __init__(self) -> None:
        self._kept: list[CompiledEngine] = []

    def serving(self, plan: Plan, engine: Engine, observer: Observer) -> CompiledEngine | None:
        """What runs a plan compiled, or None where nothing does.

        The step engine is compiled for integrate-and-fire neurons and for spike tracers; two-phase
        neurons have the count engine.
        Callbacks that see whole layers, trains or operations are served by the uncompiled engines.
        """
        if (observer.layer, observer.spikes, observer.ran) != (None, None, None):
            return None
        kinds = (CompiledCounts,) if engine is Engine.COUNTS else (CompiledSteps, CompiledTracers)
        kind = next((kind for kind in kinds if kind.serves(plan)), None)
        if kind is None:
            return None
        for known in self._kept:
            if isinstance(known, kind) and known.fits(plan):
                return known
        made = kind(plan)
        self._kept = [*self._kept[1 - _KEPT :], made]
        return made
