"""What a converted network's answer costs: operations counted exactly, energy estimated.

`operations` counts, `code_costs` compares the ways to write the same counts in spikes, and
`assign_codes` chooses one for every layer.
"""

from spikewright.measure.energy.code_costs import code_costs, code_table
from spikewright.measure.energy.counting import operations
from spikewright.measure.energy.counts import Counts, OperationsRow
from spikewright.measure.energy.estimate import HOROWITZ_45NM, Energy, EnergyModel, EnergyParts
from spikewright.measure.energy.hybrid_coding import CodeAssignment, assign_codes
from spikewright.measure.energy.results import Operations, operations_csv

__all__ = [
    "HOROWITZ_45NM",
    "CodeAssignment",
    "Counts",
    "Energy",
    "EnergyModel",
    "EnergyParts",
    "Operations",
    "OperationsRow",
    "assign_codes",
    "code_costs",
    "code_table",
    "operations",
    "operations_csv",
]
