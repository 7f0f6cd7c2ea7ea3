"""Which neurons can stand in one network, and what the time steps of their windows weigh.

Values carry their scales, so what layers send can be added in whatever code each writes its counts.
Layers that wait for their window do not mind how long it is, and in which steps what came: they
read sums. Other neurons count by when their input comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.neurons import Neuron


def step_weights(neurons: Mapping[str, Neuron], steps: int) -> Tensor:
    """What each time step of a window weighs in a network, float64 `[duration]`.

    Where all neurons share the weights of their steps, and none is below 0, it is those, and a
    spike is sent as it is. Else every step weighs 1, for as many as the longest window has, and a
    spike is sent as what it counts for; a neuron is silent after its own window.

    Args:
        neurons: by site name.
        steps: T of the network.

    Raises:
        ConversionError: for neurons that settle beside others that do not, and neurons that count
            by when their input comes beside others whose windows are longer, or weigh otherwise.
    """
    _require_settling_alike(neurons)
    windows = [neuron.step_weights(steps) for neuron in neurons.values()]
    alike = all(torch.equal(window, windows[0]) for window in windows)
    if alike and bool((windows[0] >= 0).all()):
        return windows[0]
    _require_waiting(neurons, steps)
    return windows[0].new_ones(max(map(len, windows)))


def _require_settling_alike(neurons: Mapping[str, Neuron]) -> None:
    if len({neuron.settling for neuron in neurons.values()}) > 1:
        raise ConversionError(
            "all neurons of a network must settle alike, as a layer that has sent its spikes does "
            f"not see what is taken back later; these do not: {_listed(neurons, neurons)}. Give "
            "spike tracers of one settle= at all sites, or none (with_neuron(...) without sites=)"
        )


def _require_waiting(neurons: Mapping[str, Neuron], steps: int) -> None:
    early = [s for s, neuron in neurons.items() if not (neuron.waits and neuron.has_count_law)]
    if early:
        others = [site for site in neurons if site not in early] or early
        raise ConversionError(
            f"{_listed(neurons, early)} count by the time at which spikes come, so that all that "
            "they read must come in the same steps, of one weight; here windows differ in that at "
            f"T = {steps}: {_listed(neurons, others)}. Put two-phase neurons, TwoPhase(...), which "
            "read sums alone, at all sites, or neurons of one code and one number of steps"
        )


def _listed(neurons: Mapping[str, Neuron], sites: Iterable[str]) -> str:
    """Labels, each with its sites."""
    of_label: dict[str, list[str]] = {}
    for site in sites:
        of_label.setdefault(neurons[site].label, []).append(site)
    return "; ".join(f"'{label}' at {', '.join(names)}" for label, names in of_label.items())
