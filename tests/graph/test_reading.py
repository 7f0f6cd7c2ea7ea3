"""Weights computed in forward, and operations on the input itself, are read as what they are."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright.errors import ConversionError
from spikewright.graph import evaluate, survey
from tests.builders import images, wired

WEIGHTS = {
    "std_mean": lambda w: w / torch.std_mean(w, 1, keepdim=True)[0],
    "var_mean": lambda w: w / torch.var_mean(w, 1, keepdim=True)[0].sqrt(),
    "chunk": lambda w: torch.cat(w.chunk(2, 1)[::-1], 1),
    "unbind": lambda w: torch.stack(w.unbind(0)[::-1]),
    "iteration": lambda w: torch.stack([row * 2 for row in w]),
    "sort": lambda w: w.sort(1)[0] + torch.gather(w, 1, w.sort(1)[1]),
    "max": lambda w: w / w.max(1, keepdim=True)[0],
    "svd": lambda w: w / torch.linalg.svd(w)[1][0],
    "topk": lambda w: w.masked_fill(w < w.topk(2, 1)[0][:, -1:], 0.0),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_a_weight_may_come_of_an_operation_of_several_results(case):
    change = WEIGHTS[case]
    model = wired(lambda m, x: F.relu(F.linear(x, change(m.c.weight))), c=nn.Linear(6, 4))
    graph = survey(model, images()).require_convertible()
    with torch.no_grad():
        assert torch.equal(evaluate(graph, images())[0], model(images()))
    assert [op.operator for op in graph.operations] == ["aten.linear", "aten.relu"]


def test_a_weight_may_be_computed_by_a_call_that_is_named_as_a_buffer():
    def forward(m, x):
        weight = m.c.weight - m.c.weight.mean(1, keepdim=True)
        return F.relu(F.linear((x - m.mean) / m.std, weight / weight.std(1, keepdim=True)))

    model = wired(forward, c=nn.Linear(6, 4))
    for name, value in {"mean": 0.3, "std": 1.7}.items():
        model.register_buffer(name, torch.tensor([value]).double())
    graph = survey(model, images()).require_convertible()
    torch.testing.assert_close(evaluate(graph, images())[0], model(images()).detach())


def test_a_loop_may_begin_with_an_empty_tensor():
    def joined(m, x):
        parts = torch.tensor([])
        for scale in (1, 2):
            parts = torch.cat([parts, F.relu(m.a(x * scale))], 1)
        return m.b(parts)

    model = wired(joined, a=nn.Linear(6, 4), b=nn.Linear(8, 3))
    x = images()[:, 0, 0]
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=4, correction=None)
    assert [op.function for op in snn.graph.operations].count("cat") == 1
    torch.testing.assert_close(snn.ann()(x), model(x))
    torch.testing.assert_close(snn(x, engine="steps"), snn(x))


SHAPED_AS_A_MAXIMUM: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "ones_like": torch.ones_like,
    "full_like": lambda y: torch.full_like(y, 0.5),
    "new_ones": lambda y: y.new_ones(y.shape),
}


@pytest.mark.parametrize("case", SHAPED_AS_A_MAXIMUM)
def test_a_constant_may_have_the_shape_of_a_maximum(case: str) -> None:
    constant = SHAPED_AS_A_MAXIMUM[case]

    def behind(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        values = F.relu(x).max(1).values
        return values + constant(values)

    graph = survey(wired(behind), images()).require_convertible()
    torch.testing.assert_close(evaluate(graph, images())[0], wired(behind)(images()))


WITHOUT_CONTENTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "empty_like": torch.empty_like,
    "new_empty": lambda x: x.new_empty(x.shape),
    "empty": lambda x: torch.empty(x.shape, dtype=x.dtype),
}


@pytest.mark.parametrize("case", WITHOUT_CONTENTS)
def test_a_tensor_without_contents_may_be_filled_part_by_part(case: str) -> None:
    def filled(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        parts = WITHOUT_CONTENTS[case](x)
        parts[:, 1:], parts[:, :1] = F.relu(x[:, 1:]), x[:, :1]
        return parts

    model = wired(filled)
    torch.use_deterministic_algorithms(True)  # memory that nothing fills holds NaN
    try:
        graph = survey(model, images()).require_convertible()
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(evaluate(graph, images())[0], model(images()))


FIRST = {
    "chunk": lambda x: x.chunk(2, 1)[1],
    "split": lambda x: x.split([3, 1], 1)[0],
    "unbind": lambda x: x.unbind(1)[1],
    "select": lambda x: x[..., 0],
    "squeeze": lambda x: x[..., :1].squeeze(3),
    "mean": lambda x: x.mean((2, 3)),
    "sum": lambda x: x.sum(3),
    "flip": lambda x: x.flip(1),
    "permute": lambda x: x.permute(0, 2, 3, 1),
}


@pytest.mark.parametrize("case", FIRST)
def test_the_first_operation_may_split_select_or_reduce(case):
    change, x = FIRST[case], images(channels=4)
    model = wired(lambda m, x: F.relu(change(x)))
    graph = survey(model, x).require_convertible()
    assert torch.equal(evaluate(graph, x)[0], model(x))


@pytest.mark.parametrize(
    "across",
    [lambda x: x.mean((0, 2)), lambda x: x.flip(0), lambda x: x[1]],
)
def test_the_first_operation_must_not_work_across_the_batch(across):
    (offender, *_) = survey(wired(lambda m, x: F.relu(across(x))), images()).offenders
    assert "batch" in offender.reason


class _Chooser(nn.Module):
    """Copies large batches, as some networks of diffusers do; may answer them otherwise."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.layer, self.factor = nn.Linear(4, 3), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] >= 64:
            x = x.contiguous() * self.factor
        return self.layer(x).relu()


def test_a_choice_by_the_size_of_the_batch_may_change_no_answer() -> None:
    model = _Chooser(1.0).eval()
    x = torch.randn(5, 4)
    graph = survey(model, x).require_convertible()
    many = torch.randn(70, 4)
    torch.testing.assert_close(evaluate(graph, many)[0], model(many))
    with pytest.raises(ConversionError, match="fixes its batch size"):
        survey(_Chooser(2.0).eval(), x)


@pytest.mark.parametrize("chosen", [lambda size: size == 8, lambda size: size % 2 == 0])
def test_a_choice_of_some_sizes_of_the_batch_is_refused(chosen) -> None:
    """torch.export takes one of the ways, for batches of any size."""
    model = wired(lambda m, x: F.relu(m.c(x)) * (1 + chosen(x.shape[0])), c=nn.Linear(6, 4))
    with pytest.raises(ConversionError, match=r"a batch of [83] samples is"):
        survey(model, images())
    either = wired(lambda m, x: F.relu(m.c(x if chosen(x.shape[0]) else +x)), c=nn.Linear(6, 4))
    assert not survey(either, images()).offenders


def test_a_choice_of_a_single_sample_is_refused() -> None:
    """torch.export sees no batch of one, and so none of its guards tells of that choice."""
    model = wired(lambda m, x: F.relu(m.c(x)) * (1 + (x.shape[0] > 1)), c=nn.Linear(6, 4))
    with pytest.raises(ConversionError, match="a batch of one sample is treated otherwise"):
        survey(model, images())


def test_a_model_may_drop_the_dimension_of_a_batch_of_one() -> None:
    model = wired(lambda m, x: F.relu(m.c(x)).squeeze(), c=nn.Linear(6, 4))
    assert not survey(model, images()).offenders


def test_the_model_holds_what_it_held_before_it_was_captured() -> None:
    class Keeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.kept = nn.Linear(4, 3), torch.zeros(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.kept = torch.ones(x.shape[1:])
            return (self.layer(x) + self.kept[:3]).relu()

    model = Keeper().eval()
    held = model.kept
    survey(model, torch.randn(5, 4))
    assert type(model.kept) is torch.Tensor
    assert model.kept.tolist() in ([0.0], [1.0] * 4)
    assert held.tolist() == [0.0]


def _table(size: int) -> torch.Tensor:
    return torch.arange(size, dtype=torch.float32) / size


class _Cached(nn.Module):
    """Makes a table when it first runs, and keeps its activations."""

    def __init__(self, table: Callable[[_Cached], torch.Tensor]) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(5, 6), table
        self.kept: dict[str, dict[int, torch.Tensor]] = {"tables": {}}
        self.first: list[torch.Tensor | None] = [None]
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(self.layer(x).relu())
        return self.seen[-1] + self.table(self)


def _in_a_dict(model: _Cached) -> torch.Tensor:
    tables = model.kept["tables"]
    if 6 not in tables:
        tables[6] = _table(6)
    return tables[6]


def _in_a_list(model: _Cached) -> torch.Tensor:
    if model.first[0] is None:
        model.first[0] = _table(6)
    return model.first[0]


def _of_a_function() -> Callable[[_Cached], torch.Tensor]:
    table = lru_cache(_table)
    return lambda _: table(6)


@pytest.mark.parametrize(
    "table", [_in_a_dict, _in_a_list, _of_a_function()], ids=["dict", "list", "lru_cache"]
)
def test_tables_that_a_model_makes_when_it_first_runs_have_numbers(
    table: Callable[[_Cached], torch.Tensor],
) -> None:
    model, x = _Cached(table).eval(), torch.randn(4, 5)
    graph = survey(model, x).require_convertible()
    torch.testing.assert_close(evaluate(graph, x)[0], model(x))
    assert {type(activation) for activation in model.seen} == {torch.Tensor}


def test_a_set_holds_what_it_held_before_the_model_was_captured() -> None:
    class Shapes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = nn.Linear(4, 3), {"nothing"}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.discard("nothing")
            self.seen.add("traced" if torch.compiler.is_compiling() else "run")
            return self.layer(x).relu()

    model = Shapes().eval()
    survey(model, torch.randn(5, 4))
    assert "traced" not in model.seen


def test_a_model_that_is_refused_has_the_buffers_that_it_had() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("last", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.last = self.last + 1
            return x.relu() * self.calls

    model = Counter().eval()
    with pytest.raises(ConversionError, match="changes its own buffers"):
        survey(model, torch.randn(5, 4))
    assert {name: buffer.item() for name, buffer in model.named_buffers()} == {
        "calls": 0,
        "last": 0,
    }


def test_a_model_that_keeps_something_of_its_calls_is_refused_and_left_as_it_was() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.last = nn.Linear(4, 3), None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.layer(x).relu()
            if self.last is not None:
                h = h + self.last
            self.last = h
            return h

    model = Recurrent().eval()
    with pytest.raises(ConversionError, match="depends on its calls before"):
        survey(model, torch.randn(5, 4))
    assert model.last is None


def test_a_model_has_what_it_counts_and_remembers_back() -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.calls, self.last = Counter(forward=2), deque(["before"], maxlen=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls["forward"] += 1
            self.last.append(self.layer(x))
            return self.last[-1].relu()

    model = Watched().eval()
    survey(model, torch.randn(5, 4)).require_convertible()
    assert (model.calls, list(model.last)) == (Counter(forward=2), ["before"])


def test_a_program_is_left_as_it_was():
    def repeated(m, x):
        return F.relu(m.c(x).repeat_interleave(torch.tensor([2, 0, 1]), 1))

    model = wired(repeated, c=nn.Conv2d(3, 3, 3))
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(model, (images(),), dynamic_shapes=(batch,))
    program = program.run_decompositions({})
    survey(program, images()).require_convertible()
    assert [node.kwargs for node in program.graph.nodes if "repeat" in str(node.target)] == [{}]
