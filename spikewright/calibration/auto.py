"""Thresholds and a correction chosen by samples that none of the candidates was fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from spikewright.calibration.bias_correction import InputMeans
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction
from spikewright.calibration.design import Design
from spikewright.calibration.expected import Expected, expected_of
from spikewright.calibration.holding_out import HELD_OUT, LEAST_SAMPLES, Folds, folds_of
from spikewright.calibration.refit import Refit
from spikewright.calibration.samples import Samples
from spikewright.calibration.thresholds import Headroom, Maximum, MinError, Threshold

NO_CORRECTION = "no correction"

MOST_HELD_OUT = 64
"""Samples whose answers are compared, at most, at once or in several folds."""

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
    silent is not taken for a good one. Its thresholds, and those of the conversion if they are
    others, are set by all samples. With both, corrections are compared, among them none; that of
    the least `Expected.error` is taken as it was judged. Labels are not needed.

    Fewer than 16 samples are too few to choose by: nothing is chosen then, and nothing corrected.

    Args:
        thresholds: strategies to choose from, beside that which the conversion names; None for the
            `STANDARD` ones where it names none, and for no others where it names one.
        corrections: to choose from; no correction is always among them.
    """

    thresholds: tuple[Threshold, ...] | None = None
    corrections: tuple[Correction, ...] = (InputMeans(), Refit())

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
        named, plain = calibration.threshold, {"": design}
        if of_strategies and (best := strategies[least(of_strategies)]) != named:
            of_best = Design(replace(calibration, threshold=best).thresholds_at(steps))
            plain = {"": of_best, f", {named!r}": design}
        designs: dict[str, Design] = {}
        for beside, start in plain.items():
            designs[NO_CORRECTION + beside] = start
            for one in self.corrections:
                fitted = one.corrected(start, calibration, folds.fitted(0), steps, seed)
                designs[repr(one) + beside] = fitted
        judged = {name: judge.expected(one) for name, one in designs.items()}
        of_corrections = {name: one.error for name, one in judged.items()}
        least_error = least(of_corrections)
        errors = {**of_strategies, **{f"+ {name}": e for name, e in of_corrections.items()}}
        held_out = {n: torch.tensor(e, dtype=torch.float64) for n, e in errors.items()}
        expected = judged[least_error].tensors()
        return replace(designs[least_error], held_out=held_out, expected=expected)


@dataclass(frozen=True)
class _Judge:
    """What designs are worth, by samples held out.

    Attributes:
        calibration: of the network.
        folds: of its samples, of which the first one judges corrections.
        steps: T.
        seed: of the stochastic neurons' draws.
    """

    calibration: Calibration
    folds: Folds
    steps: int
    seed: int

    def expected(self, design: Design, fold: int = 0, most: int = MOST_HELD_OUT) -> Expected:
        """Its network on the samples of a fold, at most so many."""
        others = self.folds.held_out(fold).spread(most)
        return expected_of(design, self.calibration, others, self.steps, self.seed)

    def unexplained(self, strategies: Mapping[str, Threshold]) -> dict[str, float]:
        """What each strategy leaves unexplained without correction, the mean over the folds."""
        turns = min(self.folds.count, math.ceil(MOST_HELD_OUT / len(self.folds.held_out(0))))
        unexplained = dict.fromkeys(strategies, 0.0)
        for fold in range(turns):
            seen = self.folds.statistics(fold, ENOUGH)
            for name, strategy in strategies.items():
                own = replace(self.calibration, statistics=seen, threshold=strategy)
                design = Design(own.thresholds_at(self.steps))
                judged = self.expected(design, fold, MOST_HELD_OUT // turns)
                unexplained[name] += judged.unexplained / turns
        return unexplained


def least(errors: Mapping[str, float]) -> str:
    """The name of the least error; of equal ones the first."""
    return min(errors, key=errors.__getitem__)
