"""The residual error of spiking layers, measured, and the ANN that is trained with its like.

What one-phase neurons send depends on when their input comes, so they send a spike too many or too
few where a quantised activation would not: the residual error. Training the quantised ANN with
noise of the size of that error, layer by layer, makes it robust to it (Huang et al., arXiv
2404.17456).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.checks import whole_number
from spikewright.errors import ConversionError
from spikewright.finetuning.answer import Answer
from spikewright.finetuning.representation import Surrogate, representation
from spikewright.finetuning.trainable import TrainableNetwork
from spikewright.graph.evaluate import evaluate
from spikewright.graph.full_precision import full_precision
from spikewright.graph.inputs import content_of
from spikewright.graph.ir import Kind, Operation
from spikewright.neurons import Draws, sample_ids_of

_NOISE_DRAW = -2
"""The step number of the draw of noise, apart from those of neurons."""


@full_precision()
def quantised_answer(
    network: TrainableNetwork,
    images: Any,
    levels: int,
    noise: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Answer:
    """What the ANN answers whose activations are quantised, with noise behind them.

        y = theta / L * floor(L clip(x / theta, 0, 1) + 1/2) - sigma N(0, 1)

    with the network's parameters, of which theta are the thresholds. Its gradient is that of this,
    the floor passed straight through.

    Args:
        network: its parameters are those of the ANN.
        images: a batch, as for `TrainableNetwork.observe`.
        levels: L, at least 1.
        noise: sigma of sites, at least 0, in the unit of their activation; none where it names
            none.
        seed: of the noise; the same samples and seed give the same.

    Raises:
        ValueError: for levels that are no such number.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), sw.QCFS(4, 2.0),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> x = torch.rand(64, 4)
        >>> snn = sw.methods.QCFS.convert(model, x, steps=2)
        >>> answer = quantised_answer(TrainableNetwork(snn), x, levels=4)
        >>> torch.testing.assert_close(answer.output, model(x))
    """
    if whole_number(levels, least=1) is None:
        raise ValueError(f"levels must be a whole number of at least 1, got {levels!r}")
    plan = network.plan()
    graph, values = plan.source, dict[str, Tensor]()
    batch = graph.call.batch(images, graph.tensors)
    ids = sample_ids_of(content_of(batch)) if noise else None

    def activate(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        site, (current,) = op.site.name, inputs
        theta, signed = plan.thresholds[site], site in plan.signed
        value = plan.rounded(site, plan.corrected(site, current))
        charge = value.detach() * (levels / theta)
        count = (charge.abs() + 0.5).floor().clamp(max=levels).copysign(charge)
        sent = (count if signed else count.clamp(min=0)) * (theta / levels)
        surrogate = Surrogate.ROUNDED
        value = representation(value, theta, sent, signed=signed, surrogate=surrogate)
        sigma = noise.get(site, 0.0) if noise else 0.0
        if sigma and ids is not None:
            value = value - sigma * _normal(Draws(seed, site, ids), value)
        values[site] = value
        return value

    return Answer(graph, evaluate(graph, batch, {Kind.UNIT: activate}), values)


@torch.no_grad()
def residual_noise(
    network: TrainableNetwork, batches: Iterable[Any], levels: int, seed: int = 0
) -> dict[str, float]:
    """How far what each site sends strays from the quantised ANN's activation, by site name.

        sigma = sqrt(mean over batches of Var(y_ANN - y_SNN))

    over all neurons and samples of a batch, each network running as a whole. The mean of the
    difference is no part of it.

    Args:
        network: simulated at its T.
        batches: of images that are not trained on, at least one.
        levels: L of the ANN.
        seed: of stochastic neurons.

    Raises:
        ConversionError: where there is no batch.
    """
    variances: dict[str, list[float]] = {}
    for images in batches:
        ann = quantised_answer(network, images, levels).values
        for site, sent in network.observe(images, seed).values.items():
            gap = (ann[site] - sent).double()
            variances.setdefault(site, []).append(float(gap.var(correction=0)))
    if not variances:
        raise ConversionError("residual noise is measured on images: give at least one batch")
    return {site: (sum(found) / len(found)) ** 0.5 for site, found in variances.items()}


def _normal(draws: Draws, like: Tensor) -> Tensor:
    """Standard normal numbers, `[B, *S]`, by the inverse of their distribution."""
    uniform = draws.uniform(_NOISE_DRAW, like.shape)  # multiples of 2**-24 below 1
    middle = 2 * uniform - 1 + 2.0**-24  # of each of them: neither -1 nor 1
    return middle.erfinv().to(like.dtype) * 2**0.5
