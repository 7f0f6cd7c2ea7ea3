"""What a program computes of constants: once, or for every size of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from spikewright.graph.ir import Operation, Stored, Value, mapped, walk
from spikewright.graph.layouts import BatchMoved, Layout, Symbols, concrete, found
from spikewright.graph.masks import largest

_TRIALS = (3, 2)
"""Sizes of the batch for which constants that follow it are computed."""
_ROUNDING = 2.0**10
"""How far kernels for batches of other sizes may be from each other, in units of rounding."""
_UNFILLED = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}
"""Calls whose value is whatever the memory holds, until the model writes into it."""


@dataclass(frozen=True)
class Following:
    """A reference to a constant that follows the size of the batch."""

    name: str


class Constants:
    """The constants of a program.

    Args:
        tensors: the stored tensors, by name, to which constants are added.
        batch: the symbols of its size.
    """

    def __init__(self, tensors: dict[str, Tensor], batch: Symbols) -> None:
        self._tensors = tensors
        self._batch = batch
        self._following: dict[str, tuple[Tensor, ...]] = {}  # for the trial sizes
        self._shapes: dict[str, tuple[Any, ...]] = {}

    def read(
        self, node: fx.Node, op: Operation, signals: Mapping[str, Tensor]
    ) -> dict[fx.Node, Stored | Following]:
        """Compute what depends on no signal; references to it by the node that is read.

        Args:
            node: of the program.
            op: its call.
            signals: those of which it reads the shape alone, by name.
        """
        changing = (Following, Value, torch.SymInt, torch.SymFloat, torch.SymBool)
        follows = any(isinstance(leaf, changing) for leaf in walk((op.args, op.kwargs)))
        results = [
            self._computed(op, trial, batch, signals)
            for trial, batch in enumerate(_TRIALS if follows else _TRIALS[:1])
        ]
        if isinstance(results[0], Tensor):
            return {node: self._referred(node, results, follows=follows)}
        return {  # several tensors: one getitem each follows
            user: self._referred(user, [r[user.args[1]] for r in results], follows=follows)
            for user in node.users
        }

    def keep(self, name: str, tensor: Tensor) -> Stored:
        """Store a tensor; the reference to it."""
        return Stored.made(self._tensors, name, tensor.contiguous())

    def alone(self, constant: Following) -> tuple[Stored, Layout]:
        """One sample of a constant that follows the batch, `[1, *S]`, and its own layout.

        Raises:
            BatchMoved: where it has no batch, or one sample's differs from another's.
        """
        here = found(self._shapes[constant.name], self._batch)
        if here is None:
            raise BatchMoved("it reads a constant that has lost the batch")
        layout = Layout(*here, after=here[0][here[1]])
        return self.sample(constant, layout, f"{constant.name}.sample"), layout

    def counts_samples(self, constant: Following) -> int | None:
        """How many dimensions a constant has that is `arange(B)` along the first; else None."""
        trials = self._following[constant.name]
        for batch, values in zip(_TRIALS, trials, strict=True):
            if values.shape != (batch, *[1] * (values.ndim - 1)):
                return None
            if values.flatten().tolist() != list(range(batch)):
                return None
        return trials[0].ndim

    def step(self, constant: Following) -> int | None:
        """The n of a constant that is `[0, n, 2 * n, ...]`, one number a sample; else None."""
        trials = self._following[constant.name]
        if trials[0].ndim != 1 or trials[0].shape[0] != _TRIALS[0]:
            return None
        step = int(trials[0][1])
        for batch, values in zip(_TRIALS, trials, strict=True):
            if values.tolist() != [step * sample for sample in range(batch)]:
                return None
        return step

    def sample(self, constant: Following, layout: Layout, name: str) -> Stored:
        """One sample of a constant that follows the batch, `[1, *S]`, stored under a name.

        Raises:
            BatchMoved: where one sample's differs from another's.
        """
        trials = [
            layout.canonical(values, batch)
            for values, batch in zip(self._following[constant.name], _TRIALS, strict=True)
        ]
        sample = trials[0][:1]
        if not all(_alike(values, sample.expand_as(values)) for values in trials):
            raise BatchMoved(
                "it reads a constant that differs between the samples of a batch, or follows their "
                "number"
            )
        return self.keep(name, sample)

    def _referred(
        self, node: fx.Node, values: list[Tensor], *, follows: bool
    ) -> Stored | Following:
        if not follows:
            return Stored.made(self._tensors, node.name, values[0])
        self._following[node.name] = tuple(values)
        self._shapes[node.name] = tuple(node.meta["val"].shape)
        return Following(node.name)

    def _computed(
        self, op: Operation, trial: int, batch: int, signals: Mapping[str, Tensor]
    ) -> Any:
        """The value of an operation for one of the trial sizes of the batch."""

        def known(leaf: Any) -> Any:
            if isinstance(leaf, Stored):
                return self._tensors[leaf.name]
            if isinstance(leaf, Following):
                return self._following[leaf.name][trial]
            if isinstance(leaf, Value):  # only its shape is asked for
                like = signals[leaf.name]
                sizes = [concrete(size, self._batch, batch) for size in like.shape]
                return torch.zeros(sizes, dtype=like.dtype, device=like.device)
            return concrete(leaf, self._batch, batch)

        with torch.no_grad():
            value = op.target(*mapped(op.args, known), **mapped(op.kwargs, known))
            return torch.zeros_like(value) if op.function in _UNFILLED else value


def _alike(values: Tensor, others: Tensor) -> bool:
    """Whether constants are equal, but for the rounding of floats, relative to the largest."""
    if not values.is_floating_point():
        return torch.equal(values, others)
    within = _ROUNDING * torch.finfo(values.dtype).eps * largest(values)
    return torch.allclose(values, others, rtol=0.0, atol=within)
