"""What the records say about the paper's claims, in sentences; every number is computed."""

from __future__ import annotations

import torch

from paper.cell import ANN_IN_DOUBLE
from paper.differences import SURE
from paper.rows import IN_DOUBLE
from paper.tables import Entry, NetworkTable, Pair, paired
from spikewright.neurons.count_law import upper_probability

_PROBED = (2, 4, 8)
"""The T at which temporal misalignment is tested."""


def explanation() -> str:
    """The theory behind the findings, with its figures computed here."""
    biases = ", ".join(f"{_bias(t):+.2f} at T = {t}" for t in (4, 8, 16, 32))
    half = float(upper_probability(16, torch.tensor([0.5], dtype=torch.float64))[0, 0])
    return (
        "Differences between rows are taken image by image: of the first seed, on the images that "
        "both were measured on. So they are not those of two cells further down, which may be "
        "means over seeds, and of other numbers of images. Intervals are of 95 % (Agresti and "
        f"Min), p-values of the exact McNemar test; *n.s.* where p is not below {SURE:g}. Four "
        "facts explain what follows.\n\n"
        "1. *TPP is a biased rounding.* A TPP neuron with charge x sends floor(x) or floor(x) + 1 "
        "spikes, and the probability of the larger count follows from an exact recursion "
        "(`spikewright.neurons.count_law`). It is not x - floor(x): clipping at 0 and 1 breaks the "
        f"balance, so a charge of 0.5 sends {half:.2f} spikes on average at T = 16. The largest "
        f"bias of a count, in spikes, is {biases}. `unbiased` draws the same two counts without "
        "the bias, `nearest` does not draw at all.\n"
        "2. *In a network whose layers are all two-phase, the order of spikes cannot matter*: a "
        "layer adds up all of its input before it sends, and a sum does not know its order. What "
        "such a network gains over one-phase neurons is that unevenness is gone, not that an order "
        "is found.\n"
        "3. *Nearest is lossless at T = L*: its count, clip(floor(x + 1/2), 0, L), is the QCFS "
        "activation of the ANN itself.\n"
        "4. *T is not the latency*: D layers that wait for all of their input answer after "
        "(D + 1) T steps, tau steps of rehearsal come before the T of SRP, and in that time a "
        "one-phase network could have run longer. So both stand beside the baseline at the largest "
        "T of this page with which it answers no later; the tables give that T in brackets. "
        "(Pipelined, a two-phase network still gives an answer every T steps.)\n"
    )


def _bias(levels: int) -> float:
    """The largest difference between TPP's mean count and its charge, over charges below 1."""
    fractions = torch.linspace(0, 1, 1001, dtype=torch.float64)
    return float((upper_probability(levels, fractions)[0] - fractions).max())


def findings(table: NetworkTable) -> list[str]:
    """Sentences about one network; none about ReLU, whose differences say it all."""
    if table.levels is None:
        return []
    return [_misalignment(table), _lossless(table, table.levels), _energy(table, table.levels)]


def _misalignment(table: NetworkTable) -> str:
    differences: list[str] = []
    missing: list[str] = []
    above = 0
    for t in _PROBED:
        probe, base = table.entry("shuffled", t), table.entry("if", t)
        pair = paired(probe, base)
        if probe is None or base is None or pair is None:
            missing.append(f"T = {t}")
            continue
        above += pair.p_value < SURE and pair.points > 0
        differences.append(
            f"{_with_interval(pair)} at T = {t}{_over_seeds(probe, base, pair.images)}"
        )
    if not differences:
        return f"Temporal misalignment: not run at {', '.join(missing)}."
    verdict = {len(differences): "holds", 0: "does not hold"}.get(
        above, f"holds at {above} of {len(differences)}"
    )
    rest = f" Not run: {', '.join(missing)}." if missing else ""
    listing = "; ".join(differences)
    return f"Temporal misalignment (shuffled above the baseline) {verdict}: {listing}.{rest}"


def _lossless(table: NetworkTable, levels: int) -> str:
    entry = table.entry("nearest", levels)
    if entry is None:
        return f"Nearest at T = L = {levels}: not run."
    record = entry.first
    if record.differs == 0:
        return (
            f"Nearest at T = L = {levels} is lossless: the ANN's prediction on every one of "
            f"{record.images:,} images."
        )
    return (
        f"Nearest at T = L = {levels} differs from the ANN on {record.differs} of "
        f"{record.images:,} images (exact McNemar p = {record.p_value:.2g}): in float32, sums "
        f"taken in another order cross boundaries of the floor. {_in_double(table)}"
    )


def _in_double(table: NetworkTable) -> str:
    network, ann = (table.in_double.get(name) for name in (IN_DOUBLE.name, ANN_IN_DOUBLE))
    if network is None or ann is None:
        return "In float64: not run."
    return (
        f"In float64 it differs on {network.differs} of {network.images:,}, and float64 changes "
        f"the ANN's own answer to {ann.differs} of {ann.images:,}."
    )


def _with_interval(pair: Pair) -> str:
    p = "p < 0.0001" if pair.p_value < 1e-4 else f"p = {pair.p_value:.4f}"
    low, high = pair.interval
    return f"{pair.points:+.2f} points ({low:+.2f} to {high:+.2f}, {p})"


def _over_seeds(probe: Entry, base: Entry, images: int) -> str:
    """The same difference as a mean over the probe's seeds.

    Empty for a single seed, and where the two rows were measured on other images than the pair.
    """
    if probe.seeds == 1 or probe.images != images or base.images != images:
        return ""
    points = 100 * (probe.accuracy - base.accuracy)
    return f", over {probe.seeds} seeds {points:+.2f} ± {100 * probe.spread:.2f}"


def _energy(table: NetworkTable, levels: int) -> str:
    entry = table.entry("nearest", levels)
    if entry is None or not entry.energy:
        return f"Energy at T = L = {levels}: not counted."
    uj = {name.removesuffix("_nj"): value / 1000 for name, value in entry.energy.items()}
    return (
        f"Energy at T = L = {levels}, arithmetic alone: in single precision nearest takes "
        f"{uj['snn']:.3g} µJ an image and the ANN {uj['ann']:.3g}; in integers nearest "
        f"takes {uj['snn_integer']:.3g}, and the ANN with weights of 8 bits and activations "
        f"of {entry.energy['ann_bits']:.0f}, which hold the same counts, "
        f"{uj['ann_quantised']:.3g}. The second pair is the fair one."
    )
