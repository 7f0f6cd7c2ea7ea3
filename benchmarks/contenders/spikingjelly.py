"""SpikingJelly 2.0: its own recipes, on a copy of the network that it can trace."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torch import Tensor, nn

from benchmarks.contenders.base import Contender, Unavailable
from benchmarks.contenders.traceable import traceable
from benchmarks.workloads import Subject


@dataclass
class SpikingJelly(Contender):
    """A network converted by `ann2snn.Converter(recipe).convert(model)`.

    The answer is the mean of the outputs over T steps, states reset before every batch. In
    multi-step mode the whole sequence `[T, B, C, H, W]` goes through layer by layer; in single-step
    mode the network is called T times. On a GPU it is told which kernels its neurons take.

    Attributes:
        recipe: name of the recipe in `ann2snn`.
        options: of the recipe, beside the calibration batches.
        multi_step: step mode "m", else "s".
        passes: how often the calibration images are gone through.
        only: the class of a module without which the recipe has nothing to do.
    """

    recipe: str = field(kw_only=True)
    options: dict[str, Any] = field(kw_only=True, default_factory=dict)
    multi_step: bool = field(kw_only=True, default=True)
    passes: int = field(kw_only=True, default=1)
    only: type[nn.Module] = field(kw_only=True, default=nn.Module)
    _network: nn.Module = field(init=False, repr=False)
    _reset: Callable[[nn.Module], None] = field(init=False, repr=False)

    def prepare(self, subject: Subject) -> None:
        require_version_2()
        if not any(isinstance(module, self.only) for module in subject.model.modules()):
            raise Unavailable(f"its recipe is for networks with {self.only.__name__}")
        ann2snn = importlib.import_module("spikingjelly.activation_based.ann2snn")
        functional = importlib.import_module("spikingjelly.activation_based.functional")
        model = traceable(copy.deepcopy(subject.model), subject.calibration[0])
        batches = subject.calibration * self.passes
        recipe = getattr(ann2snn, self.recipe)(dataloader=batches, **self.options)
        self._network = ann2snn.Converter(recipe=recipe, device=subject.device).convert(model)
        self._network.eval()
        functional.set_step_mode(self._network, "m" if self.multi_step else "s")
        self._reset = functional.reset_net
        kernels = functional.neuron_implementation("if", subject.device)["implementation"]
        self.what = f"{self.what}; neurons by {kernels}"

    def run(self, batch: Tensor) -> Tensor:
        assert self.steps is not None
        self._reset(self._network)
        if self.multi_step:
            return self._network(batch.expand(self.steps, *batch.shape)).mean(dim=0)
        total = self._network(batch)
        for _ in range(self.steps - 1):
            total = total + self._network(batch)
        return total / self.steps


def require_version_2() -> None:
    """Refuse where SpikingJelly is missing or older than its recipes.

    Raises:
        Unavailable: with what to install.
    """
    try:
        found = version("spikingjelly")
    except PackageNotFoundError:
        raise Unavailable("spikingjelly is not installed; the extra 'bench' has it") from None
    if int(found.partition(".")[0]) < 2:
        raise Unavailable(f"spikingjelly {found} has no recipes; 2.0 or newer is needed")
