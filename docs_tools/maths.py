"""Formulas as MathML, made when the site is built: browsers draw it, nothing is loaded."""

from __future__ import annotations

from typing import Any

from latex2mathml.converter import convert


def block(source: str, language: str, css_class: str, options: Any, md: Any, **_: Any) -> str:
    """Format a fenced block of LaTeX; one formula a line.

    Signature of a custom fence of `pymdownx.superfences`.
    """
    lines = [line for line in source.splitlines() if line.strip()]
    formulas = "".join(convert(line, display="block") for line in lines)
    return f'<div class="formula">{formulas}</div>'
