"""Designs computed by several processes: each takes a part of the T and sends the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import safetensors.torch
import torch
from torch import Tensor

from spikewright.processes import Processes


def deal_work(
    keys: Sequence[int],
    work: Callable[[int], Mapping[str, Tensor]],
    processes: Processes,
) -> dict[int, dict[str, Tensor]]:
    """The tensors that work gives for every key, each computed by one process and sent to all.

    Args:
        keys: different numbers, the same in every process.
        work: from a key to tensors by name.
        processes: who shares the keys.

    Returns:
        By key, in the order of `keys`; tensors on the CPU, bits as they were made.
    """
    own = {key: work(key) for key in processes.deal(keys)}
    named = {  # copies, as safetensors refuses tensors that share memory
        f"{key:09}/{number:09}/{name}": _copy(tensor)
        for key, tensors in own.items()
        for number, (name, tensor) in enumerate(tensors.items())
    }
    results: dict[int, dict[str, Tensor]] = {key: {} for key in keys}
    for message in processes.exchange(safetensors.torch.save(named)):
        for label, tensor in sorted(
            safetensors.torch.load(message).items(), key=lambda named: named[0]
        ):
            key, _, name = label.split("/", 2)
            results[int(key)][name] = tensor
    return results


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
