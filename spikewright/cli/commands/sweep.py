"""`spikewright sweep`: accuracy, or a metric, at every T, beside the ANN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any

import typer
from torch import nn

from spikewright import measure
from spikewright.cli.command import shared
from spikewright.cli.inside import inside_study, loader_at
from spikewright.cli.measuring import measuring
from spikewright.cli.metric import MetricName, metric_of
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    OutputOptions,
    Steps,
)
from spikewright.cli.outcome import deliver, sweep_outcome
from spikewright.cli.parse import MAXIMUM_STEPS, NEURON_HELP, neurons_of
from spikewright.cli.record import command_line
from spikewright.cli.source import method_for, open_source, subject_of
from spikewright.measure.memory import Portions
from spikewright.network import SpikingNetwork
from spikewright.report import Report

NEURONS = "if,shuffled,tpp,unbiased,nearest"
"""The neurons that are compared when neither neurons nor a method are named."""


@shared
def sweep(
    context: typer.Context,
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...",
            help=f"{NEURON_HELP} Default: own with a method, else {NEURONS}.",
        ),
    ] = None,
    steps: Steps = (1, 2, 4, 8, 16, 32),
    metric: MetricName = None,
    trajectory: Annotated[int | None, typer.Option(metavar="T", min=1, max=MAXIMUM_STEPS)] = None,
    compile: bool = False,
    frames: bool = False,
) -> None:
    """Measure the accuracy of MODEL with several neurons at every T, beside the ANN.

    Thresholds come from the training split, never from the images measured.

    DIR receives config.json, results.csv, results.json, timing.json and report.html. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there, to
    the same results.

    Several processes share the calibration and the images, and measure what one measures, when they
    are started by 'torchrun --nproc-per-node N -m spikewright sweep ...' or 'accelerate launch
    --multi_gpu --num_processes N -m spikewright sweep ...', with --device cpu on CPUs.
    ('accelerate launch --cpu' starts one process alone.)

    Args:
        steps: The numbers of time steps T; each is a design point of the conversion.
        metric: A function of (output, labels), imported from package.module:function, that says how
            good answers are: one number a sample or a batch. It is measured beside the relative
            error, and beside accuracy where answers are of the classes of the data. Importing a
            module runs it.
        trajectory: One T at which the accuracy after every time step since the first input is
            measured too, of every network, on the same images.
        compile: The networks are compiled first: seconds each, then up to several times faster.
        frames: Event recordings are shown as T frames, one a step, instead of their mean.
    """
    neuron = neuron or ("own" if conversion.method else NEURONS)
    neurons, seed = neurons_of(neuron, method_for(conversion)), conversion.seed
    own_metric = metric_of(metric)
    own = {
        "neuron": neuron,
        "steps": steps,
        "trajectory": trajectory,
        "compile": compile,
        "frames": frames,
        "metric": metric,
    }
    groups = (model, data, measurement, conversion)
    with measuring(context, output, conversion.device, measurement.share) as job:
        here = replace(conversion, device=job.device)
        source = open_source(
            model, data, here, job.processes, classes=metric is None, split=measurement.split
        )
        images = source.data.shown(measurement, seed, frames=frames)
        of = (source.data, source.fingerprints(), (measurement, seed))
        with job.keeping(*of, *groups, **own) as (asked, cells):
            networks: dict[str, SpikingNetwork] = {}
            for number, (name, kind) in enumerate(neurons.items()):
                job.advance(number, len(neurons), f"converting to {name}")
                networks[name] = source.convert(kind, steps, here)
                if compile:
                    networks[name].compile()
            if trajectory is not None and job.processes.main:
                shown = loader_at(images, trajectory)
                _trajectories(networks, shown, trajectory, source.model, seed, samples=1)
            swept = measure.sweep(
                networks,
                images,
                steps,
                measurement.seeds_from(seed),
                source.model,
                metric=own_metric,
                progress=job.progress,
                configuration=asked,
                cells=cells,
            )
        classes = source.data.images.classes
        study = inside_study(model.model, swept, networks, images, classes, seed)
        if trajectory is not None and job.processes.main:
            shown = loader_at(images, trajectory)
            measured = _trajectories(networks, shown, trajectory, source.model, seed)
            study = replace(study, trajectories=measured)
    if job.processes.main:
        where = source.data.name(frames=frames)
        report = Report(
            title="From ANN to spikes",
            subject=subject_of(model, conversion, measurement, where),
            studies=(study,),
            command=command_line(asked),
            configuration=asked,
            skipped_pictures=source.data.skipped.names,
        )
        deliver(sweep_outcome(f"{model.model} on {where}", report), output)


def _trajectories(
    networks: Mapping[str, SpikingNetwork],
    images: Iterable[Any],
    steps: int,
    reference: nn.Module,
    seed: int,
    samples: int | None = None,
) -> measure.Trajectories:
    """What `--trajectory` asks for; before the sweep of few samples, which refuses early."""

    def measured(batches: Iterable[Any]) -> measure.Trajectories:
        shown = islice(batches, samples)
        return measure.trajectories(networks, shown, steps, reference, seed=seed)

    portions = Portions()
    portions.largest = samples
    (network, *_) = networks.values()
    return portions.again(measured, images, len(network.graph.signal.shape))
