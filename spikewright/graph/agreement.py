"""A check that a captured graph computes what its model computes, each sample by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import evaluate
from spikewright.graph.inputs import Batch, batch_of, joined, tensors_of
from spikewright.graph.ir import Graph
from spikewright.graph.structure import Port

_TOLERANCE = 1e-3
"""Largest difference that counts as rounding, relative to the largest answer."""
_ROUNDINGS = 8
"""And so many roundings of the dtype, where 16 bits make that more: values that the model keeps in
more bits within an operation are rounded where the graph takes it apart."""


def check_agreement(graph: Graph, batch: Batch, expected: Any, again: Any = None) -> None:
    """Refuse a graph that answers differently from its model, or that mixes the samples of a batch.

    Every output is compared. Whether samples are mixed is seen by changing all samples but one:
    its answer must stay. The batch keeps its size meanwhile. A sample run alone, or at another
    place, meets other kernels, whose rounding can move a quantised activation by a whole level.

    Args:
        graph: as captured.
        batch: of all inputs, B at least 1.
        expected: the model's own answer to it.
        again: the same, asked once more; None of a model that cannot keep anything of its calls.

    Raises:
        ConversionError: if they differ by more than rounding, or the answer is not finite; for a
            model that answers otherwise the second time.
    """
    wanted = _outputs_in(graph, expected)
    with torch.no_grad():
        captured = evaluate(graph, batch)
    limits: list[float] = []
    for number, (own, model) in enumerate(zip(captured, wanted, strict=True)):
        limits.append(_checked(own, model, _called(graph, number)))
    for number, change in enumerate(_mixed(graph, batch)):
        if not change <= limits[number]:
            raise ConversionError(
                f"a sample's answer{_called(graph, number)} changes by {change:.3g} with the "
                "others in its batch: the model mixes samples of a batch, which spiking conversion "
                "cannot do"
            )
    if again is not None:
        _check_repeated(graph, expected, again)


def answers_alike(graph: Graph, batch: Batch, expected: Any) -> bool:
    """Whether a graph computes what its model does, as far as their answers are of one form.

    They are not where a model drops the dimension of a batch of one.

    Args:
        graph: as captured.
        batch: of all inputs.
        expected: the model's own answer to it.
    """
    leaves = tree_leaves(expected)
    if len(leaves) != len(graph.structure.leaves):
        return True
    with torch.no_grad():
        both = zip(evaluate(graph, batch), _outputs_in(graph, expected), strict=True)
    return all(_apart(a, b) <= _rounding(b) for a, b in both if a.shape == b.shape)


def _check_repeated(graph: Graph, answer: Any, again: Any) -> None:
    """Refuse a model that answers one batch in two ways, by what it keeps of its calls."""
    both = zip(_outputs_in(graph, answer), _outputs_in(graph, again), strict=True)
    for number, (first, second) in enumerate(both):
        if first.shape != second.shape or not _apart(first, second) <= _rounding(first):
            raise ConversionError(
                f"the model's answer{_called(graph, number)} depends on its calls before: it keeps "
                "something of them in its attributes, which a converted network does not; make "
                "that an input and an output of the model"
            )


def _outputs_in(graph: Graph, answer: Any) -> list[Tensor]:
    """The values in a model's own answer that stand where the graph's outputs do."""
    leaves, _ = tree_flatten(answer)
    marks = graph.structure.leaves
    if len(leaves) != len(marks):
        raise ConversionError(
            f"the captured graph answers {len(marks)} values, the model {len(leaves)}: the model "
            "may choose what it returns by the batch size"
        )
    found: Mapping[int, Any] = {
        mark.number: leaf.movedim(mark.dim, 0) if mark.dim < leaf.ndim else leaf
        for mark, leaf in zip(marks, leaves, strict=True)
        if isinstance(mark, Port)
    }
    return [found[number] for number in range(len(graph.outputs))]


def _called(graph: Graph, number: int) -> str:
    """Which output is meant, where there are several."""
    return "" if graph.structure.alone else f" at output '{graph.structure.names[number]}'"


def _checked(captured: Tensor, expected: Tensor, where: str) -> float:
    """How far samples may change an output of each other: only by rounding, whole numbers never.

    Raises:
        ConversionError: for an output that is not the model's, up to the rounding of its dtype.
    """
    if captured.shape != expected.shape:
        raise ConversionError(
            f"the captured graph answers {list(captured.shape)}{where}, the model "
            f"{list(expected.shape)}"
        )
    difference = _apart(captured, expected)
    if not expected.is_floating_point():
        if difference:
            raise ConversionError(
                f"the captured graph differs from the model{where}, whose numbers are whole and "
                "must be equal: the model may be random in eval mode, or choose its path by batch "
                "size"
            )
        return 0.0
    if not bool(expected.isfinite().all()):
        raise ConversionError(
            f"the model's answer to this input holds NaN or infinite values{where}"
        )
    limit = _rounding(expected)
    if not difference <= limit:
        raise ConversionError(
            f"the captured graph differs from the model by {difference:.3g}{where} (up to "
            f"{limit:.3g} is rounding): the model may be random in eval mode, or choose its path "
            "by batch size"
        )
    return _TOLERANCE * _size(expected)


def _mixed(graph: Graph, batch: Batch) -> list[float]:
    """How far the outputs for the first and the last sample depend on the others in the batch."""
    others = batch_of([_changed(tensor) for tensor in tensors_of(batch)])
    if len(batch) == 1:
        batch, others = joined([batch, others]), joined([others, batch])
    with torch.no_grad():
        together = evaluate(graph, batch)
        first = evaluate(graph, joined([batch[:1], others[1:]]))
        last = evaluate(graph, joined([others[:-1], batch[-1:]]))
    return [
        max(_apart(a[:1], both[:1]), _apart(z[-1:], both[-1:]))
        for both, a, z in zip(together, first, last, strict=True)
    ]


def _changed(tensor: Tensor) -> Tensor:
    """Other samples that the model takes too: of indices and masks one of them for all.

    Others in another order would have the same largest, and the same sum.
    """
    if tensor.is_floating_point():
        return 0.5 - tensor / 2
    middle = tensor[len(tensor) // 2 :][:1]
    return middle.flip(tuple(range(1, tensor.ndim))).expand_as(tensor)


def _apart(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors of one shape; true and false differ by 1."""
    if a.is_floating_point():
        return _largest(a - b)
    return _largest(a.cpu().double() - b.cpu().double())


def _rounding(expected: Tensor) -> float:
    """How far a value may be from the model's by rounding; whole numbers never are."""
    if not expected.is_floating_point():
        return 0.0
    return max(_TOLERANCE, _ROUNDINGS * torch.finfo(expected.dtype).eps) * _size(expected)


def _size(expected: Tensor) -> float:
    return max(_largest(expected), 1e-6)


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0
