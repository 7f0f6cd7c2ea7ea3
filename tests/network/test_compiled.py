"""The compiled count engine: the draws and counts of the eager one, at any batch size and T."""

from __future__ import annotations

import shutil
import warnings

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.network import compiled

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="torch.compile needs a C++ compiler",
)


def images(batch: int) -> Tensor:
    return torch.rand(batch, 2, 6, 6, generator=torch.Generator().manual_seed(batch)).double()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layers = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(36, 5),
        )
    return layers.double().eval()


@needs_compiler
@pytest.mark.parametrize("rounding", ["nearest", "unbiased", "bernoulli"])
def test_compiled_and_eager_agree_in_float64(model: nn.Module, rounding: str) -> None:
    eager = sw.convert(model, images(32), neuron=sw.TwoPhase(rounding), steps=(8, 3))
    fast = eager.with_neuron(sw.TwoPhase(rounding)).compile()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, while it compiles
        for batch, steps, seed in ((16, 8, 0), (16, 3, 5), (7, 8, 1), (5, 3, 0)):
            x = images(batch)
            torch.testing.assert_close(
                fast(x, steps=steps, seed=seed), eager(x, steps=steps, seed=seed), rtol=0, atol=1e-9
            )


@needs_compiler
def test_one_compilation_serves_every_t_and_smaller_batches(model: nn.Module) -> None:
    net = sw.convert(model, images(32), neuron=sw.TPP(), steps=4).compile()
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    for batch, steps in ((16, 4), (16, 16), (16, 64), (9, 4), (4, 7)):
        net(images(batch), steps=steps)
    assert counters["stats"]["unique_graphs"] == 1


@needs_compiler
@pytest.mark.parametrize("neuron", [sw.IntegrateFire(), sw.IntegrateFire("hard"), sw.Shuffled()])
def test_the_compiled_step_engine_sends_the_same_spikes(
    model: nn.Module, neuron: sw.IntegrateFire | sw.Shuffled
) -> None:
    eager = sw.convert(model, images(32), neuron=neuron, steps=7)
    fast = eager.with_neuron(neuron).compile()
    expected = eager.record(images(5), seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, while it compiles
        found = fast.record(images(5), seed=2)
    for site, train in expected.items():
        assert torch.equal(found[site], train), site


def test_without_a_compiler_it_warns_once_and_runs(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InvalidCxxCompiler(Exception):  # noqa: N818  (torch names it so)
        pass

    def broken(*arguments: Tensor) -> Tensor:
        raise InvalidCxxCompiler("no g++")

    monkeypatch.setattr(compiled.torch, "compile", lambda module, dynamic: broken)
    compiled.fused.cache_clear()
    eager = sw.convert(model, images(32), steps=4)
    fast = eager.with_neuron(sw.TwoPhase()).compile()
    with pytest.warns(UserWarning, match=r"no C\+\+ compiler"):
        first = fast(images(3))
    torch.testing.assert_close(first, eager(images(3)), rtol=0, atol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast(images(3))


def test_only_the_tpp_law_bounds_t(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.torch, "compile", lambda module, dynamic: module)
    eager = sw.convert(model, images(32), steps=5000)
    fast = eager.with_neuron(sw.TwoPhase()).compile()
    torch.testing.assert_close(fast(images(3)), eager(images(3)), rtol=0, atol=1e-9)


def test_compiled_networks_see_changed_weights(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled.torch, "compile", lambda module, dynamic: module)
    net = sw.convert(model, images(32), steps=4).compile()
    before = net(images(3))
    state = {name: tensor * 2 for name, tensor in net.state_dict().items()}
    net.load_state_dict(state)
    assert not torch.allclose(before, net(images(3)))
