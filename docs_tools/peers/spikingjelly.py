"""Claims about SpikingJelly's `ann2snn`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import spikewright as sw
from docs_tools.peers.claim import (
    Finding,
    Functional,
    Reused,
    claims,
    samples,
    two_layers,
)

STEPS = 16


def converted(model: nn.Module, batches: list[Tensor], mode: str = "99.9%") -> Any:
    """A network of SpikingJelly, by its rate-coding recipe."""
    from spikingjelly.activation_based.ann2snn import Converter, RateCodingRecipe

    recipe = RateCodingRecipe(dataloader=[(batch, None) for batch in batches], mode=mode)
    return Converter(recipe).convert(model)


def answer(network: Any, x: Tensor) -> Tensor:
    """Mean of single-step answers, from a fresh state."""
    from spikingjelly.activation_based import functional

    functional.reset_net(network)
    return torch.stack([network(x) for _ in range(STEPS)]).mean(0)


def counters_read_zero() -> Finding:
    """SynOpCounter and ACCounter see no spikes: they leave the neurons times a threshold."""
    from spikingjelly.activation_based import op_counter

    model, x = two_layers(), samples()
    network = converted(model, [x])
    counter = op_counter.SynOpCounter()
    with op_counter.DispatchCounterMode([counter]):
        answer(network, x)
    theirs = counter.get_total()
    snn = sw.convert(model, x, neuron=sw.IntegrateFire(), steps=STEPS)
    additions = sw.operations(snn, [x]).total.snn.additions
    sent = {site: float(n.sum()) / len(x) for site, n in snn.counts(x).items()}
    by_hand = 32 * sent["1"] + 4 * sent["3"]
    return Finding(
        theirs == 0 and abs(additions - by_hand) < 1e-6 * by_hand,
        f"SynOpCounter: {theirs}; here: {additions:.1f} additions a sample, by hand {by_hand:.1f}",
    )


def functions_are_refused() -> Finding:
    """`F.relu` stops the conversion with an error; here it is a site."""
    x = samples()
    try:
        converted(Functional().eval(), [x])
    except ValueError as error:
        theirs = str(error)
    else:
        theirs = ""
    sites = sw.convert(Functional().eval(), x).sites
    return Finding(
        "does not support function" in theirs and sites == ("relu",),
        f"SpikingJelly: {theirs or 'converted'}; here the sites are {sites}",
    )


def reused_modules_are_apart() -> Finding:
    """A module called twice makes two layers of neurons, there and here."""
    from spikingjelly.activation_based import neuron

    x = samples()
    network = converted(Reused().eval(), [x])
    theirs = sum(isinstance(m, neuron.IFNode) for m in network.modules())
    sites = sw.convert(Reused().eval(), x).sites
    return Finding(theirs == 2 and sites == ("act", "act:2"), f"{theirs} IFNode; here {sites}")


def order_of_batches_matters() -> Finding:
    """Thresholds are a moving average over batches, so their order enters; not into ours.

    Which samples a correction is judged by does depend on their places; there are none here.
    """
    model = two_layers()
    batches = [samples(32, seed) * scale for seed, scale in ((1, 0.5), (2, 1.0), (3, 2.0))]
    x = samples()
    differences: dict[str, float] = {}
    for mode in ("99.9%", "Max"):
        first, second = (
            answer(converted(model, order, mode), x) for order in (batches, batches[::-1])
        )
        differences[mode] = float((first - second).abs().max())
    ours = [
        sw.convert(model, order, sw.IntegrateFire(), rule, steps=STEPS, correction=None)(x)
        for rule in (sw.Percentile(99.9), sw.Maximum(), sw.MinError())
        for order in (batches, batches[::-1])
    ]
    same = all(torch.equal(a, b) for a, b in zip(ours[::2], ours[1::2], strict=True))
    told = ", ".join(f"{mode} {value:.3g}" for mode, value in differences.items())
    return Finding(
        min(differences.values()) > 0 and same,
        f"logits differ by up to: {told}; here the answers are {'equal' if same else 'different'}",
    )


def state_is_kept() -> Finding:
    """Neurons keep their potential until `reset_net`; with another batch size they start anew."""
    from spikingjelly.activation_based import functional

    model, x = two_layers(), samples()
    network = converted(model, [x])
    functional.reset_net(network)
    first, second = network(x), network(x)
    other = network(x[:5])
    functional.reset_net(network)
    anew = torch.equal(other, network(x[:5]))
    snn = sw.convert(model, x, neuron=sw.IntegrateFire(), steps=STEPS)
    ours = torch.equal(snn(x), snn(x)) and torch.equal(snn(x)[:5], snn(x[:5]))
    return Finding(
        not torch.equal(first, second) and anew and ours,
        f"two calls equal: {torch.equal(first, second)}; another batch size starts anew: {anew}; "
        f"here: {'equal' if ours else 'different'}",
    )


CLAIMS = claims(
    "spikingjelly",
    counters_read_zero,
    functions_are_refused,
    reused_modules_are_apart,
    order_of_batches_matters,
    state_is_kept,
)
