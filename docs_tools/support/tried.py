"""Trying calls: the library captures them, and says what each is or why it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from docs_tools.support.cases import Case
from spikewright.errors import ConversionError
from spikewright.graph import Kind, evaluate, survey
from spikewright.graph.ir import Operation


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


class Together(nn.Module):
    """Cases side by side in one network, which is captured much faster than one after the other."""

    def __init__(self, cases: Sequence[Case]) -> None:
        super().__init__()
        self.cases = nn.ModuleList()
        for case in cases:
            torch.manual_seed(0)  # each has the weights that it has alone
            self.cases.append(Tried(case))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The answer of every case to the same input."""
        return [case(x) for case in self.cases]


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
    return _tried([case])[0]


def tried_together(cases: Sequence[Case]) -> dict[Case, Verdict]:
    """The same for many cases that should convert, those of one input shape in one network.

    If that network is refused, each of its cases is tried alone.
    """
    verdicts: dict[Case, Verdict] = {}
    for shape in dict.fromkeys(case.shape for case in cases):
        alike = [case for case in cases if case.shape == shape]
        found = _tried(alike)
        if len(found) < len(alike):
            found = [tried(case) for case in alike]
        verdicts.update(zip(alike, found, strict=True))
    return verdicts


def _tried(cases: Sequence[Case]) -> list[Verdict]:
    """The verdict on every case, or a single one on a network that is refused."""
    model = Together(cases).double().eval()
    torch.manual_seed(0)
    x = torch.randn(3, *cases[0].shape, dtype=torch.float64)
    try:
        found = survey(model, x)
    except ConversionError as error:
        return [Verdict((), None, (("", " ".join(str(error).split()), ""),))]
    if found.offenders:
        refusals = tuple((o.operator, o.reason, o.remedy) for o in found.offenders)
        return [Verdict((), None, tuple(dict.fromkeys(refusals)))]
    with torch.no_grad():
        expected = model(x.clone())
    own: list[list[Operation]] = [[] for _ in cases]
    for op in found.graph.operations:
        if op.kind is Kind.CONSTANT:
            continue  # those of the batch's size alone have no module
        own[int(op.module.split(".")[1])].append(op)  # "cases.3.it"
    answers = evaluate(found.graph, x)
    return [
        Verdict(_own_operations(case, ops), float((a - e).abs().max() / e.abs().max()), ())
        for case, ops, a, e in zip(cases, own, answers, expected, strict=True)
    ]


def _own_operations(case: Case, operations: Sequence[Operation]) -> tuple[tuple[str, str], ...]:
    """Without the ReLU before the case and the shift and ReLU behind it."""
    own = operations if case.bare else operations[1:-2]
    return tuple(
        dict.fromkeys((op.operator, str(op.kind)) for op in own if op.kind is not Kind.CONSTANT)
    )
