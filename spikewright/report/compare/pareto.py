"""Pareto fronts: what nothing else beats on every count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Costs = Sequence[float]


def dominates(one: Costs, other: Costs) -> bool:
    """Whether `one` is nowhere worse than `other`, and better somewhere; lower is better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def pareto_front(items: Sequence[Item], costs: Callable[[Item], Costs]) -> tuple[Item, ...]:
    """The items that no other dominates, in their order; equals of such an item stay too.

    Args:
        items: any number.
        costs: the costs of an item, as many for each; lower is better, so an accuracy is negated.

    Example:
        >>> runs = [(8, 0.90), (16, 0.95), (32, 0.94)]
        >>> pareto_front(runs, lambda run: (run[0], -run[1]))
        ((8, 0.9), (16, 0.95))
    """
    all_costs = [tuple(costs(item)) for item in items]
    return tuple(
        item
        for item, own in zip(items, all_costs, strict=True)
        if not any(dominates(other, own) for other in all_costs)
    )
