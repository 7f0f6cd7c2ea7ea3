"""A look inside the networks of a sweep, for its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from spikewright.data import calibration_subset
from spikewright.data.image_data import dataset_length
from spikewright.measure import Sweep
from spikewright.measure.memory import Portions
from spikewright.measure.placement import device_of
from spikewright.network import SpikingNetwork
from spikewright.network.frames import batch_dimension
from spikewright.report import Study, observe_errors, observe_raster, observe_thresholds

RASTER_STEPS = 8
"""The T nearest to it, from below, is shown where one T must do: a raster can still be read."""
LONGEST_RASTER = 128
"""Steps; a raster of more takes long to record, and no one can read it."""
ERROR_SAMPLES = 64
"""Images of the measured split on which the errors of layers are taken apart."""

Loader = DataLoader[tuple[Tensor, int]]


def inside_study(
    title: str,
    swept: Sweep,
    networks: Mapping[str, SpikingNetwork],
    data: Loader | Callable[[int], Loader],
    classes: Sequence[str],
    seed: int,
) -> Study:
    """A sweep with a look inside: the raster of one image, the thresholds of one network.

    Args:
        title: what was converted.
        swept: the sweep.
        networks: that were swept, by name.
        data: that they were swept on, batches or a function of T that gives them; as many images
            as a batch holds are looked at.
        classes: class names by number.
        seed: of stochastic neurons, and of the images that are looked at.
    """
    name, network = list(networks.items())[-1]
    steps = shown_steps(swept.steps)
    images, labels = drawn_batch(loader_at(data, steps), seed)
    images = images.to(device_of(network))
    samples_along = batch_dimension(network.graph, images)

    def some(number: int) -> Tensor:
        return images.narrow(samples_along, 0, number)

    raster = None
    if steps <= LONGEST_RASTER:
        label = classes[int(labels[0])]
        image = images.select(samples_along, 0)
        raster = observe_raster(contrasting(networks), image, label, classes, steps, seed)
    thresholds = Portions().fitting(
        len(labels), lambda n: observe_thresholds(name, network, some(n), steps, seed)
    )
    samples, errors = Portions().fitting(
        min(ERROR_SAMPLES, len(labels)),
        lambda n: (n, observe_errors(networks, some(n), steps, seed)),
    )
    return Study(
        title,
        swept,
        raster=raster,
        thresholds=thresholds,
        errors=errors,
        error_samples=samples,
    )


def loader_at(data: Loader | Callable[[int], Loader], steps: int) -> Loader:
    """The batches to show at T; of recordings those of T frames."""
    return data if isinstance(data, DataLoader) else data(steps)


def drawn_batch(batches: Loader, seed: int) -> tuple[Tensor, Tensor]:
    """A batch of images drawn by the seed: data sets may stand class by class."""
    images = batches.dataset
    mixed = DataLoader(
        calibration_subset(images, dataset_length(images), seed),
        batch_size=batches.batch_size,
        collate_fn=batches.collate_fn,
        generator=torch.Generator(),  # else it draws from torch's global generator
    )
    return next((shown, labels) for shown, labels in mixed if len(labels))


def shown_steps(steps: Sequence[int]) -> int:
    """The T of rasters and threshold tables."""
    return max((t for t in steps if t <= RASTER_STEPS), default=min(steps))


def contrasting(networks: Mapping[str, SpikingNetwork]) -> dict[str, SpikingNetwork]:
    """The first network that sends at once and the last that waits; one when all are alike."""
    at_once = [name for name, network in networks.items() if network.layers_that_wait == 0]
    waiting = [name for name, network in networks.items() if network.layers_that_wait > 0]
    return {name: networks[name] for name in (*at_once[:1], *waiting[-1:])}
