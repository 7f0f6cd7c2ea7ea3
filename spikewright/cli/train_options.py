"""The options of `spikewright train`, in groups; each is one field of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.options import MAXIMUM_SEED, MAXIMUM_SIZE, OUTPUT
from spikewright.runs.kinds import ActivationKind, OptimizerKind, ScheduleKind

NETWORK = "Network"
IMAGES = "Images"
OPTIMISATION = "Optimisation"
NUMERICS = "Numerics"


@dataclass(frozen=True)
class NetworkOptions:
    """Which network: the fields of `NetworkRecipe`, and the weights to start from."""

    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="resnet20, resnet18, vgg16, digits_cnn or events_cnn (of event recordings).",
            rich_help_panel=NETWORK,
        ),
    ] = "resnet20"
    activation: Annotated[
        ActivationKind, typer.Option(help="Of every site.", rich_help_panel=NETWORK)
    ] = ActivationKind.QCFS
    levels: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="L",
            help="Of QCFS; needed for it.",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = None
    shift_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="T",
            help="Train a clipped ReLU shifted by threshold / 2T (Deng & Gu).",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = None
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="LAMBDA",
            help="That QCFS and clipped ReLU start to learn from. Default: 8.",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = None
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Trained weights in place of random ones: run:DIR, zoo:NAME or a safetensors "
            "file; of ReLU too, and of other levels.",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class ImageOptions:
    """Which images; the fields of `DataRecipe`."""

    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="cifar10:DIR, cifar100:DIR, imagefolder:DIR, cifar10dvs:DIR or digits; needed "
            "unless --resume.",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="M,M,M",
            help="Subtracted from pixels in 0 .. 1. Default: the data set's own, for CIFAR.",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,S",
            help="Divides what is left; goes with --mean.",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAXIMUM_SIZE,
            metavar="PIXELS",
            help="Resize and centre-crop to this square; of event recordings, a divisor of 128.",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = None
    validation: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Training images of CIFAR held out to choose the best epoch on, the same share "
            "of every class. Default: a tenth, 5,000.",
            rich_help_panel=IMAGES,
            show_default=False,
        ),
    ] = None
    augment: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME,...",
            help="Some of crop, flip, cutout, autoaugment; or none.",
            rich_help_panel=IMAGES,
        ),
    ] = "crop,flip"


@dataclass(frozen=True)
class OptimisationOptions:
    """How the weights are found; the fields of `OptimisationRecipe`."""

    epochs: Annotated[int, typer.Option(min=1, rich_help_panel=OPTIMISATION)] = 120
    batch_size: Annotated[
        int,
        typer.Option(
            min=2, help="Images a step, over all processes.", rich_help_panel=OPTIMISATION
        ),
    ] = 128
    optimizer: Annotated[
        OptimizerKind,
        typer.Option(help="SGD has Nesterov momentum.", rich_help_panel=OPTIMISATION),
    ] = OptimizerKind.SGD
    learning_rate: Annotated[
        float, typer.Option(help="The peak.", rich_help_panel=OPTIMISATION)
    ] = 0.1
    momentum: Annotated[
        float | None,
        typer.Option(
            help="Of SGD. Default: 0.9.", rich_help_panel=OPTIMISATION, show_default=False
        ),
    ] = None
    weight_decay: Annotated[float, typer.Option(rich_help_panel=OPTIMISATION)] = 5e-4
    decay_thresholds: Annotated[
        bool,
        typer.Option(
            "--decay-thresholds",
            help="Let weight decay pull learned thresholds down as well.",
            rich_help_panel=OPTIMISATION,
        ),
    ] = False
    schedule: Annotated[
        ScheduleKind, typer.Option(help="Of the learning rate.", rich_help_panel=OPTIMISATION)
    ] = ScheduleKind.COSINE
    warmup_epochs: Annotated[
        float,
        typer.Option(
            help="Over which the learning rate first rises from 0.", rich_help_panel=OPTIMISATION
        ),
    ] = 0.0
    label_smoothing: Annotated[float, typer.Option(rich_help_panel=OPTIMISATION)] = 0.0
    ema: Annotated[
        float | None,
        typer.Option(
            metavar="DECAY",
            help="Validate and keep a moving average of the weights, e.g. 0.999.",
            rich_help_panel=OPTIMISATION,
            show_default=False,
        ),
    ] = None
    clip_gradient: Annotated[
        float | None,
        typer.Option(
            metavar="NORM",
            help="The largest norm of the whole gradient.",
            rich_help_panel=OPTIMISATION,
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class NumericsOptions:
    """How it is computed; the fields of `NumericsRecipe`."""

    bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Train in bfloat16 (autocast).", rich_help_panel=NUMERICS),
    ] = False
    channels_last: Annotated[
        bool,
        typer.Option(
            "--channels-last",
            help="The memory layout in which most convolutions are faster.",
            rich_help_panel=NUMERICS,
        ),
    ] = False
    compile: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="A minute to start, then faster: QCFS most of all.",
            rich_help_panel=NUMERICS,
        ),
    ] = False
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAXIMUM_SEED,
            help="Of weights, order and augmentation.",
            rich_help_panel=NUMERICS,
        ),
    ] = 0


@dataclass(frozen=True)
class RunOptions:
    """Where it runs and what it leaves."""

    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder of the run; given again with the same recipe, the run goes on.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Go on with the run in this folder, by its own recipe: in place of all options "
            "but --device and --tensorboard.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Also log to DIR/tensorboard.", rich_help_panel=OUTPUT),
    ] = False
    device: Annotated[
        str,
        typer.Option(
            help="cpu, cuda, cuda:1, mps, ...; of several processes each takes its own.",
            rich_help_panel=NUMERICS,
        ),
    ] = "cpu"
