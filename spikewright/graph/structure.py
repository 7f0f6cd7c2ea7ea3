"""How a model's answer is put together from the values that its graph computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any

from torch import Tensor
from torch.export import register_dataclass
from torch.utils._pytree import (
    SUPPORTED_NODES,
    TreeSpec,
    tree_flatten,
    tree_leaves,
    tree_unflatten,
)

from spikewright.errors import ConversionError

_LOGITS = "logits"


@dataclass(frozen=True)
class Port:
    """The mark where one of a graph's outputs stands in an answer, or an input in a call.

    Attributes:
        number: of the output in `Graph.outputs`, of the input in `Graph.inputs`.
        dim: where the batch stands in it; in a graph it comes first.
    """

    number: int
    dim: int = 0


@dataclass(frozen=True)
class Stored:
    """A reference to a stored tensor: a parameter, buffer or constant."""

    name: str

    @classmethod
    def made(
        cls, tensors: dict[str, Tensor], name: str, tensor: Tensor, how: str = "made"
    ) -> Stored:
        """Store a tensor that is none of the model's own; the reference to it.

        A user may name a layer as a call is named, so that `linear.weight` is the user's: no name
        of a parameter ends in a colon and a word.

        Args:
            tensors: the stored ones.
            name: what it is of the call that reads it, such as "linear.weight".
            tensor: what is stored.
            how: one word for who made it; others may make one of the same name.
        """
        reference = cls(f"{name}:{how}")
        tensors[reference.name] = tensor
        return reference


@dataclass(frozen=True)
class Structure:
    """An answer with marks for what is known later: a tensor, or nested tuples, dicts and objects.

    The arguments of a call have one too.

    Attributes:
        leaves: `Port` and `Stored`, or what stands in every answer, such as None.
        spec: how the leaves are put together, as `torch.utils._pytree` has it.
    """

    leaves: tuple[Any, ...]
    spec: TreeSpec

    @classmethod
    def of(cls, tree: Any) -> Structure:
        """The structure of an answer whose leaves stand in it."""
        leaves, spec = tree_flatten(tree)
        return cls(tuple(leaves), spec)

    def built(self, known: Callable[[Any], Any]) -> Any:
        """The answer, with what `known` gives for every leaf."""
        return tree_unflatten([known(leaf) for leaf in self.leaves], self.spec)

    @property
    def alone(self) -> bool:
        """Whether the answer is one tensor."""
        return self.spec.is_leaf()

    @cached_property
    def plain(self) -> Any:
        """The answer with its leaves, made of tuples, lists and dicts alone.

        Objects become dicts of their fields.
        """
        return _plain(self.spec, iter(self.leaves))

    @property
    def places(self) -> Mapping[str, Any]:
        """The leaves by their places in the answer, such as "0.scores".

        Raises:
            ConversionError: where two have one name, as `{"a.b": ...}` and `{"a": {"b": ...}}`.
        """
        found: dict[str, Any] = {}
        for place, leaf in _walked(self.plain, ()):
            name = ".".join(place)
            if name in found:
                raise ConversionError(
                    f"two places of the model's answer, or of its arguments, are called '{name}': "
                    "rename a key, so that each has a name of its own"
                )
            found[name] = leaf
        return found

    @cached_property
    def names(self) -> Mapping[int, str]:
        """The place of every output in the answer, such as "logits" or "0.scores", by number.

        The output of an answer that is one tensor is called "logits".
        """
        if self.alone:
            return {0: _LOGITS}
        names: dict[int, str] = {}
        for place, leaf in self.places.items():
            if isinstance(leaf, Port):
                names.setdefault(leaf.number, place)
        return names

    @property
    def moved(self) -> Mapping[str, int]:
        """Where the batch stands in those outputs in which it is not first, by their places."""
        ports = {place: leaf for place, leaf in self.places.items() if isinstance(leaf, Port)}
        return {place or _LOGITS: port.dim for place, port in ports.items() if port.dim}

    @property
    def logits(self) -> int | None:
        """The number of the output that holds logits: the only one, or that of this name."""
        if len(self.names) == 1:
            return next(iter(self.names))
        return next((number for number, name in self.names.items() if name == _LOGITS), None)


def register_answer(answer: Any) -> None:
    """Let torch take the dataclasses in a model's answer apart.

    Raises:
        ConversionError: for an object of another kind.
    """
    for leaf in tree_leaves(answer):
        if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            if type(leaf) not in SUPPORTED_NODES:
                register_dataclass(type(leaf))
            register_answer(leaf)
        elif not isinstance(leaf, Tensor | int | float | str | NoneType):
            raise ConversionError(
                f"the model returns a {type(leaf).__name__}, which cannot be taken apart; return "
                "tensors, or tuples, lists, dicts or dataclasses of them"
            )


def _plain(spec: TreeSpec, leaves: Iterator[Any]) -> Any:
    """The nested form of leaves, which are used up."""
    if spec.is_leaf():
        return next(leaves)
    parts = [_plain(child, leaves) for child in spec.children()]
    keys = _keys(spec, len(parts))
    if keys is not None:
        return dict(zip(keys, parts, strict=True))
    return parts if spec.type is list else tuple(parts)


def _keys(spec: TreeSpec, parts: int) -> list[Any] | None:
    """The keys of a dict, or the names of an object's fields; None of a sequence."""
    kind: Any = spec.type
    context: Any = spec.context
    if kind in (tuple, list) or not isinstance(context, list):
        return None
    if dataclasses.is_dataclass(kind) and len(context) == 2 and isinstance(context[0], list):  # pyright: ignore[reportUnknownArgumentType]
        context = context[0]  # names of what is there, and of what is None
    elif len(context) == 2 and callable(context[0]):  # pyright: ignore[reportUnknownArgumentType]
        context = context[1]  # a defaultdict: its default, and its keys
    keys: list[Any] = context
    return keys if len(keys) == parts else None


def _walked(tree: Any, place: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    """Every leaf with its place."""
    if isinstance(tree, dict):
        branches: list[tuple[Any, Any]] = list(tree.items())  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(tree, (tuple, list)):
        branches = list(enumerate(tree))  # pyright: ignore[reportUnknownArgumentType]
    else:
        return [(place, tree)]
    return [leaf for key, branch in branches for leaf in _walked(branch, (*place, str(key)))]
