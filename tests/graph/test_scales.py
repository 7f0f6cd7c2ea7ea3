"""Scale folding: neuron values divided by their scale, the answer unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from spikewright.graph import Kind, evaluate, fold_scales
from spikewright.graph.evaluate import apply
from tests.builders import SideBySide, captured, images, wired


def shuffled_channels(x: Tensor, groups: int) -> Tensor:
    b, c, h, w = x.size()
    return x.view(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)


class Step(nn.Module):
    """A module made of a function; what it holds is trained."""

    def __init__(self, function: Callable, *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.modules_held = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.modules_held)


C = 6
CONV = {
    "plain": lambda: nn.Conv2d(C, C, 3, padding=1),
    "grouped": lambda: nn.Conv2d(C, C, 3, padding=1, groups=2),
    "depthwise": lambda: nn.Conv2d(C, C, 3, padding="same", groups=C),
    "strided": lambda: nn.Conv2d(C, C, 3, padding=1, stride=2),
    "dilated": lambda: nn.Conv2d(C, C, 3, padding=2, dilation=2, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(C, C, 2, stride=2),
    "transposed, grouped": lambda: nn.ConvTranspose2d(C, C, 3, padding=1, groups=3),
}
"""Every block maps [B, 6, h, w] to [B, 6, h', w'] with sizes at least 2."""
BLOCKS: dict[str, Callable[[], nn.Module]] = {
    **{f"conv, {name}": make for name, make in CONV.items()},
    "relu": lambda: nn.ReLU(),
    "batch norm": lambda: nn.BatchNorm2d(C),
    "constants": lambda: Step(lambda x: 0.5 - (x * 2 - 1) / 3),
    "residual": lambda: Step(lambda x, c: x + F.relu(c(x)), nn.Conv2d(C, C, 1)),
    "twice": lambda: Step(lambda x, c: F.relu(x) + c(F.relu(x)), nn.Conv2d(C, C, 1)),
    "cat": lambda: Step(
        lambda x, a, b: b(torch.cat([F.relu(a(x)), x], 1)),
        nn.Conv2d(C, 4, 1),
        nn.Conv2d(C + 4, C, 1),
    ),
    "cat in space": lambda: Step(lambda x, a: torch.cat([F.relu(a(x)), x], -1), nn.Conv2d(C, C, 1)),
    "chunk": lambda: Step(lambda x: torch.cat(list(x.chunk(2, 1))[::-1], 1)),
    "split": lambda: Step(
        lambda x, a: torch.cat([a(x.split([2, 4], 1)[0]), x.split([2, 4], 1)[1]], 1),
        nn.Conv2d(2, 2, 1),
    ),
    "split, one part empty": lambda: Step(lambda x: torch.cat(x.relu().split([C, 0], 1), 1)),
    "avg pool": lambda: nn.AvgPool2d(2, 1, padding=1),
    "max pool": lambda: nn.MaxPool2d(3, 2, 1),
    "adaptive pool": lambda: nn.AdaptiveAvgPool2d((3, 2)),
    "mean gate": lambda: Step(lambda x: x - x.mean((2, 3), keepdim=True)),
    "sum over rows": lambda: Step(lambda x: x + x.sum(2, keepdim=True)),
    "mean over channels": lambda: Step(lambda x: x + x.mean(1, keepdim=True)),
    "pad": lambda: Step(lambda x: F.pad(x, (1, 0, 2, 1))),
    "pad channels": lambda: Step(lambda x: F.pad(x[:, 1:], (0, 0, 0, 0, 1, 0))),
    "pad with ones": lambda: Step(lambda x: F.pad(x, (1, 1), value=1.0)),
    "pad reflecting": lambda: Step(lambda x: F.pad(x, (1, 1, 0, 1), mode="reflect")),
    "upsample nearest": lambda: nn.Upsample(scale_factor=2),
    "upsample bilinear": lambda: nn.Upsample(scale_factor=1.5, mode="bilinear"),
    "channel shuffle": lambda: Step(lambda x: shuffled_channels(x, 3)),
    "pixel shuffle": lambda: Step(lambda x, a: F.pixel_shuffle(a(x), 2), nn.Conv2d(C, 4 * C, 1)),
    "permute": lambda: Step(lambda x: x.permute(0, 1, 3, 2)),
    "linear on channels": lambda: Step(
        lambda x, a: a(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.Linear(C, C)
    ),
    "relu of a sequence": lambda: Step(
        lambda x, a: (
            a(F.relu(x.flatten(2).transpose(1, 2))).transpose(1, 2).unflatten(2, x.shape[2:])
        ),
        nn.Linear(C, C),
    ),
    "slice": lambda: Step(lambda x: x[:, :, 1:, :-1]),
    "slice channels": lambda: Step(lambda x: torch.cat([x[:, 4:], x[:, ::2], x[:, :1]], 1)),
    "flip": lambda: Step(lambda x: x.flip(1)),
    "select and stack": lambda: Step(lambda x: torch.stack([x.select(1, i) for i in range(C)], 1)),
    "squeeze": lambda: Step(lambda x: x.unsqueeze(2).squeeze(2)),
}
SHRINKING = {"conv, strided", "max pool", "slice", "adaptive pool"}
HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "flatten": lambda h, w: nn.Sequential(nn.Flatten(), nn.Linear(C * h * w, 3)),
    "view": lambda h, w: Step(lambda x, a: a(x.view(x.size(0), -1)), nn.Linear(C * h * w, 3)),
    "pooled": lambda h, w: Step(lambda x, a: a(x.mean([2, 3])), nn.Linear(C, 3)),
    "pooled row": lambda h, w: Step(
        lambda x, a: a(F.avg_pool1d(x.mean(3).mean(2), 2)), nn.Linear(3, 3)
    ),
    "matmul": lambda h, w: Step(lambda x, a: x.mean([2, 3]) @ a.weight.t(), nn.Linear(C, 3)),
    "none": lambda h, w: nn.Identity(),
}


def network(names: list[str], head: str) -> nn.Sequential:
    """Blocks after a first convolution and relu; at most two of them shrink the plane."""
    torch.manual_seed(0)
    shrunk, chosen = 0, []
    for name in names:
        shrunk += name in SHRINKING
        if name not in SHRINKING or shrunk <= 2:
            chosen.append(BLOCKS[name]())
    body = (
        nn.Sequential(nn.Conv2d(3, C, 3, padding=1), nn.ReLU(), *chosen, nn.ReLU()).double().eval()
    )
    h, w = body(images(1, size=8)).shape[2:]
    return nn.Sequential(body, HEADS[head](h, w)).double().eval()


def with_settled_norms(model: nn.Module) -> nn.Module:
    return wired(lambda m, x: m.net(x), net=model)


def assert_folds(model: nn.Module, x: Tensor, seed: int, names: Sequence[str] = ()) -> None:
    graph = captured(model, x)
    generator = torch.Generator().manual_seed(seed)
    scales: dict[str, Tensor] = {}
    for op in graph.neurons:
        assert op.site is not None
        count = op.shape[0] if torch.rand((), generator=generator) < 0.7 else 1
        scale = torch.rand(count, generator=generator, dtype=torch.float64) * 3 + 0.2
        scales[op.site.name] = scale.reshape(1, -1, *[1] * (len(op.shape) - 1))
    folded = fold_scales(graph, scales)

    def divided(op, inputs):
        return apply(op, inputs, folded.tensors) / scales[op.site.name]

    with torch.no_grad():
        expected = tree_leaves(model(x))
        plain, answers = evaluate(graph, x), evaluate(folded, x, {Kind.UNIT: divided})
    names = names or range(len(expected))
    for name, wanted, alike, answer in zip(names, expected, plain, answers, strict=True):
        for value in (alike, answer):
            torch.testing.assert_close(
                value, wanted, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
            )


@settings(max_examples=8, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(sorted(BLOCKS)), min_size=2, max_size=4),
    st.sampled_from(sorted(HEADS)),
    st.integers(0, 100),
)
def test_folding_scales_changes_no_answer(names, head, seed):
    assert_folds(with_settled_norms(network(names, head)), images(2, size=8), seed)


def test_each_block_and_each_head_passes_or_absorbs_any_scale():
    names = [(name, "flatten") for name in sorted(BLOCKS)]
    names += [("relu", head) for head in sorted(HEADS)]
    together = SideBySide([network([block], head) for block, head in names])
    assert_folds(with_settled_norms(together), images(2, size=8), 1, [str(n) for n in names])


def test_a_branch_of_the_input_itself_meets_a_scaled_one():
    model = wired(
        lambda m, x: m.b(torch.cat([x, F.relu(m.a(x))], 1)),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(7, 2, 1),
    )
    assert_folds(model, images(), seed=3)


def test_scales_go_into_weights_where_they_can():
    model = wired(
        lambda m, x: m.l(F.max_pool2d(F.relu(m.a(x)), 2).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        l=nn.Linear(16, 2),
    )
    graph = captured(model, images())
    folded = fold_scales(graph, {"relu": torch.full((1, 4, 1, 1), 2.0, dtype=torch.float64)})
    assert [op.operator for op in folded.operations] == [op.operator for op in graph.operations]


MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "reflect": lambda x: F.pad(x, (1, 1, 0, 1), mode="reflect"),
    "replicate": lambda x: F.pad(x, (0, 2, 1, 1), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "shuffle channels": lambda x: F.channel_shuffle(x, 2),
    "columns": lambda x: F.unfold(x, 3, padding=1).unflatten(2, (4, 4)),
    "triangle": lambda x: x.tril(),
    "indices": lambda x: x.index_select(1, torch.tensor([2, 0])),
}


@pytest.mark.parametrize("name", MOVES)
def test_scales_of_channels_move_with_their_values_into_weights(name):
    move = MOVES[name]
    model = wired(
        lambda m, x: m.b(move(F.relu(m.a(x)))).mean((2, 3)),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(move(images(1, channels=4, size=4)).shape[1], 2, 1),
    )
    x = images(2, size=6)
    graph = captured(model, x)
    scale = torch.tensor([0.5, 2.0, 3.0, 1.5], dtype=torch.float64).reshape(1, 4, 1, 1)
    folded = fold_scales(graph, {"relu": scale})
    assert [op.operator for op in folded.operations] == [op.operator for op in graph.operations]
    assert_folds(model, x, seed=0)


class Held(nn.Module):
    """One parameter, of a name and shape."""

    def __init__(self, name: str, *shape: int) -> None:
        super().__init__()
        self.register_parameter(name, nn.Parameter(torch.rand(*shape) + 0.5))


def test_what_folding_makes_takes_no_name_of_a_parameter():
    def forward(m, x):
        h = F.relu(m.a(x))
        return m.b(h) + F.linear(x, m.linear_1.folded), h + x * m.relu.scaled

    model = wired(
        forward,
        a=nn.Linear(5, 5),
        b=nn.Linear(5, 3),
        linear_1=Held("folded", 3, 5),
        relu=Held("scaled", 5),
    )
    assert_folds(model, torch.rand(4, 5, dtype=torch.float64), seed=0)
