"""Everything a training run has to remember, as named tensors and one JSON document.

No pickle: the optimiser's state is flattened to `optimizer/PARAMETER/KEY`, beside `model/...`,
`average/...` (the moving average, with EMA), `best/...` (the weights of the best epoch) and
`order/state` (of the generator that draws the order of samples, where one does).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from spikewright.decoding import decoded
from spikewright.errors import RunError
from spikewright.runs.files import read_tensors, write_tensors
from spikewright.runs.metrics import EpochMetrics


@dataclass
class TrainingState:
    """The progress of a run, changed as it goes.

    Attributes:
        model: the weights that are trained.
        optimizer: the optimiser of these weights.
        average: the moving average of the weights, or None without EMA.
        best: the model's state after the best epoch so far, on the CPU; empty before the first.
        history: one entry an epoch, in order.
        rank: of two epochs the better one ranks higher; by default by validation accuracy.
        order: draws the order of samples, epoch after epoch; None where that is a function of the
            seed and the epoch.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    best: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    history: list[EpochMetrics] = field(default_factory=list[EpochMetrics])
    rank: Callable[[EpochMetrics], Any] = attrgetter("validation_accuracy")
    order: torch.Generator | None = None

    @property
    def candidate(self) -> dict[str, Tensor]:
        """The state that is validated and kept: the average, or the weights themselves."""
        return (self.model if self.average is None else self.average.module).state_dict()

    @property
    def best_epoch(self) -> EpochMetrics:
        """The first of the epochs that rank highest."""
        return max(self.history, key=self.rank)

    def finish_epoch(self, metrics: EpochMetrics) -> None:
        """Take an epoch into the history, and its weights if they are the best."""
        self.history.append(metrics)
        if self.best_epoch is metrics:
            self.best = {name: t.detach().cpu().clone() for name, t in self.candidate.items()}

    def save(self, path: Path) -> None:
        """Write the state as one file, whole."""
        groups = {
            "model": self.model.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "best": self.best,
            "optimizer": self._optimizer_tensors(),
            "order": {} if self.order is None else {"state": self.order.get_state()},
        }
        tensors = {
            f"{part}/{name}": t for part, group in groups.items() for name, t in group.items()
        }
        write_tensors(path, tensors, {"history": [asdict(metrics) for metrics in self.history]})

    def load(self, path: Path) -> None:
        """Take over a saved state.

        Raises:
            RunError: if the file is damaged, or of another network or optimiser.
        """
        tensors, document = read_tensors(path)
        parts: dict[str, dict[str, Tensor]] = {
            p: {} for p in ("model", "average", "best", "optimizer", "order")
        }
        try:
            for name, tensor in tensors.items():
                part, _, inner = name.partition("/")
                parts[part][inner] = tensor
            self.model.load_state_dict(parts["model"])
            self._load_optimizer(parts["optimizer"])
            if self.average is not None:
                self.average.load_state_dict(parts["average"])
            if self.order is not None:
                self.order.set_state(parts["order"]["state"])
            history = decoded(tuple[EpochMetrics, ...], document["history"], "history")
            self.history = list(history)
        except (KeyError, RuntimeError, RunError) as error:
            raise RunError(
                f"'{path}' is not a checkpoint of this network and optimiser ({error})"
            ) from error
        self.best = parts["best"]

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        return {
            f"{name}/{key}": value
            for name, parameter in self.model.named_parameters()
            for key, value in self.optimizer.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        parameters = dict(self.model.named_parameters())
        on_device = _counted_on_device(self.optimizer)
        for name, tensor in tensors.items():
            parameter_name, _, key = name.rpartition("/")
            parameter = parameters[parameter_name]
            on_cpu = key == "step" and parameter not in on_device
            value = tensor.to("cpu" if on_cpu else parameter.device)
            if value.shape == parameter.shape:  # with the strides that a fresh state would have
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            self.optimizer.state[parameter][key] = value


def _counted_on_device(optimizer: torch.optim.Optimizer) -> set[Tensor]:
    """The parameters whose number of steps torch keeps on their device, and not on the CPU."""
    kinds = ("fused", "capturable")
    groups = (group for group in optimizer.param_groups if any(group.get(k) for k in kinds))
    return {parameter for group in groups for parameter in group["params"]}
