"""The shape of the house: which part may import which, and what no part may do."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LONG

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spikewright"
MAXIMUM_LINES = 350

ORDER = (
    ("errors", "version", "fingerprint", "seeding", "files", "checks", "devices"),
    ("extras", "decoding", "activations"),
    ("processes",),
    ("neurons",),
    ("graph",),
    ("rules",),
    ("calibration",),
    ("artefact",),
    ("network",),
    ("convert",),
    ("finetuning",),
    ("methods",),
    ("measure",),
    ("report", "export"),
    ("data", "models"),
    ("runs",),
    ("training",),
    ("mechanistic", "recurrent"),
    ("intrinsic", "reservoir", "search"),
    ("demo",),
    ("cli",),
    ("__main__",),
)
"""The rooms, each line after those that it may import; so their graph has no cycle."""

FACADE = {"__init__"}  # spikewright/__init__.py gathers the public names
FACADE_MAY_NOT = {"cli", "demo", "data", "models", "runs", "training", "report", "export"}

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


def rooms_below(part: str) -> set[str]:
    place = next(number for number, rooms in enumerate(ORDER) if part in rooms)
    return {room for rooms in ORDER[:place] for room in rooms}


def wrong_imports(file: Path) -> list[str]:
    part = part_of(file)
    if part in FACADE:
        wrong = [(name, line) for name, line in imported_parts(file) if name in FACADE_MAY_NOT]
    else:
        allowed = rooms_below(part) | {part}
        wrong = [(name, line) for name, line in imported_parts(file) if name not in allowed]
    return [f"{file.relative_to(ROOT)}:{line} imports {name}" for name, line in wrong]


APART = {"intrinsic", "mechanistic", "recurrent", "reservoir", "search"}
"""Rooms of networks that no conversion makes: only commands and each other may import them."""
IMPORT_THOSE_APART = {"cli", "__main__"}

BESIDE = {"paper": set(), "benchmarks": set(), "docs_tools": {"paper", "benchmarks"}}
"""The folders outside the package, each with the other folders that it may import."""


def test_folders_beside_the_package_point_one_way() -> None:
    offenders: list[str] = []
    for folder, allowed in {"spikewright": set(), **BESIDE}.items():
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            found = re.findall(
                r"^\s*(?:from|import) (paper|benchmarks|docs_tools|tests)\b", text, re.M
            )
            wrong = set(found) - allowed - {folder}
            offenders += [f"{file.relative_to(ROOT)} imports {name}" for name in sorted(wrong)]
    assert not offenders, "\n".join(offenders)


def test_every_part_has_its_place_in_the_order() -> None:
    parts = {part_of(file) for file in FILES}
    known = {room for rooms in ORDER for room in rooms}
    assert parts - FACADE <= known, "give a new room its place in ORDER"


def test_imports_point_one_way() -> None:
    offenders = [wrong for file in FILES for wrong in wrong_imports(file)]
    assert not offenders, "\n".join(offenders)


def test_nothing_but_commands_imports_the_rooms_that_stand_apart() -> None:
    offenders = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in FILES
        if part_of(file) not in IMPORT_THOSE_APART | APART
        for name, line in imported_parts(file)
        if name in APART
    ]
    assert not offenders, "\n".join(offenders)


LATE_IMPORTS = {"cli"}
"""Rooms whose functions may import other rooms. Commands import what they need when they run, so
that `spikewright --help` does not load torch. Optional packages come through `require_extra`."""


def late_imports(file: Path) -> Iterator[tuple[str, int]]:
    """Yield (part, line) of every import of this package inside a function."""
    late = {
        inner.lineno
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
        if isinstance(inner, (ast.Import, ast.ImportFrom))
    }
    return ((name, line) for name, line in imported_parts(file) if line in late)


def test_imports_stand_at_the_top_of_a_file() -> None:
    offenders = [
        f"{file.relative_to(ROOT)}:{line} imports {name} inside a function"
        for file in FILES
        if part_of(file) not in LATE_IMPORTS
        for name, line in late_imports(file)
    ]
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
        ("def f():\n    import spikewright.measure", ["measure"]),
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
    beside = [file for folder in BESIDE for file in (ROOT / folder).rglob("*.py")]
    assert FILES
    assert beside
    lengths = {
        file: len(file.read_text(encoding="utf-8").splitlines()) for file in (*FILES, *beside)
    }
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


def test_the_long_files_of_tests_exist() -> None:
    assert all((ROOT / "tests" / name).is_file() for name in LONG)
