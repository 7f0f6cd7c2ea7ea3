"""Where in a user's model the nodes of a program come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import fx, nn
from torch.export import ExportedProgram

from spikewright.graph.ir import Operation, Value, mapped

WRAPPED = "_spikewright_called"
"""The name of the user's model in a module that calls it with other arguments."""


def own(path: str) -> str:
    """The path of a module or tensor in the user's model."""
    return "" if path == WRAPPED else path.removeprefix(f"{WRAPPED}.")


def ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """The nodes that others depend on, and those themselves."""
    ancestors: set[fx.Node] = set()
    pending = list(nodes)
    while pending:
        current = pending.pop()
        if current not in ancestors:
            ancestors.add(current)
            pending.extend(current.all_input_nodes)
    return ancestors


def is_leaf(model: nn.Module | ExportedProgram, path: str) -> bool:
    """Whether a module of the model holds no others."""
    if not path or isinstance(model, ExportedProgram):
        return bool(path)
    try:
        return not any(True for _ in model.get_submodule(path).children())
    except AttributeError:
        return True


def is_of_user(file: str) -> bool:
    """Whether code stands in a file that is neither torch's nor one that captures models."""
    path = file.replace("\\", "/")
    return "/torch/" not in path and "spikewright/graph/" not in path and not path.startswith("<")


def short_path(file: str) -> str:
    """The path of a file, from the package on where it was installed."""
    return file.replace("\\", "/").rpartition("site-packages/")[2]


def origin_of(node: fx.Node) -> tuple[str, str]:
    """Module path and "file:line" of the user's code behind a node."""
    stack = node.meta.get("nn_module_stack") or {}
    path = str(next(reversed(stack.values()))[0]) if stack else ""
    path = "" if path.startswith("_empty") else own(path.split("@")[0])
    frames = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    users = [(file, line) for file, line in frames if is_of_user(file)]
    file, line = (users or [("", "")])[-1]
    return path, f"{file}:{line}" if file else ""


def operation_of(node: fx.Node, references: Mapping[fx.Node, Any]) -> Operation:
    """The call of a node, as the program has it.

    Args:
        node: of a program.
        references: what stands for the nodes read so far; another is a value of its name.
    """

    def reference(leaf: Any) -> Any:
        return references.get(leaf, Value(leaf.name)) if isinstance(leaf, fx.Node) else leaf

    args: tuple[Any, ...] = mapped(tuple(node.args), reference)
    named = mapped(dict(node.kwargs), reference)
    kwargs = {name: value for name, value in named.items() if name != "pin_memory"}
    module, source = origin_of(node)
    target: Any = node.target
    return Operation(node.name, target, args, kwargs, module=module, source=source)
