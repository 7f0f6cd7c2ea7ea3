"""Calibration by several processes: the same statistics and designs as from one, to the bit.

Batches go out whole, by turns. Maxima and integer counts do not know an order; the float64 sums of
batches are added up in the order of the batches, as one process does. A correction needs all
samples at once, layer after layer: it is one process's work for one T, and T go out by turns too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import safetensors.torch
import torch
from torch import Tensor

from spikewright.calibration.statistics import (
    SiteStatistics,
    collected,
    rebinned,
    require_alive,
)
from spikewright.fingerprint import fingerprint
from spikewright.graph.ir import Graph
from spikewright.processes import Processes


def collect_shared(
    graph: Graph, batches: Sequence[Tensor], processes: Processes
) -> dict[str, SiteStatistics]:
    """`collect`, each process running its own part of the batches.

    Args:
        graph: the captured network, the same in every process.
        batches: all of them, `[B, *S]` each, the same in every process.
        processes: who shares them.

    Returns:
        The statistics of all batches by site name, in every process.

    Raises:
        CalibrationError: as `collect`.
        ProcessError: when processes hold other weights or other samples.
    """
    held = {**graph.tensors, **{f"batch {n:06}": batch for n, batch in enumerate(batches)}}
    processes.require_same(fingerprint(held).encode(), "weights and calibration data")
    channels = {op.site.name: op.shape[0] for op in graph.neurons if op.site is not None}
    own = {site: SiteStatistics.empty(width) for site, width in channels.items()}
    sums: dict[str, list[Tensor]] = {site: [] for site in channels}
    for batch in processes.deal(batches):
        for site, part in collected(graph, [batch]).items():
            own[site] = own[site].merged(part)
            sums[site].append(part.input_sum)
    merged = {
        site: _merged(
            own[site], _sum_in_order(sums[site], width, len(batches), processes), processes
        )
        for site, width in channels.items()
    }
    require_alive(merged)
    return merged


def deal_work(
    keys: Sequence[int],
    work: Callable[[int], Mapping[str, Tensor]],
    processes: Processes,
) -> dict[int, dict[str, Tensor]]:
    """The tensors that work gives for every key, each computed by one process and told to all.

    Args:
        keys: different numbers, the same in every process.
        work: from a key to tensors by name.
        processes: who shares the keys.

    Returns:
        By key, in the order of `keys`; tensors on the CPU, bits as they were made.
    """
    own = {key: work(key) for key in processes.deal(keys)}
    named = {
        f"{key:09}/{number:09}/{name}": tensor.detach().cpu().contiguous()
        for key, tensors in own.items()
        for number, (name, tensor) in enumerate(tensors.items())
    }
    found: dict[int, dict[str, Tensor]] = {key: {} for key in keys}
    for message in processes.exchange(safetensors.torch.save(named)):
        for label, tensor in sorted(
            safetensors.torch.load(message).items(), key=lambda named: named[0]
        ):
            key, _, name = label.split("/", 2)
            found[int(key)][name] = tensor
    return found


def _merged(own: SiteStatistics, input_sum: Tensor, processes: Processes) -> SiteStatistics:
    """The statistics of one site over all batches, from those of this process's batches."""
    exponent = processes.gather(own.exponent).amax(0)
    return SiteStatistics(
        processes.gather(own.maximum).amax(0),
        exponent,
        processes.gather(rebinned(own.histogram, exponent - own.exponent)).sum(0),
        int(processes.gather(torch.tensor(own.values)).sum()),
        input_sum,
    )


def _sum_in_order(
    sums: Sequence[Tensor], channels: int, batches: int, processes: Processes
) -> Tensor:
    """The sum of all batches' sums, float64 `[C]`, first batch first."""
    rounds = -(-batches // processes.count)
    padded = torch.zeros(rounds, channels, dtype=torch.float64)
    for turn, row in enumerate(sums):
        padded[turn] = row
    by_turn = processes.gather(padded).transpose(0, 1).flatten(0, 1)  # [rounds, count, C]: batches
    total = torch.zeros(channels, dtype=torch.float64)
    for row in by_turn[:batches]:
        total += row
    return total
