"""Parts of a series of unknown length, as many as fit into a budget and evenly spread over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spikewright.graph.inputs import Batch


class Thinned:
    """Keeps copies of every part, then every second, fourth, ... so that no more than fit are kept.

    Args:
        most: the samples that fit; a part that alone holds more is kept all the same.

    Attributes:
        kept: by the part's number in the series, batches of all inputs.
        seen: samples of the whole series.
    """

    def __init__(self, most: int) -> None:
        self.kept: dict[int, Batch] = {}
        self.seen = 0
        self._most = most
        self._every = 1

    def watch(self, parts: Iterable[Batch]) -> Iterator[Batch]:
        """The same parts, seen on their way."""
        for number, part in enumerate(parts):
            self.seen += len(part)
            if number % self._every == 0:
                self.kept[number] = part
            while len(self.kept) > 1 and self._samples() > self._most:
                self._every *= 2
                self.kept = {n: p for n, p in self.kept.items() if n % self._every == 0}
            if number in self.kept:  # who yields one buffer fills it again; a view holds it whole
                self.kept[number] = part.clone()
            yield part

    def _samples(self) -> int:
        return sum(len(part) for part in self.kept.values())
