"""What is said to have moved."""

from __future__ import annotations

from benchmarks.compare import compare
from tests.benchmarks.results import example, lane, result

ANN = lane("ann-compiled", None, [1.0, 1.0, 1.0], peak_bytes=1000)
NAME = "counts-nearest-16"


def test_a_record_against_itself_has_not_moved() -> None:
    assert compare(example(), example()).splitlines() == [
        "resnet20 on cpu, ratios to ann-compiled, old -> new:",
        "  nothing moved by more than its spread",
    ]


def test_a_ratio_moves_when_the_quartiles_part() -> None:
    old = result(ANN, lane(NAME, 16, [0.8, 1.0, 1.25]))  # quartiles 0.9 .. 1.125
    within = result(ANN, lane(NAME, 16, [0.9, 0.9, 0.9]))  # 1.11
    slower = result(ANN, lane(NAME, 16, [2.0, 2.0, 2.0]))
    assert "nothing moved" in compare(old, within)
    assert f"slower: {NAME}, 1 -> 0.5" in compare(old, slower)
    assert f"faster: {NAME}, 0.5 -> 1" in compare(slower, old)


def test_a_slower_machine_alone_moves_nothing() -> None:
    old = result(ANN, lane(NAME, 16, [0.5, 0.5, 0.5]))
    slow = lane("ann-compiled", None, [4.0, 4.0, 4.0], peak_bytes=1000)
    assert "nothing moved" in compare(old, result(slow, lane(NAME, 16, [2.0, 2.0, 2.0])))


def test_memory_moves_by_more_than_its_tolerance() -> None:
    old, near, more = (
        result(ANN, lane(NAME, 16, [1.0], peak_bytes=size)) for size in (1000, 1040, 1300)
    )
    for record in (old, near, more):
        record["contenders"][0] = lane("ann-compiled", None, [1.0], peak_bytes=1000)
    assert "nothing moved" in compare(old, near)
    assert f"more memory: {NAME}, 1 -> 1.3" in compare(old, more)


def test_who_came_who_left_and_what_differs_is_said() -> None:
    refused = {"name": NAME, "steps": 16, "what": "", "reason": "no compiler"}
    old = result(ANN, lane(NAME, 16, [1.0, 1.0, 1.0]))
    new = result(ANN, refused, lane("new", 1, [1.0, 1.0, 1.0]))
    new["config"]["batch"] = 16
    told = compare(old, new)
    assert f"no longer runs: {NAME} (no compiler)" in told
    assert "now runs: new" in told
    assert "not the same batch: 100 -> 16" in told
