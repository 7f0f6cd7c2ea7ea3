"""Plots and formulas of the pages: drawn from the library's functions, loading nothing."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from docs_tools.plots import COLOURS, PLOTS
from paper.chart import GRID, INK, Axis, Curve, chart

from .pages import PAGES, blocks_of, text_of

SVG = "{http://www.w3.org/2000/svg}"


def curves_of(picture: ElementTree.Element) -> dict[str, list[tuple[float, float]]]:
    """The points of every curve of a chart, by its name."""
    return {
        group.attrib["id"].removeprefix("curve: "): [
            (float(x), float(y))
            for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", group[0].attrib["d"])
        ]
        for group in picture.iter(f"{SVG}g")
        if group.attrib.get("id", "").startswith("curve: ")
    }


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_well_formed_and_shows_its_curves(name: str) -> None:
    text = PLOTS[name]()
    picture = ElementTree.fromstring(text)
    curves = curves_of(picture)
    names = {element.text for element in picture.iter(f"{SVG}text")}
    assert len(curves) >= 3
    assert curves.keys() <= names
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    for points in curves.values():
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert not [colour for colour in (*COLOURS, INK, GRID) if colour in text]
    assert "<style" not in text  # it would hold for the whole page


def test_a_point_stands_where_its_values_are() -> None:
    curves = [
        Curve("rising", ((0, 0), (1, 1)), "#000000"),
        Curve("low", ((0, 0), (1, 0)), "#111111"),
    ]
    unit = Axis("unit", (0, 1))
    text = chart(unit, unit, curves)
    assert text == chart(unit, unit, curves)
    (start, end), (low_start, low_end) = curves_of(ElementTree.fromstring(text)).values()
    assert start == low_start
    assert end[0] == low_end[0] > start[0]
    assert end[1] < start[1] == low_end[1]  # y grows downwards


def test_names_that_would_overlap_are_moved_apart() -> None:
    curves = [Curve(name, ((0, 0.5), (1, 0.5)), "#000000") for name in "abc"]
    picture = ElementTree.fromstring(chart(Axis("x", (0, 1)), Axis("y", (0, 1)), curves))
    heights = [
        float(element.attrib["y"])
        for element in picture.iter(f"{SVG}text")
        if element.text in {"a", "b", "c"}
    ]
    gaps = [below - above for above, below in pairwise(heights)]
    assert min(gaps) > 10


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
