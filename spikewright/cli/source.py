"""Opens what the options name: a model, images to measure on, images to calibrate with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from spikewright.calibration import InputMeans
from spikewright.cli.device import usable_device
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.fit import check_fit
from spikewright.cli.options import (
    DEFAULT_THRESHOLD,
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    Split,
)
from spikewright.cli.parse import (
    arguments_of,
    channels_of,
    in_double,
    method_of,
    precision_of,
    threshold_of,
)
from spikewright.cli.skipped import SkippedPictures
from spikewright.data import ImageData, calibration_subset, loader, open_dataset
from spikewright.data.double import InDouble
from spikewright.data.events import EventData, EventImages, frame_batches
from spikewright.data.image_data import dataset_length
from spikewright.errors import DataError
from spikewright.fingerprint import fingerprint
from spikewright.methods import MINERROR, Method
from spikewright.models import load_model
from spikewright.models.resolve import trained_folder
from spikewright.network import SpikingNetwork
from spikewright.neurons import Neuron
from spikewright.processes import ALONE, Processes
from spikewright.training.trained import read_card

CALIBRATION_SAMPLES = 512
LIMIT_SEED_OFFSET = 1
"""Keeps the draw of `--limit` apart from that of the calibration images."""


@dataclass(frozen=True)
class Source:
    """A model, and the images its thresholds come from.

    Attributes:
        model: in eval mode, on its device.
        data: all splits.
        calibration: batches `[B, C, H, W]` of the training split, on the model's device.
        batch_size: images a batch.
        skipped: pictures that were left out.
        double: whether the model is in float64, and so takes images.
    """

    model: nn.Module
    data: ImageData
    calibration: tuple[Tensor, ...]
    batch_size: int
    skipped: SkippedPictures
    double: bool = False

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the model's tensors, and of the calibration images."""
        state = {k: v for k, v in self.model.state_dict().items() if isinstance(v, Tensor)}
        batches = {f"{number:06}": batch for number, batch in enumerate(self.calibration)}
        return {"model": fingerprint(state), "calibration": fingerprint(batches)}

    def convert(
        self,
        neuron: Neuron,
        steps: tuple[int, ...],
        options: ConversionOptions,
        processes: Processes = ALONE,
    ) -> SpikingNetwork:
        """Convert the model as the options say; every T named is a design point."""
        method = method_for(options)
        precision = precision_of(options.precision)
        network = method.convert(
            self.model, self.calibration, steps, neuron, options.seed, processes
        )
        return network.with_precision(precision)


def method_for(options: ConversionOptions) -> Method:
    """The method that the options name; without --method, one made of the single options.

    Raises:
        WrongUsage: for an unknown name or rule, or an option that a method settles itself.
    """
    if options.method is None:
        threshold = threshold_of(options.threshold or DEFAULT_THRESHOLD)
        correction = None if options.bias_correction is False else InputMeans()
        return replace(MINERROR, threshold=threshold, correction=correction)
    given = {
        "--threshold": options.threshold is not None,
        "--bias-correction": options.bias_correction is True,
        "--no-bias-correction": options.bias_correction is False,
    }
    for option in (name for name, used in given.items() if used):
        raise WrongUsage(
            f"--method {options.method} settles thresholds and correction itself: leave {option} "
            "out, or leave --method out and name the parts (--neuron, --threshold, ...)"
        )
    return method_of(options.method)


def open_model(options: ModelOptions, device: str = "cpu") -> nn.Module:
    """The model, in eval mode, on the device.

    Raises:
        WrongUsage: for a device that is not there.
        ModelError: see `load_model`.
    """
    place = usable_device(device)
    arguments = arguments_of(options.model_argument)
    return load_model(options.model, options.weights, **arguments).to(place)


def normalisation_for(
    model: ModelOptions, data: DataOptions
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """The mean and standard deviation to normalise by: those given, or a trained network's own."""
    mean, std = channels_of(data.mean, "--mean"), channels_of(data.std, "--std")
    folder = trained_folder(model.model)
    if folder is not None and mean is None and std is None:
        trained = read_card(folder)["data"]
        return tuple(trained["mean"]), tuple(trained["std"])
    return mean, std


def size_for(model: ModelOptions, data: DataOptions) -> int | None:
    """The side of images: the one given, or what a trained network was trained on."""
    folder = trained_folder(model.model)
    if data.size is not None or folder is None:
        return data.size
    return read_card(folder)["recipe"]["data"].get("size")  # older cards know none


def open_source(model: ModelOptions, data: DataOptions, conversion: ConversionOptions) -> Source:
    """The model and its calibration images, the model checked against the data.

    Raises:
        WrongUsage: when something named does not exist or does not fit.
        DataError: when a picture cannot be read.
    """
    method_for(conversion)  # refuse a bad rule before anything slow
    mean, std = normalisation_for(model, data)
    skipped = SkippedPictures()
    with opening():
        images = open_dataset(
            data.data,
            mean=mean,
            std=std,
            size=size_for(model, data),
            on_damaged=None if data.strict else skipped,
        )
        available = dataset_length(images.train)
        count = data.calibration_samples or min(CALIBRATION_SAMPLES, available)
        if count > available:
            raise WrongUsage(
                f"--calibration-samples {count}: the training split of '{images.name}' holds "
                f"{available} images"
            )
        chosen = calibration_subset(images.train, count, conversion.seed)
    network = open_model(model, conversion.device)
    double = in_double(conversion.precision)
    if double:
        network, chosen = network.double(), InDouble(chosen)
    place = torch.device(conversion.device)
    batches = tuple(b.to(place) for b, _ in loader(chosen, data.batch_size) if len(b))
    if not batches:
        raise DataError(f"none of the {count} pictures drawn for calibration can be read")
    check_fit(network, batches[0], images)
    return Source(network, images, batches, data.batch_size, skipped, double)


def open_measurement(
    source: Source, options: MeasurementOptions, seed: int
) -> DataLoader[tuple[Tensor, int]]:
    """Batches of the images that accuracies are measured on.

    Raises:
        WrongUsage: when `--limit` asks for more images than there are.
    """
    images = _measured(source.data, source.data.name, options, seed)
    return loader(InDouble(images) if source.double else images, source.batch_size)


def open_frames(
    source: Source, options: MeasurementOptions, seed: int
) -> Callable[[int], DataLoader[tuple[Tensor, int]]]:
    """The same recordings by T, as batches of T frames.

    Raises:
        WrongUsage: when the data are no event recordings.
    """
    data = source.data
    if not isinstance(data, EventImages):
        raise WrongUsage(
            f"--frames shows event recordings frame by frame; '{data.name}' holds still images: "
            "leave it out"
        )

    def at(steps: int) -> DataLoader[tuple[Tensor, int]]:
        recordings = _measured(data.in_frames(steps), data.name, options, seed)
        if source.double:
            recordings = InDouble(recordings)
        return frame_batches(recordings, source.batch_size)

    return at


def _measured(
    data: ImageData | EventData, name: str, options: MeasurementOptions, seed: int
) -> Dataset[tuple[Tensor, int]]:
    """What `--split` and `--limit` choose."""
    images = {Split.TEST: data.test, Split.VALIDATION: data.validation}[options.split]
    available = dataset_length(images)
    if options.limit is None:
        return images
    if options.limit > available:
        raise WrongUsage(
            f"--limit {options.limit}: the {options.split} split of '{name}' holds "
            f"{available} images"
        )
    return calibration_subset(images, options.limit, seed + LIMIT_SEED_OFFSET)
