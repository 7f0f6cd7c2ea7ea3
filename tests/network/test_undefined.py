"""Where a function has no value: 0 / 0 of counts, rows that are masked whole, NaN in the input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration.auto import least
from spikewright.neurons import Neuron
from tests.network.nets import assert_equals_its_twin
from tests.network.test_compiled import needs_compiler


class Entropy(nn.Module):
    """`p log p` is 0 / 0 where a count of p is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        p = self.first(x).softmax(1)
        return self.last(-(p * p.log()).sum(1, keepdim=True))


class Shares(nn.Module):
    """`y / sum(y)`, which is 0 / 0 where all counts of a sample are 0."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x).abs() - 0.2)
        return self.last(y / y.sum(1, keepdim=True))


def samples(batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.randn(batch, 5, generator=generator, dtype=torch.float64)


def made(kind: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind().double().eval()


@pytest.mark.parametrize("kind", [Entropy, Shares])
@pytest.mark.parametrize("options", [{}, {"correction": None}], ids=["default", "no correction"])
def test_neurons_send_nothing_where_their_function_has_no_value(
    kind: Callable[[], nn.Module], options: dict[str, Any]
) -> None:
    model, x = made(kind), samples(200, seed=1)
    snn = sw.convert(model, samples(200), steps=4, **options)
    answer = snn(x)
    assert not bool(answer.isnan().any())
    assert_equals_its_twin(snn, x)
    torch.testing.assert_close(snn(x[:9], engine="steps"), answer[:9])
    fine = snn(x, steps=4096)
    with torch.no_grad():
        assert float((fine - model(x)).square().mean().sqrt()) < 0.05 * float(model(x).std())


@needs_compiler
def test_compiled_code_gives_the_same() -> None:
    snn, x = sw.convert(made(Entropy), samples(200), steps=4, correction=None), samples(50, seed=1)
    wanted = snn(x)
    torch.testing.assert_close(snn.compile()(x), wanted)


class Attending(nn.Module):
    """Attention whose mask leaves nothing for queries that are padding themselves."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.qkv, self.last = nn.Linear(5, 8), nn.Linear(8, 24), nn.Linear(8, 3)
        self.attend = attend

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.first(x)
        parts = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in self.qkv(y).chunk(3, -1))
        both = (mask[:, None, :] & mask[:, :, None])[:, None]
        z = self.attend(*parts, both).transpose(1, 2).flatten(2)
        return self.last((F.relu(y + z) * mask[..., None]).sum(1))


def by_function(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def by_hand(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    scores = (q @ k.transpose(-1, -2) / 2).masked_fill(~mask, -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ v


@pytest.mark.parametrize("attend", [by_function, by_hand])
@pytest.mark.parametrize("padded", [True, False], ids=["padded", "padded later"])
def test_rows_that_are_masked_whole_are_0(attend: Callable[..., Tensor], padded: bool) -> None:
    model = made(lambda: Attending(attend))
    x = samples(4 * 32).unflatten(0, (32, 4)) / 4
    mask = torch.rand(32, 4, generator=torch.Generator().manual_seed(0)) > 0.4
    mask[:, 0] = True
    seen = mask if padded else torch.ones_like(mask)
    binary = sw.TwoPhase("nearest", "binary")
    data = [{"x": x, "mask": seen}]
    snn = sw.convert(model, data, binary, sw.Maximum(), steps=14, correction=None)
    with torch.no_grad():
        wanted = model(x, mask)
    error = float((snn(x, mask) - wanted).norm() / wanted.norm())
    assert error < (1e-2 if padded else 0.2)  # fewer keys make values that calibration did not see
    torch.testing.assert_close(snn.twin()(x, mask), snn(x, mask))


NEURONS = [sw.IntegrateFire(), sw.TPP(), sw.TwoPhase("nearest"), sw.SpikeTracer(), sw.SRP(2)]


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: neuron.label)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_input_that_is_not_finite_is_refused(neuron: Neuron, value: float) -> None:
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double().eval()
    snn, x = sw.convert(model, samples(64), neuron, steps=4), samples(3)
    x[1, 2] = value
    with pytest.raises(sw.ConversionError, match="holds NaN or infinity"):
        snn(x, engine="steps")
    if neuron.step_weights(4).tolist() == [1] * 4:
        with pytest.raises(sw.ConversionError, match="holds NaN or infinity"):
            snn(x.expand(4, 3, 5))


def test_a_candidate_that_gives_nan_is_not_chosen() -> None:
    assert least({"a": math.nan, "b": 2.0, "c": 1.0}) == "c"
