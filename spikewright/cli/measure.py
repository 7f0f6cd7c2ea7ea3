"""What `sweep` and `misalignment` do between the options and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from spikewright import analysis
from spikewright.analysis import Sweep, SweepProgress
from spikewright.analysis.memory import Portions
from spikewright.cli.console import Progress
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
from spikewright.cli.source import (
    Source,
    method_for,
    open_frames,
    open_measurement,
    open_source,
)
from spikewright.network import SpikingNetwork
from spikewright.neurons import Neuron, Order
from spikewright.processes import ALONE, Processes
from spikewright.report import Report, Study, observe_errors, observe_raster, observe_thresholds

RASTER_STEPS = 8
"""The T nearest to it, from below, is shown where one T must do: a raster can still be read."""
ERROR_SAMPLES = 64
"""Images of the measured split on which the errors of layers are taken apart."""


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
        return source, open_measurement(source, self.measurement, self.conversion.seed)

    def configuration(
        self, command: str, source: Source, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Everything that decides the numbers; becomes config.json."""
        device, inputs = self.conversion.device, source.fingerprints()
        return repeatable(command, self.groups, device, inputs, **asked)

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
) -> Outcome:
    """Convert with every neuron, measure, and gather the outcome.

    Args:
        task: the options.
        neurons: by label.
        asked: the command's own options, as written.
        advance: told how far it is.
        folder: where finished work is kept until all is done.
        compiled: compile the networks first.
        frames: show event recordings as T frames, not as their mean.
        processes: who shares the work; every one returns the whole outcome.
    """
    source, data = task.open()
    shown = open_frames(source, task.measurement, task.conversion.seed) if frames else data
    configuration = task.configuration("sweep", source, asked)
    with keeping(folder, configuration, processes) as kept:
        source.skipped.keep_in(kept)
        networks: dict[str, SpikingNetwork] = {}
        for number, (name, neuron) in enumerate(neurons.items()):
            advance(number, len(neurons), f"converting to {name}")
            networks[name] = source.convert(neuron, task.steps, task.conversion, processes)
            if compiled:
                networks[name].compile()
        found = analysis.sweep(
            networks,
            shown,
            task.steps,
            task.seeds,
            source.model,
            progress=telling(advance),
            configuration=configuration,
            kept=kept,
            processes=processes,
        )
    study = inside_study(task.model.model, found, networks, source, data, task)
    source.skipped.tell()
    measured = f"{source.data.name}, as T frames" if frames else source.data.name
    tables = [sweep_table(f"{task.model.model} on {measured}", found)]
    report = _report("sweep", task, measured, asked, study)
    measurements = {"skipped_pictures": source.skipped.names, **found.to_dict()}
    measurements["errors"] = [asdict(error) for error in study.errors]
    return _outcome(configuration, report, found, measurements, tables)


def run_misalignment(
    task: Task,
    neuron: Neuron,
    orders: Sequence[Order],
    layerwise: bool,
    asked: Mapping[str, Any],
    advance: Progress,
    *,
    folder: Path | None = None,
) -> Outcome:
    """Convert, rearrange spikes, measure, and gather the outcome.

    Args:
        task: the options.
        neuron: one-phase.
        orders: how spikes are rearranged.
        layerwise: whether to shuffle layers one at a time too.
        asked: the command's own options, as written.
        advance: told how far it is.
        folder: where finished work is kept until all is done.
    """
    source, data = task.open()
    configuration = task.configuration("misalignment", source, asked)
    with keeping(folder, configuration) as kept:
        source.skipped.keep_in(kept)
        advance(0, None, f"converting to {neuron.label}")
        network = source.convert(neuron, task.steps, task.conversion)
        found = analysis.misalignment(
            network,
            data,
            task.steps,
            task.seeds,
            source.model,
            orders,
            layerwise,
            progress=telling(advance),
            kept=kept,
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
    source.skipped.tell()
    measured = source.data.name
    tables = [sweep_table(f"{task.model.model} on {measured}", found.whole)]
    tables += [layer_table(found.layers)] if found.layers else []
    report = _report("misalignment", task, measured, asked, study)
    measurements = {"skipped_pictures": source.skipped.names, **found.to_dict()}
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


def _outcome(
    configuration: Mapping[str, Any],
    report: Report,
    sweep: Sweep,
    found: Mapping[str, Any],
    tables: Sequence[tuple[Table, Sequence[str]]],
) -> Outcome:
    document = {"configuration": configuration, "subject": report.subject, **found}
    return Outcome(configuration, document, sweep.to_csv(), report, tables)


def inside_study(
    title: str,
    found: Sweep,
    networks: Mapping[str, SpikingNetwork],
    source: Source,
    data: DataLoader[tuple[Tensor, int]],
    task: Task,
) -> Study:
    """A sweep with a look inside: the raster of one image, the thresholds of one network."""
    images, labels = next(batch for batch in data if len(batch[1]))
    images = images.to(source.calibration[0].device)
    steps = shown_steps(task.steps)
    name, network = list(networks.items())[-1]
    seed = task.conversion.seed
    classes = source.data.classes
    raster = observe_raster(
        contrasting(networks), images[0], classes[int(labels[0])], classes, steps, seed
    )
    thresholds = Portions().fitting(
        len(images), lambda n: observe_thresholds(name, network, images[:n], steps, seed)
    )
    samples, errors = Portions().fitting(
        min(ERROR_SAMPLES, len(images)),
        lambda n: (n, observe_errors(networks, images[:n], steps, seed)),
    )
    return Study(
        title,
        found,
        raster=raster,
        thresholds=thresholds,
        errors=errors,
        error_samples=samples,
    )


def shown_steps(steps: Sequence[int]) -> int:
    """The T of rasters and threshold tables."""
    return max((t for t in steps if t <= RASTER_STEPS), default=min(steps))


def contrasting(networks: Mapping[str, SpikingNetwork]) -> dict[str, SpikingNetwork]:
    """The first network that sends at once and the last that waits; one when all are alike."""
    at_once = [name for name, network in networks.items() if network.layers_that_wait == 0]
    waiting = [name for name, network in networks.items() if network.layers_that_wait > 0]
    return {name: networks[name] for name in (*at_once[:1], *waiting[-1:])}


def telling(advance: Progress) -> Callable[[SweepProgress], None]:
    """A sweep's progress, told to a bar."""
    return lambda p: advance(p.done, p.total, f"{p.network}, T = {p.steps}")
