"""What is counted: operations of one kind each, and the rows that totals are sums of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

WORD_BYTES = 4
"""Bytes of a weight, of a potential and of an activation: single precision."""


@dataclass(frozen=True)
class Counts:
    """Numbers of operations by kind; sums over samples or means for one, as the holder says.

    Attributes:
        input_macs: multiply-accumulates on an analogue input that is constant in time: computed
            once a sample, whatever T, since their result is the same at every step.
        macs: other multiply-accumulates: on values that are neither constant nor binary.
        effective_macs: the multiply-accumulates of both kinds whose input value is not 0.
        additions: synaptic additions, one for every spike and every connection it passes.
        shifts: shifts by the exponent of a spike, where spikes are powers of two: of the weight at
            every synaptic addition, and of the count at every addition of a held one.
        held_updates: spikes that arrive at a product, each added to the count that is held of its
            own neuron.
        held_additions: additions of counts that a product holds of its other signal: one for every
            such spike and every neuron of the other signal that it meets.
        scale_multiplications: multiplications of a spike by its threshold, where no weight could
            take it in; of numbers, by constants and by the weights of an uneven mean, such as
            linear interpolation.
        bias_additions: additions to a neuron of what is constant in time (biases, corrections, an
            analogue input's current): at each step of a one-phase neuron, once a window
            of a two-phase neuron. All constants of a neuron are one.
        updates: visits to a neuron's state that are not synaptic additions.
        comparisons: comparisons with a threshold, a count or, in max pooling, another input.
        draws: random numbers drawn.
        functions: evaluations of what neurons compute besides rectifying, by the function's name:
            such as `{"silu": 64.0}`, once a window of a two-phase neuron, at every step of a spike
            tracer.
    """

    input_macs: float = 0.0
    macs: float = 0.0
    effective_macs: float = 0.0
    additions: float = 0.0
    shifts: float = 0.0
    held_updates: float = 0.0
    held_additions: float = 0.0
    scale_multiplications: float = 0.0
    bias_additions: float = 0.0
    updates: float = 0.0
    comparisons: float = 0.0
    draws: float = 0.0
    functions: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)

    def __add__(self, other: Counts) -> Counts:
        numbers = {name: getattr(self, name) + getattr(other, name) for name in _NUMBERS}
        names = dict.fromkeys((*self.functions, *other.functions))
        functions = {f: self.functions.get(f, 0.0) + other.functions.get(f, 0.0) for f in names}
        return Counts(**numbers, functions=functions)

    def divided(self, by: float) -> Counts:
        """Every number divided by `by`."""
        numbers = {name: getattr(self, name) / by for name in _NUMBERS}
        return Counts(**numbers, functions={f: n / by for f, n in self.functions.items()})

    @property
    def numbers(self) -> tuple[float, ...]:
        """Every number, those of functions last."""
        return (*(getattr(self, name) for name in _NUMBERS), *self.functions.values())

    @property
    def evaluations(self) -> float:
        """Evaluations of all functions."""
        return sum(self.functions.values())

    @property
    def all_macs(self) -> float:
        """Multiply-accumulates, on the input and elsewhere."""
        return self.input_macs + self.macs

    @property
    def held_reads(self) -> float:
        """Counts that products hold, read: one for every addition of one."""
        return self.held_additions

    @property
    def weight_bytes(self) -> float:
        """Bytes of weights read, when every operation fetches its weight anew (no reuse)."""
        return WORD_BYTES * (self.all_macs + self.additions + self.scale_multiplications)

    @property
    def state_bytes(self) -> float:
        """Bytes of potentials, held counts and activations read and written.

        An addition or update reads its potential and writes it back, and what adds a held count
        reads that too; a multiply-accumulate reads its input, its sum staying in a register; a
        comparison finds its potential at hand.
        """
        touched = self.additions + self.bias_additions + self.updates + self.held_updates
        touched += self.held_additions
        return WORD_BYTES * (2 * touched + self.held_reads + self.all_macs)


_NUMBERS = tuple(field.name for field in fields(Counts) if field.name != "functions")


@dataclass(frozen=True)
class OperationsRow:
    """One layer: the neurons of a site and everything between the sites before it and them.

    Attributes:
        site: its name; "output" for what comes after the last site.
        neuron: label of its neuron, "" for the output.
        neurons: how many it has.
        spikes: how many they send for the mean sample.
        snn: operations of the spiking network for the mean sample.
        ann: operations of its source for one sample: one forward pass, the mean where indices or
            masks of each sample move its values.
        levels: the largest count that arrives; where none does, the largest that it sends. Of
            fitted few-spikes neurons, which weigh each step otherwise, how many counts there are.
        kind: what computes on the way to its neurons, such as "conv 3×3, 16 → 32".
    """

    site: str
    neuron: str
    neurons: int
    spikes: float
    snn: Counts
    ann: Counts
    levels: int
    kind: str = ""

    def to_dict(self) -> dict[str, float | str]:
        """Flat, by column: the spiking network's counts under their names, the ANN's as `ann_*`."""
        columns: dict[str, float | str] = {
            "site": self.site,
            "kind": self.kind,
            "neuron": self.neuron,
            "neurons": self.neurons,
            "spikes": self.spikes,
        }
        columns |= {name: getattr(self.snn, name) for name in _NUMBERS}
        columns |= {
            "functions": self.snn.evaluations,
            "function": " ".join(self.snn.functions),
        }
        columns |= {"weight_bytes": self.snn.weight_bytes, "state_bytes": self.snn.state_bytes}
        columns |= {f"ann_{name}": getattr(self.ann, name) for name in _ANN_COLUMNS}
        return columns


_ANN_COLUMNS = (
    "input_macs",
    "macs",
    "additions",
    "scale_multiplications",
    "bias_additions",
    "comparisons",
)


def summed(rows: Iterable[OperationsRow]) -> OperationsRow:
    """The row of all rows: every number is the sum of theirs, but for the largest levels."""
    total = OperationsRow("total", "", 0, 0.0, Counts(), Counts(), 1)
    for row in rows:
        total = OperationsRow(
            "total",
            "",
            total.neurons + row.neurons,
            total.spikes + row.spikes,
            total.snn + row.snn,
            total.ann + row.ann,
            max(total.levels, row.levels),
        )
    return total
