"""The shape of the house: which part may import which, and what no part may do."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spikewright"
MAXIMUM_LINES = 350

LEAVES = {
    "activations",
    "decoding",
    "errors",
    "extras",
    "files",
    "fingerprint",
    "processes",
    "seeding",
    "version",
}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "extras": {"errors"},
    "files": set(),
    "fingerprint": set(),
    "decoding": {"errors"},
    "processes": {"errors", "extras"},
    "seeding": set(),
    "version": set(),
    "activations": {"errors"},
    "neurons": LEAVES,
    "graph": LEAVES | {"neurons"},
    "calibration": LEAVES | {"neurons", "graph"},
    "network": LEAVES | {"neurons", "graph", "calibration"},
    "convert": LEAVES | {"neurons", "graph", "calibration", "network"},
    "methods": LEAVES | {"neurons", "graph", "calibration", "network", "convert"},
    "interchange": LEAVES | {"neurons", "graph", "calibration", "network", "convert"},
    "analysis": LEAVES | {"neurons", "graph", "calibration", "network", "convert"},
    "data": LEAVES | {"models", "training"},
    "models": LEAVES | {"data", "training"},
    "training": LEAVES | {"data", "models", "neurons", "analysis"},
}
MAY_IMPORT["report"] = MAY_IMPORT["analysis"] | {"analysis"}
MAY_IMPORT["experiments"] = MAY_IMPORT["report"] | {"methods", "data", "models", "training"}
MAY_IMPORT["demo"] = set(MAY_IMPORT) | {"report"}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
MAY_IMPORT["__main__"] = {"cli"}
CALLED_BACK = {"saving.py": {"interchange"}}  # SpikingNetwork.save, imported when called
FACADE = {"__init__"}  # spikewright/__init__.py gathers the public names
FACADE_MAY_NOT = {"cli", "demo", "experiments", "data", "models", "training", "report"}

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    """`spikewright/graph/capture.py` belongs to `graph`, `spikewright/network.py` to `network`."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(file: Path) -> Iterator[tuple[str, int]]:
    """Yield (part, line) of every import of this package, also of those inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = _import_from(file, node)
        else:
            continue
        for name in names:
            head, *rest = name.split(".")
            if head == "spikewright":
                yield (rest[0] if rest else "__init__"), node.lineno


def _import_from(file: Path, node: ast.ImportFrom) -> list[str]:
    module = node.module or ""
    if node.level:
        folder = file.relative_to(ROOT).parent.parts
        base = folder[: len(folder) - node.level + 1]
        module = ".".join((*base, module)).rstrip(".")
    if module == "spikewright":  # `from spikewright import graph`
        return [f"spikewright.{alias.name}" for alias in node.names]
    return [module]


def wrong_imports(file: Path) -> list[str]:
    part = part_of(file)
    if part in FACADE:
        wrong = [(name, line) for name, line in imported_parts(file) if name in FACADE_MAY_NOT]
    else:
        allowed = MAY_IMPORT[part] | {part} | CALLED_BACK.get(file.name, set())
        wrong = [(name, line) for name, line in imported_parts(file) if name not in allowed]
    return [f"{file.relative_to(ROOT)}:{line} imports {name}" for name, line in wrong]


def test_every_part_has_its_place_in_the_order() -> None:
    parts = {part_of(file) for file in FILES}
    assert parts - FACADE <= set(MAY_IMPORT), "give a new part its place in MAY_IMPORT"


def test_imports_point_one_way() -> None:
    offenders = [wrong for file in FILES for wrong in wrong_imports(file)]
    assert not offenders, "\n".join(offenders)


@pytest.mark.parametrize(
    ("line", "imported"),
    [
        ("import spikewright.network", ["network"]),
        ("import spikewright.graph.capture as c", ["graph"]),
        ("from spikewright.cli import main", ["cli"]),
        ("from spikewright import report", ["report"]),
        ("from ..report import html", ["report"]),
        ("from .. import network", ["network"]),
        ("from .sites import Site", ["graph"]),
        ("def f():\n    import spikewright.measure", ["analysis"]),
        ("import torch", []),
    ],
)
def test_every_spelling_of_an_import_is_seen(
    line: str, imported: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "spikewright" / "graph" / "example.py"
    file.parent.mkdir(parents=True)
    file.write_text(line)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert [name for name, _ in imported_parts(file)] == imported


def test_no_file_is_too_long() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    long = [f"{file.relative_to(ROOT)}: {n}" for file, n in lengths.items() if n > MAXIMUM_LINES]
    assert not long, f"split these (at most {MAXIMUM_LINES} lines):\n" + "\n".join(long)


def test_only_the_command_line_prints() -> None:
    offenders = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in FILES
        if part_of(file) != "cli"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not offenders, f"print outside cli: {offenders}"


def unpickles(node: ast.AST) -> bool:
    """Whether a node imports a pickle module or names torch.load (torch.export.load is another)."""
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in {"pickle", "dill", "joblib"} for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        torch_load = module == "torch" and any(alias.name == "load" for alias in node.names)
        return torch_load or module.split(".")[0] in {"pickle", "dill", "joblib"}
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"


def test_nothing_is_unpickled() -> None:
    offenders = [
        f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if unpickles(node)
    ]
    assert not offenders, f"a pickle can run code; read safetensors instead: {offenders}"


def tracked_files() -> list[Path]:
    """Every file that git tracks, or would with `git add .`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout: {error}")
    paths = [ROOT / name for name in listing.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_place_on_one_machine() -> None:
    # Put together here, so that this file does not hold the words that it forbids.
    forbidden = ["/" + "work/", ".." + "/shared", "/" + "root/", "/" + "home/"]
    offenders: list[str] = []
    for file in tracked_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        offenders += [f"{file.relative_to(ROOT)}: {word}" for word in forbidden if word in text]
    assert not offenders, "\n".join(offenders)
