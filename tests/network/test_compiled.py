"""The compiled count engine: the draws and counts of the eager one, at any batch size and T."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

import spikewright as sw
from spikewright.calibration import InputMeans
from spikewright.network import compiled_engine
from spikewright.network import compiler as compiled
from spikewright.network.plan import Observer
from spikewright.neurons import Neuron
from tests.builders import exported

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="torch.compile needs a C++ compiler",
)


def images(batch: int) -> Tensor:
    return torch.rand(batch, 2, 6, 6, generator=torch.Generator().manual_seed(batch)).double()


@pytest.fixture(scope="module")
def model() -> ExportedProgram:
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
    return exported(layers.double().eval(), images(2))


Both = Callable[[Neuron], tuple[sw.SpikingNetwork, sw.SpikingNetwork]]


@pytest.fixture(scope="module")
def both(model: ExportedProgram) -> Both:
    """A network and its compiled twin, compiled once for all tests: it takes seconds."""

    @cache
    def made(neuron: Neuron) -> tuple[sw.SpikingNetwork, sw.SpikingNetwork]:
        eager = sw.convert(
            model, images(32), neuron=neuron, steps=(8, 7, 3), correction=InputMeans()
        )
        return eager, eager.with_neuron(neuron).compile()

    return made


@needs_compiler
@pytest.mark.parametrize("rounding", ["nearest", "unbiased", "bernoulli"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it compiles
def test_compiled_and_eager_agree_in_float64(both: Both, rounding: str) -> None:
    eager, fast = both(sw.TwoPhase(rounding))
    for batch, steps, seed in ((16, 8, 0), (16, 3, 5), (7, 8, 1), (5, 3, 0)):
        x = images(batch)
        torch.testing.assert_close(
            fast(x, steps=steps, seed=seed), eager(x, steps=steps, seed=seed), rtol=0, atol=1e-9
        )


@needs_compiler
def test_one_compilation_serves_every_t_and_smaller_batches(model: ExportedProgram) -> None:
    net = sw.convert(model, images(32), neuron=sw.TPP(), steps=4, correction=InputMeans()).compile()
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    for batch, steps in ((16, 4), (16, 16), (16, 64), (9, 4), (4, 7)):
        net(images(batch), steps=steps, sample_ids=torch.arange(batch))
    assert counters["stats"]["unique_graphs"] == 1


@needs_compiler
@pytest.mark.parametrize("neuron", [sw.IntegrateFire(), sw.IntegrateFire("hard"), sw.Shuffled()])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_compiled_step_engine_sends_the_same_spikes(both: Both, neuron: Neuron) -> None:
    eager, fast = both(neuron)
    expected, found = (network.record(images(5), seed=2) for network in (eager, fast))
    for site, train in expected.items():
        assert torch.equal(found[site], train), site


def test_without_a_compiler_it_warns_once_and_runs(
    model: ExportedProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InvalidCxxCompiler(Exception):  # noqa: N818  (torch names it so)
        pass

    def broken(*arguments: Tensor) -> Tensor:
        raise InvalidCxxCompiler("no g++")

    monkeypatch.setattr(compiled.torch, "compile", lambda module, **_: broken)
    compiled.fused.cache_clear()
    eager = sw.convert(model, images(32), steps=4, correction=InputMeans())
    fast = eager.with_neuron(sw.TwoPhase()).compile()
    with pytest.warns(UserWarning, match=r"no C\+\+ compiler"):
        first = fast(images(3))
    torch.testing.assert_close(first, eager(images(3)), rtol=0, atol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast(images(3))


def test_only_the_tpp_law_bounds_t(model: ExportedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.torch, "compile", lambda module, **_: module)
    eager = sw.convert(model, images(32), steps=5000, correction=InputMeans())
    fast = eager.with_neuron(sw.TwoPhase()).compile()
    torch.testing.assert_close(fast(images(3)), eager(images(3)), rtol=0, atol=1e-9)


def test_compiled_networks_see_changed_weights(
    model: ExportedProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled.torch, "compile", lambda module, **_: module)
    net = sw.convert(model, images(32), steps=4, correction=InputMeans()).compile()
    before = net(images(3))
    state = {name: tensor * 2 for name, tensor in net.state_dict().items()}
    net.load_state_dict(state)
    assert not torch.allclose(before, net(images(3)))


@needs_compiler
@pytest.mark.parametrize(
    "neuron",
    [sw.IntegrateFire(), sw.IntegrateFire("hard"), sw.IntegrateFire(v0=0.0, shift=0.5)],
    ids=lambda neuron: neuron.label,
)
def test_compiled_time_steps_give_what_the_step_engine_gives(
    both: Both, neuron: sw.IntegrateFire
) -> None:
    eager, fast = both(neuron)
    for batch, steps in ((16, 7), (9, 12)):
        x, sent = images(batch), []
        for network in (eager, fast):
            seen: dict[str, Tensor] = {}
            observer = Observer(sent=lambda op, spikes, seen=seen: seen.update({op.name: spikes}))
            answer = network.observe(x, observer, steps=steps)
            sent.append((answer, network(x, steps=steps), seen))
        for found in sent[1][:2]:
            torch.testing.assert_close(found, sent[0][0], rtol=0, atol=1e-9)
        assert sent[0][2].keys() == sent[1][2].keys()
        for name, spikes in sent[0][2].items():
            assert torch.equal(spikes, sent[1][2][name]), name


@needs_compiler
def test_compiled_time_steps_start_from_calibrated_potentials(model: ExportedProgram) -> None:
    eager = sw.methods.SNNC.convert(model, images(32), steps=6)
    fast = eager.with_neuron(next(iter(eager.neurons.values()))).compile()
    assert eager.plan(6).potentials
    torch.testing.assert_close(fast(images(5)), eager(images(5)), rtol=0, atol=1e-9)


@needs_compiler
@pytest.mark.parametrize("neuron", [sw.TPP(), sw.IntegrateFire()])
def test_a_batch_run_in_parts_gives_the_same(
    model: ExportedProgram, neuron: Neuron, monkeypatch: pytest.MonkeyPatch
) -> None:
    eager = sw.convert(model, images(32), neuron=neuron, steps=4, correction=InputMeans())
    expected, seen = eager(images(11)), dict[str, Tensor]()
    monkeypatch.setattr(compiled_engine, "_WIDEST", 144 * 8 * 4)  # four samples
    fast = eager.with_neuron(neuron).compile()
    found = fast.observe(images(11), Observer(sent=lambda op, n: seen.update({op.name: n})))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    counts = eager.counts(images(11))
    for spikes, count in zip(seen.values(), counts.values(), strict=True):
        assert torch.equal(spikes, count.flatten(1).sum(1))
