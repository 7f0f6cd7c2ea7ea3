"""The commands of `python -m paper`: the paper's tables, their page, and a rehearsal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from paper.compared import write_compared
from paper.dry_run import dry_run
from paper.network import source_of
from paper.others import write_published
from paper.page import write_page
from paper.run import run_experiment
from paper.subject import Settings
from spikewright.cli.command import shared
from spikewright.cli.console import print_text
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.keeping import share_of
from spikewright.cli.options import MAXIMUM_BATCH, MAXIMUM_SEEDS, MAXIMUM_SIZE, Steps
from spikewright.cli.source import usable_device
from spikewright.processes import launched

Out = Annotated[Path, typer.Option("--out", "--output", metavar="DIR")]
COLUMNS = (1, 2, 4, 8, 16, 32)


@shared
def tables(
    networks: Annotated[list[str], typer.Argument(metavar="NETWORK...")],
    data: Annotated[list[str], typer.Option(metavar="SPEC")],
    out: Out,
    steps: Steps = COLUMNS,
    seeds: Annotated[int, typer.Option(min=1, max=MAXIMUM_SEEDS)] = 5,
    rows: tuple[str, ...] | None = None,
    images: Annotated[int | None, typer.Option(min=1, metavar="N")] = None,
    one_phase_images: Annotated[int | None, typer.Option(min=1, metavar="N")] = None,
    energy_images: Annotated[int, typer.Option(min=0, metavar="N")] = 100,
    calibration_samples: Annotated[int, typer.Option(min=1)] = 512,
    batch_size: Annotated[int, typer.Option(min=1, max=MAXIMUM_BATCH)] = 250,
    device: str = "cpu",
    compile: bool = False,
    share: Annotated[str | None, typer.Option(metavar="R/N")] = None,
) -> None:
    """Measure the tables of the paper for trained NETWORKs; go on where an earlier run stopped.

    A QCFS network gets the one-phase baseline, its spikes rearranged, SRP, COS, TPP, unbiased
    and nearest; a ReLU network gets RTS, SNNC, LTB, MinError and Auto with IF, TPP and nearest.
    Then 'python -m paper page' renders them.

    Args:
        networks: The folders of finished training runs, zoo:NAME, or files ending in .json that
            name a model, its data and its weights.
        data: A data set and its folder, such as cifar10:DIR; the option is repeated for several.
        out: The folder of the results: one folder a network, one file a cell. A cell that is there
            is not measured again.
        steps: The numbers of time steps: the columns of the tables.
        seeds: The number of runs of every row that draws random numbers.
        rows: The rows that are measured. Default: all.
        images: The number of test images. Default: all.
        one_phase_images: The number of test images for the rows that are simulated step by step,
            which takes T times as long. Default: that of --images.
        energy_images: The number of test images on which operations are counted, for the energy;
            0 counts none.
        calibration_samples: The number of training images that set the thresholds.
        batch_size: The number of images in a batch.
        device: The device: cpu, cuda, cuda:1, ...
        compile: The networks are compiled first.
        share: The part R of N, counted from 0, that this process measures. Default: what
            'torchrun --nproc-per-node N -m paper ...' or 'accelerate launch --multi_gpu' says;
            without a launcher, all cells.
    """
    usable_device(device)
    rank, processes = part_of(share)
    settings = Settings(
        steps=steps,
        seeds=tuple(range(seeds)),
        rows=rows or (),
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
        run_experiment([source_of(name) for name in networks], places, out, settings, _progress)


def page(
    out: Out = Path("results"),
    page: Annotated[Path, typer.Option(metavar="FILE")] = Path("docs/results.md"),
    steps: Steps = COLUMNS,
) -> None:
    """Render the page of tables and plots from the records of a folder, and nothing else.

    Args:
        out: The folder of the results.
        page: The file of the page; its plots go into a folder of the same name beside it.
        steps: The numbers of time steps: the columns of the tables.
    """
    write_page(out, page, steps)
    print_text(f"written: {page}")


def compared(
    out: Out = Path("results"),
    page: Annotated[Path, typer.Option(metavar="FILE")] = Path("docs/methods/compared.md"),
    steps: Steps = COLUMNS,
) -> None:
    """Render the page that says which calibration wins where, from the records of a folder.

    Args:
        out: The folder of the results.
        page: The file of the page.
        steps: The numbers of time steps: the columns of the tables.
    """
    write_compared(out, page, steps)
    print_text(f"written: {page}")


def published(
    page: Annotated[Path, typer.Option(metavar="FILE")] = Path("docs/published.md"),
) -> None:
    """Render the page of figures that others published, with where each was read.

    Args:
        page: The file of the page.
    """
    write_published(page)
    print_text(f"written: {page}")


def imagenet_dry_run(
    out: Out,
    models: tuple[str, ...] = ("resnet34", "vgg16", "regnet_x_400mf"),
    images: Annotated[int, typer.Option(min=1, max=10_000, metavar="N")] = 2,
    size: Annotated[int, typer.Option(min=32, max=MAXIMUM_SIZE, metavar="PIXELS")] = 224,
) -> None:
    """Rehearse the tables at ImageNet's size, on generated images with random weights.

    One process measures every cell; then two processes share the cells, are killed halfway, and
    are started again. Both tables must be equal to the byte. The accuracies mean nothing.

    Args:
        out: A folder that is empty or new.
        models: The classifiers, by their names in torchvision.
        images: The number of test images of every class.
        size: The side of the images.
    """
    dry_run(out, models, images, size, _say)
    print_text("the tables are the same: of one process, and of two that were killed")


def part_of(text: str | None) -> tuple[int, int]:
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
    places: dict[str, str] = {}
    for spec in specs:
        name = spec.partition(":")[0]
        if name in places:
            raise WrongUsage(f"--data {spec}: {name} is named twice")
        places[name] = spec
    return places


def _progress(done: int, total: int, what: str) -> None:
    _say(f"{done}/{total} {what}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
