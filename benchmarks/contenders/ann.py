"""The network itself: eager, and compiled in the memory layout that suits the processor."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import torch
from torch import Tensor
from torch.fx.experimental.optimization import fuse

from benchmarks.contenders.base import Contender
from benchmarks.workloads import Subject


class Form(StrEnum):
    """How the network is run."""

    EAGER = "eager"
    COMPILED = "compiled"
    FOLDED = "folded and compiled"


@dataclass
class Ann(Contender):
    """The source network.

    Attributes:
        form: eager as the user has it; compiled, which means channels-last and `torch.compile`;
            or the same with batch norm folded into the convolutions beforehand.
        dtype: of its weights and images.
    """

    form: Form = Form.EAGER
    dtype: torch.dtype = torch.float32
    _forward: Callable[[Tensor], Tensor] = field(init=False, repr=False)

    def prepare(self, subject: Subject) -> None:
        model = copy.deepcopy(subject.model).to(self.dtype)
        if self.form is Form.FOLDED:
            model = fuse(model)
        if self.form is not Form.EAGER:
            model = torch.compile(model.to(memory_format=torch.channels_last), dynamic=False)
        self._forward = model

    def run(self, batch: Tensor) -> Tensor:
        batch = batch.to(self.dtype)
        if self.form is not Form.EAGER:
            batch = batch.contiguous(memory_format=torch.channels_last)
        return self._forward(batch)
