"""A user's unmodified model becomes a graph: check, export, read, compare with the model."""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from spikewright.devices import callers_default
from spikewright.errors import ConversionError, UnsupportedOperation
from spikewright.graph.agreement import answers_alike, check_agreement
from spikewright.graph.capture_failures import capture_failure, fixes_batch
from spikewright.graph.composites import written_out
from spikewright.graph.decomposing import decomposed
from spikewright.graph.draws import drawn_by
from spikewright.graph.elementary import Units, in_elementary_units
from spikewright.graph.exporting import (
    CallsThatTrace,
    alike_at,
    attributes_kept,
    check_sizes,
    fill_caches,
    largest_batch,
    treated_otherwise,
    two_of,
)
from spikewright.graph.functional import functional
from spikewright.graph.fusing import with_fused_units
from spikewright.graph.given import Given, OfBatches, call_of, given
from spikewright.graph.inputs import Batch, Call, batch_of, tensors_of
from spikewright.graph.ir import Graph, Kind
from spikewright.graph.maxima import with_units_before_maxima
from spikewright.graph.model_checks import check_model, clashing_names, recurrent_advice, state_of
from spikewright.graph.offenders import Offender, complaint, offender
from spikewright.graph.pairs import in_pairs
from spikewright.graph.programs import device_of, dtype_of
from spikewright.graph.ranks import with_marks
from spikewright.graph.read import read_program
from spikewright.graph.relays import with_relays
from spikewright.graph.rule import rule_of
from spikewright.graph.structure import register_answer

COMPARED = 16
"""The number of samples on which the captured graph is compared with the model, at most."""


_LIST_OF_IMAGES = (
    ". Detectors of torchvision take lists of images and choose boxes by their values: convert "
    "spikewright.models.before_boxes(model), which takes a batch [B, C, H, W]"
)


class InputRefused(ConversionError):  # noqa: N818 (it reads as a sentence)
    """The model itself raises an error on the input that it was to be captured with."""


@dataclass(frozen=True)
class Survey:
    """Every operation of a captured model, and those of them that do not convert."""

    graph: Graph
    offenders: tuple[Offender, ...]

    def require_convertible(self) -> Graph:
        """The graph, when every operation is accounted for.

        Raises:
            UnsupportedOperation: listing all offenders.
            ConversionError: when the model has no activation.
        """
        if self.offenders:
            raise UnsupportedOperation(complaint(self.offenders))
        if not self.graph.sites:
            raise ConversionError(
                "the model has no activation that could become spiking neurons, such as relu, gelu "
                "or a softmax: nothing in it would spike, so there is nothing to convert"
            )
        return self.graph


def survey(
    model: nn.Module | ExportedProgram, example: Any, units: Units | str = Units.GROUP
) -> Survey:
    """Capture a model, classify every operation its output depends on, and check what was captured.

    A graph without offenders has been run: it computes what the model computes on the first
    samples of `example`, each sample independent of the others.

    Args:
        model: in eval mode; it is not changed.
        example: one batch, as `graph.given` reads it: a tensor `[B, *S]`, a tuple of positional
            arguments, or a dict of all arguments; B at least 1. The graph will take any B and
            these S, and what is no batch among the arguments as it is.
        units: what one unit may be a function of.

    Raises:
        InputRefused: when the model fails on `example`.
        ConversionError: when the model cannot be captured at all, with the reason, or the captured
            graph does not compute what the model computes.
    """
    check_model(model)
    first = given(example, model)
    _check_example(first)
    call, constants = call_of(model, first)
    program = decomposed(with_marks(in_pairs(_exported(model, first, call, constants))))
    graph, offenders = read_program(program, model, call, constants)
    graph = graph.of_numbers(dtype_of(program), device_of(program))
    if not offenders:
        groups = Units.named(units) is Units.GROUP
        graph = with_fused_units(written_out(graph), groups=groups)
        if not groups:
            graph, offenders = in_elementary_units(graph)
        offenders = (*offenders, *_left_over(graph))
    if not offenders:
        graph = with_relays(with_units_before_maxima(graph))
        few = first.changed(lambda tensor: tensor[:COMPARED])
        _compare(graph, model, batch_of(call.inputs(few.args, few.keywords, graph.tensors)))
    return Survey(graph, offenders)


def _compare(graph: Graph, model: nn.Module | ExportedProgram, batch: Batch) -> None:
    """Refuse a graph that computes anything else than the model, of one sample alone too.

    torch.export takes no batch for one of a single sample, so it sees no choice for that.
    """

    def called(samples: Batch) -> Given:
        return Given(*graph.call.placed(tensors_of(samples), graph.tensors))

    check_agreement(graph, batch, *_answers(model, called(batch)))
    if isinstance(model, ExportedProgram):
        return
    with attributes_kept(model):
        try:
            alone = _answer(model, called(batch[:1]))
        except InputRefused:  # a network takes more than such a model does
            return
    if not answers_alike(graph, batch[:1], alone):
        raise ConversionError(treated_otherwise("one sample", "several"))


def _left_over(graph: Graph) -> tuple[Offender, ...]:
    """Operations that only a unit may hold, and that none does."""
    return tuple(
        offender(op, op.operator, reason)
        for op in graph.operations
        if op.kind is Kind.PRODUCT and (reason := rule_of(op).left_over(op))
    )


def _check_example(example: Given) -> None:
    alone = example.alone  # ids may be one a sample, `[B]`
    if alone is not None and (not example.batch or alone.ndim < 1 + alone.is_floating_point()):
        raise ConversionError(
            f"expected a non-empty batch [B, *S], got a tensor of shape {example.shapes}"
        )


def _exported(
    model: nn.Module | ExportedProgram,
    example: Given,
    call: Call,
    constants: Mapping[str, Tensor],
) -> ExportedProgram:
    """The model as a functional program of any batch size, of the batches in a call alone.

    A model that keeps what it made for the last batch, such as a detector's anchors, would be
    captured with that batch's size; it is run on a batch of another size and captured again. What
    it makes when it first runs is made before, and what it holds is put back afterwards.
    """
    if isinstance(model, ExportedProgram):
        return model if model.dialect == "ATEN" else model.run_decompositions({})
    with attributes_kept(model):
        return _traced(model, example, call, constants)


def _traced(
    model: nn.Module, example: Given, call: Call, constants: Mapping[str, Tensor]
) -> ExportedProgram:
    pair = example.changed(two_of)
    three = pair.changed(lambda tensor: torch.cat([tensor, tensor[:1]]))
    fill_caches(model, three)
    try:
        return _of_any_size(model, pair, call, constants)
    except Exception as error:  # torch.export has no common base class for what it refuses
        answer = _answer(model, example.changed(lambda tensor: tensor[:COMPARED]))
        message = str(error)
        if "in output, which is not a known type" in message:
            register_answer(answer)
            return _traced(model, example, call, constants)
        most = largest_batch(message)
        if most is not None and alike_at(most + 1, partial(_answer, model), pair):
            return _captured(model, pair, call, constants, most)
        if fixes_batch(message):
            try:
                _answer(model, three)
                return _of_any_size(model, pair, call, constants)
            except Exception:  # the first error says more
                pass
        advice = recurrent_advice(model, message) or _draws(model, pair)
        raise ConversionError(advice or capture_failure(error)) from error


def _draws(model: nn.Module, pair: Given) -> str:
    """That a model draws random numbers, where it does."""
    found = drawn_by(partial(_answer, model, pair))
    return found and (
        f"the model draws random numbers when it runs ({found}), and a converted network answers "
        "alike every time: draw outside the model and give the draw as an input, or leave it out "
        "in eval mode"
    )


def _of_any_size(
    model: nn.Module, pair: Given, call: Call, constants: Mapping[str, Tensor]
) -> ExportedProgram:
    """The model's program, which holds for batches of other sizes than it was traced for too."""
    program = _captured(model, pair, call, constants)
    check_sizes(program, partial(_answer, model), pair)
    return program


def _captured(
    model: nn.Module,
    pair: Given,
    call: Call,
    constants: Mapping[str, Tensor],
    most: int | None = None,
) -> ExportedProgram:
    """The model as a program of any batch size, or of at most so many samples."""
    try:
        with _grad_mode(model):
            return _in_this_mode(model, pair, call, constants, most)
    except IndexError:  # torch's own, of a model that enables gradients around all that it does
        with torch.enable_grad():
            return _in_this_mode(model, pair, call, constants, most)


def _in_this_mode(
    model: nn.Module, pair: Given, call: Call, constants: Mapping[str, Tensor], most: int | None
) -> ExportedProgram:
    with _quiet(), attributes_kept(model), callers_default(), CallsThatTrace():
        if pair.alone is not None and not clashing_names(model):
            each: dict[int, Any] = {0: Dim.DYNAMIC if most is None else Dim("batch", max=most)}
            shapes = ((each,),) if _takes_any_arguments(model) else (each,)
            program = export(model, pair.args, dynamic_shapes=shapes, strict=False)
        else:
            batches = tuple(call.inputs(pair.args, pair.keywords, constants))
            several = len(batches) > 1 or most is not None
            each = {0: Dim("batch", max=most) if several else Dim.DYNAMIC}
            called = OfBatches(model, call, constants)
            shapes = (tuple(each for _ in batches),)
            program = export(called, batches, dynamic_shapes=shapes, strict=False)
        return functional(program)


def _takes_any_arguments(model: nn.Module) -> bool:
    """Whether the model's input arrives in the tuple of `forward(*args)`."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    return bool(parameters) and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL


def _grad_mode(model: nn.Module) -> torch.no_grad | torch.inference_mode:
    """Weights made in `torch.inference_mode()` can be traced in that mode alone."""
    made_in_inference = any(t.is_inference() for t in state_of(model).values())
    return torch.inference_mode() if made_in_inference else torch.no_grad()


@contextmanager
def _quiet() -> Generator[None]:
    """Keep away what torch.export says on the way: whole graphs, for some models it refuses.

    And its warnings, such as of the list of weights that a recurrent layer keeps, which it traces
    rightly.
    """
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _answer(model: nn.Module | ExportedProgram, batch: Given) -> Any:
    """The model's own answer.

    Raises:
        InputRefused: with the model's own error.
    """
    try:
        with torch.no_grad():
            return batch.answered_by(model)
    except Exception as error:  # whatever the user's model raises on such input
        kinds = {t.dtype for t in state_of(model).values() if t.is_floating_point()}
        floats = [t.dtype for t in batch.tensors if t.is_floating_point()]
        others = floats or [t.dtype for t in batch.tensors]
        mismatch = (
            f"; its weights are {', '.join(sorted(map(str, kinds)))}, the input {others[0]}"
            if kinds and not kinds.intersection(others)
            else ""
        )
        views = " (views keep the batch as x.flatten(1) or x.view(x.size(0), -1))"
        raise InputRefused(
            f"the model does not take a batch of shape {batch.shapes}{mismatch}. "
            f"It raises {type(error).__name__}: {' '.join(str(error).split())}"
            + views * ("invalid for input of size" in str(error))
            + _LIST_OF_IMAGES * ("list of 3d tensors" in str(error))
        ) from error


def _answers(model: nn.Module | ExportedProgram, batch: Given) -> tuple[Any, Any]:
    """The model's answers to a batch and to the same once more; it is left as it was."""
    if isinstance(model, ExportedProgram):  # it has no attributes to keep anything in
        return _answer(model, batch), None
    with attributes_kept(model):
        return _answer(model, batch), _answer(model, batch)
