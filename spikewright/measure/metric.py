"""A measure of the user's own: how good an answer is, whatever its structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.devices import callers_default
from spikewright.errors import AnalysisError


@dataclass(frozen=True)
class Metric:
    """How good answers are: a number for each sample, or one for a batch.

    Args:
        function: called with the model's answer to a batch, in the model's own structure, and the
            labels as the data has them, tensors on the network's device; None where it has none.
            It returns a tensor `[B]`, one number a sample, or one number for the whole batch. A
            number for a batch counts as often as the batch has samples: where it is no mean over
            samples, the result depends on how the data is cut.
        name: in tables; the function's own by default.
        higher_is_better: whether larger numbers are better; not so of errors.

    Raises:
        AnalysisError: for what cannot be called.

    Example:
        >>> import torch
        >>> def error(output, labels):
        ...     return (output - labels).abs().mean(1)
        >>> Metric(error, higher_is_better=False).name
        'error'
    """

    function: Callable[[Any, Any], Any]
    name: str = ""
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise AnalysisError(
                f"a metric is a function of (output, labels), got {self.function!r}: "
                "pass metric=function, or Metric(function, higher_is_better=False)"
            )
        named = self.name or getattr(self.function, "__name__", type(self.function).__name__)
        object.__setattr__(self, "name", named)

    @classmethod
    def of(cls, metric: Metric | Callable[[Any, Any], Any]) -> Metric:
        """The metric itself, or that of a function; an attribute `higher_is_better` is heeded."""
        if isinstance(metric, Metric):
            return metric
        return cls(metric, higher_is_better=bool(getattr(metric, "higher_is_better", True)))

    def values(self, answer: Any, labels: Any, samples: int, who: str) -> tuple[Tensor, bool]:
        """What the function says of one batch.

        Args:
            answer: the network's.
            labels: as the data has them.
            samples: B.
            who: the network that answered, as errors name it.

        Returns:
            float64 `[B]` on the CPU, and whether each sample has a number of its own.

        Raises:
            AnalysisError: for anything but finite numbers, one or B of them.
        """
        with callers_default():
            result = self.function(answer, labels)
        try:
            values = torch.as_tensor(result).detach().double().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise AnalysisError(
                f"the metric '{self.name}' returns a {type(result).__name__} for {who}: return a "
                "number, or a tensor [B] of one number a sample"
            ) from error
        if values.numel() != 1 and values.shape != (samples,):
            raise AnalysisError(
                f"the metric '{self.name}' returns {list(values.shape)} for {who} and {samples} "
                "samples: return a number, or a tensor [B] of one number a sample"
            )
        if not bool(values.isfinite().all()):
            raise AnalysisError(f"the metric '{self.name}' gives NaN or infinity for {who}")
        each = values.shape == (samples,)
        return (values if each else values.reshape(()).expand(samples)).clone(), each
