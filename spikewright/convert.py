"""prepare() and convert(): from a trained model to spiking networks.

What depends on no neuron and no T is done once: `prepare` captures the model, checks and folds it,
and runs it over the calibration data. `Prepared.convert` chooses thresholds and corrections.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from spikewright import rules as _register_rules  # noqa: F401  # pyright: ignore
from spikewright.calibration import Calibration, Correction, Threshold
from spikewright.calibration.collecting import collect
from spikewright.calibration.design import Design
from spikewright.calibration.fitted_neurons import fitted_neurons
from spikewright.calibration.holding_out import LEAST_SAMPLES, folds_of
from spikewright.calibration.reading import Batches, read_batches, remedy
from spikewright.calibration.samples import MEMORY, Samples, bytes_each, part_size
from spikewright.calibration.settled import AUTO, check_configuration, settled
from spikewright.calibration.shared import deal_work
from spikewright.calibration.statistics import SiteStatistics, require_alive
from spikewright.calibration.thinned import Thinned
from spikewright.calibration.thresholds import require_positive
from spikewright.errors import CalibrationError, ConversionError
from spikewright.graph import Graph, InputRefused, fold_batch_norm, survey
from spikewright.graph.channels import with_channels
from spikewright.graph.elementary import Units
from spikewright.graph.full_precision import full_precision
from spikewright.graph.given import Given
from spikewright.graph.inputs import Batch, as_many, batch_of, to_dtype
from spikewright.graph.model_checks import calibration_device, check_model, state_of, takes
from spikewright.graph.precision import Precision
from spikewright.graph.primitives import POSITIVE
from spikewright.graph.widened import widened
from spikewright.network import SpikingNetwork
from spikewright.network.engine import checked_points, checked_seed
from spikewright.network.mixing import step_weights
from spikewright.network.site_names import neurons_at
from spikewright.network.units import require_units_served
from spikewright.neurons import Neuron, TwoPhase
from spikewright.processes import ALONE, Processes

__all__ = ["Batches", "Prepared", "convert", "prepare"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model that is ready to be converted, with any neuron and at any T; made by `prepare`.

    Attributes:
        graph: the captured model, batch norm folded, with tensors of its own.
        statistics: of every site, by name.
        samples: the calibration samples that corrections are measured on.
        processes: who shares the work.
    """

    graph: Graph
    statistics: Mapping[str, SiteStatistics]
    samples: Samples
    processes: Processes = ALONE
    _designs: dict[Any, Design] = field(default_factory=dict, repr=False)

    @full_precision()
    def convert(
        self,
        neuron: Neuron | Mapping[str, Neuron] | None = None,
        threshold: Threshold | None = None,
        steps: int | Sequence[int] = 16,
        correction: Correction | None = AUTO,
        seed: int = 0,
        precision: Precision | str = Precision.FLOAT32,
    ) -> SpikingNetwork:
        """Choose thresholds and corrections; arguments and errors are those of `convert`.

        Networks of one `Prepared` share its tensors.

        Example:
            >>> import torch, spikewright as sw
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
            ...                             torch.nn.Linear(8, 3)).eval()
            >>> prepared = sw.prepare(model, torch.rand(64, 4))
            >>> networks = [prepared.convert(n, steps=(4, 8)) for n in (sw.TPP(), sw.TwoPhase())]
            >>> [network(torch.rand(5, 4)).shape for network in networks]
            [torch.Size([5, 3]), torch.Size([5, 3])]
        """
        points, seed = checked_points(steps), checked_seed(seed)
        check_configuration(neuron, threshold, correction)
        sites = self.graph.sites
        neurons = neurons_at([s.name for s in sites], TwoPhase() if neuron is None else neuron)
        neurons = fitted_neurons(neurons, self.samples, points)
        require_units_served(self.graph, neurons)
        for point in points:
            step_weights(neurons, point)  # refuses neurons that cannot stand in one network
        learned = learned_thresholds(self.graph)
        threshold, correction = settled(threshold, correction, learned)
        precision = Precision.named(precision)
        if correction is not None:
            self.samples.warn_if_fewer()
            if precision is not Precision.FLOAT32:
                correction = correction.at_precision(precision)
        calibration = Calibration(sites, self.statistics, neurons, threshold, learned)
        designs = self._designs_at(points, calibration, correction, seed)
        parts = (self.graph, neurons, points[0], designs, calibration)
        return SpikingNetwork(*parts, precision=precision)

    @full_precision()
    def held_out(self) -> tuple[Prepared, tuple[Batch, ...]]:
        """The same without every fourth calibration sample, and those samples, to judge by.

        Returns:
            Prepared by the other samples, and batches of all inputs that it knows nothing of.

        Raises:
            CalibrationError: for fewer than 8 calibration samples.
        """
        if len(self.samples) < LEAST_SAMPLES:
            raise CalibrationError(
                f"at least {LEAST_SAMPLES} calibration samples are needed to hold some of them "
                f"out, got {len(self.samples)}: give more"
            )
        folds = folds_of(self.samples, self.statistics)
        own = Prepared(self.graph, folds.statistics(0), folds.fitted(0), self.processes)
        return own, folds.held_out(0).parts

    def _designs_at(
        self,
        points: Sequence[int],
        calibration: Calibration,
        correction: Correction | None,
        seed: int,
    ) -> dict[int, Design]:
        """The design of every T; several processes deal the T out among them."""

        def made(steps: int) -> Design:
            design = Design(calibration.thresholds_at(steps))
            if correction is None:
                return design
            with torch.no_grad():
                return correction.corrected(design, calibration, self.samples, steps, seed)

        shared = _shared_by(calibration, correction, seed)
        missing = [steps for steps in points if (shared, steps) not in self._designs]
        if self.processes.count == 1:
            designs = {steps: made(steps) for steps in missing}
        else:
            dealt = deal_work(missing, lambda steps: made(steps).tensors(), self.processes)
            designs = {steps: Design.of(tensors) for steps, tensors in dealt.items()}
        for steps, design in designs.items():
            design.check(steps)
            if shared is not None and not (design.potentials or design.weights):  # those are large
                self._designs[shared, steps] = design
        return {steps: (designs.get(steps) or self._designs[shared, steps]) for steps in points}


def _shared_by(
    calibration: Calibration, correction: Correction | None, seed: int
) -> Hashable | None:
    """The key of a design, which neurons that count alike share; None if it cannot be hashed."""
    neurons, threshold = tuple(calibration.neurons.values()), calibration.threshold
    known = tuple((n.evenly_driven, threshold.depends_on(n)) for n in neurons)
    key: tuple[Hashable, ...] = (known, threshold)
    if correction is not None:
        key += (correction, tuple(map(correction.depends_on, neurons)), seed)
    try:
        hash(key)
    except TypeError:  # a strategy of the user's own may hold anything
        return None
    return key


def prepare(
    model: nn.Module | ExportedProgram,
    calibration: Tensor | Mapping[str, Any] | Batches,
    *,
    processes: Processes = ALONE,
    units: Units | str = Units.GROUP,
) -> Prepared:
    """Capture a trained model and run it over calibration data, once for every later conversion.

    The data is read batch by batch. Statistics, from which thresholds come, are those of all of it,
    and nothing is kept for them. Corrections need samples: as many are kept as fit into 2 GiB, with
    what a correction keeps of each, evenly spread over the data if not all fit. A conversion that
    corrects then warns, with the numbers.

    Args:
        model: as for `convert`.
        calibration: as for `convert`.
        processes: as for `convert`.
        units: as for `convert`.

    Returns:
        What `Prepared.convert` makes spiking networks of.

    Raises:
        ConversionError: as `convert` does, and its subclasses.
        ProcessError: when processes hold other weights or other data.
    """
    return _prepared(model, calibration, processes, MEMORY, units)


def convert(
    model: nn.Module | ExportedProgram,
    calibration: Tensor | Mapping[str, Any] | Batches,
    neuron: Neuron | Mapping[str, Neuron] | None = None,
    threshold: Threshold | None = None,
    steps: int | Sequence[int] = 16,
    correction: Correction | None = AUTO,
    seed: int = 0,
    processes: Processes = ALONE,
    units: Units | str = Units.GROUP,
    precision: Precision | str = Precision.FLOAT32,
) -> SpikingNetwork:
    """Turn a trained network into a spiking network, leaving the model untouched.

    This is `prepare(model, calibration).convert(neuron, ...)`; use the two apart to convert one
    model with several neurons.

    Args:
        model: any `nn.Module` in eval mode, or an exported program with a dynamic batch. It may
            return tuples, lists, dicts and dataclasses of tensors.
        calibration: batches of inputs `[B, *S]` (or (input, label) pairs, or one tensor that is one
            batch), preprocessed as the model wants them and *not* from the test set; a few hundred
            samples do. Batch sizes do not matter; their order does to `Auto` and `Refit`, which
            hold out every fourth sample. For a model of several inputs, dicts of its arguments by
            name, or tuples of those without a default (what follows is taken for labels): tensors
            with as many samples as the first are inputs, what else is given is a constant.
        neuron: what stands at every site; default `TwoPhase("nearest")`. Or a mapping from sites,
            by name or shell pattern, to neurons: the last pattern that fits a site counts, as in
            `{"*": TwoPhase(), "layer3.*": TwoPhase("nearest", "binary", steps=6)}`.
        threshold: how firing thresholds are chosen. When None, samples held out choose under
            `Auto`; else it is the learned thresholds (QCFS), or `MinError(per="channel")`.
        steps: T of the design point, or several; the first is the default of later calls. Other T
            can be simulated too, with such thresholds from the same statistics and no correction.
        correction: what makes up for errors, for every T named. `calibration.Auto` lets samples
            held out choose none, a bias correction or refitted weights; None for nothing.
        seed: of the draws that stochastic neurons make during calibration.
        processes: who shares the work, each with the same model and all of the calibration data;
            the network is the same in every one, and that of one process, to the bit.
        units: "group", or "elementary": softmax and norms are built from units of one charge each.
        precision: of weights that meet spikes: "float32" (the model's own), "bf16" or "int8", as
            for `SpikingNetwork.with_precision`; refitted ones make up for rounding to 8 bits.

    Returns:
        The spiking network, on the model's device and in its dtype.

    Raises:
        UnsupportedOperation: listing every operation that has no spiking form.
        ConversionError: when the model cannot be captured, or the captured graph does not compute
            what the model computes.
        CalibrationError: when the data is empty, malformed, not finite, or leaves a site silent.
        ProcessError: when processes hold other weights or other data.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), neuron=sw.TPP(), steps=8)
        >>> snn(torch.rand(5, 4)).shape
        torch.Size([5, 3])
    """
    checked_points(steps)
    checked_seed(seed)
    check_configuration(neuron, threshold, correction)
    fits = any(n.fits_function for n in named_neurons(neuron))
    kept = 0 if correction is None and not fits else MEMORY
    prepared = _prepared(model, calibration, processes, kept, units)
    return prepared.convert(neuron, threshold, steps, correction, seed, precision)


@full_precision()
def _prepared(
    model: nn.Module | ExportedProgram,
    calibration: Tensor | Mapping[str, Any] | Batches,
    processes: Processes,
    memory: int,
    units: Units | str,
) -> Prepared:
    """`prepare`, with the bytes of samples that are kept for corrections."""
    chosen = Units.named(units)
    check_model(model)
    before = _fingerprint(model)
    device = calibration_device(model)
    read = read_batches(calibration, model, device)
    first = next(read)
    graph = _captured(model, first, chosen)
    require_positive(learned_thresholds(graph))
    size = part_size(graph, _inputs(graph, first))
    parts = (part for batch in chain([first], read) for part in _inputs(graph, batch).split(size))
    wider = widened(graph)  # counts of a 16-bit model are kept in float32, here as in the engines
    kept = Thinned(memory // bytes_each(wider))
    collected = collect(graph, kept.watch(parts), processes)
    underflowing = (op.site for op in graph.neurons if op.target in POSITIVE)
    require_alive(collected.statistics, {site.name for site in underflowing if site})
    if _fingerprint(model) != before:
        raise ConversionError(
            "the model's parameters or buffers changed while it ran; a model that changes itself "
            "cannot be converted"
        )
    means = collected.input_means(kept.kept)
    parts = tuple(to_dtype(part, wider.dtype) for part in kept.kept.values())
    samples = Samples(wider, parts, kept.seen, means)
    return Prepared(graph, collected.statistics, samples, processes)


def _inputs(graph: Graph, batch: Given) -> Batch:
    tensors = graph.call.inputs(batch.args, batch.keywords, graph.tensors)
    return batch_of(as_many(tensors, graph.call.names))


def _captured(model: nn.Module | ExportedProgram, batch: Given, units: Units) -> Graph:
    """The model as a graph without batch norm."""
    try:
        graph = survey(model, batch, units).require_convertible()
    except InputRefused as error:
        dtypes = {t.dtype for t in state_of(model).values() if t.is_floating_point()}
        advice = remedy(batch, dtypes, lambda other: takes(model, other))
        raise CalibrationError(f"{error}{advice and f'. {advice}'}") from error
    return with_channels(fold_batch_norm(graph))


def learned_thresholds(graph: Graph) -> dict[str, Tensor]:
    """The thresholds that sites were trained with (QCFS's lambda), by site name, on the CPU."""
    return {s.name: graph.tensors[s.threshold].cpu() for s in graph.sites if s.threshold}


def named_neurons(neuron: Neuron | Mapping[str, Neuron] | None) -> tuple[Neuron, ...]:
    """The neurons that a conversion names."""
    if neuron is None:
        return ()
    return tuple(neuron.values()) if isinstance(neuron, Mapping) else (neuron,)


def _fingerprint(model: nn.Module | ExportedProgram) -> dict[str, tuple[int, int]]:
    """What changes when a tensor is written to or replaced: its storage and version, if kept."""
    return {
        name: (t.data_ptr(), 0 if t.is_inference() else t._version)
        for name, t in state_of(model).items()
    }
