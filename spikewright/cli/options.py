"""The options that several commands have, in groups; each is described once, here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.parse import METHOD_HELP, NEURON_HELP, steps_of
from spikewright.graph.elementary import Units

MAXIMUM_SEED = 2**32 - 1
MAXIMUM_SEEDS = 10_000
MAXIMUM_BATCH = 2**20
"""The largest number of images in a batch."""
MAXIMUM_SIZE = 4096
"""The largest side of a picture, in pixels."""
DEFAULT_CORRECTION = "auto"
"""What makes up for errors where neither --correction nor --method says it."""


class Split(StrEnum):
    """The images that accuracies are measured on."""

    TEST = "test"
    VALIDATION = "validation"


Seed = Annotated[int, typer.Option(min=0, max=MAXIMUM_SEED)]
Steps = Annotated[tuple[int, ...], typer.Option(parser=steps_of, metavar="T,T,...")]
NeuronNames = Annotated[str, typer.Option(metavar="NAME,NAME,...", help=NEURON_HELP)]
SavedNetwork = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A network saved by 'spikewright convert --output' or SpikingNetwork.save.",
    ),
]


@dataclass(frozen=True)
class ModelOptions:
    """The choice of a network.

    Attributes:
        model: The trained network: torchvision:NAME, torchvision:NAME@WEIGHTS (its published
            weights, such as @DEFAULT, are downloaded once), timm:NAME, hf:PATH_OR_NAME (a folder, a
            file of a configuration, a model type or a class of transformers),
            ultralytics:FILE.yaml, run:DIR (a run of spikewright train), zoo:NAME (a network of
            spikewright zoo), package.module:factory, or a .pt2 file (an exported program).
            Importing a module, reading a .pt2 file and reading a yaml file of ultralytics can run
            code: name those that you trust.
        weights: The weights, a safetensors file. Default: those that the model is made with;
            torchvision:NAME and timm:NAME are made with random ones.
        model_argument: An argument of the model's factory, such as num_classes=10; the option may
            be repeated.
    """

    model: Annotated[str, typer.Argument(metavar="MODEL")]
    weights: Annotated[Path | None, typer.Option(metavar="FILE")] = None
    model_argument: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE")] = None


@dataclass(frozen=True)
class DataOptions:
    """The choice of images.

    Attributes:
        data: The images: digits, cifar10:DIR, cifar100:DIR, imagefolder:DIR or cifar10dvs:DIR.
        mean: The mean of every channel, which is subtracted from pixels in 0 .. 1. Default: what
            the network was trained with where that is known (run:DIR, zoo:NAME,
            torchvision:NAME@WEIGHTS and saved networks), else 0.
        std: The standard deviation of every channel, which divides what is left; it goes with
            --mean.
        size: The side of the square that pictures are resized and cropped to, as torchvision's
            presets do it. Default: that which the network was trained with where that is known,
            as for --mean; else pictures stay as they are.
        batch_size: The number of images in a batch.
        strict: Pictures that cannot be read are refused. Default: they are left out and listed.
    """

    data: Annotated[str, typer.Option(metavar="SPEC")]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: Annotated[int | None, typer.Option(min=1, max=MAXIMUM_SIZE, metavar="PIXELS")] = None
    batch_size: Annotated[int, typer.Option(min=1, max=MAXIMUM_BATCH)] = 250
    strict: bool = False


@dataclass(frozen=True)
class MeasurementOptions:
    """How it is measured.

    Attributes:
        split: The split that accuracies are measured on. The validation split of a network trained
            by 'spikewright train' is what its run held out.
        limit: The number of images to measure on, drawn at random by --seed. Default: the whole
            split.
        seeds: The number of runs of every stochastic network, each with a seed of its own.
        share: The part R of N, counted from 0, that this job measures of the cells that N jobs
            share in the folder of --output, on a cluster for example; the job that ends last
            writes the results.
    """

    split: Split = Split.TEST
    limit: Annotated[int | None, typer.Option(min=1, metavar="N")] = None
    seeds: Annotated[int, typer.Option(min=1, max=MAXIMUM_SEEDS)] = 3
    share: Annotated[str | None, typer.Option(metavar="R/N")] = None

    def seeds_from(self, first: int) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(range(first, first + self.seeds))


@dataclass(frozen=True)
class ConversionOptions:
    """How it is converted.

    Attributes:
        method: A method as a whole, one of `methods.METHODS`.
        threshold: The rule that sets the thresholds: minerror, localbalance, maximum or
            percentile:Q (such as percentile:99.9), each with :layer or :channel at the end if you
            like; or learned (QCFS), or learned:minerror where not every activation is QCFS.
            Default: what serves images held out best, where --correction is auto; else
            learned:minerror.
        correction: What makes up for errors, for every T named: bias for the mean input of every
            channel put back where the ANN had it; refit for weights fitted to the spikes that they
            receive; none; or auto for that of the three that serves images held out best. Default:
            auto, or what --method calibrates.
        calibration_samples: The number of images of the training split that set the thresholds.
            Default: 512, or all if there are fewer.
        units: The charges that one unit may read: group for softmax and norms as one unit each,
            elementary for units of one charge each, of which softmax and norms are then built.
        seed: The seed of everything random: calibration images, --limit, spikes.
        precision: The format of numbers: float32; bf16 for weights that meet spikes in bfloat16,
            which is faster and a little less accurate; int8 for weights that meet spikes in 8
            bits, one unit an output channel; float64 for model and images too, which is slow, but
            no rounding moves a spike.
        device: The device: cpu, cuda, cuda:1, mps, ...
    """

    method: Annotated[str | None, typer.Option(metavar="NAME", help=METHOD_HELP)] = None
    threshold: Annotated[str | None, typer.Option(metavar="RULE")] = None
    correction: Annotated[str | None, typer.Option(metavar="NAME")] = None
    calibration_samples: Annotated[int | None, typer.Option(min=1)] = None
    units: Units = Units.GROUP
    seed: Seed = 0
    precision: Annotated[str, typer.Option(metavar="FORMAT")] = "float32"
    device: str = "cpu"


@dataclass(frozen=True)
class OutputOptions:
    """The place of results.

    Attributes:
        output: The folder that the results are written to as well; a file of the same name is
            replaced as a whole.
        json: One JSON document is printed on stdout, and nothing else.
    """

    output: Annotated[Path | None, typer.Option(metavar="DIR")] = None
    json: bool = False
