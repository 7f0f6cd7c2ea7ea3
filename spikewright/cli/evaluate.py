"""What `evaluate` does: a saved network on images, beside the ANN that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright import measure
from spikewright.artefact import describe
from spikewright.cli.console import Progress
from spikewright.cli.device import usable_device
from spikewright.cli.inside import inside_study
from spikewright.cli.keeping import keeping
from spikewright.cli.measure import sweep_outcome, telling
from spikewright.cli.options import DataOptions, MeasurementOptions
from spikewright.cli.outcome import Outcome
from spikewright.cli.record import command_line, configuration_of, repeatable
from spikewright.cli.saved import open_for
from spikewright.network import load
from spikewright.report import Report

COMMAND = "evaluate"


@dataclass(frozen=True)
class Evaluation:
    """What the options of the command name.

    Attributes:
        file: a saved network.
        data, measurement: groups of options.
        seed: of everything random.
        device: where it runs.
        compiled: compile the network first.
        frames: show event recordings as T frames, not as their mean.
    """

    file: Path
    data: DataOptions
    measurement: MeasurementOptions
    seed: int
    device: str
    compiled: bool = False
    frames: bool = False

    @property
    def groups(self) -> tuple[Any, ...]:
        """The groups of options, in the order of a command line."""
        return (self.data, self.measurement)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(range(self.seed, self.seed + self.measurement.seeds))

    def options(self, steps: tuple[int, ...]) -> dict[str, Any]:
        """The options outside the groups, with every T that is measured."""
        return {
            "file": self.file,
            "steps": ",".join(map(str, steps)),
            "seed": self.seed,
            "device": self.device,
            "compile": self.compiled,
            "frames": self.frames,
        }


def run_evaluation(
    asked: Evaluation,
    steps: tuple[int, ...] | None,
    advance: Progress,
    folder: Path | None = None,
    share: str | None = None,
) -> Outcome:
    """Load, open the data as the network was given it, measure, and gather the outcome.

    Args:
        asked: the options.
        steps: every T; None is those that the network was converted for.
        advance: told how far it is.
        folder: where finished cells are kept until all are done.
        share: which part of the cells this job measures, `R/N`.

    Raises:
        InterchangeError: for a file that is no saved network.
        WrongUsage: for data that do not fit it.
    """
    place = usable_device(asked.device)
    network, said = load(asked.file).to(place), describe(asked.file)
    steps = steps or network.designed_steps
    data = open_for(network, said.notes, asked.data)
    batches = data.measured(asked.measurement, asked.seed)
    shown = data.frames(asked.measurement, asked.seed) if asked.frames else batches
    label = "/".join(dict.fromkeys(neuron.label for neuron in network.neurons.values()))
    networks = {label: network.compile() if asked.compiled else network}
    options, inputs, dataset = asked.options(steps), {"file": said.sha256}, data.images.name
    configuration = repeatable(COMMAND, asked.groups, asked.device, dataset, inputs, **options)
    with keeping(folder, configuration, share=share) as cells:
        data.skipped.keep_in(cells)
        found = measure.sweep(
            networks,
            shown,
            steps,
            asked.seeds,
            network.ann(),
            progress=telling(advance),
            configuration=configuration,
            cells=cells,
        )
    name, classes = asked.file.name, data.images.classes
    study = inside_study(name, found, networks, shown, classes, asked.seed)
    data.skipped.tell()
    measured = data.name(frames=asked.frames)
    report = Report(
        title="A saved network, measured",
        subject=f"{name} (SHA-256 {said.sha256[:16]}), measured on the "
        f"{asked.measurement.split} split of {measured}.",
        studies=(study,),
        command=command_line(COMMAND, asked.groups, **options),
        configuration=configuration_of(COMMAND, asked.groups, **options),
    )
    return sweep_outcome(f"{name} on {measured}", configuration, report, data.skipped.names)
