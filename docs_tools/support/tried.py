"""Trying a call: the library captures it, and says what it is or why it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from docs_tools.support.cases import Case
from spikewright.errors import ConversionError
from spikewright.graph import Kind, Survey, evaluate, survey


class Tried(nn.Module):
    """A case as a network: a ReLU before it, unless it is bare, and one behind it."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        for name, make in case.modules.items():
            self.add_module(name, make())

    def forward(self, x: Tensor) -> Tensor:
        """The case's answer, taken in by neurons."""
        before = x if self.case.bare else F.relu(x)
        value = self.case.run(self, before)
        return value if self.case.bare else F.relu(value - 0.1)


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        operations: (operator, class) of what the call was captured as, in order.
        error: largest difference between the captured graph and the call, relative to the
            largest value; None when it was refused.
        refusals: (operator, reason, remedy), or ("", the whole message, "") when the model could
            not be captured at all.
    """

    operations: tuple[tuple[str, str], ...]
    error: float | None
    refusals: tuple[tuple[str, str, str], ...]


def tried(case: Case) -> Verdict:
    """Capture a case and compare it with itself, in float64."""
    torch.manual_seed(0)
    model = Tried(case).double().eval()
    x = torch.randn(3, *case.shape, dtype=torch.float64)
    try:
        found = survey(model, x)
    except ConversionError as error:
        return Verdict((), None, (("", " ".join(str(error).split()), ""),))
    if found.offenders:
        told = tuple((o.operator, o.reason, o.remedy) for o in found.offenders)
        return Verdict((), None, tuple(dict.fromkeys(told)))
    with torch.no_grad():
        expected = model(x.clone())
    (answer,) = evaluate(found.graph, x)
    difference = (answer - expected).abs().max() / expected.abs().max()
    return Verdict(_own_operations(case, found), float(difference), ())


def _own_operations(case: Case, found: Survey) -> tuple[tuple[str, str], ...]:
    """Without the ReLU before the case and the shift and ReLU behind it."""
    operations: list[Any] = list(found.graph.operations)
    if not case.bare:
        operations = operations[1:-2]
    named = [(op.operator, str(op.kind)) for op in operations if op.kind is not Kind.CONSTANT]
    return tuple(dict.fromkeys(named))
