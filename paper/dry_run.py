"""A rehearsal at ImageNet's size: generated pictures, random weights, two processes and a kill.

It shows that the whole pipeline runs, that processes share it, and that it resumes, with equal
tables.
The accuracies of random networks on random pictures mean nothing, and are shown nowhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from paper.cell import CellRecord
from paper.page import page
from paper.store import NETWORK_FILE, stores_of
from spikewright.data import loader, open_dataset
from spikewright.errors import ExperimentError
from spikewright.extras import require_extra
from spikewright.files import appearing_whole, write_json
from spikewright.runs import load_model
from spikewright.runs.files import write_tensors

CLASSES = ("circles", "squares", "stripes")
TRAINING_PICTURES = 4
STEPS = (1, 2)
ROWS = ("rts-if", "rts-tpp", "minerror-nearest")
SEEDS = 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ENERGY_IMAGES = 4

Report = Callable[[str], None]


def dry_run(folder: Path, models: Sequence[str], images: int, size: int, report: Report) -> str:
    """Rehearse the experiment in two folders of results.

    The first is the work of one process, from beginning to end. The second is that of two, both
    killed when half of the cells are done, and started again.

    Args:
        folder: empty, or not there yet.
        models: classifiers of torchvision.
        images: test pictures a class.
        size: side of a picture.
        report: called with a line of text after every stage.

    Returns:
        The page of tables, the same from both.

    Raises:
        ExperimentError: when the pages or the records of single cells differ, a process fails, or
            the folder is not empty.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ExperimentError(f"'{folder}' is not empty; name an empty or a new folder")
    with appearing_whole(folder) as partial:
        make_pictures(partial / "images", images, size)
        report(f"generated class folders of {size} x {size} pictures")
        described = [make_network(partial, name, size).name for name in models]
        report(f"settled the batch norm of {', '.join(models)}")
    networks = [folder / name for name in described]
    whole, shared = folder / "one", folder / "two"
    cells = len(models) * (1 + sum(len(STEPS) * (SEEDS if "tpp" in row else 1) for row in ROWS))
    start = time.monotonic()
    wait_for_all(_start(folder, networks, whole, 1))
    report(f"one process finished {_cells(whole)} cells in {time.monotonic() - start:.0f} s")
    start = time.monotonic()
    done = _killed_after(_start(folder, networks, shared, 2), shared, cells // 2)
    report(f"two processes killed after {time.monotonic() - start:.0f} s, {done} of {cells} cells")
    if done >= cells:
        raise ExperimentError("the run was over before it could be killed: nothing is shown")
    start = time.monotonic()
    wait_for_all(_start(folder, networks, shared, 2))
    report(f"two processes started again finished in {time.monotonic() - start:.0f} s")
    return _same_page(whole, shared, cells)


def _same_page(first: Path, second: Path, cells: int) -> str:
    """The page of two folders of results.

    Raises:
        ExperimentError: when they differ in the page or in a record, or have gaps.
    """
    one, two = _records(first), _records(second)
    differing = sorted(name for name in one | two if one.get(name) != two.get(name))
    pages = [page(results, STEPS) for results in (first, second)]
    if differing or pages[0] != pages[1] or {_cells(first), _cells(second)} != {cells}:
        raise ExperimentError(
            f"'{first}' and '{second}' differ, or have gaps: {', '.join(differing) or 'the pages'}"
        )
    return pages[0]


def make_pictures(folder: Path, count: int, size: int) -> None:
    """Write class folders of pictures, `train` and `val`, each class with a pattern of its own.

    Args:
        folder: to make.
        count: pictures a class in `val`.
        size: side in pixels.
    """
    images = require_extra("PIL.Image", "vision", "the dry run")
    generator = torch.Generator().manual_seed(0)
    for split, number in (("train", TRAINING_PICTURES), ("val", count)):
        for label, name in enumerate(CLASSES):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(number):
                picture = _picture(label, size, generator)
                pixels = picture.permute(1, 2, 0).contiguous().numpy()
                images.fromarray(pixels).save(place / f"{index}.png")


def _picture(label: int, size: int, generator: torch.Generator) -> Tensor:
    """Uint8 `[3, size, size]`: a pattern of the class with random place, colour and noise."""
    phase, scale = torch.rand(2, generator=generator)
    axis = torch.linspace(-1, 1, size) + 0.3 * float(phase)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    far = {0: (x * x + y * y).sqrt(), 1: torch.maximum(x.abs(), y.abs()), 2: x}[label]
    shade = (far * (6 + 6 * float(scale))).sin()
    colour = torch.rand(3, 1, 1, generator=generator)
    noise = 0.2 * torch.rand(3, size, size, generator=generator)
    return ((0.4 * shade + 0.4) * colour + noise).clamp(0, 1).mul(255).to(torch.uint8)


def make_network(folder: Path, name: str, size: int) -> Path:
    """Settle a torchvision classifier's batch norm on the training pictures; keep its weights.

    Returns:
        The file that describes it.

    Raises:
        ExperimentError: when it does not take pictures of that size.
    """
    arguments: dict[str, Any] = {"num_classes": len(CLASSES)}
    model = load_model(f"torchvision:{name}", **arguments)
    data = open_dataset(f"imagefolder:{folder / 'images'}", mean=MEAN, std=STD, size=size)
    try:
        settle(model, [images for images, _ in loader(data.train, TRAINING_PICTURES)])
    except (RuntimeError, AssertionError) as error:  # of layers that shrink a picture to nothing
        reason = " ".join(str(error).split())
        raise ExperimentError(
            f"torchvision:{name} does not take pictures of {size} x {size} ({reason}); "
            "give a larger size"
        ) from error
    write_tensors(folder / f"{name}.safetensors", model.state_dict())
    document: dict[str, Any] = {
        "name": name,
        "model": f"torchvision:{name}",
        "data": "imagefolder",
        "weights": f"{name}.safetensors",
        "arguments": arguments,
        "mean": MEAN,
        "std": STD,
        "size": size,
        "note": "random weights, for a dry run",
    }
    write_json(folder / f"{name}.json", document)
    return folder / f"{name}.json"


def settle(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Give every batch norm the statistics of real input; dropout stays off.

    Args:
        model: in eval mode, and left so.
        batches: `[B, C, H, W]` each.
    """
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    with torch.no_grad():
        for images in batches:
            model(images)
    model.eval()


def _start(
    folder: Path, networks: Sequence[Path], out: Path, processes: int
) -> list[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "paper", "tables", *map(str, networks)]
    words += ["--data", f"imagefolder:{folder / 'images'}", "--out", str(out)]
    words += ["--steps", ",".join(map(str, STEPS)), "--seeds", str(SEEDS), "--rows", ",".join(ROWS)]
    words += ["--calibration-samples", "4", "--batch-size", "4"]
    words += ["--energy-images", str(ENERGY_IMAGES)]
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    return [
        subprocess.Popen([*words, "--share", f"{rank}/{processes}"], env=environment)
        for rank in range(processes)
    ]


def _records(results: Path) -> dict[str, CellRecord]:
    """Every record without its time and duration, which no run repeats."""
    return {
        f"{store.folder.name}/{cell.name}": replace(record, run={})
        for store in stores_of(results)
        for cell, record in store.records().items()
    }


def _cells(results: Path) -> int:
    return sum(1 for path in results.glob("*/*.json") if path.name != NETWORK_FILE)


def _killed_after(processes: Sequence[subprocess.Popen[bytes]], results: Path, cells: int) -> int:
    """Kill processes as soon as so many cells are done; returns how many are."""
    try:
        while _cells(results) < cells:
            if all(process.poll() is not None for process in processes):
                raise ExperimentError(f"the run ended with {_cells(results)} of {cells} cells")
            time.sleep(0.05)
    finally:
        _kill(processes)
    return _cells(results)


def wait_for_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for processes; when one fails, or this one is interrupted, the others are killed.

    Raises:
        ExperimentError: when one fails.
    """
    codes: list[int | None] = [None]
    try:
        while None in codes and not any(codes):
            time.sleep(0.05)
            codes = [process.poll() for process in processes]
    finally:
        _kill(processes)
    if failed := [code for code in codes if code]:
        raise ExperimentError(f"a process ended with exit code {failed[0]}; its errors are above")


def _kill(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait()
