"""What `sweep` and `misalignment` do between the options and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from spikewright import measure
from spikewright.cli.console import Progress
from spikewright.cli.inside import inside_study
from spikewright.cli.keeping import keeping
from spikewright.cli.options import (
    DEFAULT_THRESHOLD,
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
)
from spikewright.cli.outcome import Outcome, layer_table, sweep_table
from spikewright.cli.record import command_line, configuration_of, repeatable
from spikewright.cli.source import Source, method_for, open_source
from spikewright.measure import Sweep, SweepProgress
from spikewright.network import SpikingNetwork
from spikewright.neurons import Neuron, Order
from spikewright.processes import ALONE, Processes
from spikewright.report import Report, Study


@dataclass(frozen=True)
class Task:
    """What the options of a measuring command name.

    Attributes:
        model, data, measurement, conversion: groups of options.
        steps: every T.
    """

    model: ModelOptions
    data: DataOptions
    measurement: MeasurementOptions
    conversion: ConversionOptions
    steps: tuple[int, ...]

    @property
    def groups(self) -> tuple[Any, ...]:
        """The groups of options, in the order of a command line."""
        return (self.model, self.data, self.measurement, self.conversion)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(range(self.conversion.seed, self.conversion.seed + self.measurement.seeds))

    def open(self) -> tuple[Source, DataLoader[tuple[Tensor, int]]]:
        """The model with its calibration images, and the batches to measure on."""
        source = open_source(self.model, self.data, self.conversion)
        return source, source.data.measured(self.measurement, self.conversion.seed)

    def configuration(
        self, command: str, source: Source, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Everything that decides the numbers; becomes config.json."""
        device, dataset = self.conversion.device, source.data.images.name
        return repeatable(command, self.groups, device, dataset, source.fingerprints(), **asked)

    def subject(self, data: str) -> str:
        """What was converted and measured on which data, in a sentence."""
        weights = f" with {self.model.weights.name}" if self.model.weights else ""
        how = f"with thresholds by {self.conversion.threshold or DEFAULT_THRESHOLD}"
        if self.conversion.method is not None:
            method = method_for(self.conversion)
            how = f"by the method {method.name} ({method.paper})"
        return (
            f"{self.model.model}{weights}, converted {how} and measured on the "
            f"{self.measurement.split} split of {data}."
        )


def run_sweep(
    task: Task,
    neurons: Mapping[str, Neuron],
    asked: Mapping[str, Any],
    advance: Progress,
    *,
    folder: Path | None = None,
    compiled: bool = False,
    frames: bool = False,
    processes: Processes = ALONE,
    share: str | None = None,
) -> Outcome:
    """Convert with every neuron, measure, and gather the outcome.

    Args:
        task: the options.
        neurons: by label.
        asked: the command's own options, as written.
        advance: told how far it is.
        folder: where finished cells are kept until all are done.
        compiled: compile the networks first.
        frames: show event recordings as T frames, not as their mean.
        processes: who shares the work; every one returns the whole outcome.
        share: which part of the cells this job measures, `R/N`.
    """
    source, data = task.open()
    shown = source.data.frames(task.measurement, task.conversion.seed) if frames else data
    configuration = task.configuration("sweep", source, asked)
    with keeping(folder, configuration, processes, share) as cells:
        source.data.skipped.keep_in(cells)
        networks: dict[str, SpikingNetwork] = {}
        for number, (name, neuron) in enumerate(neurons.items()):
            advance(number, len(neurons), f"converting to {name}")
            networks[name] = source.convert(neuron, task.steps, task.conversion, processes)
            if compiled:
                networks[name].compile()
        found = measure.sweep(
            networks,
            shown,
            task.steps,
            task.seeds,
            source.model,
            progress=telling(advance),
            configuration=configuration,
            cells=cells,
        )
    classes, seed = source.data.images.classes, task.conversion.seed
    study = inside_study(task.model.model, found, networks, shown, classes, seed)
    source.data.skipped.tell()
    measured = source.data.name(frames=frames)
    report = _report("sweep", task, measured, asked, study)
    title = f"{task.model.model} on {measured}"
    return sweep_outcome(title, configuration, report, source.data.skipped.names)


def run_misalignment(
    task: Task,
    neuron: Neuron,
    orders: Sequence[Order],
    layerwise: bool,
    asked: Mapping[str, Any],
    advance: Progress,
    *,
    folder: Path | None = None,
    processes: Processes = ALONE,
    share: str | None = None,
) -> Outcome:
    """Convert, rearrange spikes, measure, and gather the outcome.

    Args:
        task: the options.
        neuron: one-phase.
        orders: how spikes are rearranged.
        layerwise: whether to shuffle layers one at a time too.
        asked: the command's own options, as written.
        advance: told how far it is.
        folder: where finished cells are kept until all are done.
        processes: who shares the work; every one returns the whole outcome.
        share: which part of the cells this job measures, `R/N`.
    """
    source, data = task.open()
    configuration = task.configuration("misalignment", source, asked)
    with keeping(folder, configuration, processes, share) as cells:
        source.data.skipped.keep_in(cells)
        advance(0, None, f"converting to {neuron.label}")
        network = source.convert(neuron, task.steps, task.conversion, processes)
        found = measure.misalignment(
            network,
            data,
            task.steps,
            task.seeds,
            source.model,
            orders,
            layerwise,
            progress=telling(advance),
            cells=cells,
        )
    study = Study(
        task.model.model,
        found.whole,
        note="IF is the network as converted; in the others the spikes that leave every layer are "
        "rearranged in time, their number unchanged (the experiment of arXiv 2502.14487).",
        histograms=found.histograms,
        layers=found.layers,
        errors=found.errors,
        residuals=found.residuals,
    )
    source.data.skipped.tell()
    measured = source.data.images.name
    tables = [sweep_table(f"{task.model.model} on {measured}", found.whole)]
    tables += [layer_table(found.layers)] if found.layers else []
    report = _report("misalignment", task, measured, asked, study)
    measurements = {"skipped_pictures": source.data.skipped.names, **found.to_dict()}
    return _outcome(configuration, report, found.whole, measurements, tables)


def _report(
    command: str, task: Task, measured: str, asked: Mapping[str, Any], study: Study
) -> Report:
    title = {"sweep": "From ANN to spikes", "misalignment": "Temporal misalignment"}[command]
    return Report(
        title=title,
        subject=task.subject(measured),
        studies=(study,),
        command=command_line(command, task.groups, **asked),
        configuration=configuration_of(command, task.groups, **asked),
    )


def sweep_outcome(
    title: str, configuration: Mapping[str, Any], report: Report, skipped: Sequence[str]
) -> Outcome:
    """The outcome of a sweep.

    Args:
        title: of the table in the terminal.
        configuration: everything that decides the numbers.
        report: of one study.
        skipped: names of pictures that were left out.
    """
    (study,) = report.studies
    found = {"skipped_pictures": skipped, **study.sweep.to_dict()}
    found["errors"] = [asdict(error) for error in study.errors]
    tables = [sweep_table(title, study.sweep)]
    return _outcome(configuration, report, study.sweep, found, tables)


def _outcome(
    configuration: Mapping[str, Any],
    report: Report,
    sweep: Sweep,
    found: Mapping[str, Any],
    tables: Sequence[tuple[Table, Sequence[str]]],
) -> Outcome:
    document = {"configuration": configuration, "subject": report.subject, **found}
    return Outcome(configuration, document, sweep.to_csv(), report, tables)


def telling(advance: Progress) -> Callable[[SweepProgress], None]:
    """A sweep's progress, told to a bar."""
    return lambda p: advance(p.done, p.total, f"{p.network}, T = {p.steps}" if p.steps else "ANN")
