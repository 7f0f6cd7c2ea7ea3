"""Where the error of each layer comes from: inherited, clipping, rounding, unevenness.

With z the mean current of a neuron (bias correction included), h the ANN's activation function,
a = h(z_ANN) what the ANN has there, n the neuron's count out of T and n_even the count it would
have if the same charge had arrived evenly in time:

    theta n/T - a  =  (h(z) - a)                              inherited: what came before this layer
                   +  (clip(h(z), 0, theta) - h(z))           clipping: above the threshold
                   +  (theta n_even/T - clip(h(z), 0, theta)) rounding: T + 1 counts, no more
                   +  (theta/T (n - n_even))                  unevenness: when the spikes came

A code that leaves room above the threshold (digits) clips at the largest value that it reaches.

The first three are the errors of QCFS's analysis (Bu et al., ICLR 2022), layer by layer and on the
data itself; the identity holds for every single neuron and sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.devices import cpu_by_default, where_float64_is
from spikewright.graph import Graph, Kind, Operation, evaluate
from spikewright.graph.evaluate import apply
from spikewright.graph.inputs import Batch
from spikewright.graph.units import function_of, trained_levels
from spikewright.measure.batches import checked_steps, image_batches
from spikewright.measure.placement import device_of
from spikewright.measure.shown import moved
from spikewright.network import Observer, SpikingNetwork
from spikewright.network.frames import mean_image
from spikewright.network.site_names import label_of
from spikewright.neurons import Neuron

TERMS = ("inherited", "clipping", "rounding", "unevenness")
"""The parts of a layer's error; they add up to it, neuron by neuron."""


@dataclass(frozen=True)
class LayerError:
    """The error of one layer's output at one T.

    Every term is a root mean square over neurons and samples, relative to the root mean square of
    the ANN's activation there. The terms add up neuron by neuron; their root mean squares do not,
    as errors of different kinds may cancel or coincide.

    Attributes:
        site: the layer.
        steps: T.
        inherited: what earlier layers (and the bias correction) did to this layer's input, seen
            through the activation function.
        clipping: what the threshold cuts off.
        rounding: the distance to the count for charge that arrives evenly. For stochastic
            roundings that count is its expectation, so this is their bias; for a hard reset it
            includes the charge that the reset throws away.
        unevenness: what the arrival times of spikes add. For two-phase neurons, whose count does
            not depend on them, it is 0 (nearest) or the noise of the draw (stochastic roundings).
        total: the root mean square of `theta n/T - a`.
        bias: the mean of `theta n/T - a`, likewise relative; negative where too little is sent.
        activation: root mean square of the ANN's activation, in the model's own units. Where it is
            0 the errors above are absolute, there being nothing to be relative to.
        network: which network, for tables of several.
        neuron: label of the layer's neurons; "" where it is not known.
        trained_levels: L of a unit that the ANN itself rounds to L + 1 values (QCFS), so that
            counts to another L differ from it; 0 of any other unit.
        thresholds: how many thresholds its neurons have: one, or one a channel.
    """

    site: str
    steps: int
    inherited: float
    clipping: float
    rounding: float
    unevenness: float
    total: float
    bias: float
    activation: float
    network: str = ""
    neuron: str = ""
    trained_levels: int = 0
    thresholds: int = 1


@cpu_by_default()
def split_error(
    charge: Tensor,
    count: Tensor,
    activation: Tensor,
    threshold: Tensor,
    steps: int,
    neuron: Neuron,
    function: Callable[[Tensor], Tensor],
    *,
    signed: bool = False,
) -> dict[str, Tensor]:
    """The four terms of every neuron's error; they add up to `theta * n / L - a`.

    Args:
        charge: x = L z / theta, `[B, *S]`, with L = `neuron.levels(T)`.
        count: n, same shape; negative ones where it is signed.
        activation: a, the ANN's, same shape.
        threshold: theta, broadcastable.
        steps: T.
        neuron: what stands there.
        function: h, the ANN's activation function; the identity where z is its value already.
        signed: whether counts run from -L.

    Returns:
        Tensors `[B, *S]` by the names of `TERMS`, in the units of the activation.
    """
    unit = threshold / neuron.levels(steps)
    wanted, largest = function(charge * unit), unit * neuron.reach(steps)
    reachable = wanted.maximum(-largest if signed else torch.zeros_like(largest)).minimum(largest)
    even = count  # where it follows from the charge, whenever that came
    if neuron.stochastic or not neuron.has_count_law:
        even = neuron.mean_count(charge, steps, signed=signed)
    return {
        "inherited": wanted - activation,
        "clipping": reachable - wanted,
        "rounding": even * unit - reachable,
        "unevenness": (count - even) * unit,
    }


@cpu_by_default()
def decompose(
    network: SpikingNetwork,
    data: Iterable[Any],
    steps: int | Sequence[int],
    *,
    seed: int = 0,
    name: str | None = None,
) -> tuple[LayerError, ...]:
    """The error of every layer of a network, by its causes.

    Args:
        network: any converted network; the ANN it is compared with is its own captured graph.
        data: batches `[B, *S]`, alone or in a dict by the name of the model's argument, or pairs of
            these with labels, which are ignored; read once. Of frames `[T, B, *S]` the ANN is shown
            the mean over time.
        steps: one T or several.
        seed: the seed of the random draws.
        name: what `LayerError.network` says; the labels of its neurons when None.

    Returns:
        One entry for every T and site, in the order in which they run.

    Raises:
        AnalysisError: when the data is empty or not made of tensors, or steps are not whole
            numbers of at least 1.
        ConversionError: when a batch does not fit the network, such as frames another T.

    Example:
        >>> import torch, spikewright as sw
        >>> from spikewright.measure import decompose
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), steps=8)
        >>> [error.unevenness for error in decompose(snn, [torch.rand(10, 4)], 8)]
        [0.0]
    """
    times = checked_steps(steps)
    label = label_of(network.neurons) if name is None else name
    sums = {(t, site): _Sums() for t in times for site in network.sites}
    place = device_of(network)
    for images in image_batches(data, len(network.graph.signal.shape)):
        images = network.graph.call.batch(moved(images, place), network.graph.tensors)
        activations = _ann_activations(network, mean_image(network.graph, images))
        for t in times:
            here = {site: sums[t, site] for site in network.sites}
            network.observe(images, _watch(network, t, activations, here), steps=t, seed=seed)
    units = {op.site.name: op for op in network.graph.neurons if op.site}
    thresholds = {t: network.design(t).thresholds for t in times}
    return tuple(
        summed.error(
            site,
            t,
            label,
            neuron=network.neurons[site].label,
            trained_levels=trained_levels(units[site]),
            thresholds=len(thresholds[t][site]),
        )
        for (t, site), summed in sums.items()
    )


def _ann_activations(network: SpikingNetwork, images: Batch) -> dict[str, Tensor]:
    graph = network.graph
    activations: dict[str, Tensor] = {}

    def keep(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        assert op.site is not None
        activations[op.site.name] = apply(op, inputs, graph.tensors)
        return activations[op.site.name]

    with torch.no_grad():
        evaluate(graph, images, {Kind.UNIT: keep})
    return activations


def _watch(
    network: SpikingNetwork,
    steps: int,
    activations: Mapping[str, Tensor],
    sums: Mapping[str, _Sums],
) -> Observer:
    graph, plan = network.graph, network.plan(steps)
    thresholds = plan.thresholds
    original = {op.site.name: op for op in graph.neurons if op.site is not None}

    def watch(op: Operation, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        assert op.site is not None
        site = op.site.name
        theta, activation = thresholds[site], activations[site]
        terms = split_error(
            charge,
            count,
            activation,
            theta,
            steps,
            network.neurons[site],
            _of_value if plan.functions[site] is not None else _of_current(original[site], graph),
            signed=site in plan.signed,
        )
        levels = network.neurons[site].levels(steps)
        sums[site].add(terms, count * (theta / levels) - activation, activation)

    return Observer(layer=watch)


def _of_value(value: Tensor) -> Tensor:
    """The activation where a neuron is given the function's value already."""
    return value


def _of_current(op: Operation, graph: Graph) -> Callable[[Tensor], Tensor]:
    """The activation as a function of the current, where that is what a neuron is given."""
    function = function_of(op, graph.tensors)
    return function or (lambda current: apply(op, (current,), graph.tensors))


class _Sums:
    """Sums over neurons and samples of one layer."""

    def __init__(self) -> None:
        self._squares: dict[str, float] = dict.fromkeys((*TERMS, "total", "activation"), 0.0)
        self._total = 0.0
        self._values = 0

    def add(self, terms: Mapping[str, Tensor], total: Tensor, activation: Tensor) -> None:
        for key, values in {**terms, "total": total, "activation": activation}.items():
            self._squares[key] += float(where_float64_is(values).double().square().sum())
        self._total += float(where_float64_is(total).sum(dtype=torch.float64))
        self._values += total.numel()

    def error(self, site: str, steps: int, network: str, **told: Any) -> LayerError:
        rms = {key: (square / self._values) ** 0.5 for key, square in self._squares.items()}
        activation = rms.pop("activation")
        unit = activation or 1.0
        relative = {key: value / unit for key, value in rms.items()}
        return LayerError(
            site=site,
            steps=steps,
            bias=self._total / self._values / unit,
            activation=activation,
            network=network,
            **told,
            **relative,
        )
