"""Claims about Sinabs' `from_torch.from_model`."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

import spikewright as sw
from docs_tools.peers.claim import Finding, Functional, Reused, claims, samples, two_layers

STEPS = 16


def converted(model: nn.Module, **options: Any) -> Any:
    """The spiking network that Sinabs makes of a model."""
    from sinabs.from_torch import from_model

    return from_model(model, num_timesteps=STEPS, **options).spiking_model


def shown(x: Tensor) -> Tensor:
    """Samples repeated over time, time and batch in one dimension as Sinabs wants them."""
    return x.repeat_interleave(STEPS, 0)


def answer(network: Any, x: Tensor) -> Tensor:
    """Mean over time."""
    with torch.no_grad():
        return network(shown(x)).unflatten(0, (len(x), STEPS)).mean(1)


def functions_are_not_seen() -> Finding:
    """With `F.relu` nothing is converted, nothing is said, and the ANN's own answer comes back."""
    from sinabs.layers import StatefulLayer

    model, x = Functional().eval(), samples()
    network = converted(model)
    neurons = sum(isinstance(m, StatefulLayer) for m in network.modules())
    unchanged = torch.allclose(answer(network, x), model(x), atol=1e-6)
    sites = sw.convert(model, x).sites
    return Finding(
        neurons == 0 and unchanged and sites == ("relu",),
        f"spiking layers: {neurons}, answers those of the ANN: {unchanged}; here the sites are "
        f"{sites}",
    )


def thresholds_are_not_calibrated() -> Finding:
    """Thresholds are given by hand, one for all layers; no data is taken, and scale tells."""
    from sinabs.from_torch import from_model

    takes = set(inspect.signature(from_model).parameters)
    model, x = two_layers(), samples()
    with torch.no_grad():
        model[0].weight *= 0.01  # the same network in another unit, undone by the next layer
        model[0].bias *= 0.01
        model[2].weight *= 100
    expected = model(x)

    def error(found: Tensor) -> float:
        return float((found - expected).norm() / expected.norm())

    theirs = error(answer(converted(model), x))
    ours = error(sw.convert(model, x, neuron=sw.IntegrateFire(), steps=STEPS)(x))
    return Finding(
        not takes & {"data", "dataloader", "calibration"} and theirs > 5 * ours,
        f"relative error of the logits at T = {STEPS}: {theirs:.2f} with the default threshold, "
        f"{ours:.2f} here",
    )


def several_spikes_a_step() -> Finding:
    """The default neuron sends several spikes at one step; here a step carries 0 or 1."""
    model, x = two_layers(), samples() * 20
    network = converted(model)
    seen: list[Tensor] = []
    network[1].register_forward_hook(lambda module, given, out: seen.append(out))
    answer(network, x)
    most = float(seen[0].max())
    trains = sw.convert(model, x, neuron=sw.IntegrateFire(), steps=STEPS).record(x)
    ours = max(int(train.max()) for train in trains.values())
    return Finding(most > 1 and ours == 1, f"most spikes at a step: {most:g}; here {ours}")


def reused_modules_share_state() -> Finding:
    """A ReLU called twice becomes one layer of neurons with one potential for both calls."""
    from sinabs.layers import StatefulLayer

    model, x = Reused().eval(), samples()
    network = converted(model)
    layers = sum(isinstance(m, StatefulLayer) for m in network.modules())
    sites = sw.convert(model, x).sites
    return Finding(
        layers == 1 and sites == ("act", "act:2"), f"{layers} spiking layer; here {sites}"
    )


def other_batch_sizes_draw_states() -> Finding:
    """Without a reset, another batch size takes states of samples of the last batch at random."""
    model, x = two_layers(), samples()
    answers: list[Tensor] = []
    for seed in (0, 1):
        network = converted(model)
        answer(network, x)
        torch.manual_seed(seed)
        answers.append(answer(network, x[:5]))
    snn = sw.convert(model, x, neuron=sw.IntegrateFire(), steps=STEPS)
    ours = torch.equal(snn(x)[:5], snn(x[:5]))
    return Finding(
        not torch.equal(*answers) and ours,
        f"the same calls under two seeds agree: {torch.equal(*answers)}; here the batch size "
        f"changes {'nothing' if ours else 'the answer'}",
    )


CLAIMS = claims(
    "sinabs",
    functions_are_not_seen,
    thresholds_are_not_calibrated,
    several_spikes_a_step,
    reused_modules_share_state,
    other_batch_sizes_draw_states,
)
