"""Units in front of products."""

from __future__ import annotations

from spikewright.graph.ir import Kind
from spikewright.graph.primitives import RELAY
from spikewright.graph.rule import Rule, register


class Relay(Rule):
    """The current itself, as signed spikes; see `graph.relays`."""

    targets = (RELAY,)
    kind = Kind.UNIT


register(Relay())
