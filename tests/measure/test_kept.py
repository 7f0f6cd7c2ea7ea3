"""Interrupted anywhere and started again, a measurement ends as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

import spikewright as sw
from spikewright.decoding import decoded
from spikewright.errors import AnalysisError
from spikewright.measure import LayerError, Operations, SweepProgress, decompose, operations
from spikewright.measure.kept import KeptFile, differences

STEPS = (2, 5)
ASKED = {"steps": [2, 5], "seed": 0}

Batches = list[tuple[Tensor, Tensor]]


class Stop(Exception):  # noqa: N818 (not an error: what a kill is in these tests)
    pass


class StopAfter:
    """A progress callback that counts, and stops at the n-th call."""

    def __init__(self, number: float) -> None:
        self.calls = 0
        self.number = number

    def __call__(self, _: SweepProgress) -> None:
        self.calls += 1
        if self.calls == self.number:
            raise Stop


@pytest.fixture(scope="module")
def batches(images: Tensor, labels: Tensor) -> Batches:
    return list(zip(images.split(16), labels.split(16), strict=True))


def timeless(found: sw.measure.Sweep) -> tuple[Any, Any]:
    reference = found.reference
    assert reference is not None
    return [replace(row, seconds=0.0) for row in found.rows], replace(reference, seconds=0.0)


def resumed(path: Path, measure: Callable[..., Any], number: int) -> tuple[Any, int]:
    """The result after a stop at the n-th simulation, and how many were left to do."""
    with pytest.raises(Stop), KeptFile(path, ASKED, seconds_between_writes=0) as file:
        measure(file.within("all"), StopAfter(number))
    told = StopAfter(inf)
    with KeptFile(path, ASKED) as file:
        found = measure(file.within("all"), told)
    file.discard()
    return found, told.calls


def test_a_sweep_goes_on_where_it_was(
    tpp: sw.SpikingNetwork,
    integrate_fire: sw.SpikingNetwork,
    batches: Batches,
    model: nn.Module,
    tmp_path: Path,
) -> None:
    networks = {"IF": integrate_fire, "TPP": tpp}

    def measure(kept: Any, progress: Any) -> sw.measure.Sweep:
        return sw.sweep(networks, batches, STEPS, 2, model, progress=progress, kept=kept)

    whole = timeless(measure(None, None))
    total = 3 * (2 + 4)  # batches, and both T of IF once and of TPP with two seeds
    for number in range(1, total + 1):
        found, left = resumed(tmp_path / "progress.json", measure, number)
        assert timeless(found) == whole, number
        assert left == total - number


def test_a_sweep_of_frames_goes_on_in_every_pass(
    integrate_fire: sw.SpikingNetwork, batches: Batches, model: nn.Module, tmp_path: Path
) -> None:
    def measure(kept: Any, progress: Any) -> sw.measure.Sweep:
        return sw.sweep(
            {"IF": integrate_fire},
            lambda steps: [(x.expand(steps, *x.shape), labels) for x, labels in batches],
            STEPS,
            reference=model,
            progress=progress,
            kept=kept,
        )

    whole = timeless(measure(None, None))
    for number in (1, 3, 4, 6):
        found, left = resumed(tmp_path / "progress.json", measure, number)
        assert timeless(found) == whole
        assert left == 6 - number


def test_misalignment_goes_on_in_every_part(
    integrate_fire: sw.SpikingNetwork, batches: Batches, model: nn.Module, tmp_path: Path
) -> None:
    def measure(kept: Any, progress: Any) -> dict[str, Any]:
        found = sw.misalignment(
            integrate_fire, batches, 2, 1, model, ("late",), progress=progress, kept=kept
        )
        return {**found.to_dict(), "whole": timeless(found.whole)}

    told = StopAfter(inf)
    whole = measure(None, told)
    parts = [6, 9, 3, 3, 3]  # simulations or batches: whole, layers, spike times, errors twice
    assert told.calls == sum(parts)
    for number, left in ((4, 20), (6, 18), (10, 14), (15, 9), (17, 9), (19, 6), (24, 3)):
        found, done = resumed(tmp_path / "progress.json", measure, number)
        assert found == whole
        assert done == left  # a part that looks into layers is done again as a whole


def test_results_survive_their_way_through_json(
    integrate_fire: sw.SpikingNetwork, batches: Batches
) -> None:
    counted = operations(integrate_fire, batches, 5)
    assert decoded(Operations, json.loads(json.dumps(asdict(counted))), "counts") == counted
    for error in decompose(integrate_fire, batches, 5):
        assert decoded(LayerError, json.loads(json.dumps(asdict(error))), "error") == error


def test_work_of_another_configuration_is_refused_by_every_difference(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with KeptFile(path, ASKED) as file:
        file.keep("a", 1)
    with pytest.raises(AnalysisError) as caught:
        KeptFile(path, {"steps": [2], "seed": 0, "limit": 10})
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("keeps the unfinished work of another command:")
    assert lines[1:3] == [
        "  limit: recorded None, asked for 10",
        "  steps: recorded [2, 5], asked for [2]",
    ]
    assert differences(ASKED, ASKED) == []
    assert KeptFile(path, {"seed": 0, "steps": (2, 5)}).read("a") == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "cannot be read"),
        ("[" * 50_000, "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"format": 1, "configuration": [], "parts": {}}', "cannot be read"),
        ('{"format": 2, "configuration": {}, "parts": {}}', "another version"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "progress.json"
    path.write_text(content)
    with pytest.raises(AnalysisError, match=f"{told}.*remove it to start anew"):
        KeptFile(path, ASKED)


def test_what_is_written_late_is_what_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with KeptFile(path, ASKED, seconds_between_writes=inf) as file:
        counts = [1]
        file.keep("counts", counts)
        counts.append(2)
        assert not path.exists()
    assert KeptFile(path, ASKED).read("counts") == [1]


def test_discarded_work_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with KeptFile(path, ASKED) as file:
        assert file.empty
        file.keep("a", 1)
        assert not file.empty
        file.discard()
    assert not path.exists()
