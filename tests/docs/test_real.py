"""The page of real networks: measured as it says, and nothing that is typed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from docs_tools.real import measure, networks, page
from docs_tools.real.measure import Result, Row
from docs_tools.real.networks import NETWORKS, Real
from docs_tools.real.packages import MissingError, file_of, module

ROW = Row("nearest:digits", 3, 0.9, 0.9, 0.02, 0.999, 12, 2.0, 0.75)
RESULT = Result("minilm", "A transformer", 100, 64, 0.9, (ROW,), {"torch": "2.14"})


def points(n: int, split: str = "test") -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed({"test": 0, "train": 1}[split])
    x = torch.rand(n, 4, generator=draws)
    return x, (x[:, 0] > x[:, 1]).long()


def share(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(1) == labels).float().mean().item()


def classifier() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 2, bias=False))
    with torch.no_grad():
        network[0].weight[:2] = torch.tensor([[1.0, -1, 0, 0], [-1, 1, 0, 0]])
        network[2].weight.copy_(10 * torch.eye(2, 8).flip(0))
    return network.eval()


@pytest.mark.parametrize("one_split", [False, True])
def test_a_network_is_measured_by_its_own_figure(
    one_split: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = Real(
        "Which is larger", classifier, points, share, 0.9, one_split=one_split, chooses=True
    )
    monkeypatch.setitem(networks.NETWORKS, "larger", real)
    monkeypatch.setattr(measure, "COMPARED", (("nearest:binary", 8), ("tracer", 7)))
    monkeypatch.setattr(measure, "LONGER", (("nearest:binary", 2, 1), ("nearest:binary", 2, 3)))
    monkeypatch.setattr(measure, "IN_BYTES", (("nearest:binary", 8),))
    monkeypatch.setattr(measure, "RECORDS", tmp_path)
    first, *_, result = measure.measured("larger", 40, 200, 20)
    measure.write(first)
    assert measure.read("larger") == first
    *_, again = measure.measured("larger", 40, 200, 20)
    assert again == result  # it went on where the record ends
    binary, tracer, longer, *in_bytes = result.rows
    assert [row.weights for row in in_bytes] == [measure.KEPT, measure.AFTERWARDS]
    assert all(row.figure == row.same == 1.0 for row in in_bytes)
    assert (longer.longer, longer.latency) == ("1", 12)  # of 2 + 4 steps
    assert (result.samples, result.calibration) == (40, 200)
    assert result.ann == 1.0
    assert binary.figure == binary.twin == binary.same == 1.0
    assert 0 < binary.error < 0.05
    assert binary.latency == 16
    assert binary.energy is not None
    assert tracer.twin is None


def test_no_sample_is_measured_and_calibrated_on() -> None:
    real = Real("Which is larger", classifier, points, share, 0.9, one_split=True)
    shown, labels, fit = measure._split(real, 10, 6)
    assert (len(shown), len(labels), len(fit)) == (10, 10, 6)
    assert not any(torch.equal(a, b) for a in shown for b in fit)


def test_the_page_of_this_repository_is_what_its_records_render_to() -> None:
    assert page.page() == page.PAGE.read_text(encoding="utf-8"), "run: python -m docs_tools real"


def test_every_network_is_shown_or_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(measure, "IN_BYTES", (("nearest:binary", 8),))
    monkeypatch.setattr(measure, "RECORDS", tmp_path)
    assert f"Not run: {', '.join(NETWORKS)}." in page.page()
    measure.write(RESULT)
    shown = page.page()
    assert "## minilm" in shown
    assert (
        "| `nearest:digits` | 3 | 90.0 (82.6–94.5) | 90.0 | - | 0.020 | 0.9990 | 12 | 2.00 |"
        in shown
    )
    assert "1 of 1 networks are no more than half a point below their ANN." in shown
    assert "| [minilm](#minilm) | 100 | 90.0 (82.6–94.5) | not run | 90.0 | not run |" in shown


def test_longer_windows_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measure, "IN_BYTES", (("nearest:binary", 8),))
    monkeypatch.setattr(measure, "RECORDS", tmp_path)
    measure.write(replace(RESULT, rows=(replace(ROW, longer="first second"),)))
    assert "| `nearest:digits`, T = 7 at `first`, `second` | 3 |" in page.page()


def test_what_a_network_loses_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measure, "IN_BYTES", (("nearest:binary", 8),))
    monkeypatch.setattr(measure, "RECORDS", tmp_path)
    measure.write(replace(RESULT, rows=(replace(ROW, figure=0.8, twin=0.8, energy=None),)))
    shown = page.page()
    assert "0 of 1 networks" in shown
    assert "more are minilm by 10.0 points, as their quantised ANNs are" in shown
    assert "| no price |" in shown
    measure.write(replace(RESULT, rows=(replace(ROW, figure=0.8),)))
    assert "as their quantised ANNs are" not in page.page()


def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(MissingError, match="needs the package no-such-package"):
        file_of("no-such-package", "weights")
    with pytest.raises(MissingError, match="needs the extra 'vision'"):
        module("no_such_module", "the extra 'vision'")
