"""Templates, the filters that they use, and the figures that a page embeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from spikewright.extras import require_extra
from spikewright.report.plotting import Figure
from spikewright.report.summary import percent


class Figures:
    """Collects figures and gives each a name by which the page finds it."""

    def __init__(self) -> None:
        self.collected: dict[str, Figure] = {}

    def add(self, figure: Figure) -> str:
        """Keep a figure; returns its name."""
        name = f"figure-{len(self.collected) + 1}"
        self.collected[name] = figure
        return name


def filled(template: str, figures: Figures, **context: Any) -> str:
    """A page: a template with its context, figures, styles and scripts, all in one text.

    Args:
        template: file name below `templates`.
        figures: all that the context names.
        **context: what the template asks for.

    Raises:
        MissingExtra: without the packages of the extra `report`.
    """
    jinja2 = require_extra("jinja2", "report", "the report page")
    offline = require_extra("plotly.offline", "report", "the report page")
    return (
        _environment(jinja2)
        .get_template(template)
        .render(
            **context,
            figures=_embedded(figures.collected),
            style=_template("style.css"),
            script=_template("page.js"),
            plotly=offline.get_plotlyjs().replace("</script", "<\\/script"),
        )
    )


@cache
def _environment(jinja2: Any) -> Any:
    """Where templates are compiled, each once however many pages it fills."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_template),
    )
    environment.filters.update(
        percent=percent, p_value=_p_value, setting=setting_text, bound=_bound
    )
    environment.filters["capitalised"] = _capitalised
    environment.filters["breakable"] = lambda text: _breakable(jinja2.utils.markupsafe, text)
    return environment


def _bound(text: str) -> str:
    """Text in which "T = 8" and "98.7 %" are not torn apart at the end of a line."""
    return text.replace("T = ", "T\u00a0=\u00a0").replace(" %", "\u00a0%")


def _breakable(markupsafe: Any, text: str) -> Any:
    """HTML that may be broken after a comma or colon: paper is narrow."""
    escaped = markupsafe.escape(text)
    for sign in ",:":
        escaped = escaped.replace(sign, markupsafe.Markup(f"{sign}<wbr>"))
    return escaped


def _capitalised(text: str) -> str:
    """Text that begins a sentence."""
    return text[:1].upper() + text[1:]


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def setting_text(value: Any) -> str:
    """A configuration value, as it would be typed."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {setting_text(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(setting_text(entry) for entry in value)
    if value is None:
        return "–"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _embedded(figures: Mapping[str, Figure]) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    return json.dumps(figures, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")


def _template(name: str) -> str:
    return files("spikewright.report").joinpath("templates", name).read_text(encoding="utf-8")
