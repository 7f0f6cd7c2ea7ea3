"""Programs in functional form: what torch's second trace gives, without it wherever it may stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from spikewright.graph import Graph, capture, survey
from tests.builders import SideBySide, wired


def functional_nets() -> SideBySide:
    """Networks whose calls are functional, or replaced by such calls."""

    def image(m, x):
        return m.out(F.relu(m.norm(m.conv(x))).flatten(1))

    def turned(m, x):
        return F.relu(m.conv(x)).transpose(1, 2).flatten(2)

    def grouped(m, x):
        return F.relu(m.conv(x).unflatten(1, (2, 2))).reshape(x.shape[0], -1)

    def dropped(m, x):
        return F.dropout(F.relu(m.drop(m.conv(x))), 0.5, m.training)

    def in_place(m, x):
        y = F.relu_(m.norm(m.conv(x)))
        z = m.conv(x)
        z += y
        return F.hardswish(z, inplace=True)

    def cut(m, x):
        first, second, last = m.conv(x).chunk(3, 1)
        return F.relu(first) * second + last[:, :1]

    def of_dtypes(m, x):
        y = m.conv(x)
        return F.relu(y.to(torch.float64) + y.float().mean(1, keepdim=True)).to(x.dtype)

    def conv() -> nn.Module:
        return nn.Conv2d(3, 4, 3)

    return SideBySide(
        [
            wired(image, conv=conv(), norm=nn.BatchNorm2d(4), out=nn.Linear(64, 2)),
            wired(turned, conv=conv()),
            wired(grouped, conv=conv()),
            wired(dropped, conv=conv(), drop=nn.Dropout()),
            wired(in_place, conv=conv(), norm=nn.BatchNorm2d(4)),
            wired(cut, conv=nn.Conv2d(3, 5, 3)),
            wired(of_dtypes, conv=conv()),
        ]
    )


def traced_again(monkeypatch) -> list[ExportedProgram]:
    """The programs that torch traces a second time from now on."""
    programs: list[ExportedProgram] = []
    again = ExportedProgram.run_decompositions

    def noted(program, *args, **options):
        programs.append(program)
        return again(program, *args, **options)

    monkeypatch.setattr(ExportedProgram, "run_decompositions", noted)
    return programs


def told(graph: Graph) -> list[tuple[object, ...]]:
    """All operations but copies that bring values in order in memory, as views demand it."""
    return [
        (op.target, op.shape, op.kind, op.module, op.source, op.site)
        for op in graph.operations
        if op.target is not torch.ops.aten.clone.default
    ]


IMAGES = torch.rand(4, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_functional_calls_are_read_as_from_a_second_trace_and_without_it(monkeypatch):
    model = functional_nets()
    programs = traced_again(monkeypatch)
    graph = survey(model, IMAGES).require_convertible()
    assert not programs
    monkeypatch.setattr(capture, "functional", lambda program: program.run_decompositions({}))
    expected = survey(model, IMAGES).require_convertible()
    assert len(programs) == 1
    assert told(graph) == told(expected)


WRITES: dict[str, Callable[[Tensor], Tensor]] = {
    "in what was read before": lambda y: y.sum(1, keepdim=True) + F.relu_(y),
    "through a view": lambda y: y.select(1, 0).relu_() + y.sum(1),
    "in what dropout hands on": lambda y: F.relu_(F.dropout(y, 0.5, False)) + y,
}


@pytest.mark.parametrize("answer", WRITES.values(), ids=WRITES)
def test_a_write_into_a_shared_tensor_is_traced_again(answer, monkeypatch):
    model = wired(lambda m, x: answer(m.conv(x)), conv=nn.Conv2d(3, 4, 3))
    programs = traced_again(monkeypatch)
    survey(model, IMAGES).require_convertible()  # which compares its answers with the model's
    assert len(programs) == 1


def test_a_write_of_another_dtype_is_traced_again(monkeypatch):
    """`y += positions` keeps the dtype of y, where `y + positions` takes that of positions."""

    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)
            self.register_buffer("positions", torch.linspace(0, 1, 4, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            y += self.positions
            return self.b(F.relu(y))

    programs = traced_again(monkeypatch)
    graph = survey(Positions().eval(), IMAGES.float()).require_convertible()
    assert len(programs) == 1
    assert graph.dtype is torch.float32


def test_batch_norm_without_running_statistics_is_traced_again(monkeypatch):
    programs = traced_again(monkeypatch)
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    assert survey(wired(lambda m, x: F.relu(m.norm(x)), norm=norm), IMAGES).offenders
    assert len(programs) == 1


def test_a_program_of_the_user_stays_as_it_is():
    model = functional_nets().nets[0]
    program = export(model, (IMAGES,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)
    before = str(program.graph)
    survey(program, IMAGES).require_convertible()
    assert str(program.graph) == before
