"""`spikewright evaluate`: the accuracy of a saved network, beside the ANN it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from spikewright import measure
from spikewright.artefact import describe
from spikewright.cli.command import shared
from spikewright.cli.console import print_note
from spikewright.cli.failures import WrongUsage
from spikewright.cli.fit import answers_classes, check_outputs, shape_text
from spikewright.cli.images import CLASSES, PREPARATION, OpenData, Preparation, open_data
from spikewright.cli.inside import inside_study
from spikewright.cli.measuring import measuring
from spikewright.cli.metric import MetricName, metric_of
from spikewright.cli.options import (
    DataOptions,
    MeasurementOptions,
    OutputOptions,
    SavedNetwork,
    Seed,
    Split,
)
from spikewright.cli.outcome import deliver, sweep_outcome
from spikewright.cli.parse import steps_of
from spikewright.cli.record import command_line
from spikewright.data import ImageData
from spikewright.decoding import decoded
from spikewright.errors import DataError, RunError
from spikewright.network import SpikingNetwork, load
from spikewright.report import Report
from spikewright.runs.recipe import StartRecipe
from spikewright.training.never_seen import NeverSeen


@shared
def evaluate(
    context: typer.Context,
    file: SavedNetwork,
    data: DataOptions,
    measurement: MeasurementOptions,
    output: OutputOptions,
    steps: Annotated[
        tuple[int, ...] | None, typer.Option(parser=steps_of, metavar="T,T,...")
    ] = None,
    seed: Seed = 0,
    device: str = "cpu",
    metric: MetricName = None,
    compile: bool = False,
    frames: bool = False,
) -> None:
    """Measure a saved network on images, beside the ANN that it was made of.

    The model's own code is not needed, and nothing of the file is executed. Images are prepared as
    those that it was calibrated with, when 'spikewright convert' saved it.

    DIR receives config.json, results.csv, results.json, timing.json and report.html. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there.

    Args:
        steps: The numbers of time steps T. Default: those that the network was converted for; at
            others its thresholds come from the same statistics, without bias correction. There are
            no others where every layer has a window of its own.
        seed: The seed of everything random: --limit, spikes.
        device: The device: cpu, cuda, cuda:1, mps, ...
        metric: A function of (output, labels), imported from package.module:function, that says how
            good answers are: one number a sample or a batch. It is measured beside the relative
            error, and beside accuracy where answers are of the classes of the data. Importing a
            module runs it.
        compile: The network is compiled first: seconds, then up to several times faster.
        frames: Event recordings are shown as T frames, one a step, instead of their mean.
    """
    with measuring(context, output, device, measurement.share) as job:
        network, description = load(file).to(torch.device(job.device)), describe(file)
        steps = steps or network.designed_steps
        own_metric = metric_of(metric)
        never_seen = None
        if measurement.split is Split.VALIDATION:
            never_seen = _never_seen(file, description.sha256)
        opened = open_for(
            network, description.notes, data, classes=metric is None, never_seen=never_seen
        )
        images = opened.shown(measurement, seed, frames=frames)
        label = "/".join(dict.fromkeys(neuron.label for neuron in network.neurons.values()))
        networks = {label: network.compile() if compile else network}
        own = {"file": file, "steps": steps, "seed": seed, "device": device, "metric": metric}
        own |= {"compile": compile, "frames": frames}
        of = (opened, {"file": description.sha256}, (measurement, seed))
        with job.keeping(*of, data, measurement, **own) as (asked, cells):
            swept = measure.sweep(
                networks,
                images,
                steps,
                measurement.seeds_from(seed),
                network.ann(),
                metric=own_metric,
                progress=job.progress,
                configuration=asked,
                cells=cells,
            )
        study = inside_study(file.name, swept, networks, images, opened.images.classes, seed)
    if job.processes.main:
        measured = opened.name(frames=frames)
        report = Report(
            title="A saved network, measured",
            subject=f"{file.name} (SHA-256 {description.sha256[:16]}), measured on the "
            f"{measurement.split} split of {measured}.",
            studies=(study,),
            command=command_line(asked),
            configuration=asked,
            skipped_pictures=opened.skipped.names,
        )
        deliver(sweep_outcome(f"{file.name} on {measured}", report), output)


def open_for(
    network: SpikingNetwork,
    notes: Mapping[str, Any],
    options: DataOptions,
    *,
    classes: bool = True,
    never_seen: NeverSeen | None = None,
) -> OpenData:
    """Open data for a saved network.

    Args:
        network: as loaded.
        notes: of its file; they say how images are prepared where the options do not.
        options: which data.
        classes: whether the network must have one output a class.
        never_seen: what the validation split has to be of; None leaves it as the data set has it.

    Raises:
        WrongUsage: when it does not exist, or does not fit the network.
        RecipeError: see `open_data`.
        RunError: when the notes hold no preparation that makes sense.
    """
    known = known_preparation(notes, told=options.mean is not None or options.size is not None)
    data = open_data(options, known, dtype=network.dtype, never_seen=never_seen)
    check_network(network, notes, data.images, classes=classes)
    return data


def _never_seen(file: Path, sha256: str) -> NeverSeen | None:
    """The images that a saved network never saw; a note on stderr where they are not known."""
    never_seen, why = NeverSeen.by_converted_or_why(StartRecipe(str(file), sha256))
    if why is not None:
        print_note(f"which images of the validation split it was trained on is not known: {why}")
    return never_seen


def check_network(
    network: SpikingNetwork, notes: Mapping[str, Any], images: ImageData, *, classes: bool = True
) -> None:
    """See that a saved network takes images, and has one output a class where that is asked.

    Raises:
        WrongUsage: if not.
    """
    graph = network.graph
    if tuple(images.image_shape) != graph.signal.shape:
        raise WrongUsage(
            f"the network takes {shape_text(graph.signal.shape)}, the images of '{images.name}' "
            f"are {shape_text(images.image_shape)}; --size sets the side of pictures"
        )
    if answers_classes(graph, images):
        _check_classes(notes, images)  # accuracies are measured beside --metric too
        return
    if not classes:
        return
    names = graph.structure.names.values()
    if graph.structure.logits is None:
        raise WrongUsage(
            f"the network has several outputs ({', '.join(names)}), and none of them is called "
            "'logits': right answers are counted by one tensor [B, classes]; --metric measures "
            "other answers"
        )
    if len(graph.output_shape) != 1:
        answers = ", ".join(["B", *map(str, graph.output_shape)])
        raise WrongUsage(
            f"the network answers [{answers}]: right answers are counted by logits [B, classes]; "
            "--metric measures other answers"
        )
    check_outputs(graph.output_shape[0], images)


def known_preparation(notes: Mapping[str, Any], *, told: bool) -> Preparation:
    """How a saved network is given images, as its file says; as they are where it does not.

    Args:
        notes: of the file.
        told: whether the options say how images are prepared; else a note on stderr says that
            nobody does.

    Raises:
        RunError: when what the file says is no preparation.
    """
    known = _preparation_in(notes)
    if known is None and not told:
        print_note(
            "the file does not say how images were prepared: pixels are left in 0 .. 1, unless "
            "--mean, --std and --size say otherwise"
        )
    return known or Preparation()


def _preparation_in(notes: Mapping[str, Any]) -> Preparation | None:
    """How a saved network is given images; None when its file does not say.

    Raises:
        RunError: when what it says is no preparation.
    """
    if notes.get(PREPARATION) is None:
        return None
    what = "the saved network's note 'preparation'"
    try:
        return decoded(Preparation, notes[PREPARATION], what)
    except DataError as error:
        raise RunError(f"{what}: {error}") from error


def _check_classes(notes: Mapping[str, Any], data: ImageData) -> None:
    """Refuse data whose classes are those of the saved network in another order.

    Raises:
        WrongUsage: naming the first class that stands elsewhere.
    """
    known = notes.get(CLASSES)
    if not isinstance(known, list) or sorted(map(str, known)) != sorted(data.classes):
        return  # other names may well mean the same classes
    for number, (then, now) in enumerate(zip(known, data.classes, strict=True)):
        if then != now:
            raise WrongUsage(
                f"answer {number} of the saved network means '{then}', and label {number} of "
                f"'{data.name}' is '{now}': the same classes in another order; give the data in "
                "the order of the network's"
            )
