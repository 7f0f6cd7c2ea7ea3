"""Plots and formulas of the pages: drawn from the library's functions, loading nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from docs_tools.chart import Axis, Curve, chart
from docs_tools.plots import PLOTS

from .pages import PAGES, blocks_of, text_of


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_well_formed_and_shows_its_curves(name: str) -> None:
    picture = ElementTree.fromstring(PLOTS[name]())
    lines = picture.findall("polyline")
    names = [text for text in picture.findall("text") if text.attrib["class"] != "label"]
    assert len(lines) == len(names) >= 3
    left, _, width, height = map(float, picture.attrib["viewBox"].split())
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert all(left <= x <= width and 0 <= y <= height for x, y in points)


def test_a_point_stands_where_its_values_are() -> None:
    unit = Axis("unit", (0, 1))
    picture = chart("a title", unit, unit, [Curve("line", ((0, 0), (1, 1)))])
    (start, end) = re.search(r'points="(\S+) (\S+)"', picture).groups()
    assert start == "58.0,334.0"
    assert end == "590.0,14.0"


def test_the_plots_that_pages_ask_for_exist_and_all_are_asked_for() -> None:
    asked = [name for page in PAGES for name in re.findall(r"<!-- plot: (\S+) -->", text_of(page))]
    assert sorted(asked) == sorted(PLOTS)


def test_every_formula_becomes_mathml() -> None:
    block = pytest.importorskip("docs_tools.maths", reason="needs the extra 'docs'").block
    formulas = [b for page in PAGES for b in blocks_of(text_of(page)) if b.language == "math"]
    assert len(formulas) >= 8
    for formula in formulas:
        told = block(formula.text, "math", "math", {}, None)
        ElementTree.fromstring(told)
        assert "<math" in told
        assert "\\" not in told, f"left as LaTeX: {formula.text}"
