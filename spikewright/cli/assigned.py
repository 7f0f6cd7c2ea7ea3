"""What a conversion chose by its calibration images, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from spikewright.measure import CodeAssignment, FewestSteps, StepAssignment
from spikewright.measure.tables import aligned
from spikewright.network import SpikingNetwork
from spikewright.network.summary import alike


def fewest_told(found: FewestSteps) -> str:
    """The smallest T, and how many answers are the ANN's at it."""
    low, high = (f"{100 * end:.1f}" for end in found.interval)
    return (
        f"'{found.neuron.label}' at T = {found.steps} classifies {100 * found.agreement:.1f} % "
        f"({low} to {high}) of {found.samples} images held out as the ANN does"
    )


def front_table(front: Sequence[CodeAssignment]) -> str:
    """A row for each network, from the fastest to the cheapest, which is the last one."""
    names = list(dict.fromkeys(name for one in front for name in one.codes.values()))
    rows = [["latency", "spikes", "nJ", *(f"layers of {name}" for name in names)]]
    for one in front:
        layers = Counter(one.codes.values())
        operations = one.operations
        figures = [f"{operations.total.spikes:,.0f}", f"{operations.energy.snn_nj:,.1f}"]
        rows.append([f"{operations.latency}", *figures, *(f"{layers[name]}" for name in names)])
    told = "codes of the same answers, for the mean calibration image; the last network is this one"
    return "\n".join([told, *aligned(rows)])


def front_document(front: Sequence[CodeAssignment]) -> list[dict[str, Any]]:
    """The same, with the code of every site."""
    return [
        {
            "latency": one.operations.latency,
            "spikes": one.operations.total.spikes,
            "snn_nj": one.operations.energy.snn_nj,
            "codes": dict(one.codes),
        }
        for one in front
    ]


def windows_table(windows: Sequence[StepAssignment], network: SpikingNetwork) -> str:
    """A row for windows that are all alike, then one for each layer that has a longer one.

    Args:
        windows: the last ones are the network's.
        network: at its T.
    """
    names = {
        ops[0].site.group_name: name
        for name, ops in alike(network.graph.neurons).items()
        if ops[0].site is not None
    }
    rows = [["longer window", "relative error", "latency"]]
    for before, one in pairwise([windows[0], *windows]):
        layers = ", ".join(names[layer] for layer in one.longer if layer not in before.longer)
        rows.append([f"+ {layers}" if layers else "none", f"{one.error:.3g}", f"{one.latency}"])
    held_out = f"{windows[0].samples} calibration images held out"
    told = f"errors before any correction, on {held_out}; the last row is this network"
    return "\n".join([_lengths(windows[-1], network.steps), told, *aligned(rows)])


def _lengths(one: StepAssignment, steps: int) -> str:
    if not one.longer:
        return f"all layers keep T = {steps}: a longer window helps at none that was tried"
    longer = max(neuron.window(steps) for neuron in one.neurons.values())
    return f"T = {longer} in place of {steps} at the layers whose rounding costs most"


def windows_document(windows: Sequence[StepAssignment]) -> list[dict[str, Any]]:
    """The same, with the layers whose window is longer."""
    return [
        {
            "longer": list(one.longer),
            "relative_error": one.error,
            "samples": one.samples,
            "latency": one.latency,
        }
        for one in windows
    ]
