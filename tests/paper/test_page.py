"""The page: what the records render to, and nothing that is typed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
import torch

from paper import NetworkSource, page, run_experiment, write_page
from paper.cell import packed, unpacked
from paper.claims import explanation
from paper.differences import differences, verdicts
from paper.others import published_page
from paper.page import plots
from paper.plot import plot
from paper.published import published_for
from paper.rows import rows_for
from paper.store import NetworkStore
from paper.tables import NetworkTable, entry_of, paired, table_of
from spikewright.errors import AnalysisError, ExperimentError
from spikewright.measure import paired_interval
from tests.paper.nets import DATA, LEVELS, SMALL

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "results", ROOT / "docs" / "results.md"


def test_the_page_of_this_repository_is_what_its_records_render_to() -> None:
    if not RESULTS.is_dir():
        pytest.skip("this repository holds no results yet")
    assert page(RESULTS, beside=PAGE.with_suffix("")) == PAGE.read_text(encoding="utf-8"), (
        "run: python -m paper page --out results --page docs/results.md"
    )


def test_the_pictures_of_this_repository_are_what_its_records_render_to() -> None:
    if not RESULTS.is_dir():
        pytest.skip("this repository holds no results yet")
    folder = PAGE.with_suffix("")  # docs_tools draws others beside them
    kept = (path for name in ("resnet", "vgg") for path in folder.glob(f"{name}*-*.svg"))
    written = {path.name: path.read_text("utf-8") for path in kept}
    if f"Matplotlib v{matplotlib.__version__}" not in "".join(written.values()):
        pytest.skip("another version of matplotlib drew them")
    assert plots(RESULTS) == written


def test_entries_are_means_over_seeds(results: Path) -> None:
    records = NetworkStore(results / "qcfs").records()
    tpp = [r for c, r in records.items() if (c.row, c.steps) == ("tpp", 2)]
    table = table_of(NetworkStore(results / "qcfs"), SMALL.steps)
    entry = table.entry("tpp", 2)
    assert entry is not None
    assert len(tpp) == entry.seeds == 2
    assert entry.accuracy == mean(r.right / 60 for r in tpp)
    assert entry.spread == stdev(r.right / 60 for r in tpp)
    text = page(results, SMALL.steps)
    told = f"{100 * entry.accuracy:.2f} ± {100 * entry.spread:.2f}"
    assert f"| TPP | 60 | 2 of 5 | {told} (" in text


def test_all_networks_stand_side_by_side_first(results: Path) -> None:
    text = page(results, SMALL.steps)
    glance = text[: text.index("## What holds")]
    records = NetworkStore(results / "qcfs").records()
    first = {c.row: r for c, r in records.items() if c.steps in (0, LEVELS) and c.seed == 0}
    ann, *cells = (
        f"{100 * float(unpacked(first[name].hits or '', first[name].images)[:40].sum()) / 40:.2f}"
        for name in ("ann", "if", "shuffled", "tpp", "nearest")
    )
    told = " | ".join(f"{cell} / not run" for cell in cells)
    assert f"| `qcfs` | QCFS | 40 | {ann} | {told} |" in glance
    rows = [line.split(" | ") for line in glance.splitlines() if "| `relu` |" in line]
    assert [row[1] for row in rows] == ["RTS", "SNNC", "LTB", "MinError", "Auto"]
    assert [row[2] for row in rows] == ["40", "60", "60", "60", "60"]
    assert all(row[5] == "-" for row in rows)


def test_a_row_without_the_first_seed_is_compared_with_none(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "qcfs", tmp_path / "qcfs")
    (tmp_path / "qcfs" / f"tpp-t{LEVELS}-s0.json").unlink()
    text = page(tmp_path, (LEVELS,))
    glance = next(line for line in text.splitlines() if line.startswith("| `qcfs` |"))
    assert [cell.strip() for cell in glance.split("|")][7] == "not run / not run"
    assert "| TPP against IF (QCFS) |" not in text
    assert "| shuffled IF against IF (QCFS) |" in text
    assert re.search(r"^\| TPP \| 60 \| 1 of 5 \| \d", text, re.MULTILINE)


def test_what_was_not_run_says_so(results: Path) -> None:
    text = page(results, (2, LEVELS, 32))
    assert re.search(r"^\| nearest \| 60 \| 1 \| .* \| not run \|$", text, re.MULTILINE)
    assert re.search(r"^\| all early \| - \| - \| not run \| not run \| not run \|$", text, re.M)
    assert re.search(r"^\| nearest against TPP \| .* \| not run \|$", text, re.MULTILINE)
    _, _, after = text.partition("| difference in points |")  # what no cell was run of stands above
    assert "all early" not in after.split("## ")[0]


def test_twins_are_told_apart_by_name(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "qcfs", tmp_path / "qcfs")
    title = table_of(NetworkStore(tmp_path / "qcfs"), SMALL.steps).title
    assert f"\n## {title}\n" in page(tmp_path, SMALL.steps)
    shutil.copytree(results / "qcfs", tmp_path / "twin")
    file = tmp_path / "twin" / "network.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": "twin"}))
    text = page(tmp_path, SMALL.steps)
    assert "**All 2 networks trained with QCFS**" in text
    heads = [line for line in text.splitlines() if line.startswith(f"## {title}")]
    assert [head.rpartition(" (")[2] for head in heads] == ["`qcfs`)", "`twin`)"]


def test_a_network_without_its_weights_has_the_cards_of_its_training(
    results: Path, tmp_path: Path
) -> None:
    assert "/training`" not in page(results)
    copy = shutil.copytree(results, tmp_path / "results")
    (copy / "qcfs" / "training").mkdir()
    (copy / "qcfs" / "training" / "1-qcfs.json").write_text("{}")
    assert page(copy).count("as the cards in `results/qcfs/training` tell") == 1


def test_a_subset_stands_with_its_own_number(results: Path) -> None:
    text = page(results, SMALL.steps)
    assert re.search(r"^\| IF \(QCFS\) \| 40 \| 1 \|", text, re.MULTILINE)
    table = table_of(NetworkStore(results / "qcfs"), SMALL.steps)
    ann = table.entry("ann", 0)
    assert ann is not None
    right = unpacked(ann.first.hits or "", 60)[:40].sum()
    told = (
        f"the first 40 of the images, as their column says, of which the ANN gets {2.5 * right:.2f}"
    )
    assert told in text
    picture = plots(results, SMALL.steps)["qcfs.svg"]
    assert all(f">{told}<" in picture for told in ("ANN *", "IF (QCFS) *", "nearest"))
    assert "* on the first 40 images" in picture


def test_every_row_tells_what_its_answers_cost(results: Path) -> None:
    text = page(results, SMALL.steps)
    for name in ("qcfs", "relu"):
        table = table_of(NetworkStore(results / name), SMALL.steps)
        assert table.entries
        for (row, _), entry in table.entries.items():
            title = next(r.title for r in table.rows if r.name == row)
            spikes = entry.spikes_per_image
            sent = f"{spikes:.0f}" if spikes < 1000 else f"{spikes / 1000:.1f} k"
            energies = _microjoules(entry.energy, "snn", "snn_integer", "snn_with_memory")
            for told in (f"{entry.latency} steps, {sent} spikes", energies):
                assert re.search(rf"^\| {re.escape(title)} \| .*{re.escape(told)}", text, re.M)
        entries = (
            next(entry for (_, t), entry in table.entries.items() if t == steps)
            for steps in table.steps
        )
        rivals = [
            _microjoules(entry.energy, "ann", "ann_quantised", "ann_with_memory")
            for entry in entries
        ]
        assert len(set(rivals)) == 2  # activations of 2 bits at T = 2, of 3 at T = 4
        assert f"| ANN | {' | '.join(rivals)} |" in text


def _microjoules(energy: Mapping[str, float], *names: str) -> str:
    alone, integers, whole = (energy[f"{name}_nj"] / 1000 for name in names)
    assert whole < 100  # so that three digits are what is shown
    return f"{alone:.3g} / {integers:.3g} ({whole:.3g})"


def test_rows_stand_beside_the_baseline_that_answers_no_later(results: Path) -> None:
    table = table_of(NetworkStore(results / "qcfs"), SMALL.steps)
    nearest, base = table.entry("nearest", 2), table.entry("if", LEVELS)
    assert nearest is not None
    assert base is not None
    assert (nearest.latency, base.latency) == ((3 + 1) * 2, LEVELS)
    assert table.no_later("if", nearest.latency) == (LEVELS, base)
    assert table.no_later("if", base.latency - 1) == (2, table.entry("if", 2))
    assert table.no_later("if", 1) is None
    pair = paired(nearest, base)
    assert pair is not None
    text = page(results, SMALL.steps)
    told = rf"{re.escape(f'{pair.points:+.2f}')}( n\.s\.)? \(T = {LEVELS}\)"
    assert re.search(
        rf"^\| nearest against IF \(QCFS\) that answers no later \| {told} \|", text, re.M
    )
    assert "| SRP against IF (QCFS) that answers no later |" not in text


def test_findings_are_computed(results: Path) -> None:
    text = page(results, SMALL.steps)
    assert f"Nearest at T = L = {LEVELS} is lossless" in text
    assert "every one of 60 images" in text
    table = table_of(NetworkStore(results / "qcfs"), SMALL.steps)
    pair = paired(table.entry("shuffled", 2), table.entry("if", 2))
    assert pair is not None
    assert pair.images == 40
    shuffled, base = table.entry("shuffled", 2), table.entry("if", 2)
    assert shuffled is not None
    assert base is not None
    assert pair.points == pytest.approx(100 * (shuffled.first.accuracy - base.accuracy))
    low, high = (100 * end for end in paired_interval(pair.only_first, pair.only_second, 40))
    assert f"{pair.points:+.2f} points ({low:+.2f} to {high:+.2f}, p" in text
    mean_points = 100 * (shuffled.accuracy - base.accuracy)
    assert f"at T = 2, over 2 seeds {mean_points:+.2f} ± {100 * shuffled.spread:.2f}" in text
    nearest = table.entry("nearest", LEVELS)
    assert nearest is not None
    assert f"in integers nearest takes {nearest.energy['snn_integer_nj'] / 1000:.3g}, and" in text


def test_the_order_of_steps_does_not_matter(results: Path) -> None:
    assert page(results, SMALL.steps[::-1]) == page(results, SMALL.steps)
    assert plots(results, SMALL.steps[::-1]) == plots(results, SMALL.steps)


def _tpp_against_if(results: Path, tpp: int, base: int) -> NetworkTable:
    """The table at T = 2, as if TPP had got so many first images right, the baseline so many."""
    table = table_of(NetworkStore(results / "qcfs"), (2,))
    entries = dict(table.entries)
    for row, right in (("tpp", tpp), ("if", base)):
        entry = entries[row, 2]
        hits = packed(torch.arange(entry.images) < right)
        entries[row, 2] = replace(entry, first=replace(entry.first, hits=hits))
    return replace(table, entries=entries)


def _line(lines: list[list[str]], title: str) -> list[str]:
    (found,) = [line for line in lines if line[0] == title]
    return found[1:]


@pytest.mark.parametrize(
    ("tpp", "base", "told"),
    [(8, 0, "+20.00"), (0, 8, "-20.00"), (7, 0, "+17.50 n.s."), (20, 20, "+0.00 n.s.")],
)
def test_a_difference_that_is_not_significant_says_so(
    results: Path, tpp: int, base: int, told: str
) -> None:
    """Of 40 common images; 8 against none have p = 2 / 2^8 = 0.008, 7 against none 0.016."""
    table = _tpp_against_if(results, tpp, base)
    assert _line(differences(table), "TPP against IF (QCFS)") == [told]
    assert _line(differences(table), "SRP against IF (QCFS)") == ["not run"]


@pytest.mark.parametrize(
    ("rights", "told"),
    [
        ([(8, 0)], "1 above of 1"),
        ([(8, 0), (7, 0)], "1 above of 2"),
        ([(8, 0), (0, 8), (0, 9)], "1 above, 2 below of 3"),
        ([(7, 0), (0, 7)], "none of 2"),
    ],
)
def test_verdicts_count_networks(results: Path, rights: list[tuple[int, int]], told: str) -> None:
    lines = verdicts([_tpp_against_if(results, tpp, base) for tpp, base in rights])
    assert _line(lines, "TPP against IF (QCFS)") == [told]
    assert _line(lines, "SRP against IF (QCFS)") == ["not run"]


def test_a_network_that_differs_in_float32_stands_beside_itself_in_float64(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results / "qcfs", tmp_path / "qcfs")
    path = tmp_path / "qcfs" / f"nearest-t{LEVELS}-s0.json"
    path.write_text(path.read_text().replace('"differs": 0', '"differs": 2'))
    told = "In float64 it differs on 0 of 60, and float64 changes the ANN's own answer to 0 of 60."
    assert "differs from the ANN on 2 of 60 images" in page(tmp_path, SMALL.steps)
    assert told in page(tmp_path, SMALL.steps)
    (tmp_path / "qcfs" / "ann-float64-t0-s0.json").unlink()
    assert "In float64: not run." in page(tmp_path, SMALL.steps)


def test_rows_on_other_numbers_of_images_are_paired_on_the_common_ones(results: Path) -> None:
    table = table_of(NetworkStore(results / "qcfs"), SMALL.steps)
    pair = paired(table.entry("tpp", 2), table.entry("if", 2))
    assert pair is not None
    assert pair.images == 40
    assert paired(table.entry("tpp", 2), table.entry("late", 2)) is None


def test_seeds_on_other_numbers_of_images_are_not_averaged(results: Path) -> None:
    records = NetworkStore(results / "qcfs").records()
    first, second = [r for c, r in records.items() if (c.row, c.steps) == ("tpp", 2)]
    with pytest.raises(ExperimentError, match=r"measured on \[50, 60\] images"):
        entry_of([first, replace(second, images=50, right=40)])


def test_the_explanation_computes_its_figures() -> None:
    text = explanation()
    assert "sends 0.86 spikes on average at T = 16" in text  # 1 - prod over R of (1 - 0.5 / R)
    assert "+0.23 at T = 4, +0.31 at T = 8, +0.38 at T = 16, +0.44 at T = 32" in text


def test_published_figures_stand_beside_a_network_like_theirs() -> None:
    found = published_for("cifar10", "ResNet-20", 8)
    assert [(figure.method, figure.ann, figure.steps[8]) for figure in found] == [
        ("QCFS", 91.77, 89.55)
    ]
    of_four = published_for("cifar10", "ResNet-20", 4)  # the L of QCFS is not known for certain
    assert [figure.method for figure in of_four] == ["QCFS", "NQ"]
    assert published_for("cifar10", "ResNet-20", None) == []
    assert [f.method for f in published_for("cifar100", "ResNet-20", 4)] == ["NQ"]


def test_the_page_of_published_figures_is_what_their_file_renders_to() -> None:
    assert (ROOT / "docs" / "published.md").read_text(encoding="utf-8") == published_page()


def test_published_figures_stand_beside_their_own_anns() -> None:
    shown = published_page()
    assert "| ResNet-34, L = 8 | QCFS | 74.32 | - | - | - | - | 59.35 (-14.97) |" in shown
    assert "| 65.05 (-16.34) |" in shown  # quantised to 4 bits
    assert "| ViT-B | MBE | not found | - | - | - | 0.12 | (-0.44) |" in shown
    assert "second hand" in shown


def test_published_figures_are_shown_with_their_source(qcfs: NetworkSource, tmp_path: Path) -> None:
    run_experiment([qcfs], DATA, tmp_path, replace(SMALL, steps=(2,), rows=("nearest",)))
    path = tmp_path / "qcfs" / "network.json"
    text = path.read_text("utf-8").replace('"digits"', '"cifar100"')
    text = text.replace('"qcfs_cnn"', '"ResNet-20"').replace('"levels": 4', '"levels": 8')
    path.write_text(text, "utf-8")
    shown = page(tmp_path, (2, 8))
    assert "| *QCFS, published* | - | - | 19.96 | 55.37 |" in shown
    assert "its L not known for certain" not in shown
    assert (
        "*QCFS, published*: Bu et al., ICLR 2022, arXiv 2303.04347; its ANN 69.94; figures not "
        "read in the paper itself." in shown
    )
    assert "*SRP, tau = 4, published*: Hao et al., AAAI 2023" in shown
    assert "figures as in the table Performance in the README" in shown
    path.write_text(text.replace('"cifar100"', '"cifar10"'), "utf-8")
    assert "its ANN 91.77; its L not known for certain; figures not read" in page(tmp_path, (2, 8))


def test_plots_are_well_formed_and_linked(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "results.md"
    write_page(results, path, SMALL.steps)
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", path.read_text("utf-8"))
    tradeoffs = [f"results/{n}-{k}.svg" for n in ("qcfs", "relu") for k in ("latency", "energy")]
    assert links == [*tradeoffs, "results/qcfs.svg", "results/relu.svg"]
    for link in links:
        root = ElementTree.fromstring((path.parent / link).read_text("utf-8"))
        curves = [e for e in root.iter() if e.get("id", "").startswith("curve: ")]
        curves = [e for e in curves if not e.get("id", "").startswith("curve: ANN")]
        assert len(curves) == {"qcfs": 4, "relu": 2}[Path(link).stem.partition("-")[0]]


def test_a_curve_keeps_its_colour_when_another_is_missing(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "relu", tmp_path / "relu")
    for path in (tmp_path / "relu").glob("rts-if-*"):
        path.unlink()
    (whole,), (part,) = (
        re.findall(r"fill: (#\w+)[^>]*>RTS, nearest<", picture)
        for picture in (plots(folder, SMALL.steps)["relu.svg"] for folder in (results, tmp_path))
    )
    assert part == whole


@pytest.mark.parametrize("name", ["qcfs", "relu"])
def test_every_row_can_be_drawn_but_those_calibrated_on_images_of_their_own(
    results: Path, name: str
) -> None:
    table = table_of(NetworkStore(results / name), SMALL.steps)
    rows, entry = rows_for(table.levels), next(iter(table.entries.values()))
    entries = {(row.name, t): entry for row in rows for t in table.steps}
    picture = plot(replace(table, rows=rows, entries=entries))
    assert picture is not None
    drawn = {e.get("id", "") for e in ElementTree.fromstring(picture).iter()}
    for row in rows:
        assert (f"curve: {row.title} *" in drawn) == (row.calibration_samples is None)


@pytest.mark.parametrize("name", ["", "README"])
def test_a_page_has_an_ending(
    results: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExperimentError, match="names no page: give a file such as"):
        write_page(results, Path(name), SMALL.steps)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("nearest-t2-s0.json", {"cell": 3}, "cell: expected object, got int: it is not the record"),
        ("nearest-t2-s0.json", {"right": "x"}, "right: expected int, got str"),
        ("nearest-t2-s0.json", {"images": 0}, "of 0 images are right"),
        (
            "nearest-t2-s0.json",
            {"energy": {"snn_nj": "x"}},
            r"energy\[...\]: expected float, got str",
        ),
        ("nearest-t2-s0.json", {"hits": "%%%"}, "the hits of a cell are damaged"),
        ("network.json", {"levels": "8"}, "levels: expected int | null, got str: it was changed"),
    ],
)
def test_a_damaged_record_is_refused(
    results: Path, file: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    shutil.copytree(results / "qcfs", tmp_path / "qcfs")
    path = tmp_path / "qcfs" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises((AnalysisError, ExperimentError), match=message):
        page(tmp_path, SMALL.steps)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="holds no results; run python -m paper tables"):
        page(tmp_path)
