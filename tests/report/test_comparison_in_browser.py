"""The comparison in a browser: drawn, sorted, chosen from, by keyboard, on a phone, printed."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikewright.report import Report, read_run, render_comparison

from .folders import ROWS, SWEPT, layered_of, sweep_results, write

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)}")


PATIENCE = 240_000
"""Milliseconds: pages are large, and machines may be busy."""


@pytest.fixture(scope="module")
def chromium() -> Generator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=BROWSER, args=list(FLAGS), timeout=PATIENCE
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("comparison")
    counted = read_run(
        write(tmp_path / "c", results=layered_of({("IF", 8): ROWS, ("TPP", 4): ROWS[:2]}, SWEPT))
    )
    both = replace(report, operations=counted.report.operations)
    asked = {**SWEPT, "threshold": "maximum"}
    runs = [
        read_run(write(tmp_path / "a", results=sweep_results(both, SWEPT))),
        read_run(write(tmp_path / "b", results=sweep_results(report, asked))),
    ]
    file = tmp_path / "comparison.html"
    file.write_text(render_comparison(runs), encoding="utf-8")
    return file


class Opened:
    """A page, and everything that its console said."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.page.set_default_timeout(PATIENCE)
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]")

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)

    def column(self, heading: str, table: str = "#measurements table") -> list[str]:
        """Cells of a table that are shown, top to bottom."""
        return self.ask(
            f"""() => {{
            const table = document.querySelector("{table}");
            const at = [...table.tHead.rows[0].cells].findIndex(
                (cell) => cell.textContent.trim() === {heading!r});
            return [...table.tBodies[0].rows].filter((row) => !row.hidden)
                .map((row) => row.cells[at].textContent.trim()); }}"""
        )

    def press(self, heading: str, table: str = "#measurements table") -> str:
        """Focus a column's button, press Enter; returns the column's aria-sort."""
        button = self.page.locator(f"{table} thead button").filter(has_text=heading).first
        button.focus()
        self.page.keyboard.press("Enter")
        return button.evaluate("(button) => button.parentElement.getAttribute('aria-sort')")


@pytest.fixture(scope="module")
def opened(chromium: Any, page_file: Path) -> Generator[Opened]:
    """One page for all tests, dark and with every section open: loading it takes the longest."""
    shown = Opened(chromium, page_file, color_scheme="dark")
    shown.page.click("button[data-open=all]")
    shown.page.wait_for_function(DRAWN)
    yield shown
    assert shown.said == []
    shown.page.close()


DRAWN = """() => [...document.querySelectorAll(".plot")].every(
    (plot) => plot.closest("[hidden]") || plot.querySelector("svg.main-svg"))"""


def test_it_is_drawn_in_both_themes_and_printed_in_the_light_one(opened: Opened) -> None:
    theme = "document.documentElement.dataset.theme"
    ink = "document.querySelector('#accuracy .plot').layout.font.color"
    assert opened.ask(theme) == "dark"
    dark = opened.ask(ink)
    opened.ask(
        "addEventListener('beforeprint', () => { window.printed = " + theme + ";"
        "window.printedWidth = document.querySelector('#accuracy svg.main-svg').clientWidth; })"
    )
    assert opened.page.pdf(format="A4").startswith(b"%PDF")
    assert opened.ask("window.printed") == "light"
    assert opened.ask("window.printedWidth") <= 688  # A4 within its margins
    assert opened.ask(theme) == "dark"
    opened.page.focus("#theme")
    opened.page.keyboard.press("Enter")
    assert opened.ask(theme) == "light"
    assert opened.ask(ink) != dark
    assert opened.said == []


def test_it_fits_a_phone(opened: Opened) -> None:
    plot = "document.querySelector('#accuracy .plot').layout"
    assert opened.ask(f"{plot}.annotations.length") == 5
    opened.page.set_viewport_size({"width": 360, "height": 740})
    opened.page.wait_for_function(f"({plot}.annotations || []).length === 0")  # the legend tells
    assert opened.ask(f"{plot}.margin.r") < 20
    opened.page.wait_for_function("document.documentElement.scrollWidth === 360")
    widths = "[...document.querySelectorAll('.plot svg.main-svg')].map((svg) => svg.clientWidth)"
    assert max(opened.ask(widths)) <= 360
    opened.page.set_viewport_size({"width": 1280, "height": 720})
    opened.page.wait_for_function(f"({plot}.annotations || []).length === 5")
    assert opened.said == []


def test_tables_sort_by_keyboard_numbers_by_value_and_gaps_last(opened: Opened) -> None:
    assert opened.press("accuracy, %") == "ascending"
    rising = [float(cell) for cell in opened.column("accuracy, %")]
    assert rising == sorted(rising)
    assert opened.press("accuracy, %") == "descending"
    assert opened.column("accuracy, %") == [f"{v:.2f}" for v in sorted(rising, reverse=True)]
    for direction in ("ascending", "descending"):
        assert opened.press("nJ, fp32") == direction
        cells = opened.column("nJ, fp32")
        assert cells[2:] == ["–"] * 6
        assert cells[:2] == sorted(["250.8", "253.5"], reverse=direction == "descending")
    sorts = "[...document.querySelectorAll('#measurements th[aria-sort]')].map(h => h.ariaSort)"
    assert sorted(set(opened.ask(sorts))) == ["descending", "none"]


def test_runs_and_networks_can_be_left_out_by_keyboard(opened: Opened) -> None:
    traces = "document.querySelector('#accuracy .plot').data.map((trace) => trace.name)"
    assert opened.ask(traces) == ["ANN", "A IF", "A TPP", "B IF", "B TPP"]
    opened.page.focus("input[data-mark=B]")
    opened.page.keyboard.press("Space")
    assert opened.ask(traces) == ["ANN", "A IF", "A TPP"]
    assert set(opened.column("run")) == {"A"}
    opened.page.focus("input[data-network=IF]")
    opened.page.keyboard.press("Space")
    assert opened.ask(traces) == ["ANN", "A TPP"]
    assert opened.column("network") == ["TPP", "TPP"]
    opened.page.keyboard.press("Space")
    assert sorted(opened.column("network")) == ["IF", "IF", "TPP", "TPP"]
    opened.page.check("input[data-mark=B]")
    assert len(opened.column("network")) == 8


def test_axis_energy_and_sections_can_be_chosen_by_keyboard(opened: Opened) -> None:
    low = "document.querySelector('#accuracy .plot').layout.yaxis.range[0]"
    assert opened.ask(low) < 70
    opened.page.focus("input[name=range]:checked")
    opened.page.keyboard.press("ArrowDown")
    assert opened.ask(low) == 85
    titles = """[...document.querySelectorAll("#fronts .plot")].filter((p) => p.clientWidth)
        .map((p) => p.layout.xaxis.title.text)"""
    assert "estimated nJ an image, fp32" in opened.ask(titles)
    opened.page.focus("#fronts select")
    opened.page.keyboard.press("End")
    assert "estimated nJ an image, with memory" in opened.ask(titles)
    assert "estimated nJ an image, fp32" not in opened.ask(titles)
    raster = opened.page.locator("#run-A section[data-part=rasters]")
    assert raster.is_visible()
    opened.page.focus("#run-A summary")
    opened.page.keyboard.press("Enter")
    assert not raster.is_visible()
    opened.page.keyboard.press("Enter")
    assert raster.is_visible()
    opened.page.focus("input[data-part=rasters]")
    opened.page.keyboard.press("Space")
    assert not raster.is_visible()


SHOWN = "#energy .panel:not([hidden])"


def test_the_layers_of_another_network_are_chosen_and_sorted_by_keyboard(opened: Opened) -> None:
    table, heading = f"{SHOWN} table", "SNN nJ, with memory"
    assert opened.page.inner_text(f"{SHOWN} h3").endswith("IF at T = 8")
    assert opened.column("layer", table) == ["features.act<1>", "features.act2", "output"]
    assert opened.press(heading, table) == "ascending"
    assert opened.column("layer", table) == ["output", "features.act<1>", "features.act2"]
    assert opened.press(heading, table) == "descending"
    assert opened.column(heading, table) == ["8,595.7", "1,975.2", "213.1"]
    assert opened.press("layer", table) == "ascending"  # as they run, not by alphabet
    assert opened.column("layer", table) == ["features.act<1>", "features.act2", "output"]
    total = f"[...document.querySelectorAll({f'{table} tfoot td'!r})].map((c) => c.textContent)"
    assert "10,783.9" in opened.ask(total)
    opened.page.focus("#energy select")
    opened.page.keyboard.press("End")
    assert opened.page.inner_text(f"{SHOWN} h3").endswith("TPP at T = 4")
    assert opened.page.locator(SHOWN).count() == 1
    bars = f"[...document.querySelectorAll({f'{SHOWN} .plot'!r})].map((p) => p.data.length)"
    assert all(number > 2 for number in opened.ask(bars))
    assert opened.said == []


def test_the_widest_table_fits_on_paper(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 800, "height": 720})
    widths = f"""() => {{
        const table = document.querySelector({f"{SHOWN} table"!r});
        return [table.getBoundingClientRect().width, table.parentElement.clientWidth]; }}"""
    opened.ask(f"addEventListener('beforeprint', () => {{ window.printed = ({widths})(); }})")
    assert opened.ask(widths)[0] > opened.ask(widths)[1]
    opened.page.pdf(format="A4")
    table, room = opened.ask("window.printed")
    assert 0.8 * room < table <= room + 1
    assert opened.ask(widths)[0] > opened.ask(widths)[1]
    opened.page.set_viewport_size({"width": 1280, "height": 720})
