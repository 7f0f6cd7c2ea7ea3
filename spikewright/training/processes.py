"""One process, or several that share every batch (through Hugging Face Accelerate)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.errors import RecipeError
from spikewright.extras import require_extra


@dataclass(frozen=True)
class Processes:
    """The processes of a run; this is the view of one of them.

    Attributes:
        rank: of this process, from 0; only rank 0 writes files.
        count: how many there are.
        device: of this process.
        accelerator: Accelerate's own object, or None for one process.
    """

    rank: int
    count: int
    device: torch.device
    accelerator: Any = None

    @classmethod
    def join(cls, device: str = "cpu") -> Processes:
        """Join the processes that `accelerate launch` (or torchrun) has started, if it has.

        Args:
            device: for a run of one process; several take theirs from Accelerate, and only
                `"cpu"` holds them to the CPU.

        Raises:
            MissingExtra: if there are several and Accelerate is not installed.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(0, 1, torch.device(device))
        accelerate = require_extra("accelerate", "train", "training in several processes")
        accelerator = accelerate.Accelerator(cpu=device == "cpu")
        return cls(
            accelerator.process_index, accelerator.num_processes, accelerator.device, accelerator
        )

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, indices: Tensor) -> Tensor:
        """This process's part of a list [N]: every process gets others, together all."""
        return indices[self.rank :: self.count]

    def check(self, batch_size: int) -> None:
        """See that a batch can be shared out evenly.

        Raises:
            RecipeError: if it cannot.
        """
        if batch_size % self.count or batch_size < 2 * self.count:
            raise RecipeError(
                f"batch_size={batch_size} cannot be shared evenly by {self.count} processes with "
                f"two images or more each; give a multiple of {self.count}"
            )

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over processes."""
        if self.accelerator is None:
            return model
        return self.accelerator.prepare_model(model)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes of a small tensor, the same in each."""
        if self.accelerator is None:
            return values
        return self.accelerator.reduce(values, reduction="sum")

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over processes, in place.

        Each process gathers batch norm's running statistics by itself; counters (integers) are
        the same everywhere and left alone.
        """
        if self.accelerator is None:
            return
        for tensor in tensors:
            if tensor.is_floating_point():
                tensor.copy_(self.accelerator.reduce(tensor, reduction="mean"))

    def wait(self) -> None:
        """Wait for all."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()

    def leave(self) -> None:
        """Take leave of the others; nothing can be shared afterwards."""
        if self.accelerator is not None:
            self.accelerator.end_training()


def is_main_process() -> bool:
    """Whether this is the process that prints and writes, of however many were started."""
    return os.environ.get("RANK", "0") == "0"
