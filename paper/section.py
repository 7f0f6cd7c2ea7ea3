"""What the page says of one network, folded under its heading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from paper import markdown
from paper.cell import ANN
from paper.claims import findings
from paper.differences import differences
from paper.markdown import percent, several
from paper.published import Published, published_for
from paper.rows import SEEDS, Row
from paper.store import TRAINING
from paper.tables import NOT_RUN, Entry, NetworkTable


def section(table: NetworkTable, links: Mapping[str, str]) -> list[str]:
    """Findings, plot, accuracies beside published ones, differences, latencies and energies.

    Args:
        table: of the network.
        links: to the plots of the page, by their file names.
    """
    parts = [_about(table), "".join(f"- {sentence}\n" for sentence in findings(table))]
    if link := links.get(f"{table.name}.svg"):
        parts.append(f"![Accuracy over T of {table.title}]({link})\n")
    others = published_for(
        table.configuration["data"], table.configuration["architecture"], table.levels
    )
    rows = [_accuracies(table, row) for row in table.rows]
    rows += [_published(table, other) for other in others]
    columns = [f"T = {t}" for t in table.steps]
    parts.append(markdown.table(["accuracy in %", "images", "seeds", *columns], rows) + "\n")
    parts += [_citation(other) for other in others]
    parts.append(by_steps("difference in points", table, differences(table)))
    rows = [[row.title, *_cells(table, row, _cost)] for row in table.rows]
    parts.append(by_steps("latency, and spikes of one image", table, rows))
    rows = [["ANN", *(_rival(table, t) for t in table.steps)]]
    rows += [[row.title, *_cells(table, row, _energy)] for row in table.rows]
    corner = "µJ of one image: single precision / integers (single precision with memory)"
    parts.append(by_steps(corner, table, rows))
    return [part for part in parts if part]


def ann_of(table: NetworkTable) -> str:
    """The accuracy of the source network, with its interval."""
    if table.ann is None:
        return f"ANN: {NOT_RUN}"
    ends = f"{percent(table.ann.low)} to {percent(table.ann.high)}"
    return f"ANN: {percent(table.ann.accuracy)} % ({ends}) on {table.ann.images:,} images"


def _about(table: NetworkTable) -> str:
    about = table.configuration
    subset = ""
    first: int = about["one_phase_images"]
    if first != about["images"]:
        source = table.entry(ANN, 0)
        there = NOT_RUN if source is None else percent(source.first_seed_accuracy(first))
        subset = (
            f"Rows that run step by step were measured on the first {first:,} of the images, as "
            f"their column says, of which the ANN gets {there} right: compare them with rows on "
            "all images by the differences in points alone. "
        )
    note = f"; {about['note']}" if about["note"] else ""
    if table.has_training:
        note += f", as the cards in `results/{table.name}/{TRAINING}` tell"
    return (
        f"{subset}Network `{table.name}`{note}; weights SHA-256 "
        f"`{about['weights_sha256'][:16]}`; {about['calibration_samples']} calibration images; "
        f"energies over {several(e.first.energy_images for e in table.entries.values())} images.\n"
    )


def _accuracies(table: NetworkTable, row: Row) -> list[str]:
    entries = [table.entry(row.name, t) for t in table.steps]
    present = [entry for entry in entries if entry is not None]
    images = several(entry.images for entry in present)
    seeds = several(entry.seeds for entry in present)
    if present and any(entry.seeds < len(row.seeds(SEEDS)) for entry in present):
        seeds += f" of {len(row.seeds(SEEDS))}"
    return [row.title, images, seeds, *(_accuracy(entry) for entry in entries)]


def _accuracy(entry: Entry | None) -> str:
    if entry is None:
        return NOT_RUN
    spread = f" ± {100 * entry.spread:.2f}" if entry.seeds > 1 else ""
    return f"{percent(entry.accuracy)}{spread} ({percent(entry.low)}–{percent(entry.high)})"


def _published(table: NetworkTable, other: Published) -> list[str]:
    known = (other.steps.get(t) for t in table.steps)
    cells = ["-" if value is None else f"{value:.2f}" for value in known]
    return [f"*{other.method}, published*", "-", "-", *cells]


def _citation(other: Published) -> str:
    where = f"as in {other.read_in}" if other.read_in else "not read in the paper itself"
    levels = "" if other.levels else "; its L not known for certain"
    ann = "not found" if other.ann is None else f"{other.ann:.2f}"
    source = f"{other.citation}; its ANN {ann}{levels}; figures {where}"
    return f"*{other.method}, published*: {source}.\n"


def _cells(table: NetworkTable, row: Row, text: Callable[[Entry], str]) -> list[str]:
    entries = (table.entry(row.name, t) for t in table.steps)
    return [NOT_RUN if entry is None else text(entry) for entry in entries]


def _cost(entry: Entry) -> str:
    steps = "1 step" if entry.latency == 1 else f"{entry.latency} steps"
    return f"{steps}, {_thousands(entry.spikes_per_image)} spikes"


def _energy(entry: Entry) -> str:
    return _microjoules(entry.energy, "snn", "snn_integer")


def _rival(table: NetworkTable, steps: int) -> str:
    """The energy of the ANN, and of the ANN with activations that hold the counts of that T."""
    at = (table.entry(row.name, steps) for row in table.rows)
    energy = next((entry.energy for entry in at if entry and entry.energy), {})
    return _microjoules(energy, "ann", "ann_quantised")


def _microjoules(energy: Mapping[str, float], network: str, in_integers: str) -> str:
    """The energy of arithmetic alone, in both precisions, and with memory (`measure.Energy`)."""
    if not energy:
        return "not counted"
    names = (f"{network}_nj", f"{in_integers}_nj", f"{network}_with_memory_nj")
    alone, integers, whole = (_three(energy[name] / 1000) for name in names)
    return f"{alone} / {integers} ({whole})"


def _three(value: float) -> str:
    """Three significant digits, and every digit before the decimal point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _thousands(value: float) -> str:
    return f"{value / 1000:.1f} k" if value >= 1000 else f"{value:.0f}"


def by_steps(corner: str, table: NetworkTable, rows: Sequence[Sequence[str]]) -> str:
    """A grid with a column for every T, of the rows of which anything was run; "" without any."""
    run = [row for row in rows if any(cell != NOT_RUN for cell in row[1:])]
    return markdown.table([corner, *(f"T = {t}" for t in table.steps)], run) + "\n" if run else ""
