"""The page in a real browser: plots appear, and the console stays empty."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spikewright.report import Report, render

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever it tried to load would be an error
    "--dump-dom",
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)}")


@pytest.mark.parametrize("dark", [False, True])
def test_plots_are_drawn_without_a_word_on_the_console(
    report: Report, tmp_path: Path, dark: bool
) -> None:
    html = render(report)
    page = tmp_path / "report.html"
    page.write_text(html, encoding="utf-8")
    theme = ["--force-dark-mode"] if dark else []
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *theme, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert said == []
    assert 'data-ready="yes"' in done.stdout
    plots = len(re.findall(r'class="plot[^"]*" id="figure-', html))
    assert plots >= 5
    assert len(re.findall(r'<svg class="main-svg"', done.stdout)) >= plots
    assert f'data-theme="{"dark" if dark else "light"}"' in done.stdout
