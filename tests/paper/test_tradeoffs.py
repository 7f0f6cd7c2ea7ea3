"""The two pictures of a network: a point stands where its record says, and nothing overlaps."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from paper.tables import NetworkTable
from paper.tradeoffs import tradeoffs
from tests.paper.made import LEVELS, entry, record, table

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
RIGHTS = {
    (row, t): right
    for row, at in {"if": (80, 120), "nearest": (140, 176), "tpp": (100, 170)}.items()
    for t, right in zip((2, LEVELS), at, strict=True)
}


def points_of(picture: str) -> dict[str, list[tuple[float, float]]]:
    """The points of every curve, by its name."""
    return {
        group.attrib["id"].removeprefix("curve: "): [
            (float(x), float(y))
            for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", group[0].attrib["d"])
        ]
        for group in ElementTree.fromstring(picture).iter(f"{SVG}g")
        if group.attrib.get("id", "").startswith("curve: ")
    }


def texts_of(picture: str) -> dict[str, ElementTree.Element]:
    return {text.text or "": text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")}


def test_points_stand_at_their_time_and_energy() -> None:
    """IF answers after 2 and 4 steps, TPP after 8 and 16; both take 14 and 28 nJ."""
    drawn = tradeoffs(table(RIGHTS))
    assert list(drawn) == ["latency", "energy"]
    time, energy = points_of(drawn["latency"]), points_of(drawn["energy"])
    assert list(time) == list(energy) == ["ANN", "IF (QCFS)", "TPP", "nearest"]
    octave = time["IF (QCFS)"][1][0] - time["IF (QCFS)"][0][0]
    assert time["TPP"][0][0] - time["IF (QCFS)"][1][0] == pytest.approx(octave, abs=0.01)
    assert [x for x, _ in energy["TPP"]] == [x for x, _ in energy["IF (QCFS)"]]
    for points in (time, energy):
        heights = [y for name in ("IF (QCFS)", "TPP", "nearest") for _, y in points[name]]
        per_image = (heights[0] - heights[1]) / 40
        expected = [
            heights[0] - per_image * (right - 80) for right in (80, 120, 100, 170, 140, 176)
        ]
        assert heights == pytest.approx(expected, abs=0.01)  # y grows downwards


def test_axes_say_what_they_measure() -> None:
    drawn = tradeoffs(table(RIGHTS))
    assert "time steps until the answer" in texts_of(drawn["latency"])
    assert {"2", "4", "8", "16"} <= texts_of(drawn["latency"]).keys()
    assert "energy of one answer in µJ, in integers" in texts_of(drawn["energy"])
    assert all("accuracy (%)" in texts_of(picture) for picture in drawn.values())
    assert all('style="background: #ffffff"' in picture for picture in drawn.values())


def test_the_ann_in_int8_is_a_marked_point() -> None:
    drawn = tradeoffs(table(RIGHTS))
    assert "int8 ANN" in texts_of(drawn["energy"])
    assert "int8 ANN" not in texts_of(drawn["latency"])
    one = {cell: right for cell, right in RIGHTS.items() if cell[1] == 2}  # its energy is unknown
    assert "int8 ANN" not in texts_of(tradeoffs(table(one | {("if", 2): 1}))["energy"])


def test_energy_in_int8_goes_on_from_that_of_fewer_bits() -> None:
    """Of made-up networks 6 nJ and another one a bit."""
    assert table(RIGHTS).int8_nj == 14
    assert table({("if", 2): 80}).int8_nj is None
    assert table({}).int8_nj is None


def test_names_stand_apart_each_with_the_mark_of_its_points() -> None:
    level = {(row, t): 180 for row in ("if", "shuffled", "tpp", "nearest") for t in (2, LEVELS)}
    picture = tradeoffs(table(level))["latency"]
    texts = texts_of(picture)
    names = ("ANN", "IF (QCFS)", "shuffled IF", "TPP", "nearest")
    heights = sorted(float(texts[name].attrib["y"]) for name in names)
    assert min(below - above for above, below in pairwise(heights)) > 10
    edge = points_of(picture)["ANN"][-1][0]
    uses = (e.attrib for e in ElementTree.fromstring(picture).iter(f"{SVG}use"))
    marks = [use[f"{XLINK}href"] for use in uses if float(use["x"]) > edge]
    assert len(set(marks)) == len(marks) == 4


def test_a_neuron_looks_the_same_whatever_was_run() -> None:
    pictures = [
        tradeoffs(table(rights))["latency"] for rights in (RIGHTS, {("tpp", 2): 100, ("tpp", 4): 1})
    ]
    colours = [texts_of(picture)["TPP"].attrib["style"] for picture in pictures]
    assert colours[0] == colours[1]


def test_a_neuron_of_a_relu_network_has_its_best_calibration() -> None:
    rights = {("rts-nearest", 2): 50, ("snnc-nearest", 2): 100, ("rts-nearest", 4): 150}
    best = {("rts-nearest", 2): 100, ("rts-nearest", 4): 150}
    points = [points_of(tradeoffs(table(r, levels=None))["latency"]) for r in (rights, best)]
    assert points[0] == points[1]
    assert list(points[0]) == ["ANN", "nearest"]


def test_points_are_of_the_images_that_all_have() -> None:
    """With IF on the first 100 images alone, 176 right of 200 are 100 of 100."""
    few = replace(record("if", 2, 80), images=100)
    made = table(RIGHTS)
    points = points_of(
        tradeoffs(replace(made, entries={**made.entries, ("if", 2): entry(few)}))["latency"]
    )
    assert points["nearest"][0][1] == points["nearest"][1][1] == points["ANN"][0][1]
    assert points["IF (QCFS)"][0][1] > points["ANN"][0][1]


@pytest.mark.parametrize("made", [table({}), table(RIGHTS, ann=None)], ids=["no cells", "no ANN"])
def test_nothing_is_drawn_of_nothing(made: NetworkTable) -> None:
    assert tradeoffs(made) == {}


def test_energies_that_were_not_counted_are_left_out() -> None:
    made = table(RIGHTS)
    entries = {
        cell: replace(one, first=replace(one.first, energy={}))
        for cell, one in made.entries.items()
    }
    assert list(tradeoffs(replace(made, entries=entries))) == ["latency"]
