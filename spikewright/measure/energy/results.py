"""What was counted: rows, totals, energy, and NeuroBench's names for some of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spikewright.errors import AnalysisError
from spikewright.measure.energy.counts import OperationsRow, summed
from spikewright.measure.energy.estimate import Energy, EnergyModel, energy_of, total_energy
from spikewright.measure.run_record import RunRecord
from spikewright.measure.tables import aligned


@dataclass(frozen=True)
class Operations:
    """The operations of one network at one T, for the mean sample.

    Attributes:
        network: label of its neurons.
        steps: T.
        duration: time steps of the longest window of a layer: T, and a rehearsal before it.
        bits: that tell what leaves a neuron at a step; 1 for a spike or none; the most of any.
        latency: time steps from the first input to the answer, unpipelined; of spike tracers until
            the last sample's network has settled.
        accuracy: fraction of samples right; None without labels.
        rows: one for every site, and one for what follows the last.
        model: energies of single operations.
        footprint_bytes: size of weights and other stored tensors.
        connection_sparsity: fraction of weights that are 0.
        record: how it was measured.
        settling: time steps after the window until spike tracers have settled, the mean over
            samples.
        zero_macs: multiply-accumulates of the ANN by weights that are 0, which its rows leave out.
    """

    network: str
    steps: int
    duration: int
    bits: int
    latency: int
    accuracy: float | None
    rows: tuple[OperationsRow, ...]
    model: EnergyModel
    footprint_bytes: int
    connection_sparsity: float
    record: RunRecord
    settling: float = 0.0
    zero_macs: float = 0.0

    @property
    def total(self) -> OperationsRow:
        """The sum of the rows."""
        return summed(self.rows)

    @property
    def energy(self) -> Energy:
        """The energy of all rows: the sum of theirs."""
        return total_energy(self.rows, self.model)

    @property
    def levels(self) -> int:
        """The largest count of a neuron in T steps; T for rate codes."""
        return max(row.levels for row in self.rows)

    def row(self, site: str) -> OperationsRow:
        """The row of one site.

        Raises:
            AnalysisError: when there is no such site.
        """
        for row in self.rows:
            if row.site == site:
                return row
        raise AnalysisError(
            f"there is no row of {site!r}; there are {', '.join(row.site for row in self.rows)}"
        )

    def neurobench(self) -> dict[str, Any]:
        """The metrics of NeuroBench that this library computes, under NeuroBench's names.

        NeuroBench runs every layer at every step; here, what is constant in time is computed once,
        and a spike passes pooling on its way to the next weights without becoming a fraction. So
        `Effective_MACs` is smaller by the repetitions of the first layer, and what follows average
        pooling counts as `Effective_ACs`. `Dense` is that of full passes at all steps, with
        weights that are 0 too, as in NeuroBench.

        Source: Yik et al., "NeuroBench" (arXiv 2304.04640), metrics of the algorithm track.
        """
        total, times = self.total, self.duration + self.settling
        return {
            "Footprint": self.footprint_bytes,
            "ConnectionSparsity": self.connection_sparsity,
            "ActivationSparsity": 1 - total.spikes / max(1, total.neurons * times),
            "SynapticOperations": {
                "Effective_MACs": total.snn.effective_macs,
                "Effective_ACs": total.snn.additions,
                "Dense": (total.ann.all_macs + self.zero_macs) * times,
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        *rows, total = ({**row.to_dict(), **energy.to_dict()} for row, energy in self._lines)
        return {
            "network": self.network,
            "steps": self.steps,
            "levels": self.levels,
            "duration": self.duration,
            "settling": self.settling,
            "bits": self.bits,
            "latency": self.latency,
            "accuracy": self.accuracy,
            "rows": rows,
            "total": total,
            "energy_model": asdict(self.model),
            "neurobench": self.neurobench(),
            "record": self.record.to_dict(),
        }

    def to_csv(self) -> str:
        """One line a row under the names of its numbers, and their sum at the end."""
        return operations_csv([self])

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the CSV."""
        first = {"network": self.network, "steps": self.steps}
        return [first | {**row.to_dict(), **energy.to_dict()} for row, energy in self._lines]

    @property
    def _lines(self) -> list[tuple[OperationsRow, Energy]]:
        """The rows and their total, each with its energy."""
        lines = [(row, energy_of(row, self.model)) for row in self.rows]
        return [*lines, (self.total, self.energy)]

    def __str__(self) -> str:
        head = [
            "layer",
            "neurons",
            "spikes",
            "MACs",
            "additions",
            "neuron work",
            "SNN nJ",
            "ANN nJ",
        ]
        lines = [head]
        for row, energy in self._lines:
            work = row.snn.updates + row.snn.comparisons + row.snn.draws + row.snn.bias_additions
            numbers = (row.neurons, row.spikes, row.snn.all_macs, row.snn.additions, work)
            cells = [f"{number:,.0f}" for number in numbers]
            lines.append([row.site, *cells, f"{energy.snn_nj:,.1f}", f"{energy.ann_nj:,.1f}"])
        title = f"{self.network} at T = {self.steps}: operations for one sample, the mean"
        return "\n".join([title, *aligned(lines), "", self._verdict()])

    def _verdict(self) -> str:
        energy = self.energy
        return (
            f"estimated energy in nJ ({self.model.source}), arithmetic alone: "
            f"SNN {energy.snn_nj:,.1f}, ANN fp32 {energy.ann_nj:,.1f}; "
            f"with 8-bit weights: SNN {energy.snn_integer_nj:,.1f}, ANN with {energy.ann_bits}-bit "
            f"activations {energy.ann_quantised_nj:,.1f}\n"
            f"with memory (fp32, no reuse): SNN {energy.snn_with_memory_nj:,.1f}, "
            f"ANN {energy.ann_with_memory_nj:,.1f}"
        )


def operations_csv(results: Sequence[Operations]) -> str:
    """The lines of several results under one heading.

    Args:
        results: one a network and T, at least one.
    """
    lines = [line for operations in results for line in operations.lines()]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
