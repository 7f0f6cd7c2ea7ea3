"""The page's script, run by Node on a page that is made up."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files

import pytest

NODE = shutil.which("node")
PAGE = """
const drawn = [];
const figures = {textContent: process.argv[2]};
const part = {clientWidth: 600, addEventListener() {}};
const styles = {"--s1": " #b8501c", "--ink": "#fff"};
globalThis.document = {
  documentElement: {dataset: {}},
  getElementById: (id) => (id === "figures" ? figures : part),
  querySelectorAll: () => [],
};
globalThis.window = {
  matchMedia: () => ({matches: false, addEventListener() {}}),
  addEventListener() {},
};
globalThis.location = {hash: ""};
globalThis.getComputedStyle = () => ({getPropertyValue: (name) => styles[name] ?? ""});
globalThis.ResizeObserver = class { observe() {} };
globalThis.Plotly = {react: (name, data) => drawn.push(...data)};
SCRIPT
console.log(JSON.stringify(drawn));
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def test_names_of_the_style_sheet_alone_become_colours() -> None:
    """Whoever names a metric after dollars gets the page, and that name on it."""
    script = files("spikewright.report").joinpath("templates/page.js").read_text(encoding="utf-8")
    named = {"name": "$ per ride", "text": ["$", "$9", "$s1 and more", "$s1/"]}
    colours = {"line": {"color": "$s1"}, "fillcolor": "$s1/0.2", "marker": {"color": ["$ink"]}}
    figures = {"figure-1": {"data": [{**named, **colours}], "layout": {}}}
    assert NODE is not None
    command = [NODE, "-", json.dumps(figures)]
    program = PAGE.replace("SCRIPT", script)
    done = subprocess.run(
        command, input=program, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [
        {
            **named,
            "line": {"color": "#b8501c"},
            "fillcolor": "rgba(184,80,28,0.2)",
            "marker": {"color": ["#fff"]},
        }
    ]
