"""An ONNX model compared with the count engine, in onnxruntime, before it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import InterchangeError
from spikewright.extras import require_extra
from spikewright.graph.evaluate import evaluate
from spikewright.graph.inputs import Batch, Input, batch_of, tensors_of
from spikewright.graph.ir import Kind, Operation
from spikewright.network.counts import run_counts
from spikewright.network.plan import Plan

PURPOSE = "the export to ONNX"
"""What needs the extra 'onnx', in a message."""

BOUNDARY = 2.0**-16
"""How close to a decision boundary a charge must lie for its count to be of no consequence, as a
fraction of the layer's largest charge (of 1, if that is more): 128 units of float32's last place,
for sums that two programs add up in different orders."""

_APART = 1e-4
"""How far outputs may lie apart, as a fraction of the largest."""


@dataclass(frozen=True)
class Agreement:
    """How a model agreed with the count engine.

    Attributes:
        counts: counts compared.
        flipped: those that differ, where the charge lies on a decision boundary.
        apart: the largest difference of an output, as a fraction of its largest number.
    """

    counts: int
    flipped: int
    apart: float


class Runner:
    """An ONNX model in onnxruntime, on the processor."""

    def __init__(self, model: bytes) -> None:
        """Load a serialised model."""
        runtime = require_extra("onnxruntime", "onnx", PURPOSE)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Every output of the model, by name, for a batch of all inputs."""
        names = [output.name for output in self._session.get_outputs()]
        inputs = [given.name for given in self._session.get_inputs()]
        arrays = [tensor.numpy() for tensor in tensors_of(batch)]
        values: list[Any] = self._session.run(names, dict(zip(inputs, arrays, strict=True)))
        return {name: torch.from_numpy(v) for name, v in zip(names, values, strict=True)}


def answered_inputs(plan: Plan, batch: int) -> Batch:
    """The `trial_inputs` of a network that it answers with numbers, as far as there are any.

    A mask that hides everything has no answer; where those of one meaning have none, as in a causal
    network that sees the first place hidden, those of the other may.

    Raises:
        InterchangeError: where an output holds no number at all.
    """
    tried: list[tuple[float, Batch]] = []
    for turned in (False, True):
        given = trial_inputs(plan.source.inputs, batch, turned)
        answer = run_counts(plan, given, seed=0, sample_ids=torch.arange(batch))
        missing = [float(output.isnan().double().mean()) for output in answer]
        if 1.0 not in missing:
            tried.append((sum(missing), given))
        if not any(missing):
            break
    if not tried:
        raise InterchangeError(
            "its answer to random inputs, with masks and their opposites, is not a number, so that "
            "no runtime can be compared with it: nothing was written"
        )
    return min(tried, key=lambda each: each[0])[1]


def trial_inputs(inputs: Sequence[Input], batch: int, turned: bool = False) -> Batch:
    """Inputs to compare on where there is no data.

    Signals are standard normal; token ids are 0 and 1, which every table has, masks true and false.
    The first place of a row is 1 or true, the last of a mask false, as one that shows nothing has
    no answer; where a sample is one place, it is 1 or true. The same batch size gives the same
    inputs each time.

    Args:
        inputs: of a network.
        batch: samples.
        turned: 0 for 1 and false for true, but where a sample is one place.
    """
    generator = torch.Generator().manual_seed(batch)
    return batch_of([_trial(port, batch, generator, turned) for port in inputs])


def _trial(port: Input, batch: int, generator: torch.Generator, turned: bool) -> Tensor:
    size = (batch, *port.shape)
    if port.dtype is None:
        return torch.randn(size, generator=generator)
    if not port.shape:
        return torch.ones(size, dtype=port.dtype)
    ids = torch.randint(0, 2, size, generator=generator, dtype=port.dtype)
    if port.dtype is torch.bool:
        ids[..., -1:] = False
    ids[..., :1] = 1
    if not turned:
        return ids
    return ~ids if port.dtype is torch.bool else 1 - ids


def compared(
    plan: Plan, images: Batch, outputs: Sequence[Tensor], counts: Mapping[str, Tensor]
) -> Agreement:
    """Compare a model's outputs and counts with the count engine, layer by layer.

    Every layer of the count engine is fed the *model's* counts of the layers before it, so that one
    count on a decision boundary is reported as one, and neither hides nor excuses another.

    Args:
        plan: the network at one T, of deterministic neurons.
        images: a batch of all inputs.
        outputs: the model's answer, `[B, ...]` each.
        counts: the model's counts by site, `[B, *S]`.

    Raises:
        InterchangeError: when a count differs away from a boundary, or an output by more than
            rounding: the model computes something else.
    """
    sizes: list[int] = []
    flips: list[int] = []

    def judge(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        (current,) = inputs
        site = op.site.name
        flips.append(_flipped(plan, site, plan.charge(site, current), counts[site]))
        sizes.append(counts[site].numel())
        return counts[site]

    expected = evaluate(plan.count_graph, images, {Kind.UNIT: judge})
    apart = max(_apart(a, b) for a, b in zip(outputs, expected, strict=True))
    if not apart <= _APART:
        raise InterchangeError(
            f"the exported model computes other answers than the count engine: they differ by "
            f"{apart:.2g} of the largest number; nothing was written, please report this"
        )
    return Agreement(sum(sizes), sum(flips), apart)


def _flipped(plan: Plan, site: str, charge: Tensor, counts: Tensor) -> int:
    """Counts that differ at a site, all of them on a decision boundary."""
    layer = plan.layer(site, 0, torch.zeros(len(charge), dtype=torch.int64))
    expected = plan.neurons[site].count(charge, layer)
    tolerance = BOUNDARY * charge.abs().where(charge.isfinite(), 0).amax().clamp(min=1)
    beside = [plan.neurons[site].count(charge + by, layer) for by in (tolerance, -tolerance)]
    differing = ~_same(counts, expected)
    wrong = int((differing & (counts != beside[0]) & (counts != beside[1])).sum())
    if wrong:
        raise InterchangeError(
            f"the exported model computes other counts than the count engine: {wrong:,} of "
            f"{counts.numel():,} at site '{site}'; nothing was written, please report this"
        )
    return int(differing.sum())


def _apart(left: Tensor, right: Tensor) -> float:
    """How far an output lies from the count engine's; of masks and whole numbers 0 or infinity."""
    if not right.is_floating_point():
        return 0.0 if torch.equal(left, right) else math.inf
    differences = (left - right).abs().where(~_same(left, right), 0)
    sizes = right.abs().where(right.isfinite(), 0)
    return float(differences.amax()) / float(sizes.amax().clamp(min=torch.finfo(right.dtype).tiny))


def _same(left: Tensor, right: Tensor) -> Tensor:
    """Where numbers are equal; those that are none are so to each other."""
    return (left == right) | (left.isnan() & right.isnan())
