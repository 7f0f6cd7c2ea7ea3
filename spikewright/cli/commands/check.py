"""`spikewright check`: does a model convert?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from spikewright.cli.console import print_json, print_text
from spikewright.cli.example import inputs_of
from spikewright.cli.failures import ExitCode, WrongUsage
from spikewright.cli.options import ModelOptions
from spikewright.cli.parse import shape_of
from spikewright.cli.source import open_model
from spikewright.errors import ConversionError
from spikewright.graph import InputRefused, Survey
from spikewright.graph import survey as survey_of
from spikewright.graph.model_checks import state_of
from spikewright.graph.rule import known_as
from spikewright.models.exported import exported_shape
from spikewright.network.summary import alike

DEFAULT_SHAPE = (3, 224, 224)
ALONE = "input"
"""What the input of a model that takes one is called."""


def check(
    model: ModelOptions,
    input_shape: Annotated[
        tuple[int, ...] | None, typer.Option(parser=shape_of, metavar="C,H,W")
    ] = None,
    input: Annotated[list[str] | None, typer.Option(metavar="NAME=KIND:SHAPE")] = None,
    json: bool = False,
) -> None:
    """Say whether MODEL converts: every operation with its class, every neuron site.

    It needs no data. When the model does not convert, all operations in the way are listed with
    their module, source line and what to do, and the exit code is 3.

    Args:
        input_shape: The shape of one sample. Default: 3,224,224; of a .pt2 file, its own.
        input: An input of a model that takes several, or token ids; repeat it. KIND is float, ids,
            mask or bool: input_ids=ids:12, attention_mask=mask:12, image=float:3,224,224.
        json: One JSON document is printed on stdout, and nothing else.
    """
    if input and input_shape:
        raise WrongUsage("--input-shape is of a model of one input: give each as --input")
    shapes: dict[str, list[int]] = {}
    try:
        opened = open_model(model)
        example = _example(opened, input_shape, input or ())
        shapes = {name: list(tensor.shape[1:]) for name, tensor in example.items()}
        survey = surveyed(opened, example, shape_given=bool(input or input_shape))
    except ConversionError as error:
        if json:
            print_json(_document(model.model, shapes, str(error)))
        raise
    if json:
        print_json(as_document(model.model, shapes, survey))
    else:
        print_text(as_text(model.model, shapes, survey))
    if verdict(survey) is not None:
        raise typer.Exit(ExitCode.NOT_CONVERTIBLE)


def _example(
    model: nn.Module, shape: tuple[int, ...] | None, inputs: Sequence[str]
) -> dict[str, Tensor]:
    """Random input of the model's own dtype, by name; that of a model of one input is "input"."""
    floating = (t for t in state_of(model).values() if t.is_floating_point())
    like = next(floating, torch.zeros(()))
    if inputs:
        return inputs_of(inputs, like)
    used = shape or exported_shape(model) or DEFAULT_SHAPE
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(2, *used, generator=generator).to(like.device, like.dtype)
    return {ALONE: example}


def surveyed(model: nn.Module, example: Mapping[str, Tensor], *, shape_given: bool) -> Survey:
    """Survey a model.

    Args:
        model: in eval mode.
        example: a batch of every input, by name; of a model of one input called `ALONE`.
        shape_given: whether the user chose its shape.

    Raises:
        WrongUsage: when the model does not take such input.
        ConversionError: when the model cannot be captured.
    """
    alone = example.get(ALONE) if len(example) == 1 else None
    try:
        return survey_of(model, example if alone is None else alone)
    except InputRefused as error:
        default = "" if shape_given else "this shape is the default: "
        raise WrongUsage(
            f"{error}\n{default}give the shape of one sample as --input-shape, such as 1,28,28; of "
            "a model of several inputs, or of token ids, each as --input, such as input_ids=ids:12"
        ) from error


def verdict(survey: Survey) -> str | None:
    """Why the model does not convert, or None when it does."""
    try:
        survey.require_convertible()
    except ConversionError as error:
        return str(error)
    return None


def as_document(model: str, shapes: Mapping[str, list[int]], survey: Survey) -> dict[str, Any]:
    """Everything `check` knows, as plain JSON values; `input_shape` of a model of one input."""
    return _document(model, shapes, verdict(survey)) | {
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


def _document(model: str, shapes: Mapping[str, list[int]], problem: str | None) -> dict[str, Any]:
    """What there is to say of any model, also of one whose operations are not known."""
    alone = shapes.get(ALONE) if len(shapes) == 1 else None
    return {
        "model": model,
        **({"inputs": dict(shapes)} if alone is None else {"input_shape": alone}),
        "converts": problem is None,
        "problem": problem,
    }


def as_text(model: str, shapes: Mapping[str, list[int]], survey: Survey) -> str:
    """The same as text: operations, sites, verdict."""
    inputs = (
        f"{name} {' x '.join(map(str, shape)) or 'a number'}" for name, shape in shapes.items()
    )
    lines = [f"{model}, {', '.join(inputs)}", ""]
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
