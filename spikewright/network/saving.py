"""Loading a converted network; `SpikingNetwork.save` writes one."""

from __future__ import annotations

from spikewright import artefact
from spikewright.errors import ConversionError, InterchangeError
from spikewright.files import AnyPath
from spikewright.graph.precision import Precision
from spikewright.network.spiking_network import SpikingNetwork


def load(path: AnyPath) -> SpikingNetwork:
    """Load a network that `SpikingNetwork.save` wrote; nothing of the file is executed.

    Args:
        path: the file.

    Returns:
        The network, on the CPU, in the dtype and precision it was saved in: bit for bit the same
        answers at every T, designed or not (on the same kind of machine and version of torch).

    Raises:
        InterchangeError: for a file that is not there, foreign, of a newer version, cut short,
            changed, or that describes no network that runs.
    """
    parts = artefact.load(path)
    try:
        precision = Precision.named(parts.precision)
        return SpikingNetwork(
            parts.graph,
            parts.neurons,
            parts.steps,
            parts.designs,
            parts.calibration,
            precision=precision,
        )
    except ConversionError as error:
        raise InterchangeError(f"'{path}' holds no network that runs ({error})") from error
