"""`python -m paper`: from options to records and a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS, Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")


@pytest.fixture
def network(tmp_path: Path) -> str:
    path = tmp_path / "network.json"
    path.write_text(json.dumps({"name": "random", "model": DIGITS, "data": "digits"}))
    return str(path)


def words(network: str, out: Path, *more: str) -> list[str]:
    few = "--data digits --rows rts-nearest,rts-if --steps 1,2 --images 8 --one-phase-images 4"
    asked = [*few.split(), "--calibration-samples", "8", "--out", str(out), *more]
    return ["tables", network, *asked]


def test_two_shares_make_one_page(run: Run, network: str, tmp_path: Path) -> None:
    out, page = tmp_path / "results", tmp_path / "docs" / "results.md"
    for share in ("0/2", "1/2"):
        code, _, err = run(*words(network, out, "--share", share))
        assert code == 0, err
    assert "2/2 random: rts-if, T = 2, seed 0: " in err
    names = sorted(path.name for path in (out / "random").iterdir())
    cells = [f"rts-{row}-t{steps}-s0.json" for row in ("if", "nearest") for steps in (1, 2)]
    assert names == ["ann.json", "network.json", *cells]
    page.parent.mkdir()
    code, told, err = run("page", "--out", str(out), "--page", str(page))
    assert (code, told) == (0, f"written: {page}\n"), err
    text = page.read_text(encoding="utf-8")
    assert "| RTS, nearest | 8 | 1 | " in text
    assert "| RTS, IF | 4 | 1 | " in text
    assert (page.parent / "results" / "random.svg").is_file()


@pytest.mark.parametrize("name", ["README.md", "docs/experiments.md"])
def test_examples_keep_plots_apart_from_records(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text(encoding="utf-8")
    examples = re.findall(r"python -m paper page --out (\S+) --page (\S+)", text)
    assert examples
    assert all(Path(page).with_suffix("") != Path(out) for out, page in examples)


def test_a_network_of_the_zoo_is_measured_under_its_name(run: Run, tmp_path: Path) -> None:
    few = "--data digits --rows nearest --steps 1 --images 8 --calibration-samples 8"
    name = "digits-qcfs8"
    code, _, err = run("tables", f"zoo:{name}", *few.split(), "--out", str(tmp_path))
    assert code == 0, err
    assert (tmp_path / name / "nearest-t1-s0.json").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--share", "half"], "give R/N, e.g. 0/2"),
        (["--share", f"{'9' * 5000}/2"], "give R/N, e.g. 0/2"),
        (["--batch-size", "9999999999"], "--batch-size"),
        (["--share", "2/2"], "--share 2/2: give R/N"),
        (["--data", "digits"], "digits is named twice"),
        (["--steps", "0"], "0 is too small"),
        (["--images", "5000"], "the test split of 'digits' holds"),
    ],
)
def test_wrong_usage_exits_with_2(
    more: list[str], message: str, run: Run, network: str, tmp_path: Path
) -> None:
    code, _, err = run(*words(network, tmp_path / "results", *more))
    assert code == 2
    assert message in err


def test_a_page_without_results_exits_with_2(run: Run, tmp_path: Path) -> None:
    code, _, err = run("page", "--out", str(tmp_path))
    assert code == 2
    assert "holds no results" in err


def test_a_dry_run_into_a_full_folder_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = run("imagenet-dry-run", "--out", str(tmp_path))
    assert code == 2
    assert "is not empty" in err
