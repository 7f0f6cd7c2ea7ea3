"""One pass of the ANN over the calibration data, which is read part by part and not kept.

Several processes find what one finds, to the bit: maxima and integer counts do not know an order,
and the float64 sums of parts are added up in the order of the parts, whoever computed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor

from spikewright.calibration.statistics import BINS, SiteStatistics, rebinned
from spikewright.errors import CalibrationError
from spikewright.fingerprint import fingerprint
from spikewright.graph.evaluate import apply, evaluate
from spikewright.graph.inputs import Batch, named
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.per_channel import channels_of
from spikewright.graph.primitives import RELAY
from spikewright.processes import ALONE, Processes

_INSTEAD = (
    "in place of -inf or a large negative number, mask with one just below all that counts, such "
    "as 0 behind a ReLU"
)
_LARGE = 1e4
"""From here on a magnitude may be that of a mask."""


@dataclass(frozen=True)
class Collected:
    """What a pass leaves.

    Attributes:
        statistics: by site name, on the CPU; sites that are alike share theirs.
        input_sums: by site name, float64 `[parts, C]`: the sum of the site's input over each part.
        values: by site name, values of a channel that one sample has.
    """

    statistics: Mapping[str, SiteStatistics]
    input_sums: Mapping[str, Tensor]
    values: Mapping[str, int]

    def input_means(self, parts: Mapping[int, Batch]) -> dict[str, Tensor]:
        """The mean inputs of the sites over some of the parts, float64 `[C]`.

        Args:
            parts: by number.
        """
        samples, rows = sum(len(part) for part in parts.values()), list(parts)
        return {
            site: _sum_of(sums[rows]) / (samples * self.values[site])
            for site, sums in self.input_sums.items()
        }


def collect(graph: Graph, parts: Iterable[Batch], processes: Processes = ALONE) -> Collected:
    """Run the ANN over calibration data and keep the statistics of every site.

    Args:
        graph: the captured network, the same in every process.
        parts: batches of all inputs, on the graph's device; any sizes, any order; the same in every
            process.
        processes: who shares them: part i is the work of process i modulo their number.

    Returns:
        The statistics of all parts, in every process.

    Raises:
        CalibrationError: when no part came, an activation is not finite, or a mask hides all
            others.
        ProcessError: when processes hold other weights or other samples.
    """
    channels = {op.site.name: channels_of(op) for op in graph.neurons if op.site is not None}
    alike = {
        group: SiteStatistics.empty(channels[members[0]]) for group, members in graph.groups.items()
    }
    own = {site: alike[group] for group, members in graph.groups.items() for site in members}
    sums: dict[str, list[Tensor]] = {site: [] for site in channels}
    digest = sha256(fingerprint(graph.tensors).encode()) if processes.count > 1 else None
    count = samples = 0
    with torch.no_grad():
        for part in parts:
            if digest is not None:
                tensors = dict(named(graph.inputs, part))
                digest.update(fingerprint(tensors).encode())
            if count % processes.count == processes.rank:
                for site, row in _observed(graph, part, own).items():
                    sums[site].append(row)
            count, samples = count + 1, samples + len(part)
    if digest is not None:
        processes.require_same(digest.digest(), "weights and calibration data")
    if not samples:
        raise CalibrationError("the calibration data held no batch")
    rows = {
        site: _in_order(sums[site], width, count, processes) for site, width in channels.items()
    }
    merged = {group: _merged(one, processes) for group, one in alike.items()}
    for op in graph.neurons:
        if op.site is not None and _is_mask(op, merged[op.site.group_name]):
            raise CalibrationError(
                f"site '{op.site.name}' ({op.source or op.module}) carries a number of size "
                f"{float(merged[op.site.group_name].maximum.max()):.3g} and none above a 512th of "
                "it beside: a mask, probably, before a maximum or a product, beside which spikes "
                f"cannot tell the others apart; {_INSTEAD}"
            )
    statistics: dict[str, SiteStatistics] = {}
    values: dict[str, int] = {}
    for group, members in graph.groups.items():
        for site in members:
            merged[group].input_sum += _sum_of(rows[site])
            statistics[site] = merged[group]
            values[site] = merged[group].values // (samples * len(members))
    return Collected(statistics, rows, values)


def _observed(
    graph: Graph, part: Batch, statistics: Mapping[str, SiteStatistics]
) -> dict[str, Tensor]:
    """Add a part to the statistics; the sums of its inputs by site, `[C]`."""
    sums: dict[str, Tensor] = {}

    def observe(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        activations: Tensor = apply(op, inputs, graph.tensors)
        if not activations.numel():
            raise CalibrationError(
                f"site '{op.site.name}' ({op.source or op.module}) has no neuron: a sample's value "
                f"is of shape {list(op.shape)} there; leave the activation out of the model"
            )
        if not all(bool(end.isfinite()) for end in torch.aminmax(activations)):
            masked = op.target is RELAY and not bool(activations.isnan().any())
            raise CalibrationError(
                f"NaN or infinite activations at site '{op.site.name}' ({op.source or op.module}) "
                "during calibration; "
                + (_INSTEAD if masked else "check the calibration data and the model's weights")
            )
        sums[op.site.name] = statistics[op.site.name].add(inputs[0], activations, op.site.channels)
        return activations

    evaluate(graph, part, {Kind.UNIT: observe})
    return sums


def _is_mask(op: Operation, statistics: SiteStatistics) -> bool:
    """Whether a value that a relay sends is huge, and all others are next to nothing beside it."""
    if op.target is not RELAY or float(statistics.maximum.max()) < _LARGE:
        return False
    used = statistics.histogram[statistics.maximum > 0]
    between = used[:, 1 : BINS // 2].sum(1)  # of each channel the largest lies in the upper half
    return bool((between == 0).all()) and bool((used[:, 0] > 0).any())


def _merged(own: SiteStatistics, processes: Processes) -> SiteStatistics:
    """The statistics over all parts but for the sum of inputs, from this process's parts."""
    exponent = processes.gather(own.exponent).amax(0)
    return SiteStatistics(
        processes.gather(own.maximum).amax(0),
        exponent,
        processes.gather(rebinned(own.histogram, exponent - own.exponent)).sum(0),
        int(processes.gather(torch.tensor(own.values)).sum()),
        torch.zeros_like(own.input_sum),
        bool(processes.gather(torch.tensor([int(own.signed)])).any()),
    )


def _in_order(sums: Sequence[Tensor], channels: int, parts: int, processes: Processes) -> Tensor:
    """The sums of all parts, float64 `[parts, C]`, first part first."""
    rounds = -(-parts // processes.count)
    padded = torch.zeros(rounds, channels, dtype=torch.float64)
    for turn, row in enumerate(sums):
        padded[turn] = row
    dealt = processes.gather(padded).transpose(0, 1).flatten(0, 1)  # [rounds, count, C]: parts
    return dealt[:parts]


def _sum_of(rows: Tensor) -> Tensor:
    """The sum of rows `[parts, C]`, one after the other."""
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for row in rows:
        total += row
    return total
