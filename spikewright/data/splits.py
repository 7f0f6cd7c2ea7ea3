"""Hold images out of a training set, the same share of every class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from spikewright.data.image_data import permutation
from spikewright.errors import DataError


def stratified(
    labels: Sequence[int], count: int, seed: int, name: str
) -> tuple[list[int], list[int]]:
    """Split the indices of `labels` into (kept, held out), class by class.

    Every class gives its share of `count`, rounded down; what rounding leaves over comes from
    the classes that lost most by it, the lower label first.

    Args:
        labels: one a sample.
        count: held out, from 1 to one less than there are labels.
        seed: the same labels, count and seed give the same split.
        name: of the data set, for errors.

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
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    shares = {label: divmod(count * len(found), len(labels)) for label, found in members.items()}
    taken = {label: share for label, (share, _) in shares.items()}
    most_lost = sorted(shares, key=lambda label: (-shares[label][1], label))
    for label in most_lost[: count - sum(taken.values())]:
        taken[label] += 1
    apart = {
        members[label][i]
        for label, share in taken.items()
        for i in permutation(len(members[label]), seed + label)[:share]
    }
    return [i for i in range(len(labels)) if i not in apart], sorted(apart)
