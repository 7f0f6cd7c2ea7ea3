"""`python -m paper simulate-events`: event recordings made from pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from paper.event_camera import Simulation, write_simulated_set
from spikewright.cli.console import print_json, print_text, progress_bar
from spikewright.cli.failures import opening
from spikewright.cli.options import Seed
from spikewright.data import open_dataset


def simulate_events(
    data: Annotated[str, typer.Option(metavar="SPEC")],
    output: Annotated[Path, typer.Option("--output", "--out", metavar="DIR")],
    per_class: Annotated[int, typer.Option(min=1, metavar="N")] = 100,
    threshold: float = 0.14,
    mismatch: float = 0.0,
    loops: Annotated[int, typer.Option(min=1)] = 6,
    seed: Seed = 0,
    json: bool = False,
) -> None:
    """Simulate recordings of an event camera, in the file format of CIFAR10-DVS.

    Pictures are moved on a closed path before an ideal camera, as that data set was made with a
    real one. Every file says that it is simulated, and so does DIR/dataset-card.json.

    Args:
        data: The pictures: digits, cifar10:DIR, cifar100:DIR or imagefolder:DIR.
        output: A new folder, which appears when all is done.
        per_class: The number of recordings of every class, made from training pictures.
        threshold: The change of log intensity that makes an event.
        mismatch: The standard deviation of the logarithm of the pixels' thresholds.
        loops: The number of times that a picture runs round its path.
        seed: The seed of the pictures drawn and of the pixels.
        json: The card is printed as JSON, and nothing else.
    """
    with opening():
        simulation = Simulation(threshold=threshold, mismatch=mismatch, loops=loops)
        pictures = open_dataset(data)
    with progress_bar("simulate-events") as advance:
        card = write_simulated_set(pictures, output, per_class, simulation, seed, advance)
    if json:
        print_json(card)
    else:
        print_text(_summary(card, output))


def _summary(card: dict[str, Any], output: Path) -> str:
    return (
        f"SIMULATED: {card['recordings']:,} recordings of {len(card['classes'])} classes, "
        f"{card['mean_events_per_recording']:,.0f} events each on average "
        f"({100 * card['share_of_on_events']:.0f} % ON), written to {output}\n"
        f"open them as cifar10dvs:{output}"
    )
