"""What torch.export leaves in a model, and batch sizes by which a model chooses its way."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.func import functional_call
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from spikewright.devices import callers_default
from spikewright.errors import ConversionError
from spikewright.graph.given import Given
from spikewright.graph.model_checks import state_of
from spikewright.graph.primitives import GRU_CELL
from spikewright.graph.programs import inputs_of

_MOST_TRIED = 256
"""Batches beyond which it is not tried whether the size of a batch changes a model's answer."""
_CHANGEABLE = (dict, OrderedDict, defaultdict, Counter, list, deque, set)


@contextmanager
def attributes_kept(model: nn.Module, *, contents: bool = True) -> Generator[None]:
    """Give the model's modules back what they held, such as anchors made for the last batch.

    Tracing runs the model on tensors without numbers, and what it keeps of them would be left.

    Args:
        model: whose attributes are put back.
        contents: whether dicts, lists and sets that it holds are given back what was in them; its
            own parameters it has back in either case.
    """
    attributes = [vars(module) for module in model.modules()]
    parameters = [held["_parameters"] for held in attributes]
    held = _containers(attributes) if contents else [*attributes, *parameters]
    kept = [(container, copy(container)) for container in held]
    try:
        yield
    finally:
        for now, before in kept:
            if isinstance(now, list | deque):
                now.clear()
                now.extend(before)
            elif isinstance(now, set):
                now.intersection_update(before)
                now.update(before)
            else:
                for name in now.keys() - before.keys():
                    del now[name]
                dict.update(now, before)  # that of a Counter adds


def _containers(values: Iterable[Any]) -> list[Any]:
    """The dicts, lists and sets among values, and those in them; none that refuse changes."""
    found, waiting = dict[int, Any](), list(values)
    while waiting:
        value = waiting.pop()
        if type(value) in _CHANGEABLE and id(value) not in found:
            found[id(value)] = value
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return list(found.values())


def fill_caches(model: nn.Module, batch: Given) -> None:
    """Run a model once, so that the tables it makes when it first runs have numbers.

    While it is traced it would keep tensors without, and what `functools.lru_cache` keeps cannot be
    put back. Its attributes are: a size that it remembers of this batch would be captured too. What
    it writes to its weights, it writes to copies, which `functional_call` leaves in a module that
    stands at two places.

    Args:
        model: whose caches are filled.
        batch: what it runs on; where it raises an error, tracing will show the same or another.
    """
    state = {name: tensor.detach().clone() for name, tensor in state_of(model).items()}
    aside = attributes_kept(model, contents=False)
    with torch.no_grad(), suppress(Exception), aside, callers_default():
        functional_call(model, state, batch.args, dict(batch.keywords))


class CallsThatTrace(TorchFunctionMode):
    """Writes calls that torch.export cannot trace as others that it can.

    Batches that were joined, and are cut: `y.chunk(2)` of `2 * B` samples. `torch.chunk` counts its
    pieces, and torch.export does not see that 2 * B make 2 of B. And cells of GRU, which torch
    fuses on every device but the CPU, into an operator whose shapes torch.export does not know.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function, or another in its place."""
        named = dict(kwargs or {})
        if func in (torch.chunk, torch.Tensor.chunk):
            given = dict(zip(("input", "chunks", "dim"), args, strict=False)) | named
            x, pieces = given["input"], given["chunks"]
            dim = given.get("dim", 0) % x.ndim
            size = x.shape[dim]
            if isinstance(size, torch.SymInt) and statically_known_true(size % pieces == 0):
                return x.unflatten(dim, (pieces, size // pieces)).unbind(dim)
        if func is torch.gru_cell and (args[0] if args else named["input"]).device.type != "cpu":
            return GRU_CELL(*args, **named)
        return func(*args, **named)


def largest_batch(message: str) -> int | None:
    """The largest batch for which a model does what was traced; None where none is named.

    Args:
        message: of torch.export, which names it where a model chooses by the size of the batch.
    """
    found = re.search(r"Dim\('\w+', max=(\d+)\)", message)
    most = int(found[1]) if found else _MOST_TRIED + 1
    return most if most <= _MOST_TRIED else None


def check_sizes(program: ExportedProgram, answer: Callable[[Given], Any], pair: Given) -> None:
    """Raise an error where a model does something else with batches of some size.

    Args:
        program: as exported, of a batch that is free.
        answer: the model's, to a batch.
        pair: two samples.

    Raises:
        ConversionError: naming a size that is treated otherwise.
    """
    for size in _sizes_set_apart(program):
        if not alike_at(size, answer, pair):
            raise ConversionError(treated_otherwise(f"{size} samples", "2"))


def treated_otherwise(size: str, other: str) -> str:
    """What is told of a model that does something else with batches of some size."""
    return (
        f"the model fixes its batch size: a batch of {size} is treated otherwise than one of "
        f"{other}, as by an `if` on its size; let it do the same for every size, or convert the "
        "part of it that does"
    )


def _sizes_set_apart(program: ExportedProgram) -> list[int]:
    """Sizes of batches, at most one a condition, that a program was not exported for.

    A model that chooses by the size of the batch is traced on one of its ways: torch notes what
    must hold of the size for that way, such as that it is even, or less than 5.

    Args:
        program: as exported, of a batch that is free.
    """
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"]
    first = next(node for node in nodes if node.name in inputs_of(program))
    size = first.meta["val"].shape[0].node
    conditions = [guard.expr for guard in size.shape_env.guards]
    alone = [each for each in conditions if each.free_symbols == {size.expr}]
    found = {_first_that_fails(each, size.expr) for each in alone}
    uppers = [bounds.upper for bounds in program.range_constraints.values()]
    found |= {int(upper) + 1 for upper in uppers if upper <= _MOST_TRIED}
    return sorted(number for number in found if number)


def _first_that_fails(condition: Any, size: Any) -> int | None:
    sizes = range(2, _MOST_TRIED + 2)
    return next((number for number in sizes if not condition.subs(size, number)), None)


def alike_at(size: int, answer: Callable[[Given], Any], pair: Given) -> bool:
    """Whether a model answers samples of a batch of `size` as those of a small one.

    Args:
        size: of the batch, at least 2.
        answer: the model's, to a batch.
        pair: two samples.
    """
    larger = answer(pair.changed(lambda tensor: torch.cat([tensor] * (size // 2 + 1))[:size]))
    leaves = zip(tree_leaves(larger), tree_leaves(answer(pair)), strict=True)
    both = [(a[:2], b) for a, b in leaves if isinstance(b, Tensor) and b.is_floating_point()]
    return bool(both) and all(
        a.shape == b.shape and torch.allclose(a, b, 1e-3, 1e-3 * float(b.abs().amax()))
        for a, b in both
    )


def two_of(tensor: Tensor) -> Tensor:
    """Two samples, as a tensor of their own: of one torch.export makes a program of one sample.

    It also trips over some views, such as every second sample of a larger batch.
    """
    two = tensor[:2] if len(tensor) > 1 else tensor.expand(2, *tensor.shape[1:])
    return two.clone(memory_format=torch.contiguous_format)
