"""From a user's unmodified model to a plan: check, export, read."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export

from spikewright.errors import ConversionError, UnsupportedOperation
from spikewright.graph.ir import Graph
from spikewright.graph.offenders import Offender, complaint
from spikewright.graph.read import read_program


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
                "the model has no activation that could become spiking neurons (relu, relu6, "
                "hardtanh(0, c), clamp(min=0), QCFS): a network without any is linear"
            )
        return self.graph


def survey(model: nn.Module | ExportedProgram, example: Tensor) -> Survey:
    """Capture a model and classify every operation that its output depends on.

    Args:
        model: in eval mode, taking one floating-point batch; it is not changed.
        example: `[B, *S]`, B at least 1; the graph will take any B and this S.

    Raises:
        ConversionError: when the model cannot be captured at all, with the reason.
    """
    _check_model(model)
    _check_example(model, example)
    program = _exported(model, example).run_decompositions({})
    return Survey(*read_program(program, model))


def _check_model(model: nn.Module | ExportedProgram) -> None:
    if isinstance(model, ExportedProgram):
        state = model.state_dict
    elif isinstance(model, nn.Module):
        training = [name or "the model" for name, m in model.named_modules() if m.training]
        if training and not isinstance(model, fx.GraphModule):
            raise ConversionError(
                f"{len(training)} modules are in training mode ({', '.join(training[:3])}"
                f"{', ...' if len(training) > 3 else ''}); call model.eval() first"
            )
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    else:
        raise ConversionError(
            f"expected a torch.nn.Module or an ExportedProgram, got {type(model).__name__}"
        )
    broken = [n for n, t in state.items() if t.is_floating_point() and not t.isfinite().all()]
    if broken:
        raise ConversionError(f"NaN or infinite values in the model's weights: {', '.join(broken)}")


def _check_example(model: nn.Module | ExportedProgram, example: Tensor) -> None:
    if not example.is_floating_point():
        raise ConversionError(
            f"the model is given {example.dtype} input; spiking conversion takes floating-point "
            "signals (convert the part after an embedding instead)"
        )
    if example.ndim < 2 or len(example) == 0:
        raise ConversionError(
            f"expected a non-empty batch [B, *S], got a tensor of shape {list(example.shape)}"
        )
    if isinstance(model, nn.Module) and not isinstance(model, fx.GraphModule):
        required = [
            p.name
            for p in inspect.signature(model.forward).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if len(required) > 1:
            raise ConversionError(
                f"the model takes several inputs ({', '.join(required)}); conversion takes models "
                "of one input: wrap it in a module that fixes the others"
            )


def _exported(model: nn.Module | ExportedProgram, example: Tensor) -> ExportedProgram:
    if isinstance(model, ExportedProgram):
        return model
    pair = example[:2] if len(example) > 1 else example.expand(2, *example.shape[1:]).contiguous()
    try:
        with torch.no_grad():
            return export(model, (pair,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
    except Exception as error:  # torch.export has no common base class for what it refuses
        raise ConversionError(_capture_failure(str(error))) from error


def _capture_failure(message: str) -> str:
    first = next((line.strip() for line in message.splitlines() if line.strip()), "no message")
    if re.search(r"data-dependent|guard on|unbacked|DataDependent", message):
        return (
            "the model's control flow depends on the values of its input (an `if`, a loop or an "
            "index on tensor data), so it is not one fixed graph; make that choice before the "
            f"model. torch.export says: {first}"
        )
    if re.search(
        r"onstraint|specializ|dynamic dim|marked .* as dynamic|invalid for input of size .*s\d",
        message,
    ):
        return (
            "the model fixes its batch size (such as x.view(32, -1)); write x.flatten(1) or "
            f"x.view(x.size(0), -1). torch.export says: {first}"
        )
    return f"torch.export could not capture the model on this input: {first}"
