"""The commands of `python -m paper`: the paper's tables, their page, and a rehearsal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.console import results
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.keeping import share_of
from spikewright.cli.options import MAXIMUM_BATCH, MAXIMUM_SIZE
from spikewright.cli.parse import items, steps_of
from spikewright.processes import launched

OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        "--output",
        metavar="DIR",
        help="Folder of the results: one folder a network, one file a cell. A cell that is there "
        "is not measured again.",
        show_default=False,
    ),
]


def tables(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK...",
            help="Folders of finished training runs, zoo:NAME, or files ending in .json that name "
            "a model, its data and its weights.",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="SPEC",
            help="A data set and its folder, e.g. cifar10:DIR; repeat the option for several.",
            show_default=False,
        ),
    ],
    out: OutOption,
    steps: Annotated[
        str, typer.Option(metavar="T,T,...", help="Time steps: the columns of the tables.")
    ] = "1,2,4,8,16,32",
    seeds: Annotated[
        int, typer.Option(min=1, max=10_000, help="Runs of every row that draws random numbers.")
    ] = 5,
    rows: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME,...", help="Measure only these rows.", show_default="all"),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Measure on only N test images.", show_default="all"),
    ] = None,
    one_phase_images: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Test images for the rows that are simulated step by step, which takes T times "
            "as long.",
            show_default="as --images",
        ),
    ] = None,
    energy_images: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Count operations, for the energy, on the first N test images; 0 counts none.",
        ),
    ] = 100,
    calibration_samples: Annotated[
        int, typer.Option(min=1, help="Training images that set the thresholds.")
    ] = 512,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAXIMUM_BATCH, help="Images a batch.")
    ] = 250,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    compile: Annotated[bool, typer.Option("--compile", help="Compile the networks first.")] = False,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="R/N",
            help="Measure the part of process R, counted from 0, of N that share the cells. "
            "Default: what 'torchrun --nproc-per-node N -m paper ...' or 'accelerate launch "
            "--multi_gpu' says; without a launcher, all cells.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure the tables of the paper for trained NETWORKs; go on where an earlier run stopped.

    A QCFS network gets the one-phase baseline, its spikes rearranged, SRP, TPP, unbiased and
    nearest; a ReLU network gets RTS, SNNC and MinError with IF, TPP and nearest. Then
    'python -m paper page' renders them.
    """
    from paper import Settings, run_experiment, source_of
    from spikewright.cli.device import usable_device

    usable_device(device)
    rank, processes = shared(share)
    settings = Settings(
        steps=steps_of(steps),
        seeds=tuple(range(seeds)),
        rows=() if rows is None else tuple(items(rows, "--rows")),
        images=images,
        one_phase_images=one_phase_images,
        energy_images=energy_images,
        calibration_samples=calibration_samples,
        batch_size=batch_size,
        device=own_device(device),
        compiled=compile,
        rank=rank,
        processes=processes,
    )
    places = places_of(data)
    with opening():
        run_experiment([source_of(name) for name in networks], places, out, settings, _tell)


def page(
    out: OutOption = Path("results"),
    page: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File of the page; its plots go into a folder of the same name beside it.",
        ),
    ] = Path("docs/results.md"),
    steps: Annotated[
        str, typer.Option(metavar="T,T,...", help="Time steps: the columns of the tables.")
    ] = "1,2,4,8,16,32",
) -> None:
    """Render the page of tables and plots from the records of a folder, and nothing else."""
    from paper import write_page

    write_page(out, page, steps_of(steps))
    results().print(f"written: {page}", markup=False, soft_wrap=True)


def imagenet_dry_run(
    out: Annotated[
        Path,
        typer.Option("--out", "--output", metavar="DIR", help="A folder that is empty or new."),
    ],
    models: Annotated[
        str, typer.Option(metavar="NAME,NAME,...", help="Classifiers of torchvision.")
    ] = "resnet34,vgg16,regnet_x_400mf",
    images: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Test images a class.")
    ] = 2,
    size: Annotated[
        int, typer.Option(min=32, max=MAXIMUM_SIZE, metavar="PIXELS", help="Side of the images.")
    ] = 224,
) -> None:
    """Rehearse the tables at ImageNet's size, on generated images with random weights.

    One process measures every cell; then two processes share the cells, are killed halfway, and
    are started again. Both tables must be equal to the byte. The accuracies mean nothing.
    """
    from paper.dry_run import dry_run

    dry_run(out, tuple(items(models, "--models")), images, size, _say)
    results().print("the tables are the same: of one process, and of two that were killed")


def shared(text: str | None) -> tuple[int, int]:
    """Rank and number of processes, from `R/N` or from the environment of a launcher."""
    if text is None:
        return launched()
    return share_of(text)


def own_device(device: str) -> str:
    """The GPU of this process where a launcher started several on this machine."""
    local = os.environ.get("LOCAL_RANK")
    return device if local is None or device != "cuda" else f"cuda:{local}"


def places_of(specs: Sequence[str]) -> dict[str, str]:
    """Data sets by name."""
    found: dict[str, str] = {}
    for spec in specs:
        name = spec.partition(":")[0]
        if name in found:
            raise WrongUsage(f"--data {spec}: {name} is given twice")
        found[name] = spec
    return found


def _tell(done: int, total: int, what: str) -> None:
    _say(f"{done}/{total} {what}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
