"""An operation is described in one place: the rules name it, and hardly anybody else does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import spikewright
from spikewright.graph.ir import Operation
from spikewright.graph.rule import Rule, registered, rule_of

PACKAGE = Path(spikewright.__file__).parent

ELSEWHERE = {
    "graph/primitives.py": "what passes over a graph write themselves",
    "graph/batch_norm.py": "the operation that folds away",
    "network/compiler.py": "the size of a batch, asked for in compiled code",
    "graph/fusing.py": "which calls make one function of one signal",
    "graph/batch_first.py": "what calls become where the batch moved",
    "graph/batch_planes.py": "what calls on planes become where the batch moved",
    "graph/batch_rows.py": "what products and copies become where the batch moved",
    "graph/batch_bags.py": "what bags of ids become, whose sizes follow the batch",
    "graph/pairs.py": "what calls on complex numbers are of real ones",
    "graph/fourier.py": "what transforms are as products with constants",
    "graph/decomposing.py": "repetitions whose sizes are stored",
    "graph/functional.py": "calls of training that functional ones replace",
    "graph/ranks.py": "what calls do with the places of the largest values",
    "graph/writing.py": "a copy in the order of memory that the program's has",
    "graph/calls.py": "where calls name dimensions",
    "neurons/count_law.py": "an index that needs no check",
}
"""Files outside `rules` that may name an operator of ATen, and why."""


def names_an_operator(file: Path) -> bool:
    """Whether a file reads `torch.ops.aten`, by whatever name, or holds an operator's name."""
    return any(_names_one(node) for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def _names_one(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and re.fullmatch(r"aten\.\w+", node.value) is not None
    return isinstance(node, ast.Attribute) and node.attr == "aten"


def test_operators_are_named_by_rules_alone() -> None:
    files = {
        file.relative_to(PACKAGE).as_posix()
        for file in sorted(PACKAGE.rglob("*.py"))
        if names_an_operator(file)
    }
    assert {file for file in files if not file.startswith("rules/")} == set(ELSEWHERE)


def test_every_target_has_the_rule_that_names_it() -> None:
    for target, rule in registered().items():
        assert target in rule.targets
        assert rule_of(Operation("", target, ())) is rule


def test_no_operation_is_claimed_by_two_rules() -> None:
    rules = set(registered().values())
    targets = [target for rule in rules for target in rule.targets]
    assert len(targets) == len(set(targets)) == len(registered())


def test_an_unknown_operation_is_a_constant_or_refused() -> None:
    unknown = rule_of(Operation("", len, ()))
    assert type(unknown) is Rule
    assert unknown.kind == "constant"
