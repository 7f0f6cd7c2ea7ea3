"""Adaptive neurons beside naive loops, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import ModelError
from spikewright.recurrent import ALIF, SRNN, MultiGaussian, ReadOut, RecurrentLayer
from spikewright.recurrent.alif import decay, first_log_tau

DOUBLE = torch.float64


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in module.named_parameters()}


def loop(layer: RecurrentLayer, x: np.ndarray) -> np.ndarray:
    """The spikes of a layer, neuron by neuron, as the paper writes them."""
    p, neuron = arrays(layer), layer.neuron
    steps, batch, _ = x.shape
    units = layer.units
    alpha = np.exp(-1 / np.exp(p["log_tau"]))
    rho = np.exp(-1 / np.exp(p["log_tau_adaptation"])) if neuron.adapts else np.ones(units)
    out = np.zeros((steps, batch, units))
    for i in range(batch):
        u, b, s = np.zeros(units), np.zeros(units), np.zeros(units)
        for t in range(steps):
            before = s.copy()
            for j in range(units):
                current = p["inward.bias"][j] + p["inward.weight"][j] @ x[t, i]
                if layer.among is not None:
                    current += p["among.weight"][j] @ before
                b[j] = rho[j] * b[j] + (1 - rho[j]) * before[j]
                theta = neuron.threshold + neuron.beta * b[j]
                u[j] = alpha[j] * u[j] + (1 - alpha[j]) * current - theta * before[j]
                s[j] = 1.0 if u[j] - theta > 0 else 0.0
            out[t, i] = s
    return out


def layer(neuron: ALIF, *, recurrent: bool = True) -> RecurrentLayer:
    """Twelve neurons of five inputs that spike a good deal."""
    torch.manual_seed(0)
    made = RecurrentLayer(5, 12, neuron, recurrent=recurrent).to(DOUBLE)
    with torch.no_grad():
        made.inward.weight.mul_(6)
    return made


NEURONS = (ALIF(), ALIF(0.2, beta=0.5, adaptation_time_constant=(8, 2)), ALIF(0.3, beta=0.0))


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("recurrent", [True, False])
def test_spikes_are_those_of_a_naive_loop(neuron: ALIF, recurrent: bool) -> None:
    x = torch.randn(40, 3, 5, dtype=DOUBLE)
    made = layer(neuron, recurrent=recurrent)
    spikes = made(x)
    assert 0.02 < spikes.mean() < 0.9
    assert np.abs(spikes.detach().numpy() - loop(made, x.numpy())).max() < 1e-6


def test_state_is_that_of_a_naive_loop() -> None:
    """Potential and adaptation of one neuron, by Python's own numbers."""
    neuron, alpha, rho = ALIF(0.2, beta=0.7), 0.9, 0.8
    state, a, r = (
        neuron.start(1, 1, torch.zeros(1, dtype=DOUBLE)),
        *torch.tensor([[alpha], [rho]], dtype=DOUBLE),
    )
    u = b = s = 0.0
    for t in range(30):
        current = 2 * math.sin(t)
        b = rho * b + (1 - rho) * s
        theta = 0.2 + 0.7 * b
        u = alpha * u + (1 - alpha) * current - theta * s
        s = float(u > theta)
        state = neuron.step(torch.tensor([[current]], dtype=DOUBLE), state, a, r)
        assert [float(part) for part in state] == pytest.approx([u, b, s], abs=1e-12)


def test_the_read_out_integrates_and_leaks() -> None:
    torch.manual_seed(0)
    made = ReadOut(6, 4).to(DOUBLE)
    spikes = (torch.rand(25, 2, 6, dtype=DOUBLE) < 0.3).to(DOUBLE)
    p = arrays(made)
    alpha, v = np.exp(-1 / np.exp(p["log_tau"])), np.zeros((2, 4))
    for t, found in enumerate(made(spikes).detach().numpy()):
        current = spikes[t].numpy() @ p["inward.weight"].T + p["inward.bias"]
        v = alpha * v + (1 - alpha) * current
        assert np.abs(found - v).max() < 1e-12


def test_the_surrogate_is_three_gaussians() -> None:
    x = torch.linspace(-4, 4, 81, dtype=DOUBLE, requires_grad=True)
    surrogate = MultiGaussian(gamma=0.4, width=0.3, height=0.2, spread=5.0)
    spikes = surrogate(x)
    assert torch.equal(spikes, (x > 0).to(DOUBLE))
    (found,) = torch.autograd.grad(spikes.sum(), x)
    density = torch.distributions.Normal
    near, wide = density(0.0, 0.3), 5 * 0.3
    sides = density(0.3, wide).log_prob(x).exp() + density(-0.3, wide).log_prob(x).exp()
    wanted = 0.4 * (1.2 * near.log_prob(x).exp() - 0.2 * sides)
    torch.testing.assert_close(found, wanted)
    assert found.min() < 0 < found.max()


class Smooth(MultiGaussian):
    """In place of spikes the function whose true gradient is the surrogate's."""

    def __call__(self, distance: Tensor) -> Tensor:
        wide = self.spread * self.width

        def below(x: Tensor, width: float) -> Tensor:
            return 0.5 * (1 + torch.erf(x / (width * math.sqrt(2))))

        sides = below(distance - self.width, wide) + below(distance + self.width, wide)
        middle = below(distance, self.width)
        return self.gamma * ((1 + self.height) * middle - self.height * sides)


@pytest.mark.parametrize("beta", [0.5, 0.0])
def test_gradients_go_back_through_time_to_every_parameter(beta: float) -> None:
    """Finite differences, where spikes are smooth and have the surrogate as their gradient."""
    torch.manual_seed(0)
    network = SRNN(2, (3, 2), 2, ALIF(0.2, beta=beta, surrogate=Smooth())).to(DOUBLE)
    names = [name for name, _ in network.named_parameters()]
    assert ("layers.0.log_tau_adaptation" in names) == (beta > 0)
    x = torch.randn(6, 2, 2, dtype=DOUBLE, requires_grad=True)

    def answer(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,))

    values = [p.detach().clone().requires_grad_() for p in network.parameters()]
    assert torch.autograd.gradcheck(answer, (x, *values))


def test_the_gradient_of_spikes_is_the_one_by_hand() -> None:
    """Of one neuron that spikes over two steps: u2 = a u1 + (1 - a) w x2 - theta s1."""
    neuron, a, w = ALIF(0.3, beta=0.0), 0.8, torch.tensor(3.0, dtype=DOUBLE, requires_grad=True)
    alpha, x = torch.tensor([a], dtype=DOUBLE), (1.0, 0.4)
    state, total = neuron.start(1, 1, alpha), torch.zeros((), dtype=DOUBLE)
    for value in x:
        state = neuron.step((w * value).view(1, 1), state, alpha, None)
        total = total + state.spikes.sum()
    total.backward()

    def slope(distance: float) -> float:
        return float(neuron.surrogate.slope(torch.tensor(distance, dtype=DOUBLE)))

    u1 = (1 - a) * 3 * x[0]
    s1 = float(u1 > 0.3)
    u2 = a * u1 + (1 - a) * 3 * x[1] - 0.3 * s1
    du1 = (1 - a) * x[0]
    ds1 = slope(u1 - 0.3) * du1
    du2 = a * du1 + (1 - a) * x[1] - 0.3 * ds1
    assert s1 == 1
    assert w.grad is not None
    assert float(w.grad) == pytest.approx(ds1 + slope(u2 - 0.3) * du2, rel=1e-12)


def test_time_constants_are_drawn_as_asked() -> None:
    torch.manual_seed(0)
    tau = first_log_tau(4000, (20.0, 5.0)).exp()
    assert float(tau.mean()) == pytest.approx(20, abs=0.5)
    assert float(tau.std()) == pytest.approx(5, abs=0.3)
    assert first_log_tau(500, (1.0, 3.0)).exp().min() >= 1
    assert decay(torch.tensor([10.0]).log()).item() == pytest.approx(math.exp(-0.1))


def test_the_answer_is_the_mean_of_softmaxes_over_the_last_steps() -> None:
    torch.manual_seed(0)
    network, late = SRNN(3, (8,), 4).to(DOUBLE), SRNN(3, (8,), 4, answer_steps=2).to(DOUBLE)
    late.load_state_dict(network.state_dict())
    x = torch.randn(10, 5, 3, dtype=DOUBLE)
    (train,) = network.observe(x).spikes
    said = torch.softmax(network.read_out(train), 2)
    torch.testing.assert_close(network(x).exp(), said.mean(0))
    torch.testing.assert_close(late(x).exp(), said[-2:].mean(0))
    torch.testing.assert_close(network(x).exp().sum(1), torch.ones(5, dtype=DOUBLE))


def test_a_gain_multiplies_the_weights_on_the_input_alone() -> None:
    torch.manual_seed(0)
    plain = SRNN(3, (4, 4), 2).state_dict()
    torch.manual_seed(0)
    louder = SRNN(3, (4, 4), 2, input_gain=3.0).state_dict()
    changed = [name for name, value in plain.items() if not torch.equal(value, louder[name])]
    assert changed == ["layers.0.inward.weight"]
    torch.testing.assert_close(louder[changed[0]], 3 * plain[changed[0]])


def test_samples_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    network, x = SRNN(3, (8, 8), 4).to(DOUBLE), torch.randn(10, 5, 3, dtype=DOUBLE)
    torch.testing.assert_close(network(x)[2:3], network(x[:, 2:3]))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: ALIF(threshold=0.0), "threshold must be above 0"),
        (lambda: ALIF(beta=-1.0), "beta must be at least 0"),
        (lambda: ALIF(beta=0.0, adaptation_time_constant=(9, 1)), "has no effect with beta=0"),
        (lambda: ALIF(time_constant=(0.0, 1.0)), "time_constant is a mean above 0"),
        (lambda: ALIF(adaptation_time_constant=(9, -1)), "adaptation_time_constant is a mean"),
        (lambda: MultiGaussian(gamma=0.0), "gamma must be above 0"),
        (lambda: MultiGaussian(width=math.inf), "width must be above 0 and finite"),
        (lambda: MultiGaussian(height=-0.1), "height must be at least 0"),
        (lambda: MultiGaussian(spread=1.0), "spread must be above 1"),
        (lambda: RecurrentLayer(0, 3), "inputs and units must be at least 1"),
        (lambda: ReadOut(3, 0), "inputs and classes must be at least 1"),
        (lambda: SRNN(3, (), 2), "names the number of neurons of each layer"),
        (lambda: SRNN(3, (4,), 2, answer_steps=0), "answer_steps must be at least 1"),
        (lambda: SRNN(3, (4,), 2, input_gain=0.0), "input_gain must be above 0"),
    ],
)
def test_what_means_nothing_is_refused(made: object, message: str) -> None:
    assert callable(made)
    with pytest.raises(ValueError, match=message):
        made()


def test_an_input_of_another_shape_is_refused() -> None:
    network = SRNN(3, (4,), 2, answer_steps=5)
    with pytest.raises(ModelError, match=r"\[T, B, 3\].*turned by x.transpose"):
        network(torch.zeros(8, 2, 4))
    with pytest.raises(ModelError, match="answer_steps=5, but the sequence has 4 time steps"):
        network(torch.zeros(4, 2, 3))
