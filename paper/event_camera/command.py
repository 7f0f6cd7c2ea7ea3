"""`python -m paper simulate-events`: event recordings made from pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikewright.cli.console import print_json, progress_bar, results
from spikewright.cli.options import MAXIMUM_SEED


def simulate_events(
    data: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="Where the pictures come from: digits, cifar10:DIR, imagefolder:DIR, ...",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "--out",
            metavar="DIR",
            help="A new folder; it appears when all is done.",
            show_default=False,
        ),
    ],
    per_class: Annotated[
        int, typer.Option(min=1, metavar="N", help="Recordings a class, of training pictures.")
    ] = 100,
    threshold: Annotated[
        float, typer.Option(help="Change of log intensity that makes an event.")
    ] = 0.14,
    mismatch: Annotated[
        float, typer.Option(help="Standard deviation of the logarithm of the pixels' thresholds.")
    ] = 0.0,
    loops: Annotated[int, typer.Option(min=1, help="Times a picture runs round its path.")] = 6,
    seed: Annotated[
        int,
        typer.Option(min=0, max=MAXIMUM_SEED, help="Seed of the pictures drawn and of the pixels."),
    ] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON, and nothing else.")
    ] = False,
) -> None:
    """Simulate recordings of an event camera, in the file format of CIFAR10-DVS.

    Pictures are moved on a closed path before an ideal camera, as that data set was made with a
    real one. Every file says that it is simulated, and so does DIR/dataset-card.json.
    """
    from paper.event_camera import Simulation, write_simulated_set
    from spikewright.cli.failures import opening
    from spikewright.data import open_dataset

    with opening():
        simulation = Simulation(threshold=threshold, mismatch=mismatch, loops=loops)
        pictures = open_dataset(data)
    with progress_bar("simulate-events") as advance:
        card = write_simulated_set(pictures, output, per_class, simulation, seed, advance)
    if json:
        print_json(card)
    else:
        results().print(_told(card, output), markup=False, soft_wrap=True)


def _told(card: dict[str, Any], output: Path) -> str:
    return (
        f"SIMULATED: {card['recordings']:,} recordings of {len(card['classes'])} classes, "
        f"{card['mean_events_per_recording']:,.0f} events each on average "
        f"({100 * card['share_of_on_events']:.0f} % ON), written to {output}\n"
        f"open them as cifar10dvs:{output}"
    )
