"""An ONNX model compared with the count engine, in onnxruntime, before it is written."""

from __future__ import annotations

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


def trial_inputs(inputs: Sequence[Input], batch: int) -> Batch:
    """Inputs to compare on where there is no data.

    Signals are standard normal; token ids 0 and 1, which every table has, and 1 at the first
    place, as a mask that shows nothing has no answer; booleans are true. The same batch size gives
    the same inputs each time.
    """
    generator = torch.Generator().manual_seed(batch)
    return batch_of([_trial(port, batch, generator) for port in inputs])


def _trial(port: Input, batch: int, generator: torch.Generator) -> Tensor:
    size = (batch, *port.shape)
    if port.dtype is None:
        return torch.randn(size, generator=generator)
    if port.dtype is torch.bool:
        return torch.ones(size, dtype=torch.bool)
    ids = torch.randint(0, 2, size, generator=generator, dtype=port.dtype)
    ids[..., :1] = 1
    return ids


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
    tolerance = BOUNDARY * charge.abs().amax().clamp(min=1)
    beside = [plan.neurons[site].count(charge + by, layer) for by in (tolerance, -tolerance)]
    differing = counts != expected
    wrong = int((differing & (counts != beside[0]) & (counts != beside[1])).sum())
    if wrong:
        raise InterchangeError(
            f"the exported model computes other counts than the count engine: {wrong:,} of "
            f"{counts.numel():,} at site '{site}'; nothing was written, please report this"
        )
    return int(differing.sum())


def _apart(left: Tensor, right: Tensor) -> float:
    largest = float(right.abs().amax().clamp(min=torch.finfo(right.dtype).tiny))
    return float((left - right).abs().amax()) / largest
