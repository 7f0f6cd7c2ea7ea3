"""Answers about codes, energy and effort, and about what was tried at all."""

from __future__ import annotations

from collections.abc import Sequence

from paper.answers.evidence import Evidence, enough, listed, span
from paper.answers.records import CodeRow, Codes
from paper.network import ARCHITECTURES
from paper.rows import CALIBRATION_ROWS
from paper.tables import DATA_TITLES, NOT_RUN, Entry, NetworkTable

_POINT = 0.01 + 1e-9
"""One percentage point, however it rounds: what is within it of the best is good enough."""


def which_code(evidence: Evidence) -> str:
    """The code with most of the ANN's answers, and the soonest within a point, by network."""
    return (
        " ".join(_best_code(record) for record in evidence.codes if record.rows)
        or f"{NOT_RUN.capitalize()}."
    )


def _best_code(record: Codes) -> str:
    best = max(record.rows, key=lambda row: (row.same, -row.energy_integer))
    close = [best, *(row for row in record.rows if row.same >= best.same - _POINT)]
    cheapest = min(close, key=lambda row: row.energy_integer)
    soonest = min(close, key=lambda row: row.latency)
    others = ""
    if cheapest != best:
        others += f"; {_code(cheapest)} is within a point, for {cheapest.energy_integer:.2f} of it"
    if soonest != best:
        others += f"; {_code(soonest)} is within a point, after {soonest.latency} steps"
    return (
        f"On {record.title.partition(',')[0]}, take {_code(best)}: the ANN's answer to "
        f"{100 * best.same:.1f} % of {record.config.samples:,} samples, after {best.latency} time "
        f"steps, for {best.energy_integer:.2f} of an int8 ANN's energy{others}."
    )


def _code(row: CodeRow) -> str:
    return f"`{row.neuron}` with T = {row.steps}"


def how_much_energy(evidence: Evidence) -> str:
    """`nearest` at the least T that is enough, against the ANN in integers and with memory."""
    int8: list[float] = []
    fewest_bits: list[float] = []
    memory: list[float] = []
    for table in evidence.tables:
        least, eight = enough(table, "nearest"), table.int8_nj
        if least is None or not (energy := least.entry.energy):
            continue
        if eight is not None:
            int8.append(energy["snn_integer_nj"] / eight)
        fewest_bits.append(energy["snn_integer_nj"] / energy["ann_quantised_nj"])
        memory.append(energy["snn_with_memory_nj"] / energy["ann_with_memory_nj"])
    if not memory:
        return f"{NOT_RUN.capitalize()}."
    return (
        "`nearest` at the least T that is not below the ANN takes, in integer arithmetic, "
        f"{_times(int8, 'the energy of an int8 ANN')}, and "
        f"{_times(fewest_bits, 'that of an ANN with only the bits that T asks for')}. With memory "
        f"traffic, in single precision, it takes {_times(memory, 'that of the ANN')}."
    )


def _times(ratios: Sequence[float], of: str) -> str:
    if not ratios:
        return f"({of}: {NOT_RUN})"
    less = sum(ratio < 1 for ratio in ratios)
    told = span(ratios, "{:.2f}".format)
    return f"{told} times {of} (less on {less} of {len(ratios)} networks)"


def how_many_images(evidence: Evidence) -> str:
    """The least calibration set within a point of the largest, by method."""
    told = [
        sentence
        for table in evidence.relu
        for method in dict.fromkeys(row.method.name for row in CALIBRATION_ROWS)
        if (sentence := _images(table, method))
    ]
    return " ".join(told) or f"{NOT_RUN.capitalize()}."


def _images(table: NetworkTable, method: str) -> str:
    """The same for one method, at the T at which most sizes were run; empty if none was."""
    by_steps: dict[int, dict[int, Entry]] = {t: {} for t in table.steps}
    for row in CALIBRATION_ROWS:
        for t in table.steps:
            entry = table.entry(row.name, t)
            if row.method.name == method and row.calibration_samples and entry is not None:
                by_steps[t][row.calibration_samples] = entry
    steps = max(table.steps, key=lambda t: (len(by_steps[t]), -t))
    found = by_steps[steps]
    if len(found) < 2:
        return ""
    most = max(found)
    near = min(n for n in found if found[n].accuracy >= found[most].accuracy - _POINT)
    few = min(found)
    fewer = f"; {few:,} give {_accuracy(found[few])}" if few < near else ""
    title = next(row.title for row in CALIBRATION_ROWS if row.method.name == method)
    return (
        f"With {title.partition(',')[0]}, {near:,} images come within a point of {most:,} "
        f"(`nearest`, T = {steps}): {_accuracy(found[near])} and {_accuracy(found[most])}{fewer}."
    )


def _accuracy(entry: Entry) -> str:
    spread = f" ± {100 * entry.spread:.2f}" if entry.seeds > 1 else ""
    return f"{100 * entry.accuracy:.2f}{spread} %"


def what_was_tried(evidence: Evidence) -> str:
    """Architectures with their depth, data and activations; then what has no record."""
    tables = evidence.tables
    known = {architecture: name for name, architecture in ARCHITECTURES.items()}
    tried = dict.fromkeys(table.configuration["architecture"] for table in tables)
    missing = [title for title, name in known.items() if title not in tried and "_cnn" not in name]
    empty = sum(
        table.entry(row.name, t) is None
        for table in tables
        for row in table.rows
        for t in table.steps
        if row.calibration_samples is None
    )
    absent = f"{listed(missing)}, and " if missing else ""
    return (
        f"{' '.join(_trial(name, tables) for name in tried)} Not run: {absent}{empty:,} cells of "
        "the tables below."
    )


def _trial(architecture: str, tables: Sequence[NetworkTable]) -> str:
    """One architecture: layers of neurons, data sets, and networks by activation."""
    own = [table for table in tables if table.configuration["architecture"] == architecture]
    depths = {len(e.first.spikes_by_site) for table in own for e in table.entries.values()}
    data: dict[str, None] = dict.fromkeys(table.configuration["data"] for table in own)
    levels = sorted(table.levels for table in own if table.levels is not None)
    relu = len(own) - len(levels)
    kinds = [f"{len(levels)} with QCFS (L = {span(levels)})"] if levels else []
    kinds += [f"{relu} with ReLU"] if relu else []
    layers = f" ({span(depths)} layers of neurons)" if depths else ""
    return (
        f"{architecture}{layers} on {listed([DATA_TITLES.get(name, name) for name in data])}: "
        f"{listed(kinds)}."
    )
