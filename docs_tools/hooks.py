"""What MkDocs calls while it builds the site: generated pages, plots in pages, a last check."""

from __future__ import annotations

import logging
import re
from typing import Any

from mkdocs.structure.files import File, Files

from docs_tools import cli_reference
from docs_tools.plots import PLOTS

PLOT = re.compile(r"^<!-- plot: ([a-z-]+) -->$", re.MULTILINE)
LOADED = re.compile(
    r'<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]+)"'
)
"""What a page loads from elsewhere; links that a reader may follow are none of it."""

log = logging.getLogger("mkdocs.hooks.docs_tools")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that exist nowhere but in the site."""
    files.append(File.generated(config, "cli.md", content=cli_reference.page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put plots where a page asks for them."""
    return PLOT.sub(lambda match: f"<figure>\n{PLOTS[match[1]]()}\n</figure>", markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn, which stops a strict build, of a page that would not open offline."""
    for address in LOADED.findall(output):
        log.warning("%s loads %s: the site must open without a network", page.file.src_uri, address)
    return output
