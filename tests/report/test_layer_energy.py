"""The energies of layers: read from the folder, told in words, drawn and tabled."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.errors import RunError
from spikewright.measure import HOROWITZ_45NM, Counts, OperationsRow
from spikewright.measure.energy.estimate import energy_of
from spikewright.report import Run, read_run, render_comparison
from spikewright.report.costs import Energies
from spikewright.report.energy.bars import layer_bars
from spikewright.report.energy.explanations import details, headline
from spikewright.report.energy.parts import COMPUTED, WITH_MEMORY, largest_consumer

from .folders import ROWS, SWEPT, layered_of, write
from .test_comparison import table
from .test_page import parsed
from .test_reading import places

NETWORKS = {("IF", 8): ROWS, ("TPP", 4): ROWS[:2]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_run(write(tmp_path / "energy", results=layered_of(NETWORKS, SWEPT)))


def energies_of(rows: Sequence[OperationsRow], folder: Path) -> Energies:
    (one,) = read_run(write(folder, results=layered_of({("IF", 8): rows}, SWEPT))).energies
    return one


def only(snn: Counts, site: str = "here", neurons: int = 10) -> OperationsRow:
    return OperationsRow(site, "IF", neurons, 1.0, snn, Counts(macs=10), 8)


def test_the_layers_are_those_that_were_counted(run: Run) -> None:
    first = run.energies[0]
    assert tuple(layer.operations for layer in first.layers) == ROWS
    assert tuple(layer.energy for layer in first.layers) == tuple(energy_of(r) for r in ROWS)
    assert first.model == HOROWITZ_45NM


WRONG: list[tuple[list[Any], Any, str]] = [
    (["rows"], 3, "rows: expected array, got int"),
    (["rows"], [], "rows is empty"),
    (["rows", 0], 3, r"rows\[0\]: expected object, got int"),
    (["rows", 0, "site"], 3, "site: expected str, got int"),
    (["rows", 0, "snn", "updates"], "many", "updates: expected float, got str"),
    (["rows", 0, "snn", "additions"], -1.0, "number below 0"),
    (["model", "fp32_add_pj"], -1.0, "must be finite and at least 0"),
    (["rows", 0, "ann", "functions"], {"x": 1.0}, "the function 'x' has no price in its model"),
    (["accuracy"], 1.5, "has an accuracy, T, latency or samples out of range"),
]


@pytest.mark.parametrize(("path", "value", "told"), WRONG, ids=lambda v: str(v)[:40])
def test_damage_is_refused_by_name(tmp_path: Path, path: list[Any], value: Any, told: str) -> None:
    document = copy.deepcopy(layered_of(NETWORKS, SWEPT))
    place: Any = document["operations"][0]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(RunError, match=f"(?s)results.json.*{told}"):
        read_run(write(tmp_path / "run", results=document))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_change_is_read_or_refused_and_never_crashes(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = json.loads(json.dumps(layered_of(NETWORKS, SWEPT)))
    path = data.draw(st.sampled_from(places(document)))
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    values: list[Any] = [None, True, -1, 0, 3.5, 10**30, "", "x<y>", [], [None], {}, {"x": 1}]
    place[path[-1]] = data.draw(st.sampled_from(values))
    try:
        run = read_run(write(tmp_path_factory.getbasetemp() / "layers", results=document))
    except RunError:
        return
    assert "<h2>Energy, layer by layer</h2>" in render_comparison([run])


def test_the_sentences_name_the_layer_and_what_takes_its_energy(run: Run) -> None:
    """In nJ, by hand. act2: 120,000.75 weights x 0.05 = 6000.04, (120,000.75 + 4000) potentials x
    0.02 = 2480.02, arithmetic 115.60. act<1>: 20 x 4.6 + 48 x 0.9 = 135.2, memory 1000 + 840, its
    ANN 95.6 and 1240. output: 2.71 + 210.38, its ANN 23.0 and 300.2."""
    one = run.energies[0]
    assert headline(one) == (
        "With memory, features.act2 takes the most: 8,595.7 of 10,783.9 nJ (80 %). 70 % of that "
        "is for reading weights, one for each of its 120,001 additions."
    )
    arithmetic, beside = details(one)
    assert arithmetic == (
        "By arithmetic alone it is features.act<1>: 135.2 of 253.5 nJ (53 %), 68 % of that for "
        "the 20,000 MACs on the analogue input, computed once an image whatever T."
    )
    assert beside == (
        "Layer by layer, the spiking network takes more than the ANN in features.act<1> by "
        "arithmetic alone, and in features.act<1> and features.act2 with memory."
    )


REASONS = {
    "the 900 random draws of its 10 neurons": Counts(draws=900),
    "the 60 updates, comparisons and added constants of its 10 neurons": Counts(
        updates=10, comparisons=20, bias_additions=30
    ),
    "50 multiplications of spikes by their thresholds": Counts(scale_multiplications=50),
    "the 110 evaluations of abs and square": Counts(functions={"abs": 100, "square": 10}),
    "its 70 additions, one for every spike": Counts(additions=70),
    "its 80 MACs, on values that are no single spikes": Counts(macs=80),
    "the 90 MACs on the analogue input": Counts(input_macs=90),
}


@pytest.mark.parametrize("reason", REASONS)
def test_every_part_of_arithmetic_has_its_words(tmp_path: Path, reason: str) -> None:
    told = details(energies_of([only(REASONS[reason])], tmp_path))[0]
    assert "By arithmetic alone it is here too" in told
    assert f"100 % of that for {reason}" in told


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (Counts(updates=100), "reading and writing potentials, for the 100 updates of its 10"),
        (Counts(macs=100), "reading weights, one for each of its 100 MACs."),
        (Counts(additions=90, macs=20), "reading weights, one for each of its 90 additions."),
    ],
)
def test_memory_has_its_words(tmp_path: Path, counts: Counts, reason: str) -> None:
    assert f" of that is for {reason}" in headline(energies_of([only(counts)], tmp_path))


def test_a_network_that_takes_nothing_is_told_so(tmp_path: Path) -> None:
    one = energies_of([only(Counts())], tmp_path)
    assert headline(one) == "No layer takes any energy."
    assert details(one) == (
        "Layer by layer, the spiking network takes more than the ANN in none by arithmetic "
        "alone, and in none with memory.",
    )
    assert largest_consumer(one, memory=True).share == 0


@pytest.mark.parametrize("memory", [False, True])
def test_bars_end_at_the_energies_and_shares_make_the_whole(run: Run, memory: bool) -> None:
    one = run.energies[0]
    figure = layer_bars(one, WITH_MEMORY if memory else COMPUTED, "nJ")
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    for number, layer in enumerate(one.layers):
        for network in ("SNN", "ANN"):
            own = [bar for bar in bars if bar["name"].startswith(network)]
            reached = 0.0
            for bar in own:
                assert bar["base"][number] == pytest.approx(reached)
                reached += bar["x"][number]
            kind = "with_memory_nj" if memory else "nj"
            assert reached == pytest.approx(getattr(layer.energy, f"{network.lower()}_{kind}"))
    (shares,) = [trace for trace in figure["data"] if trace.get("mode") == "text"]
    assert sum(float(text.strip(" %")) for text in shares["text"]) == pytest.approx(100, abs=1.5)
    names = figure["layout"]["yaxis"]["ticktext"]
    assert names == ["features.act&lt;1&gt;", "features.act2", "output"]
    longest = max(base + x for bar in bars for base, x in zip(bar["base"], bar["x"], strict=True))
    assert figure["layout"]["xaxis"]["range"][1] > longest


def test_long_names_are_shortened_in_the_figure_alone(tmp_path: Path) -> None:
    site = "backbone.features.stage4.block2.act3"
    one = energies_of([replace(ROWS[1], site=site)], tmp_path)
    (shown,) = layer_bars(one, COMPUTED, "nJ")["layout"]["yaxis"]["ticktext"]
    assert shown == "…" + site[-21:]
    assert site in render_comparison([read_run(tmp_path)])


def test_the_table_holds_every_layer_and_its_total_is_their_sum(run: Run) -> None:
    html = render_comparison([run])
    found = [t for t in parsed(html).tables if t[0][:2] == ["layer", "what it computes"]]
    assert len(found) == 2
    (head, *rows, total), one = found[0], run.energies[0]
    assert [row[0] for row in rows] == ["features.act<1>", "features.act2", "output"]
    by_name = [dict(zip(head, row, strict=True)) for row in rows]
    expected = {
        "what it computes": "avg pool + conv 3×3, 32 → 32",
        "share, %": "79.7",
        "SNN nJ, with memory": "8,595.7",
        "ANN nJ, with memory": "6,460.4",
        "SNN nJ, arithmetic": "115.6",
        "ANN nJ, arithmetic": "460.4",
        "spikes": "300",
        "MACs": "0",
        "additions": "120,001",
        "neuron updates": "4,000",
        "compares, constants": "4,000",
        "random draws": "4,000",
        "weights, kB": "480.0",
        "potentials, kB": "992.0",
        "ANN MACs": "100,000",
    }
    assert {name: by_name[1][name] for name in expected} == expected
    assert set(head) == {"layer", *expected}
    for name, told in zip(head[2:], total[2:], strict=True):
        parts = [float(row[name].replace(",", "")) for row in by_name]
        step = 0.05 if "." in told else 0.5
        assert float(told.replace(",", "")) == pytest.approx(sum(parts), abs=4 * step), name
    assert total[head.index("SNN nJ, with memory")] == f"{one.energy.snn_with_memory_nj:,.1f}"


def test_the_costliest_layers_stand_side_by_side(run: Run) -> None:
    page = parsed(render_comparison([run]))
    head, *rows = table(page, "run", "network", "T", "nJ, with memory")
    assert [row[1:3] for row in rows] == [["IF", "8"], ["TPP", "4"]]
    first = dict(zip(head, rows[0], strict=True))
    assert first["most in"] == "features.act2"
    assert first["mainly for"] == "reading weights"
    assert first["arithmetic most in"] == "features.act<1>"
    assert first["arithmetic mainly for"] == "MACs"


def test_one_network_needs_no_choice(tmp_path: Path) -> None:
    single = read_run(write(tmp_path / "one", results=layered_of({("IF", 8): ROWS}, SWEPT)))
    html = render_comparison([single])
    assert "Energy, layer by layer" in html
    assert 'href="#energy"' in html
    assert html.count('<div class="panel"') == 1
    assert "Layers of <select" not in html
