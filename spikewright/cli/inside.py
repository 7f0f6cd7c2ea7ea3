"""A look inside the networks of a sweep, for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.utils.data import DataLoader

from spikewright.analysis import Sweep
from spikewright.analysis.memory import Portions
from spikewright.analysis.placement import device_of
from spikewright.network import SpikingNetwork
from spikewright.report import Study, observe_errors, observe_raster, observe_thresholds

RASTER_STEPS = 8
"""The T nearest to it, from below, is shown where one T must do: a raster can still be read."""
LONGEST_RASTER = 128
"""Steps; a raster of more takes long to record, and no one can read it."""
ERROR_SAMPLES = 64
"""Images of the measured split on which the errors of layers are taken apart."""


def inside_study(
    title: str,
    found: Sweep,
    networks: Mapping[str, SpikingNetwork],
    data: DataLoader[tuple[Tensor, int]],
    classes: Sequence[str],
    seed: int,
) -> Study:
    """A sweep with a look inside: the raster of one image, the thresholds of one network.

    Args:
        title: what was converted.
        found: the sweep.
        networks: that were swept, by name.
        data: that they were swept on; the first batch is looked at.
        classes: class names by number.
        seed: of stochastic neurons.
    """
    name, network = list(networks.items())[-1]
    images, labels = next(batch for batch in data if len(batch[1]))
    images = images.to(device_of(network))
    steps = shown_steps(found.steps)
    raster = None
    if steps <= LONGEST_RASTER:
        label = classes[int(labels[0])]
        raster = observe_raster(contrasting(networks), images[0], label, classes, steps, seed)
    thresholds = Portions().fitting(
        len(images), lambda n: observe_thresholds(name, network, images[:n], steps, seed)
    )
    samples, errors = Portions().fitting(
        min(ERROR_SAMPLES, len(images)),
        lambda n: (n, observe_errors(networks, images[:n], steps, seed)),
    )
    return Study(
        title,
        found,
        raster=raster,
        thresholds=thresholds,
        errors=errors,
        error_samples=samples,
    )


def shown_steps(steps: Sequence[int]) -> int:
    """The T of rasters and threshold tables."""
    return max((t for t in steps if t <= RASTER_STEPS), default=min(steps))


def contrasting(networks: Mapping[str, SpikingNetwork]) -> dict[str, SpikingNetwork]:
    """The first network that sends at once and the last that waits; one when all are alike."""
    at_once = [name for name, network in networks.items() if network.layers_that_wait == 0]
    waiting = [name for name, network in networks.items() if network.layers_that_wait > 0]
    return {name: networks[name] for name in (*at_once[:1], *waiting[-1:])}
