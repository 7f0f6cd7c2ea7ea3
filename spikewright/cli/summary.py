"""A converted network as plain values: what `convert --json` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spikewright.network import SpikingNetwork


def as_document(network: SpikingNetwork, points: Sequence[int]) -> dict[str, Any]:
    """Sites, and for every T its latency and the span of every site's thresholds."""
    sites = [
        {
            "site": op.site.name,
            "neuron": network.neurons[op.site.name].label,
            "neurons": math.prod(op.shape),
        }
        for op in network.graph.neurons
        if op.site is not None
    ]
    return {"sites": sites, "designs": [_design(network, steps) for steps in points]}


def _design(network: SpikingNetwork, steps: int) -> dict[str, Any]:
    design = network.design(steps)
    return {
        "steps": steps,
        "latency": network.latency(steps),
        "bias_correction": bool(design.corrections),
        "thresholds": {
            site: {
                "channels": len(theta),
                "low": float(theta.min()),
                "median": float(theta.quantile(0.5)),
                "high": float(theta.max()),
            }
            for site, theta in design.thresholds.items()
        },
    }
