"""The page leads with answers, and folds its tables; a link leads to what is there."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from paper import page
from paper.answers import QUESTIONS, Evidence, Question
from paper.answers.records import read_records
from tests.paper.nets import SMALL

DOCS = Path(__file__).parents[2] / "docs"
FOLD = re.compile(r'^<details markdown="1">\n.*?^</details>$', re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def text(results: Path) -> str:
    """The page of both networks."""
    return page(results, SMALL.steps)


def headings_of(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


def test_questions_stand_before_pictures_and_these_before_tables(text: str) -> None:
    first = [
        "Ten questions",
        "Real pretrained networks",
        "In pictures",
        "All networks side by side",
    ]
    assert headings_of(text)[:4] == first
    asked = [text.index(f"**{question.asked}**") for question in QUESTIONS]
    assert asked == sorted(asked)
    assert asked[-1] < text.index("![Accuracy against latency") < text.index("\n| ")


def test_every_table_is_folded_a_network_a_fold(text: str) -> None:
    assert "\n| " not in FOLD.sub("", text)
    sections = text.split("\n## ")[-2:]
    assert [len(FOLD.findall(section)) for section in sections] == [1, 1]
    assert all("<summary>ANN: " in section for section in sections)


def test_folds_open_to_tables_that_the_site_renders(text: str) -> None:
    markdown = pytest.importorskip("markdown", reason="needs the extra 'docs'")
    shown = markdown.markdown(text, extensions=["md_in_html", "tables"])
    assert shown.count("<table>") == len(re.findall(r"^\| --- ", text, re.MULTILINE))
    assert "| ---" not in shown
    assert shown.count("<details>") == shown.count("</details>") == len(FOLD.findall(text))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.asked)
def test_links_lead_somewhere(question: Question) -> None:
    links = re.findall(r"\]\(([^)#]*)#?([^)]*)\)", question.shown)
    assert links
    for file, anchor in links:
        text = (DOCS / (file or "results.md")).read_text(encoding="utf-8")
        names = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in names}
        assert not anchor or anchor in slugs


def test_records_beside_the_page_are_answered_from(
    results: Path, text: str, tmp_path: Path
) -> None:
    row = {"neuron": "made-up", "steps": 2, "latency": 2, "energy_integer": 1.5, "same": 0.5}
    record = {"title": "Small", "config": {"samples": 10}, "rows": [row]}
    (tmp_path / "codes-small.json").write_text(json.dumps(record))
    code = QUESTIONS[1].asked
    assert f"**{code}** Not run." in text
    other = page(results, SMALL.steps, tmp_path)
    assert f"**{code}** On Small, take `made-up` with T = 2" in other
    assert f"]({tmp_path.name}/qcfs.svg)" in other


def test_a_detector_and_a_segmenter_stand_among_the_pictures(results: Path, tmp_path: Path) -> None:
    overlap = {"mean": 0.5, "half": 0.25}
    row = {"task": "boxes", "truth": overlap, "ann": overlap}
    rows = [
        {**row, "neuron": "ANN", "steps": 0, "latency": None, "energy": None},
        {**row, "neuron": "made-up", "steps": 2, "latency": 4, "energy": 0.5},
    ]
    record = {"picture": "p.svg", "config": {"train": 2000, "tested": 20}, "rows": rows}
    (tmp_path / "dense-small.json").write_text(json.dumps(record))
    text = page(results, SMALL.steps, tmp_path)
    assert f"]({tmp_path.name}/p.svg)" in text
    assert "on 2,000 canvases" in text
    assert "| boxes | ANN | - | 0.500 ± 0.250 | - | - | - |" in text
    assert "| boxes | `made-up` | 2 | 0.500 ± 0.250 | 0.500 ± 0.250 | 4 | 0.50 |" in text


def test_further_questions_stand_under_a_heading_of_their_own(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As real pretrained networks will, from records of any kind beside the page."""

    def named(evidence: Evidence) -> str:
        return f"{', '.join(r['name'] for r in read_records(evidence.folder, 'real', dict))}."

    module = import_module("paper.page")  # the package has a function of that name
    monkeypatch.setattr(module, "FURTHER", (Question("Real?", named, "[it](#it)"),))
    (tmp_path / "real-a.json").write_text('{"name": "YOLO"}')
    text = page(results, SMALL.steps, tmp_path)
    assert headings_of(text)[1] == "Real pretrained networks"
    assert "1. **Real?** YOLO. See [it](#it).\n" in text
