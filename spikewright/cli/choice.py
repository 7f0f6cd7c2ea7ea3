"""What a conversion chooses by its calibration images: T, longer windows and codes of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import ConversionOptions
from spikewright.cli.parse import MAXIMUM_STEPS, items, precision_of
from spikewright.cli.source import Source, method_for
from spikewright.measure import (
    CodeAssignment,
    FewestSteps,
    StepAssignment,
    assign_codes,
    assign_steps,
    fewest_steps,
)
from spikewright.network import SpikingNetwork
from spikewright.neurons import Code, Neuron, TwoPhase, code_of

MOST_STEPS = 64
"""The largest T that --agreement tries."""
LONGER_BY = 4
"""The time steps by which windows are longer where --longer-by names no number."""


@dataclass(frozen=True)
class ChoiceOptions:
    """What the calibration images choose.

    Attributes:
        agreement: T is the smallest, up to 64, at which this share of the calibration images held
            out of the fit is classified as the ANN does, such as 0.99. Where neither a neuron nor
            a method is named, nearest is tried in the binary code and in random order. Takes the
            place of --steps.
        longer_layers: The largest number of layers that get a longer window: those whose rounding
            costs most on calibration images held out, such as the first one of a mobile network.
        longer_by: The time steps by which windows of --longer-layers are longer. Default: 4.
        codes: Each layer takes one of these codes, such as binary,first-spike, by what its spikes
            cost on the calibration images: the network is the cheapest one, with the same answers.
        latency: What --longer-layers or --codes chooses answers within so many time steps.
            Default: any number.
    """

    agreement: Annotated[float | None, typer.Option(metavar="SHARE", min=0.01, max=1)] = None
    longer_layers: Annotated[int | None, typer.Option(metavar="N", min=1)] = None
    longer_by: Annotated[int | None, typer.Option(metavar="N", min=1, max=MAXIMUM_STEPS)] = None
    codes: Annotated[str | None, typer.Option(metavar="NAME,NAME,...")] = None
    latency: Annotated[int | None, typer.Option(metavar="N", min=1)] = None


@dataclass(frozen=True)
class Chosen:
    """A network, and what was chosen for it.

    Attributes:
        network: the network.
        steps: every T.
        fewest: what --agreement found.
        windows: what --longer-layers found; the last ones are the network's.
        codes: what --codes found; the last ones are the network's.
    """

    network: SpikingNetwork
    steps: tuple[int, ...]
    fewest: FewestSteps | None = None
    windows: tuple[StepAssignment, ...] = ()
    codes: tuple[CodeAssignment, ...] = ()


def check_choice(
    choice: ChoiceOptions, neuron: Neuron, steps: Sequence[int], context: typer.Context
) -> None:
    """Refuse what cannot be chosen together, or of this neuron."""
    steps_named = getattr(context.get_parameter_source("steps"), "name", "") != "DEFAULT"
    if choice.agreement is not None and steps_named:
        raise WrongUsage("--agreement finds T itself: leave --steps out, or leave it out")
    if choice.latency is not None and choice.codes is None and choice.longer_layers is None:
        raise WrongUsage(
            "--latency limits what --longer-layers or --codes chooses: give one of them too"
        )
    if choice.longer_by is not None and choice.longer_layers is None:
        raise WrongUsage("--longer-by is for the windows of --longer-layers: give that too")
    for option in ("codes", "longer_layers"):
        if getattr(choice, option) is not None and len(steps) > 1:
            name = option.replace("_", "-")
            raise WrongUsage(f"--{name} chooses for one T: give one number of --steps")
    _codes(choice)
    if choice.longer_layers is not None:
        _check_longer(choice, neuron)


def _check_longer(choice: ChoiceOptions, neuron: Neuron) -> None:
    if choice.agreement is not None:
        raise WrongUsage(
            "--longer-layers keeps the T of --steps at all other layers, and --agreement finds one "
            "for all layers: leave one of them out"
        )
    if choice.codes is not None:
        raise WrongUsage(
            "--longer-layers and --codes both choose the windows of layers: leave one of them out"
        )
    if not isinstance(neuron, TwoPhase):
        raise WrongUsage(
            f"--longer-layers: a layer of '{neuron.label}' has no window of its own; name a "
            "two-phase neuron, such as --neuron nearest:binary (tpp, unbiased or nearest, in any "
            "code)"
        )


def _codes(choice: ChoiceOptions) -> tuple[Code, ...]:
    """The codes that layers may take; none where each keeps its own."""
    if choice.codes is None:
        return ()
    try:
        return tuple(code_of(name) for name in items(choice.codes, "--codes"))
    except ValueError as error:
        raise WrongUsage(f"--codes {choice.codes}: {error}") from None


def chosen_network(
    source: Source,
    choice: ChoiceOptions,
    neuron: Neuron,
    steps: tuple[int, ...],
    conversion: ConversionOptions,
    *,
    settled: bool,
) -> Chosen:
    """Convert the model, with what its calibration images choose.

    Args:
        source: the model and its calibration images.
        choice: what they choose, as `check_choice` allows it.
        neuron: of all layers, before anything is chosen.
        steps: every T.
        conversion: how it is converted.
        settled: whether --agreement keeps the neuron.
    """
    neurons: Neuron | Mapping[str, Neuron] = neuron
    fewest, windows, codes = None, (), ()
    if choice.agreement is not None:
        fewest = _fewest(source, choice.agreement, neuron if settled else None, conversion)
        neurons, steps = fewest.neuron, (fewest.steps,)
    if choice.longer_layers is not None and isinstance(neuron, TwoPhase):
        windows = assign_steps(
            *(source.prepared, neuron, steps[0]),
            *(choice.longer_by or LONGER_BY, choice.longer_layers),
            latency=choice.latency,
            threshold=method_for(conversion).threshold,
            seed=conversion.seed,
        )
        neurons = windows[-1].neurons
    network = source.convert(neurons, steps, conversion)
    if wanted := _codes(choice):
        settings = (source.calibration, choice.latency)
        codes = assign_codes(network, *settings, codes=wanted, seed=conversion.seed)
        network = codes[-1].network
    return Chosen(network, steps, fewest, windows, codes)


def _fewest(
    source: Source, agreement: float, neuron: Neuron | None, conversion: ConversionOptions
) -> FewestSteps:
    """The smallest T that is asked for."""
    method = method_for(conversion)
    precision = precision_of(conversion.precision)
    settings = (method.threshold, method.correction, MOST_STEPS, conversion.seed, precision)
    neurons = (TwoPhase("nearest", "binary"), TwoPhase("nearest")) if neuron is None else (neuron,)
    return fewest_steps(source.prepared, agreement, neurons, *settings)
