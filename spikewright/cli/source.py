"""Opens what the options name: a model, images to measure on, images to calibrate with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spikewright.calibration.thresholds import Threshold
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    Split,
)
from spikewright.cli.parse import arguments_of, channels_of, threshold_of
from spikewright.convert import convert
from spikewright.data import ImageData, ImageDataset, calibration_subset, loader, open_dataset
from spikewright.data.image_data import dataset_length
from spikewright.models import load_model
from spikewright.network import SpikingNetwork
from spikewright.neurons import Neuron

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
        return convert(
            self.model,
            self.calibration,
            neuron=neuron,
            threshold=threshold_for(options),
            steps=steps,
            bias_correction=options.bias_correction,
            seed=options.seed,
        )


def threshold_for(options: ConversionOptions) -> Threshold:
    """The strategy that the options name."""
    return threshold_of(options.threshold)


def open_model(options: ModelOptions, device: str = "cpu") -> nn.Module:
    """The model, in eval mode, on the device.

    Raises:
        WrongUsage: for a device that is not there.
        ModelError: see `load_model`.
    """
    place = _device(device)
    arguments = arguments_of(options.model_argument)
    return load_model(options.model, options.weights, **arguments).to(place)


def open_source(model: ModelOptions, data: DataOptions, conversion: ConversionOptions) -> Source:
    """The model and its calibration images, the model checked against the data.

    Raises:
        WrongUsage: when something named does not exist or does not fit.
        DataError: when a picture cannot be read.
    """
    threshold_for(conversion)  # refuse a bad rule before anything slow
    with opening():
        images = open_dataset(
            data.data,
            mean=channels_of(data.mean, "--mean"),
            std=channels_of(data.std, "--std"),
            size=data.size,
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
    splits: dict[Split, ImageDataset] = {
        Split.TEST: source.data.test,
        Split.VALIDATION: source.data.validation,
    }
    images = splits[options.split]
    available = dataset_length(images)
    if options.limit is not None:
        if options.limit > available:
            raise WrongUsage(
                f"--limit {options.limit}: the {options.split} split of '{source.data.name}' holds "
                f"{available} images"
            )
        images = calibration_subset(images, options.limit, seed + LIMIT_SEED_OFFSET)
    return loader(images, source.batch_size)


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
