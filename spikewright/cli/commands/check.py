"""`spikewright check`: does a model convert?"""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Any

import torch
import typer
from torch import nn

from spikewright.cli.console import print_json, print_text
from spikewright.cli.failures import ExitCode, WrongUsage
from spikewright.cli.options import ModelOptions
from spikewright.cli.parse import shape_of
from spikewright.cli.source import open_model
from spikewright.errors import ConversionError
from spikewright.graph import InputRefused, Survey
from spikewright.graph import survey as survey_of
from spikewright.graph.rule import known_as
from spikewright.models.exported import exported_shape
from spikewright.network.summary import alike

DEFAULT_SHAPE = (3, 224, 224)


def check(
    model: ModelOptions,
    input_shape: Annotated[
        tuple[int, ...] | None, typer.Option(parser=shape_of, metavar="C,H,W")
    ] = None,
    json: bool = False,
) -> None:
    """Say whether MODEL converts: every operation with its class, every neuron site.

    It needs no data. When the model does not convert, all operations in the way are listed with
    their module, source line and what to do, and the exit code is 3.

    Args:
        input_shape: The shape of one sample. Default: 3,224,224; of a .pt2 file, its own.
        json: One JSON document is printed on stdout, and nothing else.
    """
    survey, used = surveyed(open_model(model), input_shape)
    if json:
        print_json(as_document(model.model, used, survey))
    else:
        print_text(as_text(model.model, used, survey))
    if verdict(survey) is not None:
        raise typer.Exit(ExitCode.NOT_CONVERTIBLE)


def surveyed(model: nn.Module, shape: tuple[int, ...] | None) -> tuple[Survey, tuple[int, ...]]:
    """Survey a model on random input of its own dtype.

    Args:
        model: in eval mode.
        shape: of one sample; when None, the shape a program was exported with, or 3 x 224 x 224.

    Returns:
        The survey and the shape used.

    Raises:
        WrongUsage: when the model does not take input of this shape.
        ConversionError: when the model cannot be captured.
    """
    used = shape or exported_shape(model) or DEFAULT_SHAPE
    floating = (t for t in model.state_dict().values() if t.is_floating_point())
    like = next(floating, torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(2, *used, generator=generator).to(like.device, like.dtype)
    try:
        return survey_of(model, example), used
    except InputRefused as error:
        default = "this shape is the default: " if shape is None else ""
        raise WrongUsage(
            f"{error}\n{default}give the shape of one sample as --input-shape, such as 1,28,28"
        ) from error


def verdict(survey: Survey) -> str | None:
    """Why the model does not convert, or None when it does."""
    try:
        survey.require_convertible()
    except ConversionError as error:
        return str(error)
    return None


def as_document(model: str, shape: tuple[int, ...], survey: Survey) -> dict[str, Any]:
    """Everything `check` knows, as plain JSON values."""
    return {
        "model": model,
        "input_shape": list(shape),
        "converts": verdict(survey) is None,
        "sites": [
            {"site": op.site.name, "operation": op.operator, "neurons": math.prod(op.shape)}
            for op in survey.graph.neurons
            if op.site is not None
        ],
        "operations": [
            {"operation": name, "class": kind, "times": times}
            for (name, kind), times in operation_counts(survey)
        ],
        "offenders": [
            {
                "operation": o.operator,
                "module": o.module,
                "source": o.source,
                "reason": o.reason,
                "remedy": o.remedy,
            }
            for o in survey.offenders
        ],
    }


def as_text(model: str, shape: tuple[int, ...], survey: Survey) -> str:
    """The same as text: operations, sites, verdict."""
    lines = [f"{model}, input {' x '.join(map(str, shape))}", ""]
    lines.append(f"{'operation':<34} {'class':<13} {'times':>5}")
    for (name, kind), times in operation_counts(survey):
        lines.append(f"{name:<34} {kind:<13} {times:>5}")
    lines += ["", *_site_lines(survey), ""]
    problem = verdict(survey)
    lines.append(f"It does not convert. {problem}" if problem else "It converts.")
    return "\n".join(lines)


def _site_lines(survey: Survey) -> list[str]:
    sites = alike(survey.graph.neurons)
    if not sites:
        return ["no neuron site"]
    width = max(len("total"), *(len(name) for name in sites))
    lines = [f"{'neuron site':<{max(width, 11)}}  {'operation':<22} {'neurons':>11}"]
    for name, ops in sites.items():
        size = sum(math.prod(op.shape) for op in ops)
        lines.append(f"{name:<{max(width, 11)}}  {ops[0].operator:<22} {size:>11,}")
    total = sum(math.prod(op.shape) for op in survey.graph.neurons)
    lines.append(f"{'total':<{max(width, 11)}}  {'':<22} {total:>11,}")
    return lines


def operation_counts(survey: Survey) -> list[tuple[tuple[str, str], int]]:
    """How often each (operation, class) occurs; the class of refused operations is "refused"."""
    refused = {(o.operator, o.module, o.source) for o in survey.offenders}
    places = [(op.operator, op.module, op.source) for op in survey.graph.operations]
    counts = Counter(
        (known_as(op.operator), "refused" if place in refused else str(op.kind))
        for op, place in zip(survey.graph.operations, places, strict=True)
    )
    counts.update((place[0], "refused") for place in refused.difference(places))
    return sorted(counts.items(), key=lambda entry: (entry[0][1], entry[0][0]))
