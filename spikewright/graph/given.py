"""What users give a model: the arguments of one call, and which of them are batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from spikewright.devices import callers_default
from spikewright.errors import ConversionError
from spikewright.graph.inputs import RESERVED, Call
from spikewright.graph.origins import WRAPPED
from spikewright.graph.structure import Port, Stored, Structure

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_LABELS = ("labels", "label", "y", "target", "targets")


@dataclass(frozen=True)
class Given:
    """The arguments of one call of a model.

    Attributes:
        args: positional ones.
        keywords: the others, by name.
    """

    args: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors among them."""
        leaves = tree_leaves((self.args, dict(self.keywords)))
        return [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def named(self, model: nn.Module | ExportedProgram) -> dict[str, Tensor]:
        """All tensors by the names of their parameters, such as "mask" or, of several, "images.0".

        By the place of the argument where its parameter is not known, as that of `*args`.
        """
        names = [p.name for p in parameters_of(model) if p.kind in _BY_PLACE]
        places = [*names, *(f"argument {place + 1}" for place in range(len(names), len(self.args)))]
        arguments = {**dict(zip(places, self.args, strict=False)), **self.keywords}
        return {
            name if argument is leaf else f"{name}.{number}": leaf
            for name, argument in arguments.items()
            for number, leaf in enumerate(tree_leaves(argument))
            if isinstance(leaf, Tensor)
        }

    @property
    def batch(self) -> int:
        """B, the first size of the first tensor that has one; 0 where none has."""
        return next((len(tensor) for tensor in self.tensors if tensor.ndim), 0)

    @property
    def alone(self) -> Tensor | None:
        """The one argument where it is a tensor by its place; None where there are others."""
        single = len(self.args) == 1 and not self.keywords
        return self.args[0] if single and isinstance(self.args[0], Tensor) else None

    def changed(self, change: Callable[[Tensor], Tensor]) -> Given:
        """The same with every batch changed; other tensors stay."""
        size = self.batch

        def other(leaf: Any) -> Any:
            return change(leaf) if is_batch(leaf, size) else leaf

        return Given(*tree_map(other, (self.args, dict(self.keywords))))

    def on(self, device: torch.device) -> Given:
        """The same with all tensors on a device, and without their gradients."""

        def moved(leaf: Any) -> Any:
            return leaf.detach().to(device) if isinstance(leaf, Tensor) else leaf

        return Given(*tree_map(moved, (self.args, dict(self.keywords))))

    def answered_by(self, model: nn.Module | ExportedProgram) -> Any:
        """The model's own answer, without gradients where its tensors can be told."""
        program = model.module() if isinstance(model, ExportedProgram) else model
        with callers_default():
            return without_gradients(program(*self.args, **self.keywords))

    @property
    def shapes(self) -> str:
        """The shapes of its tensors, for messages."""
        return ", ".join(str(list(tensor.shape)) for tensor in self.tensors)


def without_gradients(answer: Any) -> Any:
    """An answer as `torch.no_grad()` gives it; a model may enable gradients itself."""

    def detached(leaf: Any) -> Any:
        return leaf.detach() if isinstance(leaf, Tensor) and leaf.requires_grad else leaf

    return tree_map(detached, answer)


def given(batch: Any, model: nn.Module | ExportedProgram) -> Given:
    """The arguments in one batch of data, which may hold labels too.

    A tensor is the model's one input. A dict holds arguments by name; names that the model does not
    know, such as "labels", are left out. A tuple or list is a pair of an input and its labels where
    the model requires one input at most, which may be the first of any number (`*args`); else it
    holds the positional arguments, and what is more than the model requires is left out, unless it
    takes any number beside these. A tuple in front of labels holds them where there are several, or
    may be. Optional arguments thus need a dict (`left_out` tells of them).
    """
    if isinstance(batch, Given):
        return batch
    if isinstance(batch, Mapping):
        entries: dict[str, Any] = {str(name): value for name, value in batch.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        known = {p.name for p in parameters_of(model)}
        anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters_of(model))
        return Given((), {k: v for k, v in entries.items() if anything or k in known})
    if not isinstance(batch, (tuple, list)) or not batch:
        return Given((batch,))
    parts: list[Any] = list(batch)  # pyright: ignore[reportUnknownArgumentType]
    required = len(required_inputs(model))
    first, more = parts[0], _any_number(model) is not None
    if isinstance(first, Mapping):
        return given(first, model)
    if isinstance(first, (tuple, list)) and len(first) >= required and (more or required > 1):  # pyright: ignore[reportUnknownArgumentType]
        return Given(tuple(first))  # pyright: ignore[reportUnknownArgumentType]
    if required < 2:
        return Given((first,))
    return Given(tuple(parts if more else parts[:required]))


def left_out(batch: Any, model: nn.Module | ExportedProgram) -> str | None:
    """The optional parameter that an entry of a tuple may be meant for, where `given` drops it.

    Labels of classes, `[B]`, fit none. A parameter for any number of inputs has its star.
    """
    if not isinstance(batch, (tuple, list)) or not batch or not isinstance(batch[0], Tensor):
        return None
    parts: list[Any] = list(batch)  # pyright: ignore[reportUnknownArgumentType]
    used = len(given(parts, model).args)
    dropped = [isinstance(part, Tensor) and part.ndim > 1 for part in parts[used:]]
    for parameter, fits in zip(parameters_of(model)[used:], dropped, strict=False):
        optional = parameter.kind in _BY_PLACE and parameter.default is None
        if optional and parameter.name not in _LABELS and fits:
            return parameter.name
    return _any_number(model) if any(dropped) else None


def parameters_of(model: nn.Module | ExportedProgram) -> list[inspect.Parameter]:
    """The parameters of a model's call."""
    if isinstance(model, ExportedProgram):
        return _parameters_of_program(model)
    return list(inspect.signature(model.forward).parameters.values())


def required_inputs(model: nn.Module | ExportedProgram) -> list[str]:
    """The names of the positional parameters that have no default."""
    parameters = parameters_of(model)
    return [p.name for p in parameters if p.default is p.empty and p.kind in _BY_PLACE]


def _any_number(model: nn.Module | ExportedProgram) -> str | None:
    """The parameter that takes any number of positional arguments, such as "*args"."""
    many = inspect.Parameter.VAR_POSITIONAL
    return next((f"*{p.name}" for p in parameters_of(model) if p.kind is many), None)


def call_of(model: nn.Module | ExportedProgram, first: Given) -> tuple[Call, dict[str, Tensor]]:
    """How a model is called, and the constant tensors in a call of it by name.

    Tensors whose first dimension is the batch are inputs; what else is given is constant.

    Raises:
        ConversionError: where no tensor is given, or an argument's name is not free.
    """
    parameters = _without_reserved(parameters_of(model))
    signature = inspect.Signature(parameters)
    try:
        bound = signature.bind(*first.args, **first.keywords).arguments
    except TypeError as error:
        names = ", ".join(p.name for p in parameters)
        clash = [name for name in RESERVED if name in first.keywords]
        hint = f"; '{clash[0]}' is an argument of spiking networks: wrap the model" if clash else ""
        raise ConversionError(
            f"the model takes ({names}): {error}; give dicts of its arguments by name{hint}"
        ) from None
    leaves, spec = tree_flatten(dict(bound))
    batches = 0
    constants: dict[str, Tensor] = {}

    def mark(leaf: Any) -> Any:
        nonlocal batches
        if is_batch(leaf, first.batch):
            batches += 1
            return Port(batches - 1)
        if isinstance(leaf, Tensor):
            return Stored.made(constants, f"argument{len(constants)}", leaf, "given")
        return leaf

    marks = tuple(mark(leaf) for leaf in leaves)
    if not batches or first.batch == 0:
        raise ConversionError(
            "the model is given no batch: give tensors [B, *S], of at least one sample"
        )
    kinds = tuple((p.name, int(p.kind)) for p in parameters)
    arguments = Structure.of(tree_unflatten(list(marks), spec))
    return Call(kinds, arguments), constants


def _without_reserved(parameters: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    """Parameters without those that networks have themselves.

    What follows one of these by place would come into its place: it is given by name, and what
    follows in any number, `*args`, is not.
    """
    kept: list[inspect.Parameter] = []
    behind = False
    for parameter in parameters:
        if parameter.name in RESERVED and parameter.kind not in _MANY:
            behind |= parameter.kind in _BY_PLACE
        elif behind and parameter.kind in _BY_PLACE:
            kept.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        elif not (behind and parameter.kind is inspect.Parameter.VAR_POSITIONAL):
            kept.append(parameter)
    return kept


class OfBatches(nn.Module):
    """A model as a function of the batches in a call of it alone."""

    def __init__(self, model: nn.Module, call: Call, constants: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.add_module(WRAPPED, model)
        self.training = False  # by itself: what a program gives refuses to be told its mode
        self._call = call
        self._constants = dict(constants)

    def forward(self, *batches: Tensor) -> Any:
        """The model's answer; all batches are of one size, which tracing is told first."""
        for other in batches[1:]:
            torch._check(other.shape[0] == batches[0].shape[0])  # pyright: ignore[reportPrivateUsage]
        args, keywords = self._call.placed(batches, self._constants)
        return self.get_submodule(WRAPPED)(*args, **keywords)


def is_batch(leaf: Any, size: int) -> bool:
    """Whether what stands among the arguments of a call is a batch of so many samples."""
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == size


def is_sound(tensor: Tensor, *, constant: bool) -> bool:
    """Whether a tensor of a call holds no NaN and, but for constants such as masks, no infinity."""
    if not tensor.is_floating_point():
        return True
    return not bool((tensor.isnan() if constant else ~tensor.isfinite()).any())


def _parameters_of_program(program: ExportedProgram) -> list[inspect.Parameter]:
    positional, keywords = program.call_spec.in_spec.children()  # pyright: ignore[reportOptionalMemberAccess]
    specs = program.graph_signature.input_specs
    names = [spec.arg.name for spec in specs if spec.kind is InputKind.USER_INPUT]
    plain = all(child.is_leaf() for child in positional.children())
    made = [
        inspect.Parameter(
            names[number] if plain else f"input{number}",
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        for number in range(len(positional.children()))
    ]
    by_name: list[str] = keywords.context or []
    return made + [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in by_name]
