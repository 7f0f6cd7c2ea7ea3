"""The command line: `spikewright check | convert | inspect | sweep | energy | train | zoo | ...`.

Exit codes (the same list stands under `spikewright --help`):

=====  ==========================================================================================
0      it worked; for `check`: the model converts
1      an internal error: a bug, please report it (`spikewright --debug ...` shows the traceback)
2      wrong usage: a bad option, an extra that is not installed, a model or data set not found
3      the model does not convert
4      trouble with the data: calibration failed, a picture cannot be read
5      a file cannot be written or read: the disk is full, a permission is missing
6      `rerun`: the numbers differ from those recorded
130    interrupted
=====  ==========================================================================================
"""

from __future__ import annotations

import sys

from spikewright.errors import MissingExtra
from spikewright.extras import require_extra


def main() -> None:
    """Run the command line; the console script `spikewright`.

    Without the packages of the extra `cli` it says how to install them and exits with 2.
    """
    try:
        for package in ("typer", "rich"):
            require_extra(package, "cli", "the command line")
    except MissingExtra as error:
        sys.stderr.write(f"spikewright: {error}\n")
        raise SystemExit(2) from None
    from spikewright.cli.app import app

    app(prog_name="spikewright")
