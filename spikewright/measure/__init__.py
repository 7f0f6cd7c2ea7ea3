"""What a converted network does: accuracy at every T, misalignment, errors by their causes.

The functions `sweep` and `misalignment` stand here under the names of the modules that hold them.
"""

from spikewright.measure.decomposition import LayerError, decompose, split_error
from spikewright.measure.energy import (
    HOROWITZ_45NM,
    CodeAssignment,
    Counts,
    Energy,
    EnergyModel,
    Operations,
    OperationsRow,
    assign_codes,
    code_costs,
    code_table,
    operations,
    operations_csv,
)
from spikewright.measure.fewest_steps import FewestSteps, fewest_steps
from spikewright.measure.metric import Metric
from spikewright.measure.misalignment import LayerEffect, Misalignment, misalignment
from spikewright.measure.run_record import RunClock, RunRecord
from spikewright.measure.spike_times import ResidualSummary, SpikeTimeHistogram, watch_spikes
from spikewright.measure.statistics import (
    mcnemar_exact,
    mean_interval,
    paired_interval,
    wilson_interval,
)
from spikewright.measure.step_assignment import StepAssignment, assign_steps
from spikewright.measure.sweep import sweep
from spikewright.measure.sweep_plan import SweepProgress
from spikewright.measure.sweep_results import Reference, Sweep, SweepRow
from spikewright.measure.trajectories import Trajectories, TrajectoryPoint, trajectories

__all__ = [
    "HOROWITZ_45NM",
    "CodeAssignment",
    "Counts",
    "Energy",
    "EnergyModel",
    "FewestSteps",
    "LayerEffect",
    "LayerError",
    "Metric",
    "Misalignment",
    "Operations",
    "OperationsRow",
    "Reference",
    "ResidualSummary",
    "RunClock",
    "RunRecord",
    "SpikeTimeHistogram",
    "StepAssignment",
    "Sweep",
    "SweepProgress",
    "SweepRow",
    "Trajectories",
    "TrajectoryPoint",
    "assign_codes",
    "assign_steps",
    "code_costs",
    "code_table",
    "decompose",
    "fewest_steps",
    "mcnemar_exact",
    "mean_interval",
    "misalignment",
    "operations",
    "operations_csv",
    "paired_interval",
    "split_error",
    "sweep",
    "trajectories",
    "watch_spikes",
    "wilson_interval",
]
