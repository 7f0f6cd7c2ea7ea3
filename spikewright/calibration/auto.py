"""Thresholds and a correction chosen by samples that none of the candidates was fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from spikewright.calibration.bias_correction import InputMeans
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction
from spikewright.calibration.design import Design
from spikewright.calibration.expected import Expected, expected_of
from spikewright.calibration.holding_out import HELD_OUT, LEAST_SAMPLES, divided
from spikewright.calibration.refit import Refit
from spikewright.calibration.samples import Samples
from spikewright.calibration.thresholds import Headroom, Maximum, MinError, Threshold

NO_CORRECTION = "no correction"

MOST_HELD_OUT = 128
"""Samples held out whose answers are compared, at most, whether at once or in several folds."""


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

    Every candidate is fitted on three quarters of the samples, and its network answers for the
    others, which it has not seen. Strategies for thresholds are compared first, without correction
    and with one quarter held out after another until 128 samples were, as values that clip are few:
    that which leaves least `Expected.unexplained` is taken, as means and scales can be corrected,
    and a network that is silent is not taken for a good one. Then corrections are compared with
    these thresholds on one of the quarters, among them none, with these thresholds and with those
    of the conversion; that of the least `Expected.error` is taken and fitted again on all samples.
    Labels are not needed.

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
        trial_of = partial(_Trial.of, calibration, samples, steps, seed)
        first = trial_of(0)
        strategies = {repr(t): t for t in (calibration.threshold, *(self.thresholds or ()))}
        of_strategies: dict[str, float] = {}
        strategy = calibration.threshold
        if len(strategies) > 1:
            quarter = len(samples) // HELD_OUT
            folds = min(HELD_OUT, math.ceil(MOST_HELD_OUT / quarter))
            trials = [first, *map(trial_of, range(1, folds))]
            of_strategies = _unexplained(strategies, trials)
            strategy = strategies[least(of_strategies)]
        candidates = self._candidates(strategy, calibration.threshold)
        judged = {
            name: first.judged(first.design(*candidate), MOST_HELD_OUT)
            for name, candidate in candidates.items()
        }
        of_corrections = {name: one.error for name, one in judged.items()}
        best = least(of_corrections)
        strategy, correction = candidates[best]
        if strategy != calibration.threshold:
            design = Design(replace(calibration, threshold=strategy).thresholds_at(steps))
        if correction is not None:
            design = correction.corrected(design, calibration, samples, steps, seed)
        errors = {**of_strategies, **{f"+ {name}": e for name, e in of_corrections.items()}}
        held_out = {n: torch.tensor(e, dtype=torch.float64) for n, e in errors.items()}
        return replace(design, held_out=held_out, expected=judged[best].tensors())

    def _candidates(
        self, strategy: Threshold, named: Threshold
    ) -> dict[str, tuple[Threshold, Correction | None]]:
        """What is compared: thresholds and a correction, by what is told of them."""
        candidates: dict[str, tuple[Threshold, Correction | None]] = {
            NO_CORRECTION: (strategy, None),
            **{repr(one): (strategy, one) for one in self.corrections},
        }
        if strategy != named:
            candidates[f"{NO_CORRECTION}, {named!r}"] = (named, None)
        return candidates


@dataclass(frozen=True)
class _Trial:
    """Samples to fit on, and others to compare answers on.

    Attributes:
        calibration: with the statistics of the samples to fit on.
        fitted: those.
        others: the others.
        steps: T.
        seed: of the stochastic neurons' draws.
    """

    calibration: Calibration
    fitted: Samples
    others: Samples
    steps: int
    seed: int
    _plain: dict[str, Design] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, calibration: Calibration, samples: Samples, steps: int, seed: int, fold: int
    ) -> _Trial:
        """Every fourth sample is held out, from number `fold` on."""
        division = divided(samples, calibration.statistics, fold)
        own = replace(calibration, statistics=division.statistics)
        return cls(own, division.fitted, division.others, steps, seed)

    def design(self, threshold: Threshold, correction: Correction | None = None) -> Design:
        """The design of some thresholds and a correction, made on the samples to fit on."""
        if repr(threshold) not in self._plain:  # every candidate begins with it
            chosen = replace(self.calibration, threshold=threshold).thresholds_at(self.steps)
            self._plain[repr(threshold)] = Design(chosen)
        design = self._plain[repr(threshold)]
        if correction is None:
            return design
        arguments = (self.calibration, self.fitted, self.steps, self.seed)
        return correction.corrected(design, *arguments)

    def judged(self, design: Design, most: int) -> Expected:
        """Its network on the others, at most so many."""
        others = self.others.spread(most)
        return expected_of(design, self.calibration, others, self.steps, self.seed)


def _unexplained(strategies: Mapping[str, Threshold], trials: Sequence[_Trial]) -> dict[str, float]:
    """What each strategy leaves unexplained without correction, the mean over the trials."""
    unexplained = dict.fromkeys(strategies, 0.0)
    for trial in trials:
        for name, strategy in strategies.items():
            judged = trial.judged(trial.design(strategy), MOST_HELD_OUT // len(trials))
            unexplained[name] += judged.unexplained / len(trials)
    return unexplained


def least(errors: Mapping[str, float]) -> str:
    """The name of the least error; of equal ones the first."""
    return min(errors, key=errors.__getitem__)
