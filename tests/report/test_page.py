from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from spikewright.measure import Sweep
from spikewright.report import Report, Study, read_run, render, render_comparison
from spikewright.report.score_curves import score_curves
from spikewright.report.summary import caveats

from .conftest import row, sweep_of
from .folders import SWEPT, operations_of, write

VOID = {"meta", "link", "img", "br", "input", "hr", "wbr"}


class Page(HTMLParser):
    """Checks that elements nest, and collects tables, attributes and visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.tables: list[list[list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open or "style" in self.open:
            return
        self.text.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data.strip()


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


def words(page: Page) -> str:
    return " ".join(" ".join(page.text).replace("\u00a0", " ").split())


def table(page: Page, first: str) -> list[list[str]]:
    (found,) = [t for t in page.tables if t and t[0][:2] == ["network", first]]
    return found


def test_it_is_well_formed_and_loads_nothing(report: Report) -> None:
    html = render(report)
    page = parsed(html)
    for tag, name, value in page.attributes:
        if name in {"src", "href", "srcset", "action", "data"}:
            assert value.startswith(("#", "data:")), f"<{tag} {name}={value[:60]}>"
    style = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert html.count("* plotly.js v") == 1


def test_every_measurement_stands_in_the_table(report: Report) -> None:
    found = table(parsed(render(report)), "T")
    rows = report.studies[0].sweep.rows
    assert len(found) == 1 + len(rows)
    for cells, measured in zip(found[1:], rows, strict=True):
        assert cells[:3] == [measured.network, str(measured.steps), str(measured.latency)]
        assert cells[3] == f"{100 * measured.accuracy:.2f}"
        assert cells[4] == f"{100 * measured.low:.1f} to {100 * measured.high:.1f}"
        assert cells[7:9] == ["12", "34"]
        assert cells[9] == ("< 0.001" if measured.accuracy < 0.9 else "0.123")
        assert float(cells[10].replace(",", "")) == pytest.approx(measured.spikes_per_image, abs=1)


def test_the_short_table_has_the_same_accuracies(report: Report) -> None:
    found = table(parsed(render(report)), "T = 4")
    assert found[0] == ["network", "T = 4", "T = 8"]
    assert found[1][:2] == ["ANN", "95.0(93.5 to 96.2), no time steps"]
    assert found[2:] == [["IF", "70.0", "94.1"], ["TPP", "94.5 ± 0.4", "94.8 ± 0.4"]]


def test_totals_are_sums_of_the_rows_shown(report: Report) -> None:
    (found,) = [t for t in parsed(render(report)).tables if t[0][-1] == "spikes per neuron"]
    *rows, total = found[1:]
    for column in (1, 2):
        shown = [int(cells[column].replace(",", "")) for cells in rows]
        assert int(total[column].replace(",", "")) == sum(shown)


def test_tables_can_be_read_aloud(report: Report) -> None:
    html = render(report)
    assert html.count("<table") == html.count("<caption>")
    assert not re.search(r"<th(?! scope)(?!ead)", html.split("<main>")[1].split("</main>")[0])
    assert parsed(html).tables


def test_the_headline_names_fewest_steps_and_lowest_latency(report: Report) -> None:
    told = words(parsed(render(report)))
    assert "The ANN gets 95.0 % right." in told
    assert "with the fewest time steps: TPP at T = 4, 94.5 % right after 16 time steps" in told
    assert "With the lowest latency: IF at T = 8, 94.1 % right after 8 time steps" in told
    assert "There are 1,000 images" in told
    assert "up to 4 times as late" in told


def test_figures_hold_the_numbers_and_are_valid(report: Report) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    html = render(report)
    figures = json.loads(html.split('id="figures">')[1].split("</script>")[0])
    divs = set(re.findall(r'class="plot" id="(figure-\d+)"', html))
    assert set(figures) == divs
    for figure in figures.values():
        graph_objects.Figure(_in_black(figure))  # raises on what Plotly does not know
    curves = {trace.get("name"): trace for trace in figures["figure-1"]["data"]}
    assert curves["TPP"]["x"] == [4, 8]
    assert curves["TPP"]["y"] == pytest.approx([94.5, 94.8])
    latencies = {trace.get("name"): trace for trace in figures["figure-2"]["data"]}
    assert latencies["TPP"]["x"] == [16, 32]


def _in_black(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_black(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_in_black(entry) for entry in value]
    return "#000000" if isinstance(value, str) and value.startswith("$") else value


def test_every_colour_of_a_figure_is_in_the_style_sheet(report: Report) -> None:
    html = render(report)
    figures = html.split('id="figures">')[1].split("</script>")[0]
    named = set(re.findall(r'"\$([a-z0-9]+)(?:/[\d.]+)?"', figures))
    style = html.split("<style>")[1].split("</style>")[0]
    light, dark = style.split(':root[data-theme="dark"]')
    assert named
    for name in named:
        for theme in (light, dark.split("}")[0]):
            assert re.search(rf"--{name}: #[0-9a-f]{{6}};", theme), name


def test_names_cannot_break_out_of_the_page(report: Report) -> None:
    evil = "</script><script>alert(1)</script>"
    study = replace(
        report.studies[0], title=evil, note=evil, sweep=sweep_of((row(evil, 4, 4, 900),))
    )
    html = render(replace(report, title=evil, command=evil, studies=(study,)))
    parsed(html)
    assert evil not in html


def test_only_what_was_measured_is_shown(report: Report) -> None:
    bare = Study("Bare", sweep_of((row("IF", 1, 1, 500),), reference=False))
    told = words(parsed(render(replace(report, studies=(bare,)))))
    assert "The most accurate: IF at T = 1, 50.0 % right after 1 time step." in told
    for absent in ("ANN", "One image through", "Thresholds", "shuffl", "late as one-phase"):
        assert absent not in told


def test_a_report_needs_a_study() -> None:
    with pytest.raises(ValueError, match="at least one study"):
        Report("t", "s", (), "c")


def test_an_ann_that_is_shown_other_data_at_every_t_is_told_for_each(sweep: Sweep) -> None:
    assert sweep.reference is not None
    other = replace(sweep.reference, accuracy=0.97, low=0.96, high=0.98)
    moving = replace(sweep, references=(sweep.reference, other))
    page = parsed(render(Report("A title", "", (Study("A study", moving),), "", {})))
    assert [cell[:4] for cell in page.tables[0][1]] == ["ANN", "95.0", "97.0"]
    text = words(page)
    assert "The ANN gets 95.0 % to 97.0 % right, by the data of each T." in text
    close = (
        "Within one point of it at the same T, with the fewest time steps and the lowest latency"
    )
    assert f"{close}: TPP at T = 4" in text  # IF at T = 8 is near the ANN of T = 4 alone
    assert "The data were made for each T" in text
    assert "The data were made for each T" not in " ".join(caveats(sweep))
    steps, latency = (score_curves(moving, against)["data"] for against in ("steps", "latency"))
    lines = {"steps": [trace["y"] for trace in steps if trace.get("name") == "ANN"]}
    lines["latency"] = [trace["y"] for trace in latency if trace.get("name") == "ANN"]
    assert lines == {"steps": [[95.0, 97.0]], "latency": [[95.0, 95.0], [97.0, 97.0]]}


def test_operations_alone_are_shown_by_the_comparison(tmp_path: Path) -> None:
    run = read_run(write(tmp_path / "run", results=operations_of({("IF", 4): 12.5}, SWEPT)))
    with pytest.raises(ValueError, match=r"'T' holds operations and no studies.*render_comparison"):
        render(run.report)
    assert "<h2>" in render_comparison([run])
