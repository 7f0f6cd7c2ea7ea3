"""Numbers and tables as the pages write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def percent(fraction: float) -> str:
    """A fraction in %."""
    return f"{100 * fraction:.2f}"


def several(values: Iterable[int]) -> str:
    """A number, or the least and the largest of several."""
    distinct = sorted(set(values))
    if not distinct:
        return "-"
    return f"{distinct[0]:,}" if len(distinct) == 1 else f"{distinct[0]:,} to {distinct[-1]:,}"


def fold(summary: str, parts: Iterable[str]) -> str:
    """Paragraphs and tables behind a line that opens them."""
    body = "\n".join(parts)
    return f'<details markdown="1">\n<summary>{summary}</summary>\n\n{body}\n</details>\n'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, of cells that are Markdown themselves."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
