"""Medians, ratios and targets against numbers worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.ratios import Spread, images_per_second, memory_ratio, ran, speed_ratio
from benchmarks.targets import TARGETS
from tests.benchmarks.results import example, lane, result


def test_a_ratio_is_taken_within_rounds_before_the_median() -> None:
    # Rounds 2, 1, 2; the ratio of the medians would be 1.
    assert speed_ratio(example(), "counts-nearest-4", "ann-compiled") == Spread(1.5, 2.0, 2.0)


def test_images_per_second_are_those_of_the_batch() -> None:
    record = example()
    rate = images_per_second(record, ran(record)["ann-compiled"])
    assert rate == Spread(75.0, 100.0, 100.0)


def test_one_round_has_no_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_who_did_not_run_has_no_ratio() -> None:
    assert speed_ratio(example(), "absent", "ann-compiled") is None
    assert memory_ratio(example(), "counts-nearest-16", "ann-compiled") is None
    assert memory_ratio(example(), "counts-nearest-4", "ann-compiled") == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("start", "value", "met"),
    [
        ("counts, nearest / compiled ANN", 1.0, True),  # the lowest of the medians 2, 2 and 1
        ("counts, T = 64 / T = 4", 1.0, True),
        ("counts, unbiased", None, None),
        ("steps, IF, T = 32 / (compiled", 0.8, True),  # 32 times 1 / 40
        ("steps, IF, T = 32 / SpikingJelly", 2.5, True),  # rounds 3, 2.5, 2.5
        ("the same, in either step mode", 1.25, False),  # rounds 1.5, 1.25, 1.25
        ("counts, T = 16 / SpikingJelly", 200.0, True),  # rounds 240, 200, 200
        ("counts, peak memory", None, None),  # most counts were not measured
        ("convert + calibrate, ResNet-20", 12.0, True),
    ],
)
def test_targets_are_computed_from_the_record(
    start: str, value: float | None, met: bool | None
) -> None:
    target = next(each for each in TARGETS if each.name.startswith(start))
    found = target.measured(example())
    assert found == (None if value is None else pytest.approx(value))
    assert (None if found is None else target.met(found)) is met


def test_conversion_with_other_images_is_no_measurement_of_the_target() -> None:
    (target,) = [each for each in TARGETS if "512 images" in each.name]
    cost = {"seconds": 1.0, "peak_bytes": 1, "images": 32}
    assert target.measured(result(lane("ann-compiled", None, [1.0]), conversion=cost)) is None


def test_every_contender_that_a_target_names_exists() -> None:
    record = result(*(lane(name, None, [1.0], peak_bytes=1) for name in _names()))
    missing = [t.name for t in TARGETS if t.workload == "resnet20" and t.measured(record) is None]
    assert missing == []


def _names() -> list[str]:
    from benchmarks.contenders import contenders

    return [each.name for each in contenders()]
