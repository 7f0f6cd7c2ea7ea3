"""Opens what the options name: a model, images to measure on, images to calibrate with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from spikewright.calibration import InputMeans
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.options import (
    DEFAULT_THRESHOLD,
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    Split,
)
from spikewright.cli.parse import arguments_of, channels_of, method_of, precision_of, threshold_of
from spikewright.data import ImageData, calibration_subset, loader, open_dataset
from spikewright.data.events import EventData, EventImages, frame_batches
from spikewright.data.image_data import dataset_length
from spikewright.methods import MINERROR, Method
from spikewright.models import load_model
from spikewright.models.resolve import trained_folder
from spikewright.network import SpikingNetwork
from spikewright.neurons import Neuron
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
    """

    model: nn.Module
    data: ImageData
    calibration: tuple[Tensor, ...]
    batch_size: int

    def convert(
        self, neuron: Neuron, steps: tuple[int, ...], options: ConversionOptions
    ) -> SpikingNetwork:
        """Convert the model as the options say; every T named is a design point."""
        method = method_for(options)
        precision = precision_of(options.precision)
        network = method.convert(self.model, self.calibration, steps, neuron, options.seed)
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
    place = _device(device)
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
    with opening():
        images = open_dataset(data.data, mean=mean, std=std, size=size_for(model, data))
        available = dataset_length(images.train)
        count = data.calibration_samples or min(CALIBRATION_SAMPLES, available)
        if count > available:
            raise WrongUsage(
                f"--calibration-samples {count}: the training split of '{images.name}' holds "
                f"{available} images"
            )
        chosen = calibration_subset(images.train, count, conversion.seed)
    network = open_model(model, conversion.device)
    place = torch.device(conversion.device)
    batches = tuple(batch.to(place) for batch, _ in loader(chosen, data.batch_size))
    _check_fit(network, batches[0], images)
    return Source(network, images, batches, data.batch_size)


def open_measurement(
    source: Source, options: MeasurementOptions, seed: int
) -> DataLoader[tuple[Tensor, int]]:
    """Batches of the images that accuracies are measured on.

    Raises:
        WrongUsage: when `--limit` asks for more images than there are.
    """
    images = _measured(source.data, source.data.name, options, seed)
    return loader(images, source.batch_size)


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


def _check_fit(model: nn.Module, batch: Tensor, data: ImageData) -> None:
    """One class a logit: labels must mean the same to model and data."""
    try:
        with torch.no_grad():
            logits = model(batch[:2])
    except Exception as error:  # whatever the user's model raises on these images
        raise WrongUsage(
            f"the model does not take the images of '{data.name}', {tuple(batch.shape[1:])} each: "
            f"{type(error).__name__}: {error}; --size sets their side"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        return  # convert() says what is wrong with it
    if logits.shape[1] != len(data.classes):
        raise WrongUsage(
            f"the model has {logits.shape[1]} outputs and '{data.name}' {len(data.classes)} "
            "classes, so its labels would mean something else; give the model that was trained on "
            "this data (--model-argument num_classes=... where its factory takes it)"
        )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WrongUsage(f"--device {name}: cannot be used here ({first})") from error
    return device
