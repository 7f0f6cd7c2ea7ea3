"""The commands; each parses, calls the library, prints and writes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spikewright.cli.console import print_json, progress_bar, results
from spikewright.cli.events import simulate_events
from spikewright.cli.expand import expanded
from spikewright.cli.experiment import app as experiment
from spikewright.cli.failures import EXIT_CODES, ExitCode, WrongUsage, opening, reported
from spikewright.cli.inspect import deliver_network, inspect
from spikewright.cli.options import (
    MAXIMUM_SEED,
    NEURON_HELP,
    SWEPT_NEURONS,
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    OutputOptions,
    StepsOption,
)
from spikewright.cli.train_options import (
    ImageOptions,
    NetworkOptions,
    NumericsOptions,
    OptimisationOptions,
    RunOptions,
)
from spikewright.cli.zoo import zoo

app = typer.Typer(
    help="Turn a trained PyTorch network into a spiking network, and measure what that costs.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _command(function: Any) -> Any:
    """Register a command that takes groups of options and reports its errors."""
    return app.command(epilog=EXIT_CODES)(expanded(reported(function)))


def _version(asked: bool) -> None:
    if asked:
        from spikewright.version import __version__

        sys.stdout.write(f"spikewright {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of every error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Print the version."),
    ] = False,
) -> None:
    """Options of all commands; `debug` is read by `reported`."""


@_command
def check(
    model: ModelOptions,
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W",
            help="Shape of one sample. Default: 3,224,224; of a .pt2 file, its own.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
    ] = False,
) -> None:
    """Say whether MODEL converts: every operation with its class, every neuron site.

    It needs no data. When the model does not convert, all operations in the way are listed with
    their module, source line and what to do, and the exit code is 3.
    """
    from spikewright.cli.check import as_document, as_text, inspected, verdict
    from spikewright.cli.parse import shape_of
    from spikewright.cli.source import open_model

    shape = None if input_shape is None else shape_of(input_shape)
    found, used = inspected(open_model(model), shape)
    if json:
        print_json(as_document(model.model, used, found))
    else:
        results().print(as_text(model.model, used, found), markup=False, soft_wrap=True)
    if verdict(found) is not None:
        raise typer.Exit(ExitCode.NOT_CONVERTIBLE)


@_command
def convert(
    model: ModelOptions,
    data: DataOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"{NEURON_HELP} Default: own, nearest without a method."),
    ] = "own",
    steps: StepsOption = "16",
) -> None:
    """Convert MODEL and show the result: sites, thresholds, operations, latency.

    DIR receives config.json, summary.txt and network.safetensors, the converted network itself
    (see `spikewright inspect`).
    """
    from spikewright.cli.output import prepare_folder
    from spikewright.cli.parse import neuron_of, steps_of
    from spikewright.cli.record import configuration_of
    from spikewright.cli.source import method_for, open_source

    chosen, points = neuron_of(neuron, method_for(conversion)), steps_of(steps)
    prepare_folder(output.output)
    network = open_source(model, data, conversion).convert(chosen, points, conversion)
    asked = configuration_of("convert", (model, data, conversion), neuron=neuron, steps=steps)
    deliver_network(network, points, asked, output)


@_command
def sweep(
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...",
            help=f"{NEURON_HELP} Default: own with a method, else {SWEPT_NEURONS}.",
            show_default=False,
        ),
    ] = None,
    steps: StepsOption = "1,2,4,8,16,32",
    compile: Annotated[
        bool,
        typer.Option(
            "--compile/--no-compile",
            help="Compile the networks first: seconds each, then up to several times faster.",
        ),
    ] = False,
    frames: Annotated[
        bool,
        typer.Option(
            "--frames/--no-frames",
            help="Show event recordings as T frames, one a step, instead of their mean.",
        ),
    ] = False,
) -> None:
    """Measure the accuracy of MODEL with several neurons at every T, beside the ANN.

    Thresholds come from the training split, never from the images measured.

    DIR receives config.json, results.csv, results.json and report.html.
    """
    from spikewright.cli.measure import Task, run_sweep
    from spikewright.cli.outcome import deliver, prepare
    from spikewright.cli.parse import neurons_of, steps_of
    from spikewright.cli.source import method_for

    task = Task(model, data, measurement, conversion, steps_of(steps))
    neuron = neuron or ("own" if conversion.method else SWEPT_NEURONS)
    neurons = neurons_of(neuron, method_for(conversion))
    prepare(output)
    asked = {"neuron": neuron, "steps": steps, "compile": compile, "frames": frames}
    with progress_bar("sweep") as advance:
        outcome = run_sweep(task, neurons, asked, advance, compiled=compile, frames=frames)
    deliver(outcome, output)


@_command
def energy(
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[
        str,
        typer.Option(metavar="NAME,NAME,...", help=NEURON_HELP),
    ] = "if,nearest,nearest:binary,nearest:first-spike",
    steps: StepsOption = "8",
) -> None:
    """Count the operations of a converted MODEL, layer by layer, and estimate their energy.

    Spikes times exact fan-outs, beside the ANN; energies are estimates by published constants
    (Horowitz 2014, 45 nm). Stochastic neurons are run with --seed alone.

    DIR receives config.json, operations.csv and operations.json.
    """
    from spikewright.cli.energy import deliver, run_energy
    from spikewright.cli.measure import Task
    from spikewright.cli.output import prepare_folder
    from spikewright.cli.parse import neurons_of, steps_of
    from spikewright.cli.source import method_for

    if measurement.seeds != MeasurementOptions().seeds:
        raise WrongUsage("--seeds has no effect on energy: it runs with --seed alone")
    task = Task(model, data, measurement, conversion, steps_of(steps))
    neurons = neurons_of(neuron, method_for(conversion))
    prepare_folder(output.output)
    with progress_bar("energy") as advance:
        configuration, found = run_energy(
            task, neurons, {"neuron": neuron, "steps": steps}, advance
        )
    deliver(configuration, found, output)


@_command
def misalignment(
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[str, typer.Option(metavar="NAME", help="if or if-hard.")] = "if",
    orders: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME,...",
            help="How spikes are rearranged: independent (the paper's probe), shared, early, "
            "late, reversed.",
        ),
    ] = "independent,shared,early,late,reversed",
    layerwise: Annotated[bool, typer.Option(help="Also rearrange one layer at a time.")] = True,
    steps: StepsOption = "4,8,16",
) -> None:
    """Rearrange the spikes of a converted MODEL in time, and see what that does to its accuracy.

    The experiment of arXiv 2502.14487: the spikes that leave each layer keep their number and
    change their order.

    DIR receives config.json, results.csv, results.json and report.html.
    """
    from spikewright.cli.measure import Task, run_misalignment
    from spikewright.cli.outcome import deliver, prepare
    from spikewright.cli.parse import integrate_fire_of, orders_of, steps_of
    from spikewright.cli.source import method_for

    task = Task(model, data, measurement, conversion, steps_of(steps))
    base, named = integrate_fire_of(neuron, method_for(conversion)), orders_of(orders)
    prepare(output)
    asked = {"neuron": neuron, "orders": orders, "layerwise": layerwise, "steps": steps}
    with progress_bar("misalignment") as advance:
        outcome = run_misalignment(task, base, named, layerwise, asked, advance)
    deliver(outcome, output)


@_command
def train(
    network: NetworkOptions,
    images: ImageOptions,
    optimisation: OptimisationOptions,
    numerics: NumericsOptions,
    run: RunOptions,
    json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Train a network for conversion, from its first weights or from where a run was stopped.

    A run that is killed loses at most the epoch it was in. The best epoch is chosen on images
    held out of the training set; the test split is read once, at the end. Several processes
    share the work under 'accelerate launch --multi_gpu -m spikewright train ...'.

    DIR receives run.json, metrics.jsonl, checkpoint.safetensors and, at the end,
    weights.safetensors and card.json.
    """
    from spikewright.cli.train import ProgressLine, recipe_of, refuse_recipe_options, summary
    from spikewright.training import RunFolder
    from spikewright.training import train as carry_out
    from spikewright.training.processes import is_main_process
    from spikewright.training.train import open_data

    if run.resume is not None and run.output is not None:
        raise WrongUsage("--resume DIR and --output DIR both name the folder; give one of them")
    if run.resume is not None:
        refuse_recipe_options(network, images, optimisation, numerics)
        folder, recipe = run.resume, RunFolder(run.resume).read_recipe()
    elif run.output is not None:
        folder, recipe = run.output, recipe_of(network, images, optimisation, numerics)
    else:
        raise WrongUsage("--output DIR names the folder of the run; or go on with --resume DIR")
    with opening():
        finished = RunFolder(folder).card.is_file()
        data = None if finished else open_data(recipe)
    card = carry_out(
        recipe,
        folder,
        data=data,
        device=run.device,
        tensorboard=run.tensorboard,
        progress=ProgressLine(),
    )
    if not is_main_process():
        return
    if json:
        print_json(card)
    else:
        results().print(summary(card, str(folder)), markup=False, soft_wrap=True)


@_command
def demo(
    output: OutputOptions,
    seed: Annotated[
        int, typer.Option(min=0, max=MAXIMUM_SEED, help="Of training and of spikes.")
    ] = 0,
) -> None:
    """Train a small network on handwritten digits, convert it with every neuron, and compare.

    It also trains a QCFS twin, whose activations are quantised: converted with `nearest` at T = L
    it gives the ANN's own predictions.

    DIR receives config.json, results.csv, results.json and report.html.
    """
    from spikewright.cli.demo import demo_outcome
    from spikewright.cli.outcome import deliver, prepare
    from spikewright.demo import run_demo

    prepare(output)
    with progress_bar("demo") as advance:
        result = run_demo(seed, advance)
    deliver(demo_outcome(result), output)


_command(simulate_events)
_command(inspect)
_command(zoo)
app.add_typer(experiment, name="experiment")
