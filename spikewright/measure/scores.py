"""What networks are compared by: accuracy, a metric, or the relative error; and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number and how sure it is.

    Attributes:
        value: the mean over seeds.
        low, high: its 95 % interval over samples; None where there is none.
        spread: its standard deviation over seeds.
    """

    value: float
    low: float | None
    high: float | None
    spread: float


@dataclass(frozen=True)
class Score:
    """A number of every row of a sweep.

    Attributes:
        name: such as "accuracy".
        field: of `SweepRow` and `Reference`.
        percent: whether it is shown in percent.
        higher_is_better: whether larger numbers are better.
    """

    name: str
    field: str
    percent: bool = False
    higher_is_better: bool = True

    def of(self, row: Any) -> Estimate | None:
        """What a `SweepRow` or `Reference` has of it; None where it has nothing."""
        value = getattr(row, self.field, None)
        if value is None:
            return None
        prefix = "" if self.field == "accuracy" else f"{self.field}_"
        low, high = (getattr(row, f"{prefix}{end}", None) for end in ("low", "high"))
        return Estimate(value, low, high, getattr(row, f"{prefix}spread", 0.0))

    @property
    def title(self) -> str:
        """Its name with its unit."""
        return f"{self.name} in %" if self.percent else self.name

    def shown(self, value: float) -> float:
        """A value in the unit that it is shown in."""
        return 100 * value if self.percent else value

    def plain(self, value: float | None, digits: int = 2) -> str:
        """A value as text, with so many digits behind the point of a percentage."""
        if value is None:
            return "\u2013"
        return f"{100 * value:.{digits}f}" if self.percent else f"{value:#.4g}"

    def width(self, value: float, digits: int = 2) -> str:
        """A spread, or half an interval, as text."""
        return self.plain(value, digits) if self.percent else f"{value:.2g}"

    def text(self, row: Any, digits: int = 2) -> str:
        """The value of a row, with its spread over seeds where there are several."""
        estimate = self.of(row)
        if estimate is None:
            return "\u2013"
        value = self.plain(estimate.value, digits)
        return value if row.seeds == 1 else f"{value} ±{self.width(estimate.spread, digits)}"


ACCURACY = Score("accuracy", "accuracy", percent=True)
RELATIVE_ERROR = Score("relative error", "relative_error", percent=True, higher_is_better=False)
