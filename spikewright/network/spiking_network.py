"""SpikingNetwork: what conversion returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor

from spikewright import artefact
from spikewright.calibration import Calibration
from spikewright.calibration.design import Design
from spikewright.errors import ConversionError
from spikewright.graph.evaluate import answered
from spikewright.graph.ir import Graph, Operation
from spikewright.graph.widened import wide
from spikewright.network.compiler import fused
from spikewright.network.engine import Engine, checked_ids, checked_t, chosen
from spikewright.network.frames import by_sample, check_shown
from spikewright.network.graph_network import CapturedANN, GraphNetwork
from spikewright.network.kernels import Precision
from spikewright.network.made import Made
from spikewright.network.plan import SILENT, Observer, Plan, common_code, prepared
from spikewright.network.simulate import simulate
from spikewright.network.site_names import matching
from spikewright.network.stages import depth_of
from spikewright.network.steps import MEMORY_BUDGET
from spikewright.network.summary import summarise
from spikewright.network.units import require_units_served
from spikewright.neurons import Neuron


class SpikingNetwork(GraphNetwork):
    """A trained network in which every activation has become a layer of spiking neurons.

    Made by `spikewright.convert`. It is a function of (samples, T, seed): nothing is kept between
    calls, and a sample's spikes do not depend on the batch it comes in.

    Attributes:
        steps: T of the design point, used when a call names none.
        calibration: the statistics and the strategy that its thresholds come from.
    """

    def __init__(
        self,
        graph: Graph,
        neurons: Mapping[str, Neuron],
        steps: int,
        designs: Mapping[int, Design],
        calibration: Calibration,
        *,
        precision: Precision = Precision.FLOAT32,
    ) -> None:
        """Assemble a network from its parts.

        Args:
            graph: captured, batch norm folded, scales not folded.
            neurons: by site name, one for every site of the graph.
            steps: the default T, one of `designs`.
            designs: thresholds and corrections by T.
            calibration: gives thresholds for a T that has no design, from the same statistics.
            precision: of weights and currents.
        """
        super().__init__(graph)
        self._neurons = dict(neurons)
        common_code(self._neurons, steps)  # refuses mixed codes
        require_units_served(graph, self._neurons)
        self.steps = steps
        self._designs = dict(designs)
        self.calibration = calibration
        self._precision = precision
        self._compile = False
        self._forget_plans()

    @property
    def neurons(self) -> Mapping[str, Neuron]:
        """The neuron of every site, by site name; read only, see `with_neuron`."""
        return MappingProxyType(self._neurons)

    @property
    def precision(self) -> Precision:
        """The number format of weights that meet spikes; read only, see `with_precision`."""
        return self._precision

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the neuron sites, in the order in which they run."""
        return tuple(site.name for site in self._graph.sites)

    @property
    def designed_steps(self) -> tuple[int, ...]:
        """Every T that calibration designed, with its own bias correction where asked for."""
        return tuple(sorted(self._designs))

    @property
    def stochastic(self) -> bool:
        """Whether the answer depends on the seed."""
        return any(neuron.stochastic for neuron in self.neurons.values())

    @property
    def layers_that_wait(self) -> int:
        """Two-phase layers on the longest path from the input to any output."""
        depth = depth_of(self._graph, self.neurons)
        return max(depth[name] for name in self._graph.outputs)

    def design(self, steps: int | None = None) -> Design:
        """Thresholds and corrections at T = `steps`.

        A T that conversion was not asked to design gets thresholds from the same statistics, and no
        bias correction (corrections belong to one T).
        """
        steps = checked_t(steps, self.steps)
        known = self._designs.get(steps)
        return known if known is not None else Design(self.calibration.thresholds_at(steps))

    def duration(self, steps: int | None = None) -> int:
        """Time steps of one layer's window: T, and a rehearsal (of SRP) before it."""
        steps = checked_t(steps, self.steps)
        return next(iter(self.neurons.values())).duration(steps)

    def latency(self, steps: int | None = None) -> int:
        """Time steps from the first input to the answer, unpipelined.

        A two-phase layer answers only after its window: D such layers on the longest path take
        (D + 1) windows. A one-phase network answers after one.
        """
        return (self.layers_that_wait + 1) * self.duration(steps)

    def forward(
        self,
        images: Tensor,
        steps: int | None = None,
        engine: Engine | str = Engine.AUTO,
        seed: int = 0,
        sample_ids: Tensor | None = None,
    ) -> Any:
        """What the source model returns, its tensors as means over time.

        Args:
            images: `[B, *S]`, presented at every time step, or frames `[T, B, *S]`, frame t at
                step t, for neurons whose T steps count alike (no binary or first-spike code, no
                rehearsal); dtype and device of the network.
            steps: T; the design point when None.
            engine: "auto", "counts" (one forward pass, two-phase neurons only) or "steps".
            seed: any integer; the same seed gives the same spikes.
            sample_ids: int64 `[B]`, identities that random draws are keyed by; when None they are
                derived from each sample's content, that of all its frames.

        Returns:
            `[B, classes]` of a classifier that returns its logits; else tuples, dicts and
            objects as the model returns them (objects of a network read from a file are dicts of
            their fields). What does not depend on the input is as the model has it.

        Raises:
            ConversionError: for input the network was not captured for, other than T frames,
                steps below 1, or the count engine with neurons that have no count law.
        """
        return self.observe(
            images, SILENT, steps=steps, engine=engine, seed=seed, sample_ids=sample_ids
        )

    def record(
        self,
        images: Tensor,
        steps: int | None = None,
        seed: int = 0,
        sample_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Every spike of every site, by the step engine.

        Returns:
            By site name, `[T, B, *S]` of 0, 1 and -1, dtype int8; T counts a rehearsal too.
        """
        trains: dict[str, list[Tensor]] = {name: [] for name in self.sites}

        def keep(op: Operation, start: int, spikes: Tensor) -> None:
            assert op.site is not None
            trains[op.site.name].append(spikes.to(torch.int8))

        observer = Observer(spikes=keep)
        self.observe(
            images, observer, steps=steps, engine=Engine.STEPS, seed=seed, sample_ids=sample_ids
        )
        return {name: torch.cat(chunks) for name, chunks in trains.items()}

    def counts(
        self,
        images: Tensor,
        steps: int | None = None,
        engine: Engine | str = Engine.AUTO,
        seed: int = 0,
        sample_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The count that every neuron sends, 0..L, or -L..L where activations were negative.

        By site name, `[B, *S]`, whole numbers, float32 where the network is of 16 bits.
        """
        counts: dict[str, Tensor] = {}

        def keep(op: Operation, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
            assert op.site is not None
            counts[op.site.name] = count

        options: dict[str, Any] = {"engine": engine, "seed": seed, "sample_ids": sample_ids}
        self.observe(images, Observer(layer=keep), steps=steps, **options)
        return counts

    @torch.no_grad()
    def observe(
        self,
        images: Tensor,
        observer: Observer,
        *,
        steps: int | None = None,
        engine: Engine | str = Engine.AUTO,
        seed: int = 0,
        sample_ids: Tensor | None = None,
        memory_budget: int = MEMORY_BUDGET,
    ) -> Any:
        """Simulate and watch; `forward`, `record` and `counts` are made of it.

        Args:
            observer: callbacks that see layers and spikes as they come.
            memory_budget: bytes that one time chunk of the step engine may take.

        Other arguments, the result and errors are those of `forward`.
        """
        plan = self.plan(steps)
        check_shown(plan, images, self._reference)
        engine = chosen(engine, self.neurons)
        draws = self.stochastic or engine is Engine.STEPS
        samples = by_sample(self._graph, images)
        ids = checked_ids(sample_ids, samples, plan.fuse, needed=draws)
        compiled = self._made.compiled if self._compile else None
        shown = images.to(wide(images.dtype))
        options: dict[str, Any] = {"seed": seed, "sample_ids": ids, "observer": observer}
        outputs = simulate(plan, shown, engine, compiled, memory_budget=memory_budget, **options)
        own = [out.to(images.dtype) if out.is_floating_point() else out for out in outputs]
        return answered(self.graph, own, len(samples))

    def ann(self) -> CapturedANN:
        """The ANN that was converted, batch norm folded; it shares this network's tensors."""
        return CapturedANN(self.graph)

    def compile(self) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compile the count engine, and the step engine of integrate-and-fire networks.

        The first call at a new batch size compiles, for seconds to minutes; other T and seeds then
        cost nothing. The step engine runs frames uncompiled. On processors with matrix units for
        8-bit integers, convolutions of spikes are computed in integers, as exactly as in float32
        (see `network.kernels`). Draws are bit for bit those of the uncompiled network; a count may
        differ where another rounding of a sum crosses a decision boundary. Where there is no C++
        compiler, one warning is given and the network runs uncompiled.

        Returns:
            This network.
        """
        self._compile = True
        self._forget_plans()
        return self

    def with_neuron(self, neuron: Neuron, sites: Sequence[str] | None = None) -> SpikingNetwork:
        """The same network, thresholds and corrections kept, with another neuron.

        Args:
            neuron: what to put there.
            sites: names or shell patterns such as "layer1.*"; every site when None.

        Raises:
            ConversionError: when a pattern matches no site, or there is none.
        """
        if not isinstance(neuron, Neuron):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConversionError(f"expected a neuron such as TPP(), got {neuron!r}")
        chosen = matching(self.sites, sites)
        neurons = {name: neuron if name in chosen else self.neurons[name] for name in self.sites}
        return self._remade(neurons, self.precision)

    def with_precision(self, precision: Precision | str) -> SpikingNetwork:
        """The same network in another precision, for both engines.

        Args:
            precision: "float32" (the model's own) or "bf16"; see `network.kernels.Precision`.

        Raises:
            ConversionError: for another name.
        """
        return self._remade(self.neurons, Precision.named(precision))

    def _remade(self, neurons: Mapping[str, Neuron], precision: Precision) -> SpikingNetwork:
        parts = (self.graph, neurons, self.steps, self._designs, self.calibration)
        network = SpikingNetwork(*parts, precision=precision)
        return network.compile() if self._compile else network

    def save(self, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None) -> None:
        """Write all it answers from, at any T, as one file that `spikewright.load` reads anywhere.

        Whether it is compiled, and its device, are not in the file.

        Args:
            path: an older file there is replaced in one move.
            notes: plain JSON values for people, such as how images were prepared.

        Raises:
            InterchangeError: for neurons or strategies of your own (a file holds no code), weights
                that are not finite, notes that are not plain values, or a place that refuses it.
        """
        state = (self._neurons, self.steps, self._designs, self.calibration)
        artefact.save(artefact.Parts(self.graph, *state, str(self.precision)), path, notes)

    def summary(self, steps: int | None = None) -> str:
        """Every site with its threshold, and every operation with its class, as text."""
        return summarise(self.plan(steps), self.design(steps), self.layers_that_wait + 1)

    def plan(self, steps: int | None = None) -> Plan:
        """The scale-folded graph with its neurons at one T, as the engines run it."""
        chosen = checked_t(steps, self.steps)

        def make() -> Plan:
            graph, signed = self._made.widened(self.graph), self.calibration.signed
            options = (chosen, self._reference, self.precision, signed)
            plan = prepared(graph, self._neurons, self.design(chosen), *options)
            return replace(plan, fuse=fused, quick=True) if self._compile else plan

        return self._made.plans.get(chosen, make)

    def _forget_plans(self) -> None:
        """What was made from the tensors is made anew after they changed."""
        self._made = Made()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._forget_plans()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._forget_plans()
        for name, tensor in self.named_buffers(recurse=False):
            self._buffers[name] = tensor.clone()  # written to below; others may share it
        super()._load_from_state_dict(*args, **kwargs)

    def _copied_state(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": Made()}

    def __repr__(self) -> str:
        labels = ", ".join(sorted({neuron.label for neuron in self.neurons.values()}))
        return f"SpikingNetwork({len(self.sites)} sites of {labels}, T = {self.steps})"
