"""Pictures that were left out because they cannot be read."""

from __future__ import annotations

from spikewright.cli.console import errors
from spikewright.measure.cells import Cells

SHOWN = 5
"""Names told on stderr; all stand in the results."""


class SkippedPictures:
    """Collects the names of damaged pictures, over interruptions too."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._cells: Cells | None = None

    @property
    def names(self) -> list[str]:
        """The pictures left out so far, in this process and in others, in order."""
        kept = [] if self._cells is None else self._cells.all_within(str)
        return sorted(self._names.union(kept))

    def __call__(self, name: str) -> None:
        """Note a picture."""
        if name not in self._names:
            self._names.add(name)
            if self._cells is not None:
                self._cells.keep(name, name)

    def keep_in(self, cells: Cells) -> None:
        """Note pictures among the cells of a measurement, where a later start finds them."""
        self._cells = cells.within("picture left out")

    def tell(self) -> None:
        """Say on stderr what was left out, if anything was."""
        left_out = self.names
        if not left_out:
            return
        more = len(left_out) - SHOWN
        names = ", ".join(left_out[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        told = f"left out {len(left_out)} pictures that cannot be read (--strict refuses them): "
        errors().print(told + names, markup=False, highlight=False, soft_wrap=True)
