"""Linear operations and clipped rectifiers convert whatever they are called, in both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import evaluate, survey
from spikewright.graph.inputs import batch_of

Call = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """A convolution, a rectifier, and for each call a second rectifier that reads all of it.

    Calls that are activations take the place of both rectifiers.
    """

    def __init__(self, **calls: Call) -> None:
        super().__init__()
        self.first, self.calls = nn.Conv2d(3, 3, 1), calls
        generator = torch.Generator().manual_seed(1)
        self.w = nn.Parameter(torch.rand(8, 8, generator=generator))
        self.register_buffer("top", torch.tensor([0.2, 0.3, 0.4]).reshape(1, 3, 1, 1))
        self.register_buffer("order", torch.tensor([2, 1, 0]))
        self.register_buffer("mask", torch.arange(64).reshape(8, 8) % 3 == 0)
        self.register_buffer("places", torch.arange(192).reshape(1, 3, 8, 8) % 7)
        self.register_buffer("points", torch.rand(1, 4, 4, 2, generator=generator) - 0.5)
        with torch.no_grad():
            self.first.weight.abs_()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.first(x)
        rectified, ones = F.relu(x), torch.ones(192, 2, dtype=x.dtype)
        answers: dict[str, Tensor] = {}
        for name, call in self.calls.items():
            if name in ACTIVATIONS:
                answers[name] = call(self, x).flatten(1) @ ones
            else:
                y = F.relu(call(self, rectified).flatten(1) + 0.01)
                answers[name] = y.sum(1, keepdim=True) + y[:, :1]
        return answers


def x() -> Tensor:
    return torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def part(x: Tensor) -> Tensor:
    return x.flatten(1)[:, :8]


def assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 0] = 0.0
    y[:, :, 1:3] = x[:, :, 3:5]
    return y


def alike(constant: Tensor, x: Tensor) -> Tensor:
    return constant.expand(x.shape[0], -1, -1, -1)


def placed(m: Any, x: Tensor) -> Tensor:
    y = x.clone()
    y[:, m.order[:2]] = x[:, 1:]
    return y


ACTIVATIONS = {
    "torch.clip": lambda m, x: torch.clip(x, 0, 0.3),
    "threshold": lambda m, x: F.threshold(x, 0.0, 0.0),
    "maximum": lambda m, x: torch.maximum(x, torch.zeros((), dtype=x.dtype)),
    "maximum of zeros_like": lambda m, x: torch.maximum(x, torch.zeros_like(x)),
    "minimum of relu": lambda m, x: torch.minimum(F.relu(x), torch.tensor(0.3)),
    "a bound for each channel": lambda m, x: torch.clamp(x, torch.zeros((), dtype=x.dtype), m.top),
    "a slope": lambda m, x: F.leaky_relu(x, 0.2),
    "clamp of relu": lambda m, x: F.relu(x).clamp(max=0.3),
    "leaky relu of slope 0": lambda m, x: F.leaky_relu(x, 0.0),
}
LINEAR = {
    "mm": lambda m, x: torch.mm(part(x), m.w),
    "addmm": lambda m, x: torch.addmm(torch.ones(8, dtype=x.dtype), part(x), m.w),
    "bmm": lambda m, x: torch.bmm(x[:, 0], m.w.expand(x.shape[0], 8, 8)),
    "weight @ x": lambda m, x: m.w @ x,
    "einsum": lambda m, x: torch.einsum("bchw,wo->bcho", x, m.w),
    "einsum, weight first": lambda m, x: torch.einsum("oc,bchw->bohw", m.w[:, :3], x),
    "einsum without an arrow": lambda m, x: torch.einsum("...w,ow", x, m.w),
    "tensordot": lambda m, x: torch.tensordot(x, m.w, ([3], [0])),
    "mv": lambda m, x: part(x).mv(m.w[0]).unsqueeze(1),
    "squeeze": lambda m, x: torch.squeeze(x.mean((2, 3), keepdim=True)),
    "list index": lambda m, x: x[:, [2, 1, 0]],
    "buffer index": lambda m, x: x[:, m.order],
    "two indices": lambda m, x: x[:, :, [0, 1], [2, 3]],
    "gather": lambda m, x: torch.gather(x, 2, m.places.expand(x.shape[0], -1, -1, -1)),
    "roll": lambda m, x: torch.roll(x, (1, 2), (2, 3)),
    "repeat": lambda m, x: x.repeat(1, 2, 1, 1),
    "repeat_interleave": lambda m, x: x.repeat_interleave(2, 1),
    "tile": lambda m, x: x.tile(1, 1, 2, 1),
    "assignment": lambda m, x: assigned(x),
    "copy": lambda m, x: torch.zeros(x.shape[0], 3, 8, 8, dtype=x.dtype).copy_(x),
    "type_as": lambda m, x: x.type_as(m.w),
    "new_zeros": lambda m, x: torch.cat([x, x.new_zeros(x.shape[0], 1, 8, 8)], 1),
    "ones_like": lambda m, x: x + torch.ones_like(x),
    "masked_fill": lambda m, x: x.masked_fill(m.mask, 0.5),
    "where": lambda m, x: torch.where(m.mask, x, -x),
    "cumsum": lambda m, x: x.cumsum(2),
    "unfold": lambda m, x: F.unfold(x, 3),
    "fold": lambda m, x: F.fold(F.unfold(x, 3), (8, 8), 3),
    "Tensor.unfold": lambda m, x: x.unfold(2, 3, 2),
    "pixel_unshuffle": lambda m, x: F.pixel_unshuffle(x, 2),
    "channel_shuffle": lambda m, x: F.channel_shuffle(x, 3),
    "nearest-exact": lambda m, x: F.interpolate(x, scale_factor=1.5, mode="nearest-exact"),
    "bicubic": lambda m, x: F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=True),
    "antialias": lambda m, x: F.interpolate(x, size=(3, 5), mode="bilinear", antialias=True),
    "tril": lambda m, x: x.tril(),
    "diff": lambda m, x: x.diff(dim=2),
    "diagonal": lambda m, x: x.diagonal(0, 2, 3),
    "scatter": lambda m, x: torch.zeros_like(x).scatter(2, alike(m.places, x), x),
    "scatter_add": lambda m, x: torch.zeros_like(x).scatter_add(2, alike(m.places, x), x),
    "index_add": lambda m, x: torch.zeros_like(x).index_add(1, m.order, x),
    "index_copy": lambda m, x: torch.zeros_like(x).index_copy(1, m.order, x),
    "index_fill": lambda m, x: x.index_fill(1, m.order[:1], 0.1),
    "assignment by indices": lambda m, x: placed(m, x),
    "another precision": lambda m, x: (x.float() * 2).to(x.dtype),
    "sums in another precision": lambda m, x: x.sum(1, dtype=torch.float32).to(x.dtype),
    "rot90": lambda m, x: torch.rot90(x, 1, (2, 3)),
}
WRITTEN_OUT = {
    "hstack": lambda m, x: torch.hstack([x, x.flip(1)]),
    "lerp": lambda m, x: torch.lerp(x, x.flip(1), 0.3),
    "lerp by a constant": lambda m, x: torch.lerp(x, x.flip(1), m.w),
    "addcdiv": lambda m, x: torch.addcdiv(x, x.flip(1), m.w + 1, value=0.5),
    "grid_sample": lambda m, x: F.grid_sample(x, alike(m.points, x), align_corners=False),
    "concat": lambda m, x: torch.concat([x, x], 1),
    "repeat_interleave by stored numbers": lambda m, x: x.repeat_interleave(m.order, 1),
    "repeat_interleave by numbers": lambda m, x: x.repeat_interleave(torch.tensor([3, 0, 1]), -3),
    "trapezoid": lambda m, x: torch.trapezoid(x),
}


@pytest.mark.parametrize("calls", [ACTIVATIONS, LINEAR, WRITTEN_OUT], ids=lambda c: next(iter(c)))
def test_every_spelling_converts_exactly_in_both_engines_and_from_a_file(calls, tmp_path):
    """All of one kind stand in one network: capture is what takes time."""
    model = Net(**calls).double().eval()
    snn = sw.convert(model, x(), steps=4096, threshold=sw.Maximum())
    snn.save(tmp_path / "net.snn")
    with torch.no_grad():
        expected = model(x())
    answers = snn(x(), steps=4096)
    counts = snn(x()[:2], steps=5, engine="counts")
    stepped = snn(x()[:2], steps=5, engine="steps")
    loaded = sw.load(tmp_path / "net.snn")(x()[:2], steps=5, engine="counts")
    errors = {n: (answers[n] - e).abs().max() / e.abs().max() for n, e in expected.items()}
    assert expected.keys() == calls.keys()
    assert not {name: error for name, error in errors.items() if not error < 5e-3}
    for name, count in counts.items():
        torch.testing.assert_close(stepped[name], count, msg=lambda m, name=name: f"{name}: {m}")
        assert torch.equal(loaded[name], count), name


REFUSED = {
    "indices of the batch": (lambda m, x: x[[0, 0]], "indexes the batch"),
    "a repeated batch": (lambda m, x: x.repeat(2, 1, 1, 1), "repeats the batch"),
    "a rolled batch": (lambda m, x: x.roll(1, 0), "batch dimension"),
    "a mask of another signal": (
        lambda m, x: x.masked_fill(x.flip(1) > 0.2, 0.0),
        "compares what depends on the input",
    ),
    "indices of the input": (
        lambda m, x: x.scatter(2, (x > 0.2).long(), 1.0),
        "its indices depend on the input",
    ),
    "windows that overlap": (lambda m, x: F.adaptive_max_pool2d(x, 3), "its windows overlap"),
    "places of the first sample": (
        lambda m, x: x.scatter(2, m.places[:, :, :2], 5.0),
        r"the first ones of a batch alone(.|\n)*index\.expand\(x\.size\(0\), -1\)",
    ),
    "places of the first sample, added to": (
        lambda m, x: x.scatter_add(2, m.places, x),
        "the first ones of a batch alone",
    ),
    "indices that are no neighbours": (
        lambda m, x: x[:, m.order, :, m.order].flatten(1),
        "its indices are no neighbours",
    ),
    "the places of a maximum": (lambda m, x: x.max(1).indices * 1.0, "the places of the largest"),
    "points of the input": (
        lambda m, x: F.grid_sample(
            x, x[:, :2].permute(0, 2, 3, 1), mode="nearest", align_corners=False
        ),
        "than by linear interpolation",
    ),
    "two batches in einsum": (
        lambda m, x: torch.einsum("bchw,dchv->bcwv", x, x),
        "the batch is not the first dimension of both",
    ),
    "levels by hand": (
        lambda m, x: torch.floor((x / 0.5).clamp(0, 1) * 8 + 0.5) / 8,
        r"is spikewright\.QCFS\(L, up\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_linear_is_refused_by_its_reason(name):
    call, reason = REFUSED[name]
    with pytest.raises(sw.ConversionError, match=reason):
        sw.convert(Net(call=call).double().eval(), x())


class Weighed(nn.Module):
    """Signals times the mean of a mask, and the numbers of its places so far."""

    def forward(self, x, mask):
        rank = mask.cumsum(1, dtype=x.dtype)[:, None]
        return rank @ (F.relu(x) * mask.mean(1, keepdim=True, dtype=x.dtype))[..., None]


def test_what_masks_come_to_has_the_dtype_that_the_call_names():
    model, x = Weighed().eval(), torch.rand(4, 6, dtype=torch.float64)
    mask = torch.arange(24).reshape(4, 6) % 5 > 1
    graph = survey(model, (x, mask)).require_convertible()
    torch.testing.assert_close(evaluate(graph, batch_of([x, mask]))[0], model(x, mask))


def test_programs_of_core_aten_convert():
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.c, self.d, self.n = (
                nn.Conv2d(3, 4, 3),
                nn.ConvTranspose2d(4, 2, 2),
                nn.Linear(8, 2),
            )

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.c(x)), 2)
            return self.n(F.relu(F.adaptive_avg_pool2d(self.d(x), 2).flatten(1)))

    model = Small().double().eval()
    program = torch.export.export(
        model, (x(),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    ).run_decompositions()
    graph = survey(program, x()).require_convertible()
    assert len(graph.sites) == 2
    assert {op.function for op in graph.operations} >= {"conv2d", "conv_transpose2d", "linear"}
