"""Refused calls that choose: what follows from their places alone is refused with them."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Operation, walk
from spikewright.graph.rule import UNKNOWN, rule_of


def draws_numbers(op: Operation) -> bool:
    """Whether a call without a rule draws random numbers."""
    drawn = torch.Tag.nondeterministic_seeded in getattr(op.target, "tags", ())
    return drawn and rule_of(op) is UNKNOWN


class Choices:
    """The values of one program that are places chosen by signals, or drawn, and their copies."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def note(self, op: Operation, value: Any) -> None:
        """Note a refused call, if it gives places or draws.

        Args:
            op: the call.
            value: what it gives, without contents.
        """
        if draws_numbers(op) or _has_places(value):
            self._names.add(op.name)

    def followed(self, op: Operation, value: Any) -> bool:
        """Whether a call reads such places, so that nothing is to be said of it."""
        part = op.target is operator.getitem and not _has_places(value)
        follows = bool(self._names.intersection(op.inputs)) and not part
        if follows and (_has_places(value) or self._names.issuperset(op.inputs)):
            self._names.add(op.name)
        return follows


def _has_places(value: Any) -> bool:
    """Whether whole numbers are among the tensors that a call gives."""
    return any(isinstance(leaf, Tensor) and not leaf.is_floating_point() for leaf in walk(value))
