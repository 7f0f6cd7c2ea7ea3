"""A spiking network whose weights, thresholds and corrections are parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.calibration.design import Design
from spikewright.errors import ConversionError
from spikewright.finetuning.answer import Answer
from spikewright.finetuning.representation import Surrogate, representation
from spikewright.graph.evaluate import apply, evaluate
from spikewright.graph.full_precision import full_precision
from spikewright.graph.inputs import Batch, content_of
from spikewright.graph.ir import Graph, Kind, Operation, Stored
from spikewright.graph.precision import Precision
from spikewright.graph.rule import rule_of
from spikewright.network import SpikingNetwork
from spikewright.network.engine import checked_ids
from spikewright.network.frames import are_frames, check_shown
from spikewright.network.plan import Observer, Plan, prepared
from spikewright.network.steps import run_steps

TRAINED = ("weight", "threshold", "correction")
"""The parts of a network that are parameters."""


class TrainableNetwork(nn.Module):
    """A spiking network at one T, differentiable in its weights, thresholds and corrections.

    Forward it is the spiking network itself: neurons with a count law are counted, all others
    (one-phase integrate-and-fire) are simulated step by step, without a gradient, and only what
    they sent is kept. Backward every layer is its spike representation (see `Surrogate`), so the
    memory that it takes does not grow with T.

    Its parameters are `weight:NAME` (weights and biases of linear operations, by stored name),
    `threshold:SITE` and, where the network has corrections, `correction:SITE`, `[C]` or `[1]`; "/"
    stands for "." in names.

    Args:
        network: what to train; it is left as it is.
        steps: T; the design point when None.
        surrogate: what stands for a layer in the backward pass.

    Attributes:
        spiking: the number of sites that send spikes, from the first one on, in the order of the
            graph; the others compute the ANN's activations. All of them at first.

    Raises:
        ConversionError: for weights in 16 bits, a precision of 16 or 8 bits, or no spiking layer;
            for a T that was not designed where all windows are of their own and do not change.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> neuron = sw.IntegrateFire()
        >>> snn = sw.convert(model, torch.rand(64, 4), neuron, steps=4, correction=None)
        >>> trainable, x = TrainableNetwork(snn), torch.rand(5, 4)
        >>> torch.testing.assert_close(trainable(x), snn(x))
        >>> trainable(x).sum().backward()
        >>> sorted(name for name, _ in trainable.named_parameters())[:2]
        ['threshold:1', 'weight:0/bias']
    """

    def __init__(
        self,
        network: SpikingNetwork,
        steps: int | None = None,
        surrogate: Surrogate | str = Surrogate.ROUNDED,
    ) -> None:
        super().__init__()
        if network.dtype.itemsize < 4 or network.precision is not Precision.FLOAT32:
            raise ConversionError(
                "small changes of weights are lost in 16 or 8 bits: fine-tune the network in "
                "float32, and narrow the result (snn.with_precision('int8'))"
            )
        if not network.sites:
            raise ConversionError("there is no layer of spiking neurons in this network to tune")
        fitted = [site for site, neuron in network.neurons.items() if neuron.fitted_steps]
        if fitted:
            raise ConversionError(
                f"the tables of few-spikes neurons, at {', '.join(fitted)}, were fitted to what "
                "the network computes as it is, and have no gradient: fine-tune with two-phase "
                "neurons, TwoPhase(), and convert the result"
            )
        self.steps = network.steps if steps is None else steps
        network.require_own_windows_designed(self.steps)
        self.surrogate = Surrogate(surrogate)
        self.spiking = len(network.sites)
        self._names: dict[str, str] = {}  # stored names and sites, by those of parameters
        self._source = (network,)  # a tuple, so that its tensors are no part of this one's state
        graph, design = network.graph, network.design(self.steps)
        weights = frozenset(_weights(graph))
        for name, tensor in {**graph.tensors, **design.weights}.items():
            self._hold("weight" if name in weights else "constant", name, tensor)
        for part in ("threshold", "correction", "potential"):
            for site, tensor in getattr(design, f"{part}s").items():
                self._hold(part, site, tensor)

    def _hold(self, part: str, name: str, tensor: Tensor) -> None:
        """Keep a copy of a tensor, in the dtype and on the device of the network."""
        like = self._source[0].plan(self.steps).thresholds
        place = next(iter(like.values()))
        dtype = place.dtype if tensor.is_floating_point() else tensor.dtype
        own = tensor.detach().to(place.device, dtype, copy=True)
        key = f"{part}:{name}".replace(".", "/")
        while key in self._names:  # of two modules "a/b" and "a.b"
            key += "/"
        self._names[key] = name
        if part in TRAINED:
            self.register_parameter(key, nn.Parameter(own))
        else:
            self.register_buffer(key, own, persistent=False)

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of a part ("weight", "threshold", "correction"), by stored name or site."""
        start = f"{name}:"
        own = (*self.named_parameters(), *self.named_buffers())
        return {self._names[key]: tensor for key, tensor in own if key.startswith(start)}

    def forward(self, images: Any, seed: int = 0) -> Any:
        """What the model returns, its tensors as means over time; see `observe`."""
        return self.observe(images, seed).output

    @full_precision()
    def observe(self, images: Any, seed: int = 0, *, spikes: bool = False) -> Answer:
        """The network's answer to a batch, with what its sites send.

        Args:
            images: a batch, constant in time; of several inputs a tuple of the positional
                arguments, or a dict.
            seed: of stochastic neurons' draws; the same samples and seed give the same spikes.
            spikes: whether to count the spikes of every neuron too.

        Raises:
            ConversionError: for input that the network was not captured for, NaN, and frames.
        """
        plan = self.plan()
        graph = plan.source
        batch = graph.call.batch(images, graph.tensors)
        if graph.takes_one_signal and are_frames(batch, graph):
            raise ConversionError(
                f"got frames {list(batch.shape)}, read as [T, B, ...]; layers are represented for "
                "images [B, ...], shown as constant currents: give the mean frame, frames.mean(0)"
            )
        check_shown(plan, batch, next(iter(plan.thresholds.values())))
        neurons = plan.neurons.values()  # step by step the order of spikes is drawn too
        drawn = any(neuron.stochastic or not neuron.has_count_law for neuron in neurons)
        ids = checked_ids(None, content_of(batch), plan.fuse, needed=drawn)
        layers = _Layers(plan, self.surrogate, self._source[0].sites[: self.spiking], seed, ids)
        outputs = layers.run(batch)
        return Answer(graph, outputs, layers.values, layers.spikes() if spikes else {})

    @property
    def graph(self) -> Graph:
        """The captured network, with the tensors that it was made with."""
        return self._source[0].graph

    def freeze(self, sites: int) -> None:
        """Keep what the first sites depend on as it is, and let all else be trained."""
        graph = self.graph
        frozen = {op.name for op in graph.neurons[:sites]}
        kept = replace(graph, outputs=tuple(frozen)).pruned().tensors if frozen else {}
        fixed = {site.name for site in graph.sites[:sites]}
        for part in TRAINED:
            names = kept if part == "weight" else fixed
            for name, parameter in self.part(part).items():
                parameter.requires_grad_(name not in names)

    def network(self) -> SpikingNetwork:
        """The spiking network of these parameters at this T; what it was made with at others.

        Its thresholds are those of the neurons that stand there now, as they were trained.
        """
        source = self._source[0]

        def kept(part: str, dtype: torch.dtype | None) -> dict[str, Tensor]:
            tensors = self.part(part).items()
            return {name: t.detach().to("cpu", dtype, copy=True) for name, t in tensors}

        wide = torch.float64
        small = (kept("threshold", wide), kept("correction", wide), kept("potential", wide))
        designs = {t: source.design(t) for t in source.designed_steps}
        designs[self.steps] = Design(*small, weights=kept("weight", None))
        neurons = dict(source.neurons)
        calibration = replace(source.calibration, neurons=neurons)
        return SpikingNetwork(source.graph, neurons, self.steps, designs, calibration)

    def plan(self) -> Plan:
        """The network as the engines run it, of parameters that ask for gradients."""
        source = self._source[0]
        graph = replace(source.graph, tensors={**self.part("constant"), **self.part("weight")})
        design = Design(*(self.part(name) for name in ("threshold", "correction", "potential")))
        like = next(iter(design.thresholds.values()))
        signed = source.calibration.signed
        return prepared(graph, source.neurons, design, self.steps, like, Precision.FLOAT32, signed)


class _Layers:
    """One forward pass: real spikes, with the gradients of their representations; one use.

    Attributes:
        values: what every site sent on average, by site name.
    """

    def __init__(
        self, plan: Plan, surrogate: Surrogate, sending: tuple[str, ...], seed: int, ids: Tensor
    ) -> None:
        self._plan = plan
        self._surrogate = surrogate
        self._sending = frozenset(sending)
        self._seed = seed
        self._ids = ids
        self._counts: dict[str, Tensor] = {}
        self.values: dict[str, Tensor] = {}

    def run(self, batch: Batch) -> tuple[Tensor, ...]:
        """The values of `Graph.outputs`."""
        if not all(self._plan.neurons[site].has_count_law for site in self._sending):
            self._simulate(batch)
        return evaluate(self._plan.source, batch, {Kind.UNIT: self._send})

    def spikes(self) -> dict[str, Tensor]:
        """How many spikes every neuron that sends any has sent, with the gradient of its count."""
        sent: dict[str, Tensor] = {}
        for site, value in self.values.items():
            if site in self._sending:
                gain = self._plan.levels[site] / self._plan.thresholds[site]
                count = (value * gain).abs()
                number = self._plan.neurons[site].spikes_of(count.detach().round())
                sent[site] = count + (number - count.detach())
        return sent

    @torch.no_grad()
    def _simulate(self, batch: Batch) -> None:
        """Count what the sending sites send, step by step."""

        def keep(op: Operation, start: int, spikes: Tensor) -> None:
            assert op.site is not None
            weights = self._plan.spike_weights(op.site.name, start, len(spikes)).to(spikes)
            sent = torch.tensordot(weights, spikes, 1)
            before = self._counts.get(op.site.name)
            self._counts[op.site.name] = sent if before is None else before + sent

        graph = self._plan.source
        if len(self._sending) < len(graph.sites):  # what comes after them is not run
            ends = tuple(op.name for op in graph.neurons if self._sends(op))
            graph = replace(graph, outputs=ends).pruned()
        plan = replace(self._plan, source=graph)
        run_steps(
            plan, batch, seed=self._seed, sample_ids=self._ids, observer=Observer(spikes=keep)
        )

    def _sends(self, op: Operation) -> bool:
        return op.site is not None and op.site.name in self._sending

    def _send(self, op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
        """The value of a unit: what its neurons send, or its activation."""
        assert op.site is not None
        plan, name, (current,) = self._plan, op.site.name, inputs
        if not self._sends(op):
            value = apply(op, inputs, plan.source.tensors)
        else:
            current = plan.corrected(name, current)
            rounded = plan.rounded(name, current)
            sent = self._sent(name, rounded.detach())
            if self._surrogate is Surrogate.ACTIVATION:
                activation = apply(op, (current,), plan.source.tensors)
                value = activation + (sent - activation).detach()
            else:
                largest = plan.thresholds[name] * (plan.reach[name] / plan.levels[name])
                value = representation(
                    rounded,
                    largest,
                    sent,
                    signed=name in plan.signed,
                    surrogate=self._surrogate,
                )
        self.values[name] = value
        return value

    @torch.no_grad()
    def _sent(self, site: str, rounded: Tensor) -> Tensor:
        """What the neurons of a site send on average, from the number that they round."""
        plan = self._plan
        count = self._counts.get(site)
        if count is None:
            layer = plan.layer(site, self._seed, self._ids)
            count = plan.neurons[site].count(rounded * plan.gain(site), layer)
        return count * (plan.thresholds[site] / plan.levels[site])


def _weights(graph: Graph) -> Iterator[str]:
    """The stored names of the weights and biases of linear operations."""
    for op in graph.operations:
        rule = rule_of(op)
        if op.kind is not Kind.LINEAR or rule.weight_at is None:
            continue
        places = ((rule.weight_at, "weight"), (rule.bias_at, "bias"))
        for position, name in places:
            leaf = None if position is None else op.argument(position, name)
            if isinstance(leaf, Stored) and graph.tensors[leaf.name].is_floating_point():
                yield leaf.name
