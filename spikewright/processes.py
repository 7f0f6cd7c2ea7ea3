"""One process, or several that share a piece of work (through Hugging Face Accelerate)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from spikewright import errors
from spikewright.errors import ProcessError, RecipeError
from spikewright.extras import require_extra

Item = TypeVar("Item")

HOW_TO_LAUNCH = (
    "torchrun --nproc-per-node 2 -m spikewright ..., or accelerate launch --multi_gpu "
    "--num_processes 2 -m spikewright ... (on CPUs too)"
)


@dataclass(frozen=True)
class Processes:
    """The processes of a run; this is the view of one of them.

    Attributes:
        rank: the number of this process, from 0; only rank 0 writes files.
        count: the number of processes.
        device: the device of this process.
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
            ProcessError: if several were asked for and the launcher started one.
            MissingExtra: if there are several and Accelerate is not installed.
        """
        if launched()[1] == 1:
            return cls(0, 1, torch.device(device))
        accelerate = require_extra("accelerate", "train", "work in several processes")
        own = accelerate.DistributedDataParallelKwargs(broadcast_buffers=False)  # see `agree`
        accelerator = accelerate.Accelerator(cpu=device == "cpu", kwargs_handlers=[own])
        place: torch.device = accelerator.device
        if place.type == "cpu":  # which it numbers, as if there were several
            place = torch.device("cpu")
        return cls(accelerator.process_index, accelerator.num_processes, place, accelerator)

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, indices: Tensor) -> Tensor:
        """This process's part of a list [N]: every process gets others, together all."""
        return indices[self.rank :: self.count]

    def deal(self, items: Iterable[Item]) -> Iterator[Item]:
        """This process's part of any series: item i goes to process i modulo `count`."""
        return (item for i, item in enumerate(items) if i % self.count == self.rank)

    def check(self, batch_size: int) -> None:
        """See that a batch can be shared out evenly.

        Raises:
            RecipeError: if not.
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
        """The sum over processes of a small tensor, the same in each; of integers, exact."""
        if self.accelerator is None:
            return values
        return self.accelerator.reduce(values, reduction="sum")

    def gather(self, values: Tensor) -> Tensor:
        """What every process holds, `[*S]` to `[count, *S]`, by rank; bits stay what they are."""
        if self.accelerator is None:
            return values[None]
        gathered: Tensor = self.accelerator.gather(values.to(self.device)[None].contiguous())
        return gathered.to(values.device)

    def exchange(self, message: bytes) -> list[bytes]:
        """The messages of all processes, by rank."""
        if self.accelerator is None:
            return [message]
        lengths = self.gather(torch.tensor(len(message))).tolist()
        sent = torch.zeros(max(1, *lengths), dtype=torch.uint8)
        if message:
            sent[: len(message)] = torch.frombuffer(bytearray(message), dtype=torch.uint8)
        received = self.gather(sent)
        return [
            row[:length].numpy().tobytes() for row, length in zip(received, lengths, strict=True)
        ]

    def require_same(self, message: bytes, what: str) -> None:
        """See that all processes hold the same.

        Args:
            message: a fingerprint of what they hold.
            what: its name in the error.

        Raises:
            ProcessError: in every process, if they do not.
        """
        if len(set(self.exchange(message))) > 1:
            raise ProcessError(
                f"the {self.count} processes do not hold the same {what}, so they cannot share the "
                "work: give weights by file, and data in a fixed order"
            )

    def by_main(self, work: Callable[[], None]) -> None:
        """Let the main process do something while the others wait, and all hear how it went.

        Args:
            work: the function to call in the main process alone.

        Raises:
            SpikewrightError: in every process, what the main one raised; ProcessError in the
                others where it raised anything else.
        """
        failure: Exception | None = None
        if self.main:
            try:
                work()
            except Exception as error:  # the others would wait in vain
                failure = error
        mine = "" if failure is None else json.dumps([type(failure).__name__, str(failure)])
        theirs = self.exchange(mine.encode())[0]
        if failure is not None:
            raise failure
        if theirs:
            name, message = json.loads(theirs)
            raise getattr(errors, name, ProcessError)(message)

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


ALONE = Processes(0, 1, torch.device("cpu"))
"""One process that shares with nobody, wherever its tensors are."""


def launched() -> tuple[int, int]:
    """The rank of this process and the number of processes, as the launcher says.

    Raises:
        ProcessError: if several were asked for and one was started, as by `accelerate launch
            --cpu --num_processes 2` without MPI: each would believe to be alone.
    """
    environment = os.environ
    started_alone = "WORLD_SIZE" not in environment and "MASTER_ADDR" in environment
    if started_alone and "ACCELERATE_USE_CPU" in environment:
        raise ProcessError(
            "accelerate launch was asked for several processes and started one, as it does with "
            f"--cpu; start them with {HOW_TO_LAUNCH}"
        )
    return int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this is the process that prints and writes, of however many were started."""
    return launched()[0] == 0
