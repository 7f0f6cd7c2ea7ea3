"""Save and load: the same answers, bit for bit, of every neuron, precision, engine and T."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.artefact import describe
from spikewright.artefact.configurations import decoded_threshold, encoded
from spikewright.calibration import LocalBalance, OutputMeans, Refit
from spikewright.calibration.thresholds import THRESHOLDS
from spikewright.neurons.registry import NEURONS, Registry
from tests.builders import images, wired
from tests.network.nets import NETS, converted, program

TIMES = (4, 3, 7)
"""Two that are designed, and one that is not."""


def travelled(network: sw.SpikingNetwork, folder: Path) -> sw.SpikingNetwork:
    path = folder / "network.safetensors"
    network.save(path)
    return sw.load(path)


def assert_same(left: sw.SpikingNetwork, right: sw.SpikingNetwork, x: torch.Tensor) -> None:
    lawful = all(neuron.has_count_law for neuron in left.neurons.values())
    for steps in TIMES:
        for engine in ("steps", "counts") if lawful else ("steps",):
            answers = [net(x, steps=steps, engine=engine, seed=3) for net in (left, right)]
            assert answers[0].dtype == answers[1].dtype
            assert torch.equal(*answers)
        assert left.summary(steps) == right.summary(steps)


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_construction(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    network = converted(name, steps=(4, 3)).to(dtype)
    assert_same(network, travelled(network, tmp_path), images(5, seed=9).to(dtype))


@pytest.mark.parametrize(
    "threshold",
    [
        sw.Maximum("channel"),
        sw.Percentile(95.5),
        sw.Learned(sw.MinError(candidates=8)),
        LocalBalance(rounds=3, rate=0.5, per="layer"),
    ],
    ids=lambda threshold: type(threshold).__name__,
)
def test_every_strategy(threshold, tmp_path: Path) -> None:
    network = converted("plain", steps=(4, 3), threshold=threshold)
    loaded = travelled(network, tmp_path)
    assert loaded.calibration.threshold == threshold
    assert_same(network, loaded, images(5))


def test_learned_thresholds_and_initial_potentials(tmp_path: Path) -> None:
    model = wired(
        lambda m, x: m.l(m.q(m.a(x)).mean((2, 3))),
        a=torch.nn.Conv2d(3, 4, 3),
        q=sw.QCFS(levels=4, threshold=2.0),
        l=torch.nn.Linear(4, 3),
    )
    network = sw.convert(
        model,
        images(6),
        neuron=sw.IntegrateFire(),
        threshold=sw.Learned(),
        steps=(4, 3),
        correction=OutputMeans(),
    )
    loaded = travelled(network, tmp_path)
    assert loaded.graph.sites == network.graph.sites
    assert_same(network, loaded, images(5))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_fitted_weights_follow_the_dtype_of_the_network(dtype: torch.dtype, tmp_path: Path) -> None:
    network = sw.convert(program("plain", 0), images(40), steps=(4, 3), correction=Refit()).to(
        dtype
    )
    assert_same(network, travelled(network, tmp_path), images(5).to(dtype))


@pytest.mark.parametrize("neuron", [sw.SRP(tau=50_000), sw.TwoPhase(steps=50_000)])
def test_long_windows(neuron: sw.neurons.Neuron, tmp_path: Path) -> None:
    network = converted("plain").with_neuron(neuron)
    assert travelled(network, tmp_path).neurons == network.neurons


def test_bfloat16_weights_are_kept(tmp_path: Path) -> None:
    network = converted("plain", steps=(4, 3)).to(torch.bfloat16)
    assert_same(network, travelled(network, tmp_path), images(5).to(torch.bfloat16))


def test_memory_layout_is_kept(tmp_path: Path) -> None:
    network = converted("plain", steps=(4, 3)).to(memory_format=torch.channels_last)
    loaded = travelled(network, tmp_path)
    for name, tensor in network.graph.tensors.items():
        assert loaded.graph.tensors[name].stride() == tensor.stride(), name


def test_a_loaded_network_is_like_any_other(tmp_path: Path) -> None:
    network = converted("residual", steps=(4, 3), neuron=sw.TPP())
    loaded = travelled(network, tmp_path)
    x = images(5)
    other = sw.IntegrateFire()
    first = network.sites[0]
    mixed = [net.with_neuron(other, [first]) for net in (network, loaded)]
    assert torch.equal(mixed[0](x), mixed[1](x))
    assert torch.equal(loaded.to(torch.float32)(x.float()), network.to(torch.float32)(x.float()))
    again = travelled(loaded, tmp_path)
    assert torch.equal(again(x.float()), loaded(x.float()))


def test_one_network_makes_one_file(tmp_path: Path) -> None:
    network = converted("plain", steps=(4, 3))
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        network.save(file)
    assert files[0].read_bytes() == files[1].read_bytes()
    sw.load(files[0]).save(files[1])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_notes_and_versions_are_told(tmp_path: Path) -> None:
    path = tmp_path / "network"
    converted("plain").save(path, notes={"mean": [0.5]})
    found = describe(path)
    assert found.notes == {"mean": [0.5]}
    assert found.versions["spikewright"] == sw.__version__
    assert len(found.sha256) == 64


def test_no_folder_of_this_machine_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "network"
    converted("plain").save(path)
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()


@dataclass(frozen=True)
class MyNeuron(sw.IntegrateFire):
    """Somebody's own."""


@dataclass(frozen=True)
class MyStrategy(sw.Maximum):
    """Somebody's own."""


def test_a_strategy_of_your_own_is_saved_once_strategies_have_it() -> None:
    THRESHOLDS.register(MyStrategy)
    try:
        assert decoded_threshold(encoded(MyStrategy()), "the strategy") == MyStrategy()
    finally:
        THRESHOLDS.remove(MyStrategy)


def test_a_strategy_among_the_neurons_is_refused_where_it_is_saved() -> None:
    registry: Registry[Any] = NEURONS
    registry.register(MyStrategy)
    try:
        with pytest.raises(sw.InterchangeError, match=r"strategy by .*THRESHOLDS\.register"):
            encoded(MyStrategy())
    finally:
        registry.remove(MyStrategy)


def test_neurons_of_your_own_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    network = converted("plain").with_neuron(MyNeuron())
    with pytest.raises(sw.InterchangeError, match=r"MyNeuron.*cannot be saved"):
        network.save(tmp_path / "network")
    with pytest.raises(sw.InterchangeError, match="plain JSON"):
        converted("plain").save(tmp_path / "network", notes={"when": object()})
    with pytest.raises(sw.InterchangeError, match="cannot write"):
        converted("plain").save(tmp_path / "nowhere" / "network")
    assert not list(tmp_path.iterdir())


class ByLength(nn.Module):
    """The last place of a sequence by its length, which is 0 in no sample."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        last = (length - 1)[:, None, None].expand(-1, 1, 6)
        return self.b(torch.relu(self.a(x)).gather(1, last).squeeze(1))


def test_what_counts_from_one_is_saved(tmp_path: Path) -> None:
    x = {"x": torch.rand(20, 5, 4), "length": torch.arange(20) % 5 + 1}
    network = sw.convert(ByLength().eval(), x, steps=4, correction=None)
    assert torch.equal(travelled(network, tmp_path)(**x), network(**x))


def test_settings_of_neurons_are_plain_numbers(tmp_path: Path) -> None:
    given = sw.IntegrateFire(v0=torch.tensor(0.25), shift=np.float32(0.5))  # pyright: ignore[reportArgumentType]
    assert given == sw.IntegrateFire(v0=0.25, shift=0.5)
    loaded = travelled(converted("plain").with_neuron(given), tmp_path)
    assert set(loaded.neurons.values()) == {sw.IntegrateFire(v0=0.25, shift=0.5)}


def test_a_setting_that_is_no_plain_value_is_not_taken_for_a_note(tmp_path: Path) -> None:
    network = converted("plain").with_neuron(sw.SRP(margin=torch.tensor(0.5)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(sw.InterchangeError, match=r"neurons or of its threshold .*not JSON"):
        network.save(tmp_path / "network", notes={"mean": [0.5]})
    assert not list(tmp_path.iterdir())


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    network = converted("plain", steps=2**20 + 1)
    with pytest.raises(
        sw.InterchangeError, match=r"cannot be saved: .*T must lie in 1 \.\. 1048576"
    ):
        network.save(tmp_path / "network")
    assert not list(tmp_path.iterdir())
    longer = converted("plain", neuron=sw.TwoPhase("nearest", steps=2**20 + 1), steps=4)
    with pytest.raises(sw.InterchangeError, match=r"cannot be saved: .* 0 \.\. 1048576"):
        longer.save(tmp_path / "network")


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint16])
def test_images_of_short_integers_are_taken_after_the_journey(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    model = wired(
        lambda m, x: m.b(torch.relu(m.a(x.double() / 4096))).mean((2, 3)),
        a=torch.nn.Conv2d(3, 4, 3),
        b=torch.nn.Conv2d(4, 2, 1),
    )
    x = torch.randint(0, 4096, (16, 3, 6, 6)).to(dtype)
    network = sw.convert(model, x, steps=TIMES[:2], correction=None)
    assert_same(network, travelled(network, tmp_path), x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_network_without_weights_has_the_dtype_of_its_input(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    x = images(16).to(dtype)
    model = wired(lambda m, x: nn.functional.silu(x).mean((2, 3)))
    network = sw.convert(model, x, steps=TIMES[:2], correction=None)
    assert network.dtype is dtype
    assert network.ann()(x).dtype is dtype
    assert_same(network, travelled(network, tmp_path), x)
