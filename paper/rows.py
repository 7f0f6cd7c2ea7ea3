"""The rows of the paper's tables: which method, with which neuron."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.methods import AUTO, COS, LTB, MINERROR, QCFS, RTS, SNNC, SRP, Method
from spikewright.neurons import Neuron, Order, Shuffled, SpikeTracer, TwoPhase

STEPS = (1, 2, 4, 8, 16, 32)
"""Every T of the tables."""

SEEDS = (0, 1, 2, 3, 4)
"""The seeds of rows whose neurons draw random numbers; the others have the first alone."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        name: its name in files and for `--rows`.
        title: its name in tables.
        method: sets thresholds and correction.
        neuron: the neuron of every site.
        calibration_samples: of its own, drawn anew by every seed; None for those of the experiment.
    """

    name: str
    title: str
    method: Method
    neuron: Neuron
    calibration_samples: int | None = None

    @property
    def expensive(self) -> bool:
        """Whether it needs the step engine: T forward passes, or more, instead of one."""
        return not self.neuron.has_count_law or self.neuron.settling != 0

    def seeds(self, asked: tuple[int, ...] = SEEDS) -> tuple[int, ...]:
        """The seeds that it runs with: of its neurons' draws, or of its calibration images."""
        drawn = self.neuron.stochastic or self.calibration_samples is not None
        return asked if drawn else asked[:1]


TPP, UNBIASED, NEAREST = (TwoPhase(kind) for kind in ("bernoulli", "unbiased", "nearest"))
TRACER = SpikeTracer()

QCFS_ROWS = (
    Row("if", "IF (QCFS)", QCFS, QCFS.own),
    Row("shuffled", "shuffled IF", QCFS, Shuffled(QCFS.one_phase)),
    Row("shared", "one order a layer", QCFS, Shuffled(QCFS.one_phase, Order.SHARED)),
    Row("reversed", "reversed", QCFS, Shuffled(QCFS.one_phase, Order.REVERSED)),
    Row("early", "all early", QCFS, Shuffled(QCFS.one_phase, Order.EARLY)),
    Row("late", "all late", QCFS, Shuffled(QCFS.one_phase, Order.LATE)),
    Row("srp", "SRP", SRP, SRP.own),
    Row("cos", "COS", COS, COS.own),
    Row("tpp", "TPP", QCFS, TPP),
    Row("unbiased", "unbiased", QCFS, UNBIASED),
    Row("nearest", "nearest", QCFS, NEAREST),
    Row("tracer", "spike tracer", QCFS, TRACER),
)
"""The rows of a QCFS network: the baseline, the paper's probe with its controls, the rest."""

IN_DOUBLE = Row("nearest-float64", "nearest, in float64", QCFS, NEAREST)
"""A row outside the table: at T = L it shows what float32 hides by rounding."""

CONTROLS = ("shared", "reversed", "early", "late")
"""Names of the controls among `QCFS_ROWS`."""

_METHODS = (
    ("RTS", RTS),
    ("SNNC", SNNC),
    ("LTB", LTB),
    ("MinError", MINERROR),
    ("Auto", AUTO),
)
RELU_ROWS = (
    *(
        Row(f"{method.name}-{name}", f"{title}, {label}", method, neuron)
        for title, method in _METHODS
        for name, label, neuron in (
            ("if", "IF", method.one_phase),
            ("tpp", "TPP", TPP),
            ("nearest", "nearest", NEAREST),
        )
    ),
    Row("auto-tracer", "Auto, spike tracer", AUTO, TRACER),
)
"""The rows of a ReLU network: ways to calibrate it, each with three neurons; the last with four."""

CALIBRATION_ROWS = tuple(
    Row(f"{method.name}-nearest-{n}", f"{title}, nearest, from {n:,} images", method, NEAREST, n)
    for title, method in (("MinError", MINERROR), ("Auto", AUTO))
    for n in (16, 64, 256, 1024)
)
"""Rows of a ReLU network calibrated on more or fewer images, run and shown where they are named."""


def rows_for(levels: int | None) -> tuple[Row, ...]:
    """The rows of a network: QCFS with that many levels, or ReLU for None."""
    return (*RELU_ROWS, *CALIBRATION_ROWS) if levels is None else QCFS_ROWS
