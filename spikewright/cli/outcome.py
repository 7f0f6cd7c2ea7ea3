"""The end of every measuring command: one outcome, printed or written in four ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from spikewright.cli.console import TABLE_WIDTH, print_json, print_note, results, to_json
from spikewright.cli.keeping import discard_cells
from spikewright.cli.options import OutputOptions
from spikewright.cli.output import prepare_folder, times_of, without_times, write_files
from spikewright.extras import require_extra
from spikewright.measure import LayerEffect, Sweep
from spikewright.measure.scores import RELATIVE_ERROR
from spikewright.report import Report, render, results_of, score_matrix

FILES = ("config.json", "results.csv", "results.json", "timing.json", "report.html")
"""The files that DIR receives."""


@dataclass(frozen=True)
class Outcome:
    """What a command measured.

    Attributes:
        csv: the rows; becomes results.csv.
        report: everything measured; becomes report.html, results.json, config.json and, as far as
            it is wall times, timing.json.
        tables: what a person sees in the terminal, with the lines beneath each.
    """

    csv: str
    report: Report
    tables: Sequence[tuple[Table, Sequence[str]]]


def prepare(output: OutputOptions, *, page: bool = True) -> None:
    """See that results, and the report page among them, can be written, before any long work.

    Raises:
        WrongUsage: when the folder cannot be written to.
        MissingExtra: without the packages of the report page.
    """
    prepare_folder(output.output)
    if page and output.output is not None:
        for package in ("jinja2", "plotly"):
            require_extra(package, "report", "the report page of --output")


def deliver(outcome: Outcome, output: OutputOptions) -> None:
    """Write the folder if there is one, then print."""
    document = results_of(outcome.report)
    untimed = without_times(document)
    if output.output is not None:
        texts = (
            to_json(outcome.report.configuration),
            outcome.csv,
            to_json(untimed),
            to_json(times_of(document)),
            render(outcome.report),
        )
        write_files(output.output, dict(zip(FILES, texts, strict=True)))
        discard_cells(output.output)
    if output.json:
        print_json(untimed)
    else:
        console = results()
        for table, beneath in outcome.tables:
            results(TABLE_WIDTH).print(table)
            for line in beneath:
                console.print(line)
            console.print()
    if output.output is not None:
        print_note(f"written: {output.output}/ with {', '.join(FILES)}")


def sweep_outcome(title: str, report: Report) -> Outcome:
    """The outcome of a sweep.

    Args:
        title: of the table in the terminal.
        report: of one study.
    """
    (study,) = report.studies
    return Outcome(study.sweep.to_csv(), report, [sweep_table(title, study.sweep)])


def sweep_table(title: str, sweep: Sweep) -> tuple[Table, list[str]]:
    """Scores, a row a network and a column a T, and what else there is to know beneath."""
    samples, score = sweep.rows[0].samples, sweep.score
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(score.title)
    for steps in sweep.steps:
        table.add_column(f"T = {steps}", justify="right")
    anns = sweep.ann_scores
    if anns:
        table.add_row("ANN", *(score.plain(ann.value, 1) for ann in anns.values()))
    for name, cells in score_matrix(sweep):
        table.add_row(name, *cells)
    beneath = [*_latency_lines(sweep), *_likeness_lines(sweep)]
    return table, [*beneath, _uncertainty_line(sweep, samples)]


def _likeness_lines(sweep: Sweep) -> list[str]:
    """How near the answers of each network are to the ANN's, at the largest T."""
    lines: list[str] = []
    for name in sweep.networks:
        row = sweep.row(name, max(sweep.steps))
        if row.cosine is not None:
            error = RELATIVE_ERROR.plain(row.relative_error)
            lines.append(
                f"{name} beside the ANN at T = {row.steps}: relative error {error} %, cosine "
                f"{row.cosine:.4f}"
            )
    return lines


def _latency_lines(sweep: Sweep) -> list[str]:
    """One line for all networks of equal latency."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in sweep.networks:
        latencies = tuple(sweep.row(name, steps).latency for steps in sweep.steps)
        groups.setdefault(latencies, []).append(name)
    return [
        f"latency of {', '.join(names)}: {', '.join(map(str, latencies))} time steps"
        for latencies, names in groups.items()
    ]


def _uncertainty_line(sweep: Sweep, samples: int) -> str:
    score, seeds = sweep.score, max(row.seeds for row in sweep.rows)
    estimates = [score.of(row) for row in sweep.rows if row.steps == sweep.steps[-1]]
    spans = [(e.low, e.high) for e in estimates if e is not None]
    halves = [(high - low) / 2 for low, high in spans if low is not None and high is not None]
    spread = f"; ± is the standard deviation over {seeds} seeds" if seeds > 1 else ""
    if not halves:
        return f"{samples:,} images{spread}"
    half = score.width(max(halves), 1) + (" points" if score.percent else "")
    return f"{samples:,} images: 95 % intervals are about ± {half} at T = {sweep.steps[-1]}{spread}"


def layer_table(effects: Sequence[LayerEffect]) -> tuple[Table, list[str]]:
    """Accuracies with one layer shuffled at a time."""
    title = f"one layer shuffled at a time, T = {effects[0].steps}"
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("layer", "accuracy in %", "95 % interval", "p"):
        table.add_column(name, justify="left" if name == "layer" else "right")
    for e in effects:
        span = f"{100 * e.low:.1f} to {100 * e.high:.1f}"
        table.add_row(e.site, f"{100 * e.accuracy:.2f}", span, f"{e.p_value:.3f}")
    base = f"no layer shuffled: {100 * effects[0].baseline:.2f}; p: exact McNemar test against it"
    return table, [base]
