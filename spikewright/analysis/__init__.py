"""What a converted network does: accuracy at every T, misalignment, errors by their causes.

The functions `sweep` and `misalignment` stand here under the names of the modules that hold them.
"""

from spikewright.analysis.decomposition import LayerError, decompose, split_error
from spikewright.analysis.energy import (
    HOROWITZ_45NM,
    Counts,
    Energy,
    EnergyModel,
    Operations,
    OperationsRow,
    emission_costs,
    emission_table,
    operations,
    operations_csv,
)
from spikewright.analysis.misalignment import LayerEffect, Misalignment, misalignment
from spikewright.analysis.run_record import RunClock, RunRecord
from spikewright.analysis.spike_times import ResidualSummary, SpikeTimeHistogram, watch_spikes
from spikewright.analysis.statistics import mcnemar_exact, paired_interval, wilson_interval
from spikewright.analysis.sweep import SweepProgress, sweep
from spikewright.analysis.sweep_results import Reference, Sweep, SweepRow

__all__ = [
    "HOROWITZ_45NM",
    "Counts",
    "Energy",
    "EnergyModel",
    "LayerEffect",
    "LayerError",
    "Misalignment",
    "Operations",
    "OperationsRow",
    "Reference",
    "ResidualSummary",
    "RunClock",
    "RunRecord",
    "SpikeTimeHistogram",
    "Sweep",
    "SweepProgress",
    "SweepRow",
    "decompose",
    "emission_costs",
    "emission_table",
    "mcnemar_exact",
    "misalignment",
    "operations",
    "operations_csv",
    "paired_interval",
    "split_error",
    "sweep",
    "watch_spikes",
    "wilson_interval",
]
