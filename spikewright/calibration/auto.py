"""Thresholds and a correction chosen by samples that none of the candidates was fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from spikewright.calibration.bias_correction import InputMeans
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import A_CORRECTION, Correction
from spikewright.calibration.design import Design
from spikewright.calibration.expected import Expected, expected_of
from spikewright.calibration.holding_out import HELD_OUT, LEAST_SAMPLES, Folds, folds_of
from spikewright.calibration.refit import Refit
from spikewright.calibration.samples import Samples
from spikewright.calibration.thresholds import (
    A_STRATEGY,
    Headroom,
    Maximum,
    MinError,
    Threshold,
)
from spikewright.errors import wrong_kind
from spikewright.graph.precision import Precision

NO_CORRECTION = "no correction"

MOST_HELD_OUT = 64
"""Samples whose answers are compared, at most, at once or in several folds."""

FIRST = 16
FAR = 2.0
"""After so many samples, strategies that leave so many times the least unexplained are dropped."""

TRIED = 64
"""Samples not held out on which the first correction is fitted, to see which thresholds suit it."""

ENOUGH = 128
"""Samples not held out whose statistics are enough to compare strategies by."""

STANDARD: tuple[Threshold, ...] = (
    MinError(per="channel"),
    MinError(per="layer"),
    Maximum(per="channel"),
    Headroom(Maximum(per="channel")),
    Maximum(per="layer"),
)
"""Strategies for thresholds that a conversion chooses from, where it names none."""


@dataclass(frozen=True)
class Auto(Correction):
    """The thresholds and the correction whose network answers most like the ANN.

    Every fourth sample is held out, or fewer where that would be more than 64. Candidates are
    fitted on the others, and their networks answer for those held out, which they have not seen.
    Strategies for thresholds are compared first, without correction, and with others held out in
    turn until 64 samples were, as values that clip are few: that which leaves least
    `Expected.unexplained` is taken, as means and scales can be corrected, and a network that is
    silent is not taken for a good one; one that is far behind after 16 samples goes no further.
    Its thresholds, and those of the conversion if they are others, are set by all samples. With
    both, no correction and the first one are compared; with the better of the two, the other
    corrections as well. The network of the least `Expected.error` is taken as it was judged. Labels
    are not needed.

    Fewer than 16 samples are too few to choose by: nothing is chosen then, and nothing corrected.

    Args:
        thresholds: strategies to choose from, beside that which the conversion names; None for the
            `STANDARD` ones where it names none, and for no others where it names one.
        corrections: to choose from, the quickest first; no correction is always among them.
        precision: the number format of weights that meet spikes; corrections are compared in
            "int8", thresholds in the model's own precision.

    Raises:
        ValueError: for anything but strategies and corrections.
    """

    thresholds: tuple[Threshold, ...] | None = None
    corrections: tuple[Correction, ...] = (InputMeans(), Refit())
    precision: Precision | str = field(default=Precision.FLOAT32, repr=False)

    def __post_init__(self) -> None:
        if self.thresholds is not None:
            _check_all("thresholds", self.thresholds, Threshold, A_STRATEGY)
        _check_all("corrections", self.corrections, Correction, A_CORRECTION)

    def at_precision(self, precision: Precision) -> Auto:
        corrections = tuple(one.at_precision(precision) for one in self.corrections)
        return replace(self, corrections=corrections, precision=precision)

    def corrected(
        self, design: Design, calibration: Calibration, samples: Samples, steps: int, seed: int
    ) -> Design:
        if len(samples) < 2 * LEAST_SAMPLES:
            return design
        count = max(HELD_OUT, len(samples) // MOST_HELD_OUT)
        folds = folds_of(samples, calibration.statistics, count)
        judge = _Judge(calibration, folds, steps, seed)
        strategies = {repr(t): t for t in (calibration.threshold, *(self.thresholds or ()))}
        of_strategies = judge.unexplained(strategies) if len(strategies) > 1 else {}
        named, starts = calibration.threshold, {"": design}
        if of_strategies and (best := strategies[least(of_strategies)]) != named:
            starts = {"": Design(replace(calibration, threshold=best).thresholds_at(steps))}
            if of_strategies[repr(named)] <= FAR * of_strategies[repr(best)]:
                starts[f", {named!r}"] = design
        fitted = folds.fitted(0)
        few = fitted.spread(TRIED)
        candidates: dict[str, _Candidate] = {}
        for correction in (None, *self.corrections[:1]):
            candidates |= judge.candidates(starts, correction, few)
        better = candidates[_best(candidates)].start
        judge = replace(judge, precision=self.precision)  # rounding would hide what suits better
        if judge.precision != Precision.FLOAT32:
            candidates = {
                name: replace(one, expected=judge.expected(one.design))
                for name, one in candidates.items()
            }
        for correction in self.corrections[1:]:
            candidates |= judge.candidates({better: starts[better]}, correction, fitted)
        best = candidates[_best(candidates)]
        if best.correction is not None and best.fitted is not fitted:
            start = {best.start: starts[best.start]}
            candidates |= judge.candidates(start, best.correction, fitted)
        of_corrections = {f"+ {name}": one.expected.error for name, one in candidates.items()}
        errors = {**of_strategies, **of_corrections}
        held_out = {n: torch.tensor(e, dtype=torch.float64) for n, e in errors.items()}
        taken = candidates[_best(candidates)]
        return replace(taken.design, held_out=held_out, expected=taken.expected.tensors())


def _check_all(name: str, values: Any, kind: type[Any], wanted: str) -> None:
    """Refuse what is no tuple of one kind, such as a single object."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(wrong_kind(f"{name} of Auto", f"a tuple, each {wanted}", values))
    for number, value in enumerate(values):
        if not isinstance(value, kind):
            raise ValueError(wrong_kind(f"{name}[{number}] of Auto", wanted, value))


@dataclass(frozen=True)
class _Candidate:
    """A network that could be taken.

    Attributes:
        start: the name of what it was corrected from.
        correction: what was corrected by, if anything.
        fitted: on which samples.
        design: of the network.
        expected: of its answers for the samples held out.
    """

    start: str
    correction: Correction | None
    fitted: Samples
    design: Design
    expected: Expected


def _best(candidates: Mapping[str, _Candidate]) -> str:
    return least({name: one.expected.error for name, one in candidates.items()})


@dataclass(frozen=True)
class _Judge:
    """What designs are worth, by samples held out.

    Attributes:
        calibration: of the network.
        folds: of its samples, of which the first one judges corrections.
        steps: T.
        seed: of the stochastic neurons' draws.
        precision: of weights that meet spikes.
    """

    calibration: Calibration
    folds: Folds
    steps: int
    seed: int
    precision: Precision | str = Precision.FLOAT32

    def expected(self, design: Design, others: Samples | None = None) -> Expected:
        """Its network on samples held out, those of the first fold where none are given."""
        if others is None:
            others = self.folds.held_out(0).spread(MOST_HELD_OUT)
        settings = (self.steps, self.seed, self.precision)
        return expected_of(design, self.calibration, others, *settings)

    def candidates(
        self, starts: Mapping[str, Design], correction: Correction | None, fitted: Samples
    ) -> dict[str, _Candidate]:
        """What a correction makes of designs without one, by its name followed by theirs."""
        found: dict[str, _Candidate] = {}
        for start, design in starts.items():
            if correction is not None:
                design = correction.corrected(
                    design, self.calibration, fitted, self.steps, self.seed
                )
            name = NO_CORRECTION if correction is None else repr(correction)
            found[name + start] = _Candidate(
                start, correction, fitted, design, self.expected(design)
            )
        return found

    def unexplained(self, strategies: Mapping[str, Threshold]) -> dict[str, float]:
        """What each strategy leaves unexplained without correction, on average over samples.

        Those that fall far behind are not followed to the end.
        """
        turns = min(self.folds.count, math.ceil(MOST_HELD_OUT / len(self.folds.held_out(0))))
        sums, samples = dict.fromkeys(strategies, 0.0), dict.fromkeys(strategies, 0)
        left = list(strategies)
        for fold in range(turns):
            seen = self.folds.statistics(fold, ENOUGH)
            own = replace(self.calibration, statistics=seen)
            designs = {
                name: Design(replace(own, threshold=strategies[name]).thresholds_at(self.steps))
                for name in left
            }
            others = self.folds.held_out(fold).spread(MOST_HELD_OUT // turns)
            portions = others.divided(torch.arange(len(others)) < FIRST)
            for some in portions if len(portions[1]) >= FIRST else [others]:
                for name in left:
                    sums[name] += self.expected(designs[name], some).unexplained * len(some)
                    samples[name] += len(some)
                means = {name: sums[name] / samples[name] for name in left}
                if samples[left[0]] >= FIRST:
                    left = [name for name in left if not means[name] > FAR * min(means.values())]
        return {name: sums[name] / samples[name] for name in strategies}


def least(errors: Mapping[str, float]) -> str:
    """The name of the least error; of equal ones the first, and NaN is the largest."""
    return min(errors, key=lambda name: (math.isnan(errors[name]), errors[name]))
