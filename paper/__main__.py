"""`python -m paper`: the command line of this folder, from a checkout."""

from __future__ import annotations

from paper.app import app

if __name__ == "__main__":
    app(prog_name="python -m paper")
