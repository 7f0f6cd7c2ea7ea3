"""The model that the options name, and the images that its thresholds come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from spikewright.cli.failures import WrongUsage
from spikewright.cli.fit import check_fit
from spikewright.cli.images import OpenData, Preparation, open_data
from spikewright.cli.options import (
    DEFAULT_CORRECTION,
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    Split,
)
from spikewright.cli.parse import (
    arguments_of,
    correction_of,
    in_double,
    method_of,
    precision_of,
    threshold_of,
)
from spikewright.convert import Prepared, prepare
from spikewright.data import Resize, calibration_subset, loader
from spikewright.data.image_data import dataset_length
from spikewright.errors import DataError
from spikewright.fingerprint import fingerprint
from spikewright.graph.elementary import Units
from spikewright.graph.model_checks import require_numbers
from spikewright.methods import AUTO, Method
from spikewright.models.published import preset_of
from spikewright.network import SpikingNetwork
from spikewright.neurons import Neuron
from spikewright.processes import ALONE, Processes
from spikewright.runs import load_model
from spikewright.runs.card import read_card
from spikewright.runs.names import trained_folder
from spikewright.training.never_seen import NeverSeen

CALIBRATION_SAMPLES = 512


@dataclass(frozen=True)
class Source:
    """A model, its data, and the images its thresholds come from.

    Attributes:
        model: in eval mode, on its device.
        data: what it is measured on.
        calibration: batches `[B, C, H, W]` of the training split, on the model's device.
        processes: who shares the calibration.
        units: what one unit may be a function of.
    """

    model: nn.Module
    data: OpenData
    calibration: tuple[Tensor, ...]
    processes: Processes = ALONE
    units: Units = Units.GROUP

    @cached_property
    def prepared(self) -> Prepared:
        """The model captured and calibrated, once for all networks of a command."""
        return prepare(self.model, self.calibration, processes=self.processes, units=self.units)

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the model's tensors, and of the calibration images."""
        state = {k: v for k, v in self.model.state_dict().items() if isinstance(v, Tensor)}
        batches = {f"{number:06}": batch for number, batch in enumerate(self.calibration)}
        return {"model": fingerprint(state), "calibration": fingerprint(batches)}

    def convert(
        self,
        neuron: Neuron | Mapping[str, Neuron],
        steps: tuple[int, ...],
        options: ConversionOptions,
    ) -> SpikingNetwork:
        """Convert the model as the options say; every T named is a design point."""
        method = method_for(options)
        precision, seed = precision_of(options.precision), options.seed
        settings = (self.prepared, None, steps, neuron, seed)
        return method.convert(*settings, precision=precision)


def open_source(
    model: ModelOptions,
    data: DataOptions,
    conversion: ConversionOptions,
    processes: Processes = ALONE,
    *,
    classes: bool = True,
    split: Split = Split.TEST,
) -> Source:
    """The model and its calibration images, the model checked against the data.

    With `classes` it must have one output a class. A validation `split` to measure on is of images
    that the weights never saw, where they tell which those are.

    Raises:
        WrongUsage: when something named does not exist or does not fit.
        DataError: when a picture cannot be read.
    """
    method_for(conversion)  # refuse a bad rule and a bad precision before anything slow
    precision_of(conversion.precision)
    never_seen = NeverSeen.by(model.model) if split is Split.VALIDATION else None
    dtype = torch.float64 if in_double(conversion.precision) else torch.float32
    opened = open_data(data, preparation_of(model), dtype=dtype, never_seen=never_seen)
    images = opened.images
    available = dataset_length(images.train)
    count = conversion.calibration_samples or min(CALIBRATION_SAMPLES, available)
    if count > available:
        raise WrongUsage(
            f"--calibration-samples {count}: the training split of '{images.name}' holds "
            f"{available} images"
        )
    chosen = opened.typed(calibration_subset(images.train, count, conversion.seed))
    network = open_model(model, conversion.device)
    network = network.double() if dtype is torch.float64 else network
    place = torch.device(conversion.device)
    batches = tuple(b.to(place) for b, _ in loader(chosen, data.batch_size) if len(b))
    if not batches:
        raise DataError(f"none of the {count} pictures drawn for calibration can be read")
    check_fit(network, batches[0], images, classes=classes)
    return Source(network, opened, batches, processes, conversion.units)


def open_model(options: ModelOptions, device: str = "cpu") -> nn.Module:
    """The model, in eval mode, on the device.

    Raises:
        WrongUsage: for a device that is not there.
        ModelError: see `load_model`.
        ConversionError: for weights without numbers, which no device takes.
    """
    place = usable_device(device)
    arguments = arguments_of(options.model_argument)
    network = load_model(options.model, options.weights, **arguments)
    require_numbers(network)
    return network.to(place)


def usable_device(name: str) -> torch.device:
    """A device by its name.

    Raises:
        WrongUsage: when there is none of that name, or it cannot be used here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WrongUsage(f"--device {name}: cannot be used here ({first})") from error
    return device


def method_for(options: ConversionOptions) -> Method:
    """The method that the options name; without --method, one made of the single options.

    Raises:
        WrongUsage: for an unknown name or rule, or an option that a method settles itself.
    """
    if options.method is None:
        threshold = None if options.threshold is None else threshold_of(options.threshold)
        correction = correction_of(options.correction or DEFAULT_CORRECTION)
        return replace(AUTO, threshold=threshold, correction=correction)
    settled = {
        "--threshold": options.threshold is not None,
        "--correction": options.correction is not None,
    }
    for option in (name for name, used in settled.items() if used):
        raise WrongUsage(
            f"--method {options.method} settles thresholds and correction itself: leave {option} "
            "out, or leave --method out and name the parts (--neuron, --threshold, ...)"
        )
    return method_of(options.method)


def subject_of(
    model: ModelOptions, conversion: ConversionOptions, measurement: MeasurementOptions, data: str
) -> str:
    """What was converted and measured on which data, in a sentence."""
    weights = f" with {model.weights.name}" if model.weights else ""
    rule = conversion.threshold or "the default"
    how = f"with thresholds by {rule} and correction {conversion.correction or DEFAULT_CORRECTION}"
    if conversion.method is not None:
        method = method_for(conversion)
        how = f"by the method {method.name} ({method.paper})"
    split = measurement.split
    return f"{model.model}{weights}, converted {how} and measured on the {split} split of {data}."


def preparation_of(model: ModelOptions) -> Preparation:
    """How a trained or published network is given its images; of others nothing is known."""
    folder = trained_folder(model.model)
    if folder is None:
        preset = preset_of(model.model)
        if preset is None:
            return Preparation()
        resize = Resize(preset.resize, preset.interpolation)
        return Preparation(preset.mean, preset.std, preset.size, resize)
    card = read_card(folder)
    return Preparation(card.data.mean, card.data.std, card.recipe.data.size)
