"""Self-connected layers beside a naive loop, their draws, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.errors import ModelError
from spikewright.intrinsic import EscapeNoise, Form, Hears, SelfConnectedLayer, SelfConnection
from spikewright.neurons import Draws, sample_ids_of
from spikewright.recurrent import ALIF, MultiGaussian, RecurrentLayer

DOUBLE = torch.float64
CONNECTIONS = [None, *(SelfConnection(form, hears) for form in Form for hears in Hears)]


def layer(
    connection: SelfConnection | None, firing: EscapeNoise | MultiGaussian | None = None
) -> SelfConnectedLayer:
    """Six neurons of three inputs that spike a good deal."""
    torch.manual_seed(0)
    made = SelfConnectedLayer(3, 6, connection, firing, time_constant=(5.0, 1.0)).to(DOUBLE)
    with torch.no_grad():
        made.inward.weight.mul_(4)
        made.inward.bias.add_(1)
        if made.self_weights is not None:
            made.self_weights.normal_(std=0.6)
    return made


def loop(made: SelfConnectedLayer, x: np.ndarray, seed: int | None) -> np.ndarray:
    """The spikes, neuron by neuron, each draw asked for by itself."""
    p = {name: value.detach().numpy() for name, value in made.named_parameters()}
    steps, batch, _ = x.shape
    ids = sample_ids_of(torch.from_numpy(x).transpose(0, 1))
    units, out = made.units, np.zeros((steps, batch, made.units))
    v = p.get("self_weights", np.zeros(units))
    v = np.diag(v) if v.ndim == 1 else v
    for i in range(batch):
        draws = Draws(seed or 0, "self-connected", ids[i : i + 1])
        u, s = np.zeros(units), np.zeros(units)
        for t in range(steps):
            spikes = made.connection is not None and made.connection.hears == Hears.SPIKES
            heard, before = (s if spikes else u).copy(), s.copy()
            for j in range(units):
                a = math.exp(-1 / math.exp(p["log_tau"][j]))
                current = p["inward.bias"][j] + p["inward.weight"][j] @ x[t, i]
                current += sum(v[j, k] * heard[k] for k in range(units))
                u[j] = a * u[j] + (1 - a) * current - before[j]
                if isinstance(made.firing, EscapeNoise):
                    q = 1 / (1 + math.exp(-(u[j] - 1) / made.firing.width))
                    s[j] = float(draws.uniform(t, (1, units))[0, j]) < q
                else:
                    s[j] = u[j] > 1
            out[t, i] = s
    return out


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("firing", [None, EscapeNoise(0.3)])
def test_spikes_are_those_of_a_naive_loop(
    connection: SelfConnection | None, firing: EscapeNoise | None
) -> None:
    made, seed = layer(connection, firing), 5 if firing else None
    x = torch.rand(25, 2, 3, dtype=DOUBLE)
    spikes = made(x, seed=seed)
    assert 0.02 < spikes.mean() < 0.9
    assert (spikes.detach().numpy() == loop(made, x.numpy(), seed)).all()


def test_draws_do_not_depend_on_the_batch() -> None:
    made, x = layer(SelfConnection("full"), EscapeNoise(0.4)), torch.rand(30, 7, 3, dtype=DOUBLE)
    whole = made(x, seed=2)
    order = torch.tensor([4, 0, 6])
    assert torch.equal(made(x[:, order], seed=2), whole[:, order])
    for n in range(7):
        assert torch.equal(made(x[:, n : n + 1], seed=2), whole[:, n : n + 1])
    assert torch.equal(
        made(x[:12], seed=2, sample_ids=sample_ids_of(x.transpose(0, 1))), whole[:12]
    )


def test_draws_differ_by_seed_sample_and_site() -> None:
    x = torch.rand(30, 1, 3, dtype=DOUBLE).expand(-1, 4, -1)
    made = layer(None, EscapeNoise(0.4))
    same = made(x, seed=1)
    assert all(torch.equal(same[:, 0], same[:, n]) for n in range(4))
    assert torch.equal(made(x), made(x, seed=0))
    apart = made(x, seed=1, sample_ids=torch.arange(4))
    assert not any(torch.equal(apart[:, 0], apart[:, n]) for n in (1, 2, 3))
    assert not torch.equal(same, made(x, seed=2))
    other = SelfConnectedLayer(3, 6, None, EscapeNoise(0.4), site="second").to(DOUBLE)
    other.load_state_dict(made.state_dict())
    assert not torch.equal(same, other(x, seed=1))


def test_without_a_connection_it_is_a_layer_of_leaky_neurons() -> None:
    """And one of recurrent ones where all hear all spikes."""
    x = torch.rand(25, 2, 3, dtype=DOUBLE)
    for connection in (None, SelfConnection("full", "spikes")):
        made = layer(connection)
        neuron = ALIF(1.0, beta=0.0)
        other = RecurrentLayer(3, 6, neuron, recurrent=connection is not None).to(DOUBLE)
        names = {"self_weights": "among.weight"}
        other.load_state_dict({names.get(k, k): v for k, v in made.state_dict().items()})
        assert torch.equal(made(x), other(x))


def test_a_diagonal_that_hears_spikes_is_another_reset() -> None:
    """`(1 - alpha) v` less is taken off; so with v = theta / (1 - alpha) nothing is."""
    made = layer(SelfConnection("diagonal", "spikes"))
    with torch.no_grad():
        assert made.self_weights is not None
        made.self_weights.copy_(1 / (1 - made.decay))
    x = torch.rand(25, 2, 3, dtype=DOUBLE)
    alpha, u = made.decay, torch.zeros(2, 6, dtype=DOUBLE)
    for found, current in zip(made.observe(x).potentials, made.inward(x), strict=True):
        u = alpha * u + (1 - alpha) * current
        torch.testing.assert_close(found, u)


def test_every_spike_is_paid_for_by_input_less_leak() -> None:
    """Summed over time: `theta spikes = (1 - alpha) sum of (I - u) - last u`, however drawn."""
    for firing in (None, EscapeNoise(0.2)):
        made = layer(None, firing).requires_grad_(False)
        x = torch.rand(200, 2, 3, dtype=DOUBLE)
        u, s = made.observe(x)
        taken = (1 - made.decay) * (made.inward(x).sum(0) - u[:-1].sum(0))
        torch.testing.assert_close(taken - u[-1], made.threshold * s[:-1].sum(0))


class Smooth(EscapeNoise):
    """In place of spikes their probability: the function whose true gradient spikes are given."""

    def spikes(self, distance: Tensor, draw: Tensor) -> Tensor:
        return self.probability(distance)


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_gradients_go_back_to_every_parameter(connection: SelfConnection | None) -> None:
    made = layer(connection, Smooth(0.5))
    names = [name for name, _ in made.named_parameters()]
    assert ("self_weights" in names) == (connection is not None)
    x = torch.rand(3, 1, 3, dtype=DOUBLE, requires_grad=True)
    ids = torch.arange(1)

    def spikes(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(made, given, (x,), {"sample_ids": ids})

    values = [value.detach().clone().requires_grad_() for value in made.parameters()]
    assert torch.autograd.gradcheck(spikes, (x, *values))


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="form is diagonal or full, got 'ring'"):
        SelfConnection("ring")
    with pytest.raises(ValueError, match="hears is potentials or spikes, got 'currents'"):
        SelfConnection(hears="currents")
    with pytest.raises(ValueError, match="inputs and units must be at least 1"):
        SelfConnectedLayer(0, 2)
    with pytest.raises(ValueError, match="threshold above 0"):
        SelfConnectedLayer(1, 2, threshold=0.0)
    with pytest.raises(ValueError, match="time_constant is a mean above 0"):
        SelfConnectedLayer(1, 2, time_constant=(0.0, 1.0))
    with pytest.raises(ValueError, match="site='a' has no effect"):
        SelfConnectedLayer(1, 2, site="a")


def test_what_does_not_fit_is_refused() -> None:
    x = torch.rand(4, 2, 3, dtype=DOUBLE)
    certain, drawn = layer(None), layer(None, EscapeNoise(0.3))
    for wrong in (x[..., :2], x[0], x[:0]):
        with pytest.raises(ModelError, match=r"takes \[T, B, 3\] with T at least 1"):
            certain(wrong)
    with pytest.raises(ModelError, match="seed and sample_ids have no effect"):
        certain(x, seed=0)
    with pytest.raises(ModelError, match="nothing is drawn"):
        certain(x, sample_ids=torch.arange(2))
    with pytest.raises(ModelError, match=r"sample_ids are \[B\] = \(2,\), got \(3,\)"):
        drawn(x, sample_ids=torch.arange(3))
