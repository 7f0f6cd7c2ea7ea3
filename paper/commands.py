"""`python -m paper ...`: the paper's tables, their page, a rehearsal at ImageNet's size."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from paper.event_camera.command import simulate_events
from spikewright.cli.console import results
from spikewright.cli.expand import expanded
from spikewright.cli.failures import EXIT_CODES, WrongUsage, opening, reported
from spikewright.cli.options import MAXIMUM_BATCH, MAXIMUM_SIZE
from spikewright.cli.parse import items, steps_of
from spikewright.processes import launched

app = typer.Typer(help="Measure the paper's tables, cell by cell.", no_args_is_help=True)

OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        "--output",
        metavar="DIR",
        help="The results: one folder a network, one file a cell. What is there is not run again.",
        show_default=False,
    ),
]


def _command(name: str) -> Any:
    """Register a command that reports its errors."""
    return lambda function: app.command(name, epilog=EXIT_CODES)(expanded(reported(function)))


@_command("tables")
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
            help="Where a data set is, e.g. cifar10:DIR; repeat it for several.",
            show_default=False,
        ),
    ],
    out: OutOption,
    steps: Annotated[str, typer.Option(metavar="T,T,...", help="Columns.")] = "1,2,4,8,16,32",
    seeds: Annotated[
        int, typer.Option(min=1, max=10_000, help="Runs of every row that draws random numbers.")
    ] = 5,
    rows: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME,...", help="Only these rows.", show_default="all"),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only N test images.", show_default="all"),
    ] = None,
    one_phase_images: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Only N test images for the rows that run step by step, T times as dear.",
            show_default="as --images",
        ),
    ] = None,
    energy_images: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Count the operations of the first N, for the energy; 0: none."
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
            help="Be process R of N, from 0, that share the cells. Default: as 'torchrun "
            "--nproc-per-node N -m spikewright ...' or 'accelerate launch --multi_gpu' says, "
            "else do all.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure the tables of the paper for trained NETWORKs; go on where an earlier run stopped.

    A QCFS network gets the one-phase baseline, its spikes rearranged, SRP, TPP, unbiased and
    nearest; a ReLU network gets RTS, SNNC and MinError with IF, TPP and nearest. Then
    'spikewright experiment page' renders them.
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


@_command("page")
def page(
    out: OutOption = Path("results"),
    page: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The page; its plots go into the folder of its name beside it."
        ),
    ] = Path("docs/results.md"),
    steps: Annotated[str, typer.Option(metavar="T,T,...", help="Columns.")] = "1,2,4,8,16,32",
) -> None:
    """Render the page of tables and plots from the records of a folder, and nothing else."""
    from paper import write_page

    write_page(out, page, steps_of(steps))
    results().print(f"written: {page}", markup=False, soft_wrap=True)


@_command("imagenet-dry-run")
def imagenet_dry_run(
    out: Annotated[
        Path, typer.Option("--out", "--output", metavar="DIR", help="An empty or a new folder.")
    ],
    models: Annotated[
        str, typer.Option(metavar="NAME,NAME,...", help="Classifiers of torchvision.")
    ] = "resnet34,vgg16,regnet_x_400mf",
    images: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Test images a class.")
    ] = 2,
    size: Annotated[
        int, typer.Option(min=32, max=MAXIMUM_SIZE, metavar="PIXELS", help="Side of an image.")
    ] = 224,
) -> None:
    """Rehearse the experiment at ImageNet's size: generated images, random weights.

    One process does all the work; then two share it, are killed in the middle, and go on. The
    tables must be the same to the byte. The accuracies mean nothing.
    """
    from paper.dry_run import dry_run

    dry_run(out, tuple(items(models, "--models")), images, size, _say)
    results().print("the tables are the same: of one process, and of two that were killed")


def shared(text: str | None) -> tuple[int, int]:
    """Rank and number of processes, from `R/N` or from the environment of a launcher."""
    if text is None:
        return launched()
    given = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if given is None:
        raise WrongUsage(f"--share {text}: give R/N, e.g. 0/2 and 1/2 for two processes")
    return int(given[1]), int(given[2])


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


_command("simulate-events")(simulate_events)
