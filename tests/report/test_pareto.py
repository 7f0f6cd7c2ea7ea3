from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spikewright.report.compare.pareto import dominates, pareto_front

POINTS = st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=30)
"""Of few values, so that equal and dominated points are common."""


def costs(point: tuple[int, ...]) -> tuple[int, ...]:
    return point


@given(POINTS)
def test_nothing_on_the_front_is_dominated_by_any_point(points: list[tuple[int, ...]]) -> None:
    front = pareto_front(points, costs)
    assert not any(dominates(other, point) for point in front for other in points)


@given(POINTS)
def test_whatever_is_left_out_is_dominated_by_the_front(points: list[tuple[int, ...]]) -> None:
    front = pareto_front(points, costs)
    left_out = [point for point in points if point not in front]
    assert all(any(dominates(own, point) for own in front) for point in left_out)


@given(POINTS)
def test_the_front_of_the_front_is_itself(points: list[tuple[int, ...]]) -> None:
    front = pareto_front(points, costs)
    assert pareto_front(front, costs) == front


@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(points: list[tuple[int, ...]], random: object) -> None:
    shuffled = sorted(points, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert sorted(pareto_front(shuffled, costs)) == sorted(pareto_front(points, costs))


@given(POINTS)
def test_the_best_of_each_cost_is_on_the_front(points: list[tuple[int, ...]]) -> None:
    front = pareto_front(points, costs)
    for own in range(3):
        if points:
            assert min(p[own] for p in front) == min(p[own] for p in points)


def test_equal_points_stay_together() -> None:
    assert pareto_front([(1, 2), (2, 1), (1, 2), (2, 2)], costs) == ((1, 2), (2, 1), (1, 2))


def test_a_point_does_not_dominate_itself() -> None:
    assert not dominates((1, 2), (1, 2))
    assert dominates((1, 2), (1, 3))
    assert not dominates((1, 3), (2, 2))
