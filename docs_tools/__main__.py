"""`python -m docs_tools support | peers`: write the support matrix; run the claims about peers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docs_tools.support.models import ModelRow


def main(words: list[str] | None = None) -> int:
    """Run one of the generators; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs_tools", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    support = commands.add_parser("support", help="write docs/support.md")
    support.add_argument(
        "--operations-only", action="store_true", help="keep the table of models as it stands"
    )
    commands.add_parser("peers", help="run the claims of docs/comparison.md")
    given = parser.parse_args(words)
    return _support(given.operations_only) if given.command == "support" else _peers()


def _support(operations_only: bool) -> int:
    from docs_tools.support import models, page

    operations = page.operations_part()
    if operations_only:
        told = page.kept_models_part()
    else:
        told = page.models_part(_reported(models.rows()))
    page.PAGE.write_text(operations + told, encoding="utf-8")
    print(f"written: {page.PAGE}")
    return 0


def _reported(rows: Iterable[ModelRow]) -> Iterator[ModelRow]:
    """Pass rows on and tell of each: a model takes a while."""
    for row in rows:
        print(row, file=sys.stderr, flush=True)
        yield row


def _peers() -> int:
    from docs_tools.peers import CLAIMS, missing_package

    wrong = 0
    for claim in CLAIMS:
        package = missing_package(claim)
        if package is not None:
            print(f"skipped: {claim.name} ({package} is not installed)")
            continue
        finding = claim.run()
        wrong += not finding.holds
        print(f"{'holds' if finding.holds else 'DOES NOT HOLD'}: {claim.name}\n  {finding.told}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
