"""SpikingNetwork: what conversion returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import answered
from spikewright.graph.inputs import batch_of, to_dtype
from spikewright.graph.ir import Operation
from spikewright.graph.precision import Precision
from spikewright.graph.widened import wide
from spikewright.network.audit import Audit
from spikewright.network.auditing import Auditor
from spikewright.network.converted import ConvertedNetwork
from spikewright.network.engine import Engine, checked_ids, chosen
from spikewright.network.frames import check_shown, samples_in, shown_to_samples
from spikewright.network.graph_network import CapturedANN
from spikewright.network.plan import SILENT, Observer
from spikewright.network.simulate import simulate
from spikewright.network.site_names import label_of, with_other
from spikewright.network.steps import MEMORY_BUDGET
from spikewright.network.trajectory import Trajectory
from spikewright.network.twin import Twin, twin_of
from spikewright.neurons import Neuron


class SpikingNetwork(ConvertedNetwork):
    """A trained network in which every activation has become a layer of spiking neurons.

    Made by `spikewright.convert`. It is a function of (samples, T, seed): nothing is kept between
    calls, and a sample's spikes do not depend on the batch it comes in.

    Attributes:
        steps: T of the design point, used when a call names none.
        calibration: the statistics and the strategy that its thresholds come from.
    """

    def forward(
        self,
        *inputs: Any,
        steps: int | None = None,
        engine: Engine | str = Engine.AUTO,
        seed: int = 0,
        sample_ids: Tensor | None = None,
        **keywords: Any,
    ) -> Any:
        """What the source model returns, its tensors as means over time.

        Args:
            inputs, keywords: as the model takes them: tensors `[B, *S]`, presented at every time
                step, on the network's device, signals in its dtype. A network of one signal takes
                frames `[T, B, *S]` too, frame t at step t, for neurons whose T steps count alike
                (no binary or first-spike code, no rehearsal).
            steps: T, of all neurons without steps of their own; the design point when None.
            engine: "auto", "counts" (one forward pass, of neurons with a count law) or "steps".
            seed: any integer; the same seed gives the same spikes.
            sample_ids: int64 `[B]`, identities that random draws are keyed by; when None they are
                derived from each sample's content, that of all its inputs and frames.

        Returns:
            `[B, classes]` of a classifier that returns its logits; else tuples, dicts and
            objects as the model returns them (objects of a network read from a file are dicts of
            their fields). What does not depend on the input is as the model has it.

        Raises:
            ConversionError: for input the network was not captured for, other than T frames,
                steps below 1, or the count engine with neurons that have no count law.
        """
        source = self.plan(steps).source
        shown = batch_of(source.call.inputs(inputs, keywords, source.tensors))
        return self.observe(
            shown, SILENT, steps=steps, engine=engine, seed=seed, sample_ids=sample_ids
        )

    def record(
        self,
        images: Any,
        steps: int | None = None,
        seed: int = 0,
        sample_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Every spike of every site, by the step engine.

        Returns:
            By site name, `[T, B, *S]` of 0, 1 and -1, dtype int8; of a code whose spikes are more
            than that, what they are, int32. T is the site's own, with rehearsal and settling.
        """
        plain = all(neuron.largest_spike == 1 for neuron in self.neurons.values())
        dtype = torch.int8 if plain else torch.int32
        trains: dict[str, list[Tensor]] = {name: [] for name in self.sites}

        def keep(op: Operation, start: int, spikes: Tensor) -> None:
            assert op.site is not None
            trains[op.site.name].append(spikes.to(dtype))

        observer = Observer(spikes=keep)
        self.observe(
            images, observer, steps=steps, engine=Engine.STEPS, seed=seed, sample_ids=sample_ids
        )
        return {name: torch.cat(chunks) for name, chunks in trains.items()}

    @torch.no_grad()
    def trajectory(
        self,
        images: Any,
        steps: int | None = None,
        seed: int = 0,
        sample_ids: Tensor | None = None,
    ) -> Trajectory:
        """The answer after every time step, by the step engine.

        One-phase neurons answer from the first step on, SRP from the first after its rehearsal, and
        spike tracers go on after the window until they settle. Two-phase neurons answer in the last
        window alone, and the times tell how late that is; where windows differ, at its end.

        Args:
            images: a batch, as for `observe`.
            steps: T; the design point when None.
            seed, sample_ids: as in `forward`.

        Returns:
            Times, the answers then, and when each sample's network fell silent.

        Example:
            >>> import torch, spikewright as sw
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
            ...                             torch.nn.Linear(8, 3)).double().eval()
            >>> x = torch.rand(64, 4).double()
            >>> snn = sw.convert(model, x, neuron=sw.SpikeTracer(), steps=4)
            >>> trajectory = snn.trajectory(x)
            >>> trajectory.times[:3]
            (1, 2, 3)
            >>> settled = snn.with_neuron(sw.TwoPhase("nearest"))
            >>> torch.testing.assert_close(trajectory.answers[-1], settled(x))
        """
        times: list[int] = []
        answers: list[Any] = []
        settled = torch.empty(0)
        graph, own = self.graph, self.dtype

        def keep(time: int, outputs: tuple[Tensor, ...]) -> None:
            given = [out.to(own) if out.is_floating_point() else out for out in outputs]
            times.append(time)
            answers.append(answered(graph, given))

        def end(after: Tensor) -> None:
            nonlocal settled
            settled = after

        observer = Observer(answer=keep, settled=end)
        options: dict[str, Any] = {"steps": steps, "seed": seed, "sample_ids": sample_ids}
        self.observe(images, observer, engine=Engine.STEPS, **options)
        return Trajectory(tuple(times), tuple(answers), settled)

    def counts(
        self,
        images: Any,
        steps: int | None = None,
        engine: Engine | str = Engine.AUTO,
        seed: int = 0,
        sample_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The count that every neuron sends: 0..L, or -L..L where activations were negative.

        By site name, `[B, *S]`, whole numbers, float32 where the network is of 16 bits. The code
        "digits" reaches 4 L; a fitted few-spikes table counts sums of its weights.
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
        images: Any,
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
            images: a batch; of several inputs a tuple of the positional arguments, or a dict.
            observer: callbacks that see layers and spikes as they come.
            memory_budget: bytes that one time chunk of the step engine may take.

        Other arguments, the result and errors are those of `forward`.
        """
        plan = self.plan(steps)
        shown = self._graph.call.batch(images, plan.source.tensors)
        check_shown(plan, shown, self._reference)
        engine = chosen(engine, self.neurons, observer)
        draws = self.stochastic or engine is Engine.STEPS
        content = shown_to_samples(self._graph, shown)
        ids = checked_ids(sample_ids, content, plan.fuse, needed=draws)
        compiled = self._made.compiled if self._compile else None
        shown = to_dtype(shown, wide(self.dtype))
        options: dict[str, Any] = {"seed": seed, "sample_ids": ids, "observer": observer}
        outputs = simulate(plan, shown, engine, compiled, memory_budget=memory_budget, **options)
        own = [out.to(self.dtype) if out.is_floating_point() else out for out in outputs]
        return answered(self.graph, own)

    def ann(self) -> CapturedANN:
        """The ANN that was converted, batch norm folded; it shares this network's tensors."""
        return CapturedANN(self.graph)

    def twin(self, steps: int | None = None) -> Twin:
        """The ANN whose activations take the values that counts stand for at T = `steps`.

        Every unit's value f(x) is rounded to `theta / L * clip(round(L / theta * f(x + b)), 0, L)`,
        with the thresholds theta, the largest count L and the corrections b of this network, and
        clipped from -L where its counts have signs. It is computed in floats, without spikes,
        counts or scales in weights, so it tells by other means what this network must answer: the
        same, up to the rounding of sums. In float32 a sum that lies next to the boundary of two
        counts may be rounded to either side.

        Args:
            steps: T; the design point when None.

        Returns:
            A module that answers as the model does; see `Twin`.

        Raises:
            ConversionError: for neurons that do not round to nearest (by chance, or by the times of
                spikes), and for weights in 16 bits (those in 8 bits are the twin's too).

        Example:
            >>> import torch, spikewright as sw
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(),
            ...                             torch.nn.Linear(8, 3)).double().eval()
            >>> x = torch.rand(64, 4).double()
            >>> snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=4)
            >>> torch.testing.assert_close(snn.twin()(x), snn(x))
        """
        return twin_of(self.plan(steps), self.dtype)

    def audit(self, images: Any, steps: int | None = None, seed: int = 0) -> Audit:
        """Run the network step by step and tell what arrives at weights, products and maxima.

        Every value that arrives at an operation with weights, at a product or at a maximum, and
        every output, is looked at at every step: is it a whole number times one scale a channel?
        What is not is listed: the network's input, sums that meet weights again before a neuron,
        read-outs. That linear operations are linear is seen too: their mean over time must be what
        they make of the mean of their input. The uncompiled step engine runs in full precision.

        Args:
            images: a batch, as for `observe`; a few samples will do, as all are kept in memory.
            steps: T; the design point when None. Few show as much as many.
            seed: of the random draws.

        Returns:
            What each edge carries, for `print`; `objections` is empty where all is as it should be.

        Raises:
            ConversionError: as `forward`, and for weights in bfloat16.

        Example:
            >>> import torch, spikewright as sw
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
            ...                             torch.nn.Linear(8, 3)).eval()
            >>> audit = sw.convert(model, torch.rand(64, 4)).audit(torch.rand(2, 4), steps=4)
            >>> for edge in audit.edges:
            ...     print(edge.carries, ":", edge)
            input : input -> 0 (linear)
            spikes : 1 (relu) -> 2 (linear)
            currents : 2 (linear) -> logits
            >>> audit.objections
            ()
        """
        if self.dtype is torch.bfloat16:
            raise ConversionError(
                "sums of bfloat16 are too coarse to tell whole numbers from others: audit a copy "
                "in float32, copy.deepcopy(snn).float()"
            )
        parts = (self.graph, self.neurons, self.steps, self._designs, self.calibration)
        plain = SpikingNetwork(*parts)
        plan = plain.plan(steps)
        shown = plan.source.call.batch(images, plan.source.tensors)
        auditor = Auditor(plan, shown)
        plain.observe(shown, auditor.observer, steps=steps, engine=Engine.STEPS, seed=seed)
        return auditor.audit(samples_in(plan.source, shown))

    def compile(self) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compile the count engine, and the step of integrate-and-fire or spike tracer networks.

        The first call at a new batch size compiles, for seconds to minutes; other T and seeds then
        cost nothing. The step engine runs frames uncompiled. On processors with instructions
        for sums of 8-bit integers, convolutions of spikes are computed in integers, as exactly as
        in float32 (see `network.kernels`). Draws are bit for bit those of the uncompiled network; a
        count may differ where another rounding of a sum crosses a decision boundary. Where there is
        no C++ compiler, one warning is given and the network runs uncompiled.

        Returns:
            This network.
        """
        self._compile = True
        self._forget_plans()
        return self

    def with_neuron(self, neuron: Neuron, sites: Sequence[str] | None = None) -> SpikingNetwork:
        """The same network, thresholds and corrections kept, with another neuron.

        Two-phase neurons of all codes and windows go together; `convert` fits thresholds for each.
        Digits count beyond L: where ReLU6, QCFS and their like end, theirs are lowered.

        Args:
            neuron: what to put there, such as `TwoPhase("nearest", "binary", steps=6)`.
            sites: names or shell patterns such as "layer1.*"; every site when None.

        Raises:
            ConversionError: for no site, or neurons that cannot stand in this network.
        """
        return self._remade(with_other(self.neurons, neuron, sites), self.precision)

    def with_precision(self, precision: Precision | str) -> SpikingNetwork:
        """The same network in another precision, for both engines.

        Args:
            precision: "float32" (the model's own), "bf16" or "int8"; see
                `graph.precision.Precision`. `convert(precision="int8")` loses less.

        Raises:
            ConversionError: for another name.
        """
        return self._remade(self.neurons, Precision.named(precision))

    def _remade(self, neurons: Mapping[str, Neuron], precision: Precision) -> SpikingNetwork:
        parts = (self.graph, neurons, self.steps, self._designs_of_another(neurons, precision))
        network = SpikingNetwork(*parts, self.calibration, precision=precision)
        return network.compile() if self._compile else network

    def __repr__(self) -> str:
        layers = f"{len(self.sites)} sites of {label_of(self.neurons)}"
        return f"SpikingNetwork({layers}, T = {self.steps})"
