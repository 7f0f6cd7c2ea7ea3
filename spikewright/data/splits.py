"""Images held out of others, by seeds that never change: the same ones on every machine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from spikewright.data.image_data import permutation
from spikewright.errors import DataError


def divided(
    labels: Sequence[int], sizes: Mapping[int, Sequence[int]], seed: int
) -> tuple[list[int], ...]:
    """Divide the indices of `labels` into parts, class by class.

    The members of each class are permuted by `seed` plus their label, and dealt out in that order.

    Args:
        labels: one a sample.
        sizes: by label, how many members each part gets; the last part gets the rest.
        seed: the same labels, sizes and seed give the same parts.

    Returns:
        The parts, each in ascending order.

    Example:
        >>> [len(part) for part in divided([0, 0, 0, 0, 1, 1], {0: (1, 2), 1: (1, 0)}, seed=0)]
        [2, 2, 2]
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    parts: list[list[int]] = [[] for _ in range(1 + len(next(iter(sizes.values()))))]
    for label, indices in members.items():
        shuffled = iter([indices[i] for i in permutation(len(indices), seed + label)])
        for part, size in zip(parts, (*sizes[label], len(indices)), strict=True):
            part += islice(shuffled, size)
    return tuple(sorted(part) for part in parts)


def stratified(
    labels: Sequence[int], count: int, seed: int, name: str
) -> tuple[list[int], list[int]]:
    """Split the indices of `labels` into (kept, held out), the same share of every class.

    Every class gives its share of `count`, rounded down; what rounding leaves over comes from
    the classes that lost most by it, the lower label first.

    Args:
        labels: one a sample.
        count: the number held out, from 1 to one less than there are labels.
        seed: the same labels, count and seed give the same split.
        name: the data set, as errors name it.

    Returns:
        Both in ascending order.

    Raises:
        DataError: if `count` is out of its range.

    Example:
        >>> kept, apart = stratified([0, 0, 0, 0, 1, 1], 3, seed=0, name="example")
        >>> [sum(1 for i in apart if i < 4), sum(1 for i in apart if i >= 4)]
        [2, 1]
    """
    if not 1 <= count < len(labels):
        raise DataError(
            f"{name}: {count} validation images cannot be held out of {len(labels)} training "
            f"images; give 1 to {len(labels) - 1}"
        )
    shares = {label: divmod(count * n, len(labels)) for label, n in Counter(labels).items()}
    sizes = {label: share for label, (share, _) in shares.items()}
    most_lost = sorted(shares, key=lambda label: (-shares[label][1], label))
    for label in most_lost[: count - sum(sizes.values())]:
        sizes[label] += 1
    apart, kept = divided(labels, {label: (size,) for label, size in sizes.items()}, seed)
    return kept, apart


def last_of_permutation(length: int, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split `range(length)` into (kept, held out), blind to classes.

    Returns:
        The beginning and the end of a permutation; at least one is held out.
    """
    order = permutation(length, seed)
    kept = length - max(1, round(fraction * length))
    return order[:kept], order[kept:]
