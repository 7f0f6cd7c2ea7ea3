"""Trainable networks: forward the spiking network, backward its representation, no step kept."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConversionError
from spikewright.finetuning import Surrogate, TrainableNetwork, ann_answer
from spikewright.neurons import Neuron
from tests.builders import images
from tests.network.nets import net

NEURONS = {
    "nearest": sw.TwoPhase(),
    "binary": sw.TwoPhase("nearest", "binary"),
    "digits": sw.TwoPhase("nearest", "digits"),
    "tpp": sw.TPP(),
    "if": sw.IntegrateFire(),
    "tracer": sw.SpikeTracer(),
}


def two_layers() -> tuple[nn.Sequential, Tensor]:
    """A network of two layers of units, and samples."""
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3))
    return nn.Sequential(*layers).double().eval(), torch.rand(32, 6, dtype=torch.float64)


def converted(model: nn.Module, x: Tensor, **options: Any) -> sw.SpikingNetwork:
    return sw.convert(model, x, **{"correction": sw.calibration.InputMeans(), **options})


@lru_cache(maxsize=4)
def ready(name: str) -> sw.Prepared:
    return sw.prepare(net(name).double().eval(), images(16).double())


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
@pytest.mark.parametrize("name", ["residual", "max pool", "unequal depths"])
def test_forward_it_is_the_spiking_network(name: str, neuron: Neuron) -> None:
    x = images(16).double()
    snn = ready(name).convert(neuron, steps=4, correction=sw.calibration.InputMeans())
    trainable = TrainableNetwork(snn)
    torch.testing.assert_close(trainable(x, seed=3), snn(x, seed=3))
    answer, design = trainable.observe(x, seed=3), snn.design()
    for site, counts in snn.counts(x, seed=3).items():
        theta = design.thresholds[site].reshape(1, -1, *[1] * (counts.ndim - 2))
        levels = neuron.levels(4)
        torch.testing.assert_close(answer.values[site].detach(), counts * theta / levels)


def naive(weights: dict[str, np.ndarray], x: np.ndarray, thetas: list[np.ndarray], steps: int):
    """A network of two integrate-and-fire layers, one step after the other; its mean output."""
    potentials = [np.broadcast_to(theta / 2, (len(x), len(theta))).copy() for theta in thetas]
    total = np.zeros((len(x), 3))
    for _ in range(steps):
        value = x
        for layer, theta in enumerate(thetas):
            current = value @ weights[f"{2 * layer}.weight"].T + weights[f"{2 * layer}.bias"]
            potentials[layer] += current
            fired = potentials[layer] >= theta
            potentials[layer] -= fired * theta
            value = fired * theta
        total += value @ weights["4.weight"].T + weights["4.bias"]
    return total / steps


def test_forward_the_order_of_drawn_spikes_is_that_of_the_network() -> None:
    """The order of a random code is drawn, and neurons of one phase behind it depend on it."""
    mixed = {"*": sw.IntegrateFire(), "1": sw.TwoPhase("nearest")}
    model, x = two_layers()
    snn = converted(model, x, neuron=mixed, steps=8)
    torch.testing.assert_close(TrainableNetwork(snn)(x, seed=3), snn(x, seed=3))


def test_digits_have_a_gradient_up_to_their_largest_count() -> None:
    """A threshold of ReLU6 in this code is a quarter of its ceiling, which four of them reach."""
    x = torch.linspace(-2, 8, 401, dtype=torch.float64)[:, None]
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU6(), nn.Linear(1, 1)).double().eval()
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
    digits = sw.TwoPhase("nearest", "digits")
    snn = sw.convert(model, x, digits, threshold=sw.Maximum(), steps=3, correction=None)
    assert float(snn.design().thresholds["1"]) == 1.5
    shown = x.clone().requires_grad_()
    TrainableNetwork(snn)(shown).sum().backward()
    assert shown.grad is not None
    inside = (x > 0.05) & (x < 5.95)
    assert bool((shown.grad[inside] == 1).all())
    assert bool((shown.grad[(x < -0.05) | (x > 6.05)] == 0).all())


def test_modules_may_be_named_with_strokes() -> None:
    layers = nn.ModuleDict({"a/b": nn.Linear(4, 8), "r/s": nn.ReLU(), "c": nn.Linear(8, 3)})
    layers["a"] = nn.ModuleDict({"b": nn.Linear(4, 8)})

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = layers

        def forward(self, x: Tensor) -> Tensor:
            both = self.parts["a/b"](x) + self.parts["a"]["b"](x)
            return self.parts["c"](self.parts["r/s"](both))

    x = torch.rand(32, 4)
    snn = sw.convert(Named().eval(), x, steps=4, correction=None)
    trainable = TrainableNetwork(snn)
    torch.testing.assert_close(trainable(x), snn(x))
    assert len(trainable.part("weight")) == 6
    torch.testing.assert_close(trainable.network()(x), snn(x))


def test_forward_it_is_a_naive_loop() -> None:
    model, x = two_layers()
    neuron = sw.IntegrateFire()
    snn = converted(model, x, neuron=neuron, steps=5, correction=None)
    weights = {name: t.numpy() for name, t in model.state_dict().items()}
    thetas = [theta.numpy() for theta in snn.design().thresholds.values()]
    expected = naive(weights, x.numpy(), thetas, 5)
    np.testing.assert_allclose(TrainableNetwork(snn)(x).detach().numpy(), expected, atol=1e-12)


def test_the_gradient_is_that_of_clamps_around_the_real_values() -> None:
    model, x = two_layers()
    off_the_data = sw.Percentile(80)  # so that no current lies on a threshold
    options = {"neuron": sw.IntegrateFire(), "threshold": off_the_data, "correction": None}
    snn = converted(model, x, steps=3, **options)
    trainable = TrainableNetwork(snn, surrogate=Surrogate.CLIPPED)
    sent = {site: value.detach() for site, value in trainable.observe(x).values.items()}

    own = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    thetas = {s: t.clone().requires_grad_() for s, t in snn.design().thresholds.items()}
    value = x
    for layer, (site, theta) in enumerate(thetas.items()):
        current = value @ own[f"{2 * layer}.weight"].T + own[f"{2 * layer}.bias"]
        clamped = torch.minimum(current.clamp(min=0), theta)
        value = clamped + (sent[site] - clamped).detach()
    output = value @ own["4.weight"].T + own["4.bias"]
    ends = torch.randn(output.shape, dtype=torch.float64)
    (output * ends).sum().backward()

    (trainable(x) * ends).sum().backward()
    for name, parameter in trainable.part("weight").items():
        torch.testing.assert_close(parameter.grad, own[name].grad)
    for site, parameter in trainable.part("threshold").items():
        torch.testing.assert_close(parameter.grad, thetas[site].grad)


def test_coupled_layers_take_the_gradient_of_the_activation() -> None:
    model, x = two_layers()
    snn = converted(model, x, neuron=sw.IntegrateFire(), steps=3, correction=None)
    trainable = TrainableNetwork(snn, surrogate=Surrogate.ACTIVATION)
    assert torch.equal(trainable(x), TrainableNetwork(snn)(x))
    first = trainable.observe(x).values["1"].detach()
    trainable(x).sum().backward()
    assert all(theta.grad is None for theta in trainable.part("threshold").values())
    weight = trainable.part("weight")["2.weight"]
    second, last = model[2], model[4]
    assert isinstance(second, nn.Linear)
    assert isinstance(last, nn.Linear)
    gate = (second(first) > 0).double()
    expected = (gate * last.weight.sum(0)).T @ first
    torch.testing.assert_close(weight.grad, expected.detach())


@pytest.mark.parametrize("neuron", [sw.IntegrateFire(), sw.TwoPhase()], ids=["if", "nearest"])
def test_memory_does_not_grow_with_time(neuron: Neuron) -> None:
    x = images(4)
    model = net("residual").eval()
    kept: dict[int, int] = {}
    for steps in (2, 64):
        trainable = TrainableNetwork(converted(model, x, neuron=neuron, steps=steps))
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            trainable(x).sum().backward()
        kept[steps] = sum(sizes)
    assert kept[2] == kept[64] > 0


def test_layers_after_the_first_ones_compute_activations() -> None:
    x = images(16).double()
    for name in ("residual", "max pool", "unequal depths"):
        snn = ready(name).convert(sw.IntegrateFire(), steps=4, correction=None)
        trainable = TrainableNetwork(snn)
        trainable.spiking = 0
        torch.testing.assert_close(trainable(x), snn.ann()(x))
        trainable.spiking = 1
        first = snn.sites[0]
        full = TrainableNetwork(snn).observe(x).values[first]
        assert torch.equal(trainable.observe(x).values[first], full)
        assert not torch.equal(trainable(x), snn.ann()(x))


def test_frozen_is_what_the_first_sites_depend_on() -> None:
    model, x = two_layers()
    trainable = TrainableNetwork(converted(model, x, steps=3))

    def trained() -> set[str]:
        return {name for name, p in trainable.named_parameters() if p.requires_grad}

    everything = trained()
    trainable.freeze(1)
    fixed = {"weight:0/weight", "weight:0/bias", "threshold:1", "correction:1"}
    assert trained() == everything - fixed
    trainable.freeze(0)
    assert trained() == everything


def test_it_becomes_a_spiking_network_that_can_be_saved(tmp_path: Path) -> None:
    x = images(16)
    snn = converted(net("residual").eval(), x, neuron=sw.IntegrateFire(), steps=(4, 8))
    before, before_8 = snn(x), snn(x, steps=8)
    trainable = TrainableNetwork(snn)
    optimizer = torch.optim.SGD(trainable.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        trainable(x).square().sum().backward()
        optimizer.step()
    tuned = trainable.network()
    torch.testing.assert_close(tuned(x), trainable(x).detach(), rtol=1e-4, atol=1e-4)
    assert (tuned(x) - before).abs().max() > 0.01
    assert torch.equal(tuned(x, steps=8), before_8)
    assert torch.equal(snn(x), before)  # what it was made of is left as it was
    tuned.save(tmp_path / "network.safetensors")
    again = sw.load(tmp_path / "network.safetensors")
    assert torch.equal(again(x), tuned(x))
    assert torch.equal(TrainableNetwork(again)(x), TrainableNetwork(tuned)(x))


def test_the_answer_of_the_ann_has_its_activations() -> None:
    model, x = two_layers()
    snn = converted(model, x, steps=3)
    answer = ann_answer(snn.graph, x)
    torch.testing.assert_close(answer.logits, model(x).detach())
    torch.testing.assert_close(answer.values["3"], model[:4](x).detach())


def test_what_cannot_be_trained_is_refused() -> None:
    x = images(16)
    snn = converted(net("residual").eval(), x, steps=4)
    with pytest.raises(ConversionError, match="fine-tune the network in float32"):
        TrainableNetwork(snn.with_precision("int8"))
    half = converted(net("residual").bfloat16().eval(), x.bfloat16(), steps=4)
    with pytest.raises(ConversionError, match="lost in 16 or 8 bits"):
        TrainableNetwork(half)
    with pytest.raises(ConversionError, match=r"got frames \[4, 16, .*frames\.mean\(0\)"):
        TrainableNetwork(snn)(x.expand(4, *x.shape))
    with pytest.raises(ConversionError, match="takes batches of shape"):
        TrainableNetwork(snn)(x[:, :2])
    with pytest.raises(ConversionError, match="the input holds NaN"):
        TrainableNetwork(snn)(x.masked_fill(x == x.max(), torch.nan))


def test_thresholds_of_exchanged_neurons_stay_as_they_were_trained() -> None:
    """Digits count beyond L, so that ReLU6 lowers theirs once: not again after a training."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU6(), nn.Linear(16, 3)).double().eval()
    x = torch.rand(64, 4, dtype=torch.float64) * 40 - 10
    snn = converted(model, x, steps=6, correction=None).with_neuron(
        sw.TwoPhase("nearest", "digits")
    )
    trainable = TrainableNetwork(snn)
    with torch.no_grad():
        for theta in trainable.part("threshold").values():
            theta.mul_(1.2)
    network = trainable.network()
    torch.testing.assert_close(network(x), trainable(x).detach())
    assert network(x, steps=3).shape == (64, 3)
