from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.errors import RunError
from spikewright.measure import Reference, Sweep
from spikewright.report import FORMAT, Report, Study, read_run, render, render_comparison

from .folders import SWEPT, operations_of, sweep_results, write


def test_the_page_can_be_made_again_from_the_folder(report: Report, tmp_path: Path) -> None:
    document = sweep_results(report, SWEPT)
    made = read_run(write(tmp_path / "run", results=document)).report
    assert made.studies == report.studies
    assert (made.title, made.subject, made.command) == (
        report.title,
        report.subject,
        report.command,
    )


def test_wall_times_come_from_timing(report: Report, tmp_path: Path) -> None:
    document = sweep_results(report, SWEPT)
    sweep = document["studies"][0]["sweep"]
    for row in (*sweep["rows"], sweep["reference"], sweep["record"]):
        row.pop("seconds")
    sweep["record"].pop("started")
    folder = write(tmp_path / "run", results=document)
    untimed = read_run(folder).report
    assert "started" not in render(untimed)
    times = {"started": "2026-01-01T00:00:00+00:00", "seconds": 12.3}
    write(folder, timing={"studies": [{"sweep": {"record": times}}]})
    timed = read_run(folder).report
    assert "started 2026-01-01T00:00:00+00:00, 12.3 s" in render(timed)


def test_energies_are_computed_from_the_operations(tmp_path: Path) -> None:
    document = operations_of({("IF", 4): 12.5}, SWEPT)
    run = read_run(write(tmp_path / "run", results=document))
    assert run.report.studies == ()
    assert [(e.network, e.steps, e.energy.snn_nj, e.samples) for e in run.energies] == [
        ("IF", 4, 12.5, 1000)
    ]
    assert document["operations"][0]["energy"]["snn_nj"] == 12.5


def test_answers_that_have_no_relative_error_are_read_again(sweep: Sweep, tmp_path: Path) -> None:
    """Beside a reference that answers 0 to all samples of one T; there are no classes."""
    none = dict.fromkeys(
        ("accuracy", "low", "high", "agreement", "only_network", "only_reference", "p_value")
    )
    rows = tuple(
        replace(
            row, per_seed=(), cosine=0.5, relative_error=None if row.steps == 4 else 0.1, **none
        )
        for row in sweep.rows
    )
    reference = Reference(None, None, None, samples=1000, seconds=1.0)
    study = Study("A study", replace(sweep, rows=rows, reference=reference))
    report = Report("T", "S.", (study,), "spikewright sweep")
    run = read_run(write(tmp_path / "run", results=sweep_results(report, SWEPT)))
    assert run.report.studies == (study,)
    assert "relative error" in render(run.report)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for folder, told in [
        (tmp_path / "absent", "does not exist"),
        (tmp_path, r"holds no results\.json"),
    ]:
        with pytest.raises(RunError, match=told):
            read_run(folder)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(RunError, match="is a file, not a folder"):
        read_run(file)
    with pytest.raises(RunError, match="spikewright sweep run:"):
        read_run(write(tmp_path / "trained", card={}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"rows": [', "not valid JSON"),
        ("[]", "expected object, got array"),
        ('{"rows": NaN}', "not valid JSON"),
        (f'{{"format": {FORMAT + 1}}}', f"of format {FORMAT + 1}.*newer version.*upgrade"),
        ('{"format": "2"}', "of format 2, .* run its command again"),
        ("{}", "of format None.*an older version wrote it"),
        ('{"format": 1, "rows": []}', "of format 1, .*an older version wrote it"),
        (f'{{"format": {FORMAT}}}', "missing required field title"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_damage_is_refused_by_the_name_of_the_file(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RunError, match=f"(?s)results.json.*{told}"):
        read_run(write(tmp_path / "run", results=text))


WRONG: list[tuple[list[Any], Any, str]] = [
    (["sweep", "rows"], [], "there are no rows"),
    (["sweep", "rows"], 3, "rows: expected array, got int"),
    (
        ["sweep", "rows", 1, "accuracy"],
        "0.9",
        r"rows\[1\].accuracy: expected float \| null, got str",
    ),
    (["sweep", "rows", 1, "accuracy"], 1.5, r"rows\[1\] has an accuracy outside"),
    (["sweep", "rows", 1, "accuracy"], 10**400, "accuracy: number out of range"),
    (["sweep", "rows", 0, "steps"], True, "steps: expected int, got bool"),
    (["sweep", "rows", 0, "steps"], 0, "below 1"),
    (["sweep", "rows", 0, "steps"], 8, "every network at every T once"),
    (["sweep", "rows", 0, "agreement"], None, "lacks its comparison"),
    (["sweep", "reference", "samples"], 0, "no samples"),
    (
        ["sweep", "references"],
        [{"accuracy": 0.5, "low": 0.4, "high": 0.6, "samples": 10}],
        "references must be one for every T",
    ),
    (["sweep", "record"], None, "record: expected object, got null"),
    (["raster", "image"], "https://example.org/x.png", "PNG as a data: URI"),
    (["thresholds", "threshold_edges"], [1.0, 2.0], "do not fit the edges"),
    (["errors", 0, "total"], None, "total: expected float, got null"),
    (["histograms", 0, "steps"], 10**30, r"(out of range|spikes at \d+ and \d+ steps, of T = 10+)"),
    (["histograms", 0, "after"], [], r"spikes at \d+ and 0 steps"),
]


@pytest.mark.parametrize(("path", "value", "told"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong_values_are_refused_by_name(
    report: Report, tmp_path: Path, path: list[Any], value: Any, told: str
) -> None:
    document = sweep_results(report, SWEPT)
    place: Any = document["studies"][0]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(RunError, match=f"(?s)results.json.*{told}.*run its command again"):
        read_run(write(tmp_path / "run", results=document))


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    if isinstance(document, dict):
        inner = [p for key, value in document.items() for p in places(value, (*path, key))]
    elif isinstance(document, list):
        inner = [p for n, value in enumerate(document) for p in places(value, (*path, n))]
    else:
        inner = []
    return [path, *inner] if path else inner


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_any_change_is_read_or_refused_and_never_crashes(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    report: Report = request.getfixturevalue("report")
    folder = tmp_path_factory.getbasetemp() / "changed"
    document = json.loads(json.dumps(sweep_results(report, SWEPT)))
    changed = copy.deepcopy(document)
    path = data.draw(st.sampled_from(places(document)))
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    values: list[Any] = [None, True, -1, 0, 3.5, 10**30, "", "x", [], [None], {}, {"x": 1}]
    place[path[-1]] = data.draw(st.sampled_from(values))
    try:
        run = read_run(write(folder, results=changed))
    except RunError:
        return
    render_comparison([run])
