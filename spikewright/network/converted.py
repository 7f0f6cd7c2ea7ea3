"""A converted network as its parts: graph, neurons, designs, and the plans made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor

from spikewright import artefact
from spikewright.calibration import Calibration, Expected
from spikewright.calibration.design import Design
from spikewright.devices import cpu_by_default
from spikewright.errors import ConversionError
from spikewright.files import AnyPath
from spikewright.graph.ir import Graph
from spikewright.graph.precision import Precision
from spikewright.network.compiler import fused
from spikewright.network.engine import checked_t
from spikewright.network.graph_network import GraphNetwork
from spikewright.network.made import Made
from spikewright.network.mixing import step_weights
from spikewright.network.plan import Plan, prepared
from spikewright.network.stages import depth_of, longest_path
from spikewright.network.summary import summarise
from spikewright.network.units import require_units_served
from spikewright.neurons import Neuron


class ConvertedNetwork(GraphNetwork):
    """What a converted network is made of, and what follows from that without running it.

    Attributes:
        steps: T of the design point, used when a call names none.
        calibration: the statistics and the strategy that its thresholds come from.
    """

    @cpu_by_default()
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

        Raises:
            ConversionError: for neurons that cannot stand there, and bfloat16 asked to be int8.
        """
        super().__init__(graph)
        if precision is Precision.INT8 and self.dtype is torch.bfloat16:
            raise ConversionError(
                "this network is bfloat16, whose weights are rounded to that already: for int8 "
                "convert the model in float32, model.float(), or call .float() before"
            )
        self._neurons = dict(neurons)
        step_weights(self._neurons, steps)  # refuses neurons that cannot stand in one network
        require_units_served(graph, self._neurons)
        self.steps = steps
        self._designs = dict(designs)
        self.calibration = calibration
        self._precision = precision
        self._compile = False
        self._forget_plans()
        for each in self._designs:
            self.design(each)  # refuses neurons that its thresholds do not serve

    @property
    def neurons(self) -> Mapping[str, Neuron]:
        """The neuron of every site, by site name; read only, see `with_neuron`."""
        return MappingProxyType(self._neurons)

    @property
    def precision(self) -> Precision:
        """The number format of weights that meet spikes; read only, see `with_precision`.

        A bfloat16 network is of no other than "bf16".
        """
        return Precision.BF16 if self.dtype is torch.bfloat16 else self._precision

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
    def settles(self) -> bool:
        """Whether its neurons run on after the window (spike tracers)."""
        return any(neuron.settling != 0 for neuron in self.neurons.values())

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
        known = self._designs.get(steps) or Design(self.calibration.thresholds_at(steps))
        thresholds = self.calibration.carried(known.thresholds, self._neurons, steps)
        return known if thresholds is known.thresholds else replace(known, thresholds=thresholds)

    def _designs_of_another(
        self, neurons: Mapping[str, Neuron], precision: Precision
    ) -> Mapping[int, Design]:
        """The designs for a network that other neurons or numbers are put into.

        What was expected of this network was judged on its own neurons and numbers.
        """
        if (dict(neurons), precision) == (self._neurons, self.precision):
            return self._designs
        return self._unjudged()

    def _unjudged(self) -> dict[int, Design]:
        """The designs without what was expected of them."""
        return {steps: replace(each, expected={}) for steps, each in self._designs.items()}

    def require_own_windows_designed(self, steps: int) -> None:
        """See that T = `steps` is not asked of windows that do not change with it.

        Where every neuron has a window of its own, the network at a T that was not designed is the
        same without its corrections, and whoever compares T would take it for another.

        Raises:
            ConversionError: for such a T of such a network.
        """
        own = [n.window(1) for n in self._neurons.values() if n.window(1) == n.window(2)]
        if steps in self._designs or not own or len(own) < len(self._neurons):
            return
        windows = " or ".join(map(str, sorted(set(own))))
        known = " or ".join(map(str, self.designed_steps))
        raise ConversionError(
            f"T = {steps} would change no window of this network: every layer has one of its own, "
            f"of {windows} time steps at any T, and they were calibrated at T = {known}. Give T = "
            f"{known} (or leave --steps out), or convert anew for other windows"
        )

    def expected(self, steps: int | None = None) -> Expected | None:
        """How near its answers at T = `steps` are expected to come to the ANN's.

        Conversion knows it where `calibration.Auto` chose by samples held out, for the neurons and
        the precision that it was asked for; else, and once it holds other weights or was made a
        network of 16 bits, it is None.

        Example:
            >>> import torch, spikewright as sw
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
            ...                             torch.nn.Linear(8, 3)).eval()
            >>> snn = sw.convert(model, torch.rand(256, 4), steps=(8, 1))
            >>> snn.expected(8).relative_error < snn.expected(1).relative_error
            True
            >>> snn.expected().samples
            64
        """
        figures = self.design(steps).expected
        return Expected.of(figures) if figures else None

    def duration(self, steps: int | None = None) -> int:
        """Time steps of a layer's window, of the longest one where they differ.

        That is T, and a rehearsal (of SRP) before it; neurons with steps of their own have those.
        """
        steps = checked_t(steps, self.steps)
        return max(neuron.duration(steps) for neuron in self.neurons.values())

    def latency(self, steps: int | None = None) -> int:
        """Time steps from the first input to the answer, unpipelined.

        A two-phase layer answers only after its window: D such layers on the longest path take
        (D + 1) windows, the first one to take in the input. Where windows differ, it is the path
        whose windows add up to most. A one-phase network answers after one. How long spike tracers
        settle after that depends on the samples: `trajectory` and every measurement tell it.
        """
        steps = checked_t(steps, self.steps)
        return sum(longest_path(self._graph, self.neurons, steps))

    def save(self, path: AnyPath, notes: Mapping[str, Any] | None = None) -> None:
        """Write all it answers from, at any T, as one file that `spikewright.load` reads anywhere.

        Whether it is compiled, and its device, are not in the file.

        Args:
            path: an older file there is replaced in one move.
            notes: plain JSON values for people, such as how images were prepared.

        Raises:
            InterchangeError: for neurons or strategies of your own (a file holds no code), weights
                that are not finite, T beyond 2**20, notes that are not plain values, or a place
                that refuses it.
        """
        state = (self._neurons, self.steps, self._designs, self.calibration)
        artefact.save(artefact.Parts(self.graph, *state, str(self.precision)), path, notes)

    def summary(self, steps: int | None = None) -> str:
        """Every site with its threshold, and every operation with its class, as text."""
        return summarise(self.plan(steps), self.design(steps))

    @cpu_by_default()
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
        before = self.dtype
        self._forget_plans()
        super()._apply(fn, recurse)
        if self.dtype is not before and self.dtype.itemsize < torch.float32.itemsize:
            self._designs = self._unjudged()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        fitted = [steps for steps in self.designed_steps if self._designs[steps].weights]
        errors: list[str] = args[6]
        other = {t.dtype for t in args[0].values() if t.is_floating_point()} - {self.dtype}
        if args[2].get("assign_to_params_buffers") and other:
            errors.append(
                f"assign=True would put {', '.join(map(str, other))} into a network of "
                f"{self.dtype}: convert it with .to() before, or leave assign out"
            )
            return
        if fitted:
            errors.append(
                f"at T = {', '.join(map(str, fitted))} weights were fitted to the spikes that they "
                "receive; these are no part of a state, and stand in place of those that are: "
                "convert the model with its new weights, or save and load the network whole, by "
                "snn.save(path) and sw.load(path)"
            )
            return
        self._forget_plans()
        self._designs = self._unjudged()
        super()._load_from_state_dict(*args, **kwargs)

    def _copied_state(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": Made()}
