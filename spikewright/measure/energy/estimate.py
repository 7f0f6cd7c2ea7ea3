"""From operations to energy: an estimate, by published constants of one old process.

What a chip draws depends on its memory, its wires and its idle power more than on its adders; these
numbers order designs, they do not predict a meter.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import reduce

from spikewright.errors import AnalysisError
from spikewright.measure.energy.counts import Counts, OperationsRow

_PJ_PER_NJ = 1000.0

_ARITHMETIC = {
    "__and__": (0, 0),
    "__or__": (0, 0),
    "_to_copy": (0, 0),
    "abs": (0, 1),
    "add": (0, 1),
    "addcmul": (1, 1),
    "alias": (0, 0),
    "amax": (0, 1),
    "amin": (0, 1),
    "bitwise_and": (0, 0),
    "bitwise_not": (0, 0),
    "bitwise_or": (0, 0),
    "clamp": (0, 2),
    "clamp_max": (0, 1),
    "clamp_min": (0, 1),
    "clone": (0, 0),
    "div": (1, 0),
    "eq": (0, 1),
    "expand": (0, 0),
    "ge": (0, 1),
    "gt": (0, 1),
    "hardsigmoid": (1, 3),
    "hardswish": (2, 3),
    "hardtanh": (0, 2),
    "le": (0, 1),
    "leaky_relu": (1, 1),
    "logical_and": (0, 0),
    "logical_not": (0, 0),
    "logical_or": (0, 0),
    "lt": (0, 1),
    "masked_fill": (0, 0),
    "max": (0, 1),
    "maximum": (0, 1),
    "mean": (0, 1),
    "min": (0, 1),
    "minimum": (0, 1),
    "mul": (1, 0),
    "ne": (0, 1),
    "neg": (0, 1),
    "prelu": (1, 1),
    "relay": (0, 0),
    "relu": (0, 1),
    "relu6": (0, 2),
    "rsub": (0, 1),
    "sign": (0, 2),
    "square": (1, 0),
    "squeeze": (0, 0),
    "sub": (0, 1),
    "sum": (0, 1),
    "threshold": (0, 1),
    "unsqueeze": (0, 0),
    "where": (0, 0),
}
"""Multiplications and additions (comparisons too) of functions that take nothing else; of means,
sums and maxima those for every value that they read. Divisions are by constants: others are
products with a reciprocal. What a comparison chooses between costs nothing beside it."""


@dataclass(frozen=True)
class EnergyParts:
    """The energy of counted operations by what takes it, in nJ.

    Attributes:
        macs_nj: multiply-accumulates.
        additions_nj: synaptic additions.
        shifts_nj: shifts of weights and held counts by the exponents of spikes.
        products_nj: additions to the counts that products hold, and of these.
        neurons_nj: updates, comparisons and constants added to neurons.
        draws_nj: random numbers.
        scales_nj: multiplications of spikes by thresholds.
        functions_nj: functions that neurons compute besides rectifying.
        weights_nj: reading weights.
        states_nj: reading and writing potentials and activations.
    """

    macs_nj: float
    additions_nj: float
    shifts_nj: float
    products_nj: float
    neurons_nj: float
    draws_nj: float
    scales_nj: float
    functions_nj: float
    weights_nj: float
    states_nj: float

    @property
    def arithmetic_nj(self) -> float:
        """Everything but memory traffic."""
        computed = self.macs_nj + self.additions_nj + self.shifts_nj + self.products_nj
        return computed + self.neurons_nj + self.draws_nj + self.scales_nj + self.functions_nj

    @property
    def memory_nj(self) -> float:
        """Weights and states."""
        return self.weights_nj + self.states_nj


@dataclass(frozen=True)
class EnergyModel:
    """Energies of single operations in pJ; replace any of them by `dataclasses.replace`.

    Attributes:
        source: where the constants come from.
        fp32_multiply_pj, fp32_add_pj: of floating-point numbers of 32 bits; a multiply-accumulate
            takes one of each (4.6 pJ).
        int8_multiply_pj: of integers of 8 bits; taken in proportion to the width of an activation
            that has fewer.
        int32_add_pj: of integers of 32 bits, in which products and spikes of 8-bit weights are
            accumulated (one of 8 bits takes 0.03 pJ and overflows).
        int32_multiply_pj: of integers of 32 bits, for scales in integer arithmetic.
        shift_pj: a shift by the exponent of a spike that is a power of two (to a number in floating
            point, an addition to its exponent); an assumption, not in the source: one 32-bit
            integer addition.
        random_draw_pj: a random number; an assumption, not in the source: one 32-bit integer
            addition, as a shift register takes.
        weight_pj_per_byte: reading weights; 100 pJ for 64 bits of a 1 MB SRAM.
        state_pj_per_byte: reading or writing potentials and activations; 20 pJ for 64 bits of a
            32 KB SRAM.
        function_pj: of one value of a function that neurons compute, by name, whatever the width
            of its numbers. The source has none. What multiplies, adds and compares alone
            (leaky ReLU, hardswish, square, clamps, ...) is priced as that where it is not named.

    Raises:
        ValueError: for an energy that is negative or not finite.

    Source: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, table
    of 45 nm, 0.9 V.
    """

    source: str = "Horowitz, ISSCC 2014, 45 nm"
    fp32_multiply_pj: float = 3.7
    fp32_add_pj: float = 0.9
    int8_multiply_pj: float = 0.2
    int32_add_pj: float = 0.1
    int32_multiply_pj: float = 3.1
    shift_pj: float = 0.1
    random_draw_pj: float = 0.1
    weight_pj_per_byte: float = 100 / 8
    state_pj_per_byte: float = 20 / 8
    function_pj: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)

    def __post_init__(self) -> None:
        prices = asdict(self) | dict(self.function_pj)
        del prices["source"], prices["function_pj"]
        for name, value in prices.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and at least 0, got {value}")

    def parts(self, counts: Counts) -> EnergyParts:
        """What takes the energy: arithmetic in single precision, and memory traffic.

        Comparisons and updates are taken as additions, and so is what products hold and add: a
        held count is a whole number beside a potential, in the same memory. Every operation reads
        its weight and its state for itself (see `Counts.weight_bytes`).
        """
        multiply, add = self.fp32_multiply_pj / _PJ_PER_NJ, self.fp32_add_pj / _PJ_PER_NJ
        return EnergyParts(
            macs_nj=counts.all_macs * (multiply + add),
            additions_nj=counts.additions * add,
            shifts_nj=counts.shifts * self.shift_pj / _PJ_PER_NJ,
            products_nj=_held(counts) * add,
            neurons_nj=_neuron_operations(counts) * add,
            draws_nj=counts.draws * self.random_draw_pj / _PJ_PER_NJ,
            scales_nj=counts.scale_multiplications * multiply,
            functions_nj=self._functions_nj(counts, multiply, add),
            weights_nj=counts.weight_bytes * self.weight_pj_per_byte / _PJ_PER_NJ,
            states_nj=counts.state_bytes * self.state_pj_per_byte / _PJ_PER_NJ,
        )

    def integer_nj(self, counts: Counts, bits: int = 8) -> float:
        """Arithmetic on weights of 8 bits, activations of `bits` (the input: 8), 32-bit sums."""
        narrow = self.int8_multiply_pj * bits / 8
        macs = counts.input_macs * self.int8_multiply_pj + counts.macs * narrow
        summed = counts.additions + _held(counts) + _neuron_operations(counts) + counts.all_macs
        added = summed * self.int32_add_pj
        scaled = counts.scale_multiplications * self.int32_multiply_pj
        moved = counts.shifts * self.shift_pj + counts.draws * self.random_draw_pj
        computed = (macs + added + scaled + moved) / _PJ_PER_NJ
        multiply, add = self.int32_multiply_pj / _PJ_PER_NJ, self.int32_add_pj / _PJ_PER_NJ
        return computed + self._functions_nj(counts, multiply, add)

    def prices(self, function: str) -> bool:
        """Whether a function that neurons compute has a price."""
        return function in self.function_pj or function in _ARITHMETIC

    def _functions_nj(self, counts: Counts, multiply: float, add: float) -> float:
        """The energy of evaluations, from that of one multiplication and one addition in nJ."""
        total = 0.0
        for function, times in counts.functions.items():
            if not self.prices(function):
                raise AnalysisError(
                    f"{function} has no price in '{self.source}': name one in function_pj"
                )
            multiplications, additions = _ARITHMETIC.get(function, (0, 0))
            each = multiplications * multiply + additions * add
            if function in self.function_pj:
                each = self.function_pj[function] / _PJ_PER_NJ
            total += times * each
        return total


def _held(counts: Counts) -> float:
    return counts.held_updates + counts.held_additions


def _neuron_operations(counts: Counts) -> float:
    return counts.bias_additions + counts.updates + counts.comparisons


HOROWITZ_45NM = EnergyModel()
"""The constants that papers of this field use: 4.6 pJ a multiply-accumulate, 0.9 pJ an addition."""


@dataclass(frozen=True)
class Energy:
    """Estimated energy of one sample's answer in nJ, side by side.

    Attributes:
        ann_nj: the source network, arithmetic in single precision.
        ann_quantised_nj: the source with weights of 8 bits and activations of `ann_bits`.
        ann_memory_nj: the source's memory traffic alone, single precision, no reuse.
        snn_nj: the spiking network, arithmetic in single precision.
        snn_integer_nj: the spiking network with weights of 8 bits and 32-bit potentials.
        snn_memory_nj: its memory traffic alone, single precision, no reuse.
        ann_bits: bits that hold the magnitudes 0..L of activations: ceil(log2(L + 1)); L = T for
            rate codes. Of several layers the most of any.
    """

    ann_nj: float
    ann_quantised_nj: float
    ann_memory_nj: float
    snn_nj: float
    snn_integer_nj: float
    snn_memory_nj: float
    ann_bits: int

    @property
    def ann_with_memory_nj(self) -> float:
        """The source's arithmetic in single precision and its memory traffic."""
        return self.ann_nj + self.ann_memory_nj

    @property
    def snn_with_memory_nj(self) -> float:
        """The spiking network's arithmetic in single precision and its memory traffic."""
        return self.snn_nj + self.snn_memory_nj

    def __add__(self, other: Energy) -> Energy:
        numbers = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
        }
        return Energy(**{**numbers, "ann_bits": max(self.ann_bits, other.ann_bits)})

    def to_dict(self) -> Mapping[str, float]:
        """Every number, the sums with memory too."""
        sums = {name: getattr(self, name) for name in ("ann_with_memory_nj", "snn_with_memory_nj")}
        return {**{field.name: getattr(self, field.name) for field in fields(self)}, **sums}


def energy_of(row: OperationsRow, model: EnergyModel = HOROWITZ_45NM) -> Energy:
    """The energy of the row of one layer; activations have as many bits as its levels ask for."""
    bits = row.levels.bit_length()
    ann, snn = model.parts(row.ann), model.parts(row.snn)
    return Energy(
        ann_nj=ann.arithmetic_nj,
        ann_quantised_nj=model.integer_nj(row.ann, bits),
        ann_memory_nj=ann.memory_nj,
        snn_nj=snn.arithmetic_nj,
        snn_integer_nj=model.integer_nj(row.snn),
        snn_memory_nj=snn.memory_nj,
        ann_bits=bits,
    )


def total_energy(rows: Iterable[OperationsRow], model: EnergyModel = HOROWITZ_45NM) -> Energy:
    """The energy of several layers, at least one: the sum of theirs."""
    return reduce(operator.add, (energy_of(row, model) for row in rows))
