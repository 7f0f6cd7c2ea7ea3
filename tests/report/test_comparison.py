from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikewright.report import Report, Run, read_run, render_comparison
from spikewright.report.compare.differences import differing, settings_of
from spikewright.report.compare.points import sources_of

from .folders import RECORD, SWEPT, operations_of, sweep_results, write
from .test_page import Page, parsed, words


def table(page: Page, *heads: str) -> list[list[str]]:
    (found,) = [t for t in page.tables if tuple(t[0][: len(heads)]) == heads]
    return found


@pytest.fixture
def runs(report: Report, tmp_path: Path) -> list[Run]:
    """A sweep, the same with other thresholds and no errors, and energies of the first."""
    other = replace(report, studies=(replace(report.studies[0], errors=(), raster=None),))
    asked = {**SWEPT, "threshold": "maximum", "limit": 500}
    operations = operations_of({("IF", 8): 40.0, ("TPP", 4): 90.0}, SWEPT)
    folders = [
        write(tmp_path / "first", results=sweep_results(report, SWEPT)),
        write(tmp_path / "second", results=sweep_results(other, asked)),
        write(tmp_path / "energy", results=operations),
    ]
    return [read_run(folder) for folder in folders]


def test_it_is_well_formed_and_loads_nothing(runs: list[Run]) -> None:
    html = render_comparison(runs)
    page = parsed(html)
    for tag, name, value in page.attributes:
        if name in {"src", "href", "srcset", "action", "data"}:
            assert value.startswith(("#", "data:")), f"<{tag} {name}={value[:60]}>"
    links = {
        value[1:] for _, name, value in page.attributes if name == "href" and value != "data:,"
    }
    assert links <= {value for _, name, value in page.attributes if name == "id"}
    assert html.count("* plotly.js v") == 1
    assert html.count("<table") == html.count("<caption>")


def test_the_table_of_runs_shows_only_what_differs(runs: list[Run]) -> None:
    html = render_comparison(runs)
    found = table(parsed(html), "run", "measured on")
    assert found[0][:4] == ["run", "measured on", "accuracy of the ANN", "images"]
    assert {"threshold", "limit", "command"} <= set(found[0])
    assert not {"model", "seed", "correction"} & set(found[0])
    by_run = {row[0]: dict(zip(found[0], row, strict=True)) for row in found[1:]}
    assert list(by_run) == ["A · first", "B · second", "C · energy"]
    assert [row["threshold"] for row in by_run.values()] == [
        "minerror:channel",
        "maximum",
        "minerror:channel",
    ]
    assert by_run["A · first"]["accuracy of the ANN"].replace("\u00a0", " ").startswith("95.0 %")
    assert by_run["C · energy"]["accuracy of the ANN"] == "not measured"
    marked = re.findall(r"<mark>(.*?)</mark>", html)
    assert "maximum" in marked
    assert not any("minerror" in told for told in marked)


def test_what_ran_a_run_of_energy_is_told_too(runs: list[Run]) -> None:
    *_, energy = (settings_of(source) for source in sources_of(runs))
    ran = {name: energy[name] for name in ("torch", "Python", "platform", "device", "threads")}
    assert ran == {
        "torch": RECORD.torch,
        "Python": RECORD.python,
        "platform": RECORD.platform,
        "device": RECORD.device,
        "threads": RECORD.threads,
    }


def test_differences_are_found_setting_by_setting() -> None:
    different, same = differing([{"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3, "d": None}])
    assert [(s.name, s.values, s.changed) for s in different] == [("b", (2, 3), (False, True))]
    assert same == {"a": 1}


def test_a_run_without_a_setting_is_not_marked_for_it() -> None:
    (only,), _ = differing([{}, {"a": 1}, {"a": None}, {"a": 2}])
    assert only.values == (None, 1, None, 2)
    assert only.changed == (False, False, True, True)


def test_every_measurement_stands_in_one_table(runs: list[Run]) -> None:
    found = table(parsed(render_comparison(runs)), "run", "network", "T", "latency, time steps")
    rows = [dict(zip(found[0], row, strict=True)) for row in found[1:]]
    assert len(rows) == 8  # four each; the energies went to the first run
    first = next(r for r in rows if (r["run"], r["network"], r["T"]) == ("A", "IF", "8"))
    assert first["accuracy, %"] == "94.10"
    assert first["95 % interval, %"] == "92.5 to 95.4"
    assert first["to the ANN, points"] == "-0.90"
    assert (first["nJ, fp32"], first["nJ, 8 bit"], first["nJ, with memory"]) == (
        "40.0",
        "4.0",
        "2,840.0",
    )
    assert first["on the front of"] == "latency, energy"
    worst = next(r for r in rows if (r["run"], r["network"], r["T"]) == ("B", "TPP", "8"))
    assert worst["nJ, fp32"] == "–"


def test_findings_name_the_best_and_the_cheapest(runs: list[Run]) -> None:
    told = words(parsed(render_comparison(runs)))
    assert "The most accurate is TPP of A at T = 8 (94.8 % after 32 time steps)." in told
    assert (
        "Within one point of its ANN, IF of A at T = 8 (94.1 % after 8 time steps) has the lowest "
        "latency." in told
    )
    assert "takes the least energy: 40.0 nJ an image, estimated; its ANN takes 500.0 nJ." in told
    assert "Energy was not measured for every network of A, B." in told
    assert "Horowitz, ISSCC 2014, 45 nm" in told


def test_the_first_bad_layer_is_told_in_words(runs: list[Run], report: Report) -> None:
    (study,) = report.studies
    bad = replace(study.errors[0], total=0.5, clipping=0.45)
    with_bad = replace(report, studies=(replace(study, errors=(bad,)),))
    html = render_comparison([replace(runs[0], report=with_bad), runs[1]])
    found = table(parsed(html), "run", "network", "T", "first bad layer")
    assert found[1][:8] == ["A", "IF", "4", "act1", "50.0", "10.0", "clipping", "45.0"]
    assert len(found) == 2
    told = words(parsed(html))
    assert "act1 is the first layer whose error reaches 25 % of its activation: 50 %" in told
    assert "Try higher thresholds" in told


def test_without_energies_it_says_so_and_shows_no_front_of_them(runs: list[Run]) -> None:
    told = words(parsed(render_comparison(runs[:2])))
    assert "Energy was measured in none of these runs" in told
    assert "nJ" not in told


def test_different_data_are_said_first(runs: list[Run]) -> None:
    assert runs[1].report is not None
    asked = {**runs[1].configuration, "data": "cifar10:somewhere"}
    changed = replace(runs[1], report=replace(runs[1].report, configuration=asked))
    told = words(parsed(render_comparison([runs[0], changed])))
    assert (
        "Different data sets. A: digits, test split; B: cifar10, test split. Accuracies on "
        "different data do not compare" in told
    )
    assert "On cifar10, test split, the most accurate is TPP of B at T = 8" in told
    assert (
        told.index("Different data sets.") < told.index("The most accurate")
        if ("The most accurate" in told)
        else told.index("Different data sets.") < told.index("the most accurate")
    )


def test_copies_and_other_numbers_of_images_are_said(runs: list[Run]) -> None:
    copy = replace(runs[0], name="copy")
    told = words(parsed(render_comparison([runs[0], copy])))
    assert "The same results. first and copy hold the same." in told
    assert "Different numbers of images." not in told
    assert runs[1].report is not None
    (study,) = runs[1].report.studies
    rows = tuple(replace(row, samples=50) for row in study.sweep.rows)
    few = replace(study, sweep=replace(study.sweep, rows=rows))
    fewer = replace(runs[1], report=replace(runs[1].report, studies=(few,)))
    told = words(parsed(render_comparison([runs[0], fewer])))
    assert "Different numbers of images. A: 1,000 images; B: 50 images." in told


def test_other_draws_of_the_same_data_are_said(runs: list[Run]) -> None:
    def drawn(run: Run, seed: int, limit: int | None) -> Run:
        assert run.report is not None
        asked = {**run.configuration, "seed": seed, "limit": limit}
        return replace(run, report=replace(run.report, configuration=asked))

    told = words(parsed(render_comparison([drawn(runs[0], 0, 20), drawn(runs[1], 1, 20)])))
    assert "Different images. A: 20 images drawn by seed 0; B: 20 images drawn by seed 1." in told
    for second in (drawn(runs[1], 0, 20), drawn(runs[1], 1, None)):
        told = words(parsed(render_comparison([drawn(runs[0], 0, 20), second])))
        assert "drawn by seed" not in told


def test_figures_are_valid_and_each_has_its_place(runs: list[Run]) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    html = render_comparison(runs)
    figures = json.loads(html.split('id="figures">')[1].split("</script>")[0])
    divs = re.findall(r'class="plot" id="(figure-\d+)"', html)
    assert sorted(figures) == sorted(divs)
    for figure in figures.values():
        graph_objects.Figure(in_black(figure))  # raises on what Plotly does not know
    (fronts,) = [
        f
        for f in figures.values()
        if f["layout"]["xaxis"].get("title", {}).get("text", "").startswith("latency (time")
    ]
    stairs = [t for t in fronts["data"] if t["name"].startswith("front")]
    assert [(t["x"][:-1], t["y"][:-1]) for t in stairs] == [
        ([4, 4, 8, 8, 16, 16, 32, 32], [70.0] * 2 + [94.1] * 2 + [94.5] * 2 + [94.8] * 2)
    ]
    told = next(t["text"][1] for t in fronts["data"] if t["name"] == "A IF")
    for part in ("A · first", "IF</b>, T = 8", "94.10 % (95 %: 92.4", "latency 8 time", "40.0 nJ"):
        assert part in told


def in_black(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_black(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [in_black(entry) for entry in value]
    return "#000000" if isinstance(value, str) and value.startswith("$") else value


def test_names_cannot_break_out_of_the_page(runs: list[Run]) -> None:
    evil = "</script><script>alert(1)</script>"
    assert runs[0].report is not None
    (study,) = runs[0].report.studies
    rows = tuple(replace(row, network=evil) for row in study.sweep.rows[:2])
    worse = replace(study, title=evil, sweep=replace(study.sweep, rows=rows))
    report = replace(runs[0].report, subject=evil, command=evil, studies=(worse,))
    html = render_comparison([replace(runs[0], name=evil, report=report), runs[1]])
    parsed(html)
    assert evil not in html


def test_a_comparison_needs_a_run() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        render_comparison([])
