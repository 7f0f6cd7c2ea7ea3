"""The options that commands share, in groups; each is described once, here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MODEL = "Model"
DATA = "Data"
CONVERSION = "Conversion"
OUTPUT = "Output"
MAXIMUM_SEED = 2**32 - 1
MAXIMUM_SEEDS = 10_000
MAXIMUM_BATCH = 2**20
"""Images a batch."""
MAXIMUM_SIZE = 4096
"""Pixels, of a picture's side."""
DEFAULT_THRESHOLD = "minerror:channel"
"""The rule of thresholds where neither --threshold nor --method names one."""


class Split(StrEnum):
    """Which images accuracies are measured on."""

    TEST = "test"
    VALIDATION = "validation"


@dataclass(frozen=True)
class ModelOptions:
    """Which network."""

    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="torchvision:NAME, torchvision:NAME@WEIGHTS (its published weights, such as "
            "@DEFAULT, are downloaded once), timm:NAME, hf:PATH_OR_NAME (a folder, a file of a "
            "configuration, a model type or a class of transformers), ultralytics:FILE.yaml, "
            "run:DIR (of spikewright train), zoo:NAME (of spikewright zoo), "
            "package.module:factory, or a .pt2 file (exported program). Importing a module, "
            "reading a .pt2 and reading a yaml of ultralytics can run code: use those you trust.",
            show_default=False,
        ),
    ]
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights as safetensors; without it the model has those it is made with "
            "(of torchvision:NAME and timm:NAME random ones).",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None
    model_argument: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="An argument of the model's factory, e.g. num_classes=10; may be repeated.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class DataOptions:
    """Which images."""

    data: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="digits, cifar10:DIR, cifar100:DIR, imagefolder:DIR or cifar10dvs:DIR.",
            rich_help_panel=DATA,
            show_default=False,
        ),
    ]
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="M,M,M",
            help="Subtracted from pixels in 0 .. 1, one value a channel. run:DIR, zoo:NAME, "
            "torchvision:NAME@WEIGHTS and saved networks are given what they were trained with.",
            rich_help_panel=DATA,
        ),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,S", help="Divides what is left; goes with --mean.", rich_help_panel=DATA
        ),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAXIMUM_SIZE,
            metavar="PIXELS",
            help="Resize and centre-crop to this square, as torchvision's presets do.",
            rich_help_panel=DATA,
        ),
    ] = None
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAXIMUM_BATCH, help="Images a batch.", rich_help_panel=DATA)
    ] = 250
    strict: Annotated[
        bool,
        typer.Option(
            "--strict/--no-strict",
            help="Refuse pictures that cannot be read, instead of leaving them out and listing "
            "them.",
            rich_help_panel=DATA,
        ),
    ] = False


@dataclass(frozen=True)
class MeasurementOptions:
    """How it is measured."""

    split: Annotated[
        Split, typer.Option(help="The split that accuracies come from.", rich_help_panel=DATA)
    ] = Split.TEST
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Measure on N images, drawn at random by --seed, instead of the whole split.",
            rich_help_panel=DATA,
        ),
    ] = None
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAXIMUM_SEEDS,
            help="Runs of every stochastic network, each with a seed of its own.",
        ),
    ] = 3


SeedOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAXIMUM_SEED,
        help="Of everything random: calibration images, --limit, spikes.",
        rich_help_panel=CONVERSION,
    ),
]
DeviceOption = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1, mps, ...", rich_help_panel=CONVERSION)
]


@dataclass(frozen=True)
class ConversionOptions:
    """How it is converted."""

    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A published method as a whole: qcfs, rts, snnc, srp or minerror. It settles "
            "thresholds and correction (so --threshold and --bias-correction do not go with it), "
            "what 'if' starts from, and the neuron unless --neuron names others.",
            rich_help_panel=CONVERSION,
            show_default=False,
        ),
    ] = None
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="minerror, maximum or percentile:Q (e.g. percentile:99.9), each with :layer or "
            ":channel at the end if you like; or learned (QCFS), or learned:minerror where not "
            f"every activation is QCFS. Default: {DEFAULT_THRESHOLD}, or that of --method.",
            rich_help_panel=CONVERSION,
            show_default=False,
        ),
    ] = None
    bias_correction: Annotated[
        bool | None,
        typer.Option(
            "--bias-correction/--no-bias-correction",
            help="Put each channel's mean input back where the ANN had it, for every T named. "
            "Default: yes, or what --method calibrates.",
            rich_help_panel=CONVERSION,
            show_default=False,
        ),
    ] = None
    calibration_samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images of the training split that set the thresholds. "
            "Default: 512, or all if there are fewer.",
            rich_help_panel=CONVERSION,
            show_default=False,
        ),
    ] = None
    seed: SeedOption = 0
    precision: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="float32; bf16: weights that meet spikes in bfloat16, faster and a little less "
            "accurate; float64: model and images too, slow, but rounding moves no spike.",
            rich_help_panel=CONVERSION,
        ),
    ] = "float32"
    device: DeviceOption = "cpu"


@dataclass(frozen=True)
class OutputOptions:
    """Where results go."""

    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write the results here; a file of the same name is replaced as a whole.",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON document on stdout, and nothing else.",
            rich_help_panel=OUTPUT,
        ),
    ] = False


NEURON_HELP = (
    "if, if-hard, shuffled, shared, early, late, reversed, srp (or srp:TAU), tpp, unbiased, "
    "nearest; the last three take a code: nearest:binary (random, burst, late, binary, "
    "first-spike); or own, the neuron of --method."
)
SWEPT_NEURONS = "if,shuffled,tpp,unbiased,nearest"
"""What `sweep` compares when it is told neither neurons nor a method."""
StepsOption = Annotated[
    str,
    typer.Option(
        metavar="T,T,...",
        help="Numbers of time steps; each is a design point of the conversion.",
        rich_help_panel=CONVERSION,
    ),
]
CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile/--no-compile",
        help="Compile the networks first: seconds each, then up to several times faster.",
    ),
]
ShareOption = Annotated[
    str | None,
    typer.Option(
        metavar="R/N",
        help="Be job R of N, from 0, that share the cells of the measurement in the folder of "
        "--output, on a cluster for example; the job that ends last writes the results.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
FramesOption = Annotated[
    bool,
    typer.Option(
        "--frames/--no-frames",
        help="Show event recordings as T frames, one a step, instead of their mean.",
    ),
]
SavedNetwork = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A network saved by 'spikewright convert --output' or SpikingNetwork.save.",
        show_default=False,
    ),
]
