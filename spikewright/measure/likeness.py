"""How near the answers of a network are to those of a reference, whatever they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.devices import where_float64_is
from spikewright.errors import AnalysisError
from spikewright.graph.structure import Structure
from spikewright.measure.accuracy import logits_of

_LOGITS = "logits"


def values_of(answer: Any, places: Sequence[str], who: str) -> Tensor:
    """The numbers of an answer that are compared, one row a sample.

    Args:
        answer: a tensor, or tuples, lists, dicts and objects of them.
        places: those of the tensors in it, such as "logits" or "0.scores"; see `Structure.names`.
        who: the network that answered, as errors name it.

    Returns:
        Floating `[B, F]`, on the CPU.

    Raises:
        AnalysisError: where the answer has no such tensor.
    """
    alone = isinstance(answer, Tensor)
    tensors = {_LOGITS: answer} if alone else Structure.of(answer).places
    rows: list[Tensor] = []
    for place in places:
        tensor = tensors.get(place)
        if tensor is None and place == _LOGITS:
            tensor = logits_of(answer, who)
        if not isinstance(tensor, Tensor) or tensor.ndim == 0:
            raise AnalysisError(
                f"{who} answers no tensor '{place}' (it has {', '.join(tensors)}), so its answers "
                "cannot be compared with the others'"
            )
        if tensor.is_floating_point():
            rows.append(tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None])
    if not rows:
        raise AnalysisError(f"{who} answers no floating-point tensor that could be compared")
    return torch.cat(rows, 1).detach().cpu()


@dataclass(frozen=True)
class Likeness:
    """Sums over samples, of answers a and those of a reference b.

    Attributes:
        gap: of `|a - b|^2`.
        size: of `|b|^2`.
        cosine: of `a b / (|a| |b|)`; 1 where both are 0.
    """

    gap: float
    size: float
    cosine: float

    @classmethod
    def of(cls, values: Tensor, expected: Tensor) -> Likeness:
        """The sums over rows `[N, F]`; infinities that both have are left out.

        Raises:
            AnalysisError: for other shapes, or numbers that are not finite.
        """
        if values.shape != expected.shape:
            raise AnalysisError(
                f"a network answers {list(values.shape[1:])} numbers a sample, the reference "
                f"{list(expected.shape[1:])}: they cannot be compared"
            )
        values, expected = where_float64_is(values), where_float64_is(expected)
        equal = values == expected
        finite = expected.isfinite()
        a, b = (torch.where(finite, v.double(), 0.0) for v in (values, expected))
        gaps = torch.where(equal, 0.0, a - b)
        if not bool(a.isfinite().all()) or not bool((finite | equal).all()):
            raise AnalysisError("a network, or its reference, answers NaN or infinite numbers")
        norms = a.norm(dim=1) * b.norm(dim=1)
        both_0 = (a == b).all(1)
        cosines = torch.where(norms > 0, (a * b).sum(1) / norms.clamp(min=1e-300), both_0.double())
        return cls(float(gaps.square().sum()), float(b.square().sum()), float(cosines.sum()))
