"""Pictures that were left out because they cannot be read."""

from __future__ import annotations

from spikewright.cli.console import errors
from spikewright.measure.kept import Kept

SHOWN = 5
"""Names told on stderr; all stand in the results."""


class SkippedPictures:
    """Collects the names of damaged pictures, over interruptions too."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._kept: Kept | None = None

    @property
    def names(self) -> list[str]:
        """Of all so far, in order."""
        return sorted(self._names)

    def __call__(self, name: str) -> None:
        """Note a picture."""
        if name not in self._names:
            self._names.add(name)
            if self._kept is not None:
                self._kept.keep("skipped", self.names)

    def keep_in(self, kept: Kept | None) -> None:
        """Go on with what an earlier start of the same command noted; None keeps nothing."""
        self._kept = kept
        if kept is not None:
            self._names.update(kept.read("skipped") or ())

    def tell(self) -> None:
        """Say on stderr what was left out, if anything was."""
        if not self._names:
            return
        more = len(self._names) - SHOWN
        names = ", ".join(self.names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
        told = f"left out {len(self._names)} pictures that cannot be read (--strict refuses them): "
        errors().print(told + names, markup=False, highlight=False, soft_wrap=True)
