"""What a network takes: its inputs, a batch of them, and how a call names them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves

from spikewright.errors import ConversionError
from spikewright.graph.structure import Port, Stored, Structure

RESERVED = ("steps", "engine", "seed", "sample_ids")
"""The keyword arguments of a spiking network's own, which no model's argument may be named as."""


@dataclass(frozen=True)
class Input:
    """One tensor that a network takes.

    Attributes:
        name: of the value.
        shape: for one sample, `S` of `[B, *S]`.
        dtype: of integers and booleans, which are indices and masks; None of a signal, which is of
            the network's own dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype | None = None

    def empty(self, batch: int, dtype: torch.dtype, device: torch.device | str) -> Tensor:
        """A batch without contents.

        Args:
            batch: B.
            dtype: the network's own.
            device: where it goes.
        """
        return torch.empty((batch, *self.shape), dtype=self.dtype or dtype, device=device)


@dataclass(frozen=True)
class InputBatch:
    """One batch of all inputs of a network that takes several.

    What is asked of the tensor that is the batch of a network of one input can be asked of it too.

    Attributes:
        tensors: `[B, *S]` each, in the order of `Graph.inputs`.
    """

    tensors: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, places: Any) -> InputBatch:
        """Some of the samples."""
        return self._changed(lambda tensor: tensor[places])

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.tensors[0].device

    def to(self, dtype: torch.dtype) -> InputBatch:
        """Signals in another dtype; indices and masks keep theirs."""
        return self._changed(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def split(self, size: int) -> list[InputBatch]:
        """Parts of at most so many samples."""
        return [
            InputBatch(part) for part in zip(*(t.split(size) for t in self.tensors), strict=True)
        ]

    def clone(self) -> InputBatch:
        """A copy."""
        return self._changed(torch.Tensor.clone)

    def _changed(self, change: Callable[[Tensor], Tensor]) -> InputBatch:
        return InputBatch(tuple(change(tensor) for tensor in self.tensors))


Batch = Tensor | InputBatch
"""A batch of a network's input, or of its inputs where it takes several."""


def tensors_of(batch: Batch) -> tuple[Tensor, ...]:
    """Every input's tensor, in the order of `Graph.inputs`."""
    return batch.tensors if isinstance(batch, InputBatch) else (batch,)


def batch_of(tensors: Sequence[Tensor]) -> Batch:
    """The tensors of all inputs as one batch."""
    return tensors[0] if len(tensors) == 1 else InputBatch(tuple(tensors))


def as_many(tensors: Sequence[Tensor], names: Mapping[int, str]) -> Sequence[Tensor]:
    """The tensors of all inputs, which hold equally many samples.

    Args:
        tensors: in the order of `Graph.inputs`.
        names: theirs, by number.

    Raises:
        ConversionError: for unequal numbers of samples.
    """
    first = len(tensors[0])
    for number, tensor in enumerate(tensors):
        if len(tensor) != first:
            raise ConversionError(
                f"'{names[number]}': got {len(tensor)} samples, and {first} of '{names[0]}'"
            )
    return tensors


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches one after the other."""
    return batch_of([torch.cat(parts) for parts in zip(*map(tensors_of, batches), strict=True)])


def content_of(batch: Batch) -> Tensor:
    """All numbers of every sample, `[B, ...]`, to tell equal samples by."""
    if isinstance(batch, Tensor):
        return batch
    return torch.cat([tensor.reshape(len(batch), -1).float() for tensor in batch.tensors], 1)


def to_dtype(batch: Batch, dtype: torch.dtype) -> Batch:
    """A batch with its signals in a dtype; indices and masks keep theirs."""
    if isinstance(batch, Tensor) and not batch.is_floating_point():
        return batch
    return batch.to(dtype)


@dataclass(frozen=True)
class Call:
    """How a model is called.

    Attributes:
        parameters: the names of the model's parameters with their kinds, as `inspect.Parameter`
            numbers them.
        arguments: a dict of what it was captured with, by parameter: `Port` where an input stands;
            what else is there is constant, and the network is captured for it.
    """

    parameters: tuple[tuple[str, int], ...]
    arguments: Structure

    @cached_property
    def captured(self) -> Mapping[str, Any]:
        """The arguments by parameter."""
        return self.arguments.built(lambda leaf: leaf)

    @property
    def names(self) -> Mapping[int, str]:
        """The place of every input among the arguments, such as "mask" or "images.0", by number."""
        return self.arguments.names

    @cached_property
    def signature(self) -> inspect.Signature:
        """Of the model's call, as far as it is known."""
        kinds = {int(kind): kind for kind in type(inspect.Parameter.VAR_POSITIONAL)}
        made = [inspect.Parameter(name, kinds[kind]) for name, kind in self.parameters]
        return inspect.Signature(made)

    def inputs(
        self,
        args: Sequence[Any],
        keywords: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
    ) -> list[Any]:
        """What stands at the inputs of a call, in the order of `Graph.inputs`.

        Args:
            args: positional arguments.
            keywords: the others.
            tensors: the network's stored ones.

        Raises:
            ConversionError: for arguments that the model was not captured with, missing ones, or
                constants of another value.
        """
        takes = f"this network takes {', '.join(self.names.values())}"
        try:
            bound = dict(self.signature.bind_partial(*args, **keywords).arguments)
        except TypeError as error:
            raise ConversionError(f"{takes}: {error} (steps, engine and seed are named)") from None
        found: dict[int, Any] = {}
        for name, expected in self.captured.items():
            given = bound.pop(name, None)
            marks, spec = tree_flatten(Structure.of(expected).plain)
            values, other = tree_flatten(Structure.of(given).plain)
            if given is None and not any(isinstance(mark, Port) for mark in marks):
                continue  # a constant need not be given again
            if given is None:
                raise ConversionError(f"{takes}; '{name}' is missing")
            if spec != other and not (len(marks) == 1 and isinstance(expected, Port)):
                raise ConversionError(f"{takes}; '{name}' was captured as {spec}, got {other}")
            for mark, value in zip(marks, values if spec == other else [given], strict=True):
                if isinstance(mark, Port):
                    found[mark.number] = value
                else:
                    _require_same(name, mark, value, tensors)
        for name, value in bound.items():
            if any(leaf is not None for leaf in tree_leaves(value)):
                raise ConversionError(
                    f"{takes}; got '{name}' too: convert again with it, given by name, as in "
                    f"{{{', '.join(f'{known!r}: ...' for known in (*self.captured, name))}}}"
                )
        return [found[number] for number in sorted(found)]

    def batch(self, given: Any, tensors: Mapping[str, Tensor]) -> Batch:
        """A batch of all inputs from what a caller gives as one argument.

        Args:
            given: the tensor of a network of one input, a tuple or list of positional arguments,
                or a dict of all arguments; a batch as it is.
            tensors: the network's stored ones.

        Raises:
            ConversionError: as `inputs` does.
        """
        if isinstance(given, InputBatch) or (len(self.names) == 1 and isinstance(given, Tensor)):
            return given
        if isinstance(given, Mapping):
            keywords: dict[str, Any] = {str(name): value for name, value in given.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            return batch_of(self.inputs((), keywords, tensors))
        several = len(self.names) > 1 and isinstance(given, (tuple, list))
        args: Any = given if several else (given,)
        return batch_of(self.inputs(args, {}, tensors))

    def placed(
        self, inputs: Sequence[Tensor], tensors: Mapping[str, Tensor]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call of the model, positional and named.

        Args:
            inputs: of `Graph.inputs`.
            tensors: the network's stored ones.
        """

        def known(leaf: Any) -> Any:
            if isinstance(leaf, Port):
                return inputs[leaf.number]
            return tensors[leaf.name] if isinstance(leaf, Stored) else leaf

        bound = inspect.BoundArguments(self.signature, self.arguments.built(known))  # pyright: ignore[reportArgumentType]
        return bound.args, bound.kwargs


def _require_same(name: str, mark: Any, value: Any, tensors: Mapping[str, Tensor]) -> None:
    constant = tensors[mark.name] if isinstance(mark, Stored) else mark
    both = isinstance(constant, Tensor), isinstance(value, Tensor)
    if all(both):
        same = constant.shape == value.shape and _equal(constant, value)
    else:
        same = not any(both) and constant == value
    if not same:
        raise ConversionError(
            f"'{name}' is a constant of this network, captured as {_short(constant)}, got "
            f"{_short(value)}: convert again with the other value"
        )


def _equal(constant: Tensor, value: Tensor) -> bool:
    """Whether two tensors of one shape are equal; floats are, as the network would hold them."""
    kinds = constant.dtype, value.dtype
    floats = all(kind.is_floating_point for kind in kinds)
    both = constant.dtype if floats else torch.promote_types(*kinds)
    return torch.equal(constant.to(both), value.to(constant.device, both))


def _short(value: Any) -> str:
    sized = isinstance(value, Tensor) and value.ndim > 0
    return f"a tensor {list(value.shape)}" if sized else str(value)


def single(name: str, shape: tuple[int, ...]) -> tuple[tuple[Input, ...], Call]:
    """The inputs and the call of a model of one signal."""
    parameter = (name, int(inspect.Parameter.POSITIONAL_OR_KEYWORD))
    return (Input(name, shape),), Call((parameter,), Structure.of({name: Port(0)}))


def named(inputs: Sequence[Input], batch: Batch) -> Iterator[tuple[str, Tensor]]:
    """Every input's name and tensor."""
    return ((port.name, t) for port, t in zip(inputs, tensors_of(batch), strict=True))
