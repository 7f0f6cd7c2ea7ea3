"""misalignment(): the experiment that the paper starts from, with its controls.

Convert a network to one-phase integrate-and-fire neurons and measure it; then rearrange in time
the spikes that leave each layer, their number unchanged, and measure again. If only counts
mattered, nothing would change. Bojković, Wu and Gu (ICML 2025, arXiv 2502.14487) find that a random
rearrangement makes the network *better*, and call it temporal misalignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from spikewright.devices import cpu_by_default, items_of
from spikewright.errors import AnalysisError
from spikewright.measure.batches import are_frames, checked_steps, require_reiterable
from spikewright.measure.cells import Cells
from spikewright.measure.checked import taken_apart
from spikewright.measure.decomposition import LayerError
from spikewright.measure.inside import Inside
from spikewright.measure.scores import ACCURACY
from spikewright.measure.spike_times import ResidualSummary, SpikeTimeHistogram
from spikewright.measure.sweep_plan import Progress, SweepPlan
from spikewright.measure.sweep_results import Reference, Sweep, SweepRow
from spikewright.network import SpikingNetwork
from spikewright.network.site_names import label_of
from spikewright.neurons import IntegrateFire, Order, Shuffled

ORDERS = tuple(str(order) for order in Order)
"""Every rearrangement: the paper's ("independent") and its controls."""

PROBE = str(Order.INDEPENDENT)
"""The name of the network that is looked into beside it."""


@dataclass(frozen=True)
class LayerEffect:
    """What happens when the spikes of one layer alone are shuffled ("independent").

    Attributes:
        site: the shuffled layer.
        steps: T.
        baseline: accuracy of the network without shuffling, a fraction, on the same samples.
        baseline_low, baseline_high: its Wilson 95 % interval.
        accuracy: accuracy with this layer shuffled.
        low, high: its Wilson 95 % interval.
        only_shuffled: samples that only the shuffled network gets right.
        only_baseline: samples that only the baseline gets right.
        p_value: exact McNemar test of those two.
        samples: how many samples were measured.
    """

    site: str
    steps: int
    baseline: float
    baseline_low: float
    baseline_high: float
    accuracy: float
    low: float
    high: float
    only_shuffled: int
    only_baseline: int
    p_value: float
    samples: int


@dataclass(frozen=True)
class Misalignment:
    """Everything the experiment measured.

    Attributes:
        whole: accuracies of the baseline, by the label of its neurons such as "IF", and of every
            order applied to all layers.
        layers: one entry a site, that layer alone shuffled, by the first seed; empty without
            `layerwise`.
        histograms: one a site, at the largest T: when spikes leave, before and after shuffling
            all layers ("independent", the first seed).
        residuals: one a site, at the largest T: what the baseline's neurons keep.
        errors: for the baseline and for all layers shuffled ("independent", the first seed), for
            every T and site: the layer's error by its causes.
    """

    whole: Sweep
    layers: tuple[LayerEffect, ...]
    histograms: tuple[SpikeTimeHistogram, ...]
    residuals: tuple[ResidualSummary, ...]
    errors: tuple[LayerError, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON values but for tuples."""
        return {
            "whole": self.whole.to_dict(),
            "layers": [asdict(entry) for entry in self.layers],
            "histograms": [asdict(entry) for entry in self.histograms],
            "residuals": [asdict(entry) for entry in self.residuals],
            "errors": [asdict(entry) for entry in self.errors],
        }


@cpu_by_default()
def misalignment(
    network: SpikingNetwork,
    data: Iterable[tuple[Tensor, Tensor]],
    steps: int | Sequence[int] = (2, 4, 8, 16),
    seeds: int | Sequence[int] = 3,
    reference: nn.Module | None = None,
    orders: Sequence[Order | str] = ORDERS,
    layerwise: bool = True,
    *,
    layer_steps: int | None = None,
    progress: Progress | None = None,
    cells: Cells | None = None,
) -> Misalignment:
    """Measure what the order of spikes does to a converted network.

    Thresholds and corrections stay as they are; the only change is when spikes leave a layer.

    Args:
        network: converted with `IntegrateFire` neurons, best designed for every T of `steps`.
        data: batches (images `[B, *S]`, labels `[B]`), gone over several times.
        steps: every T of the whole-network experiment.
        seeds: how many or which, for the random orders of the whole network; the other parts have
            the first one.
        reference: the source model in eval mode, for the comparisons of `sweep`.
        orders: "independent" (the paper's), "shared", "early", "late", "reversed".
        layerwise: also shuffle each layer alone (one simulation of the data a layer).
        layer_steps: T of the layer-by-layer part; the (upper) middle one of `steps` when None.
        progress: called as the work goes on. The parts (whole network, layer by layer, spike
            times, errors) follow each other and each counts its own `done` and `total`.
        cells: as in `sweep`.

    Returns:
        Accuracies, spike times, residual potentials and errors.

    Raises:
        AnalysisError: when a site has another neuron than `IntegrateFire`, the data can be read
            only once or are frames, orders are unknown or repeated, or for the reasons of `sweep`.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), neuron=sw.IntegrateFire(), steps=(2, 4))
        >>> data = [(torch.rand(10, 4), torch.arange(10) % 3)]
        >>> sw.misalignment(snn, data, steps=(2, 4), orders=("independent",)).whole.networks
        ('IF', 'independent')
    """
    times, kinds = checked_steps(steps), _checked_orders(orders)
    at = _layer_steps(times, layer_steps, layerwise)
    _check_neurons(network)
    require_reiterable(data)
    _refuse_frames(network, data)
    shared = cells or Cells()
    baseline = label_of(network.neurons)
    rearranged = {baseline: network} | {str(order): shuffled(network, order) for order in kinds}
    whole = SweepPlan.of(rearranged, data, times, seeds, reference, labelled=True)
    first = whole.seeds[0]
    alone = {site: shuffled(network, Order.INDEPENDENT, [site]) for site in network.sites}
    layers = None
    if layerwise:
        layers = SweepPlan.of(alone, data, at, (first,), _AtSteps(network, at), labelled=True)
    probe = shuffled(network, Order.INDEPENDENT)
    inside = Inside({baseline: network, PROBE: probe}, data, times, first, progress)
    whole.measure(shared.within("whole"), progress)
    if layers is not None:
        layers.measure(shared.within(f"layers at T = {at}"), progress)
    inside.measure(shared)
    asked = {"experiment": "misalignment", "layer_steps": at if layerwise else None}
    sweep = whole.result(shared.within("whole"), asked)
    effects = ()
    if layers is not None:
        effects = _effects(layers.result(shared.within(f"layers at T = {at}"), {}))
    spikes, errors = inside.result(shared)
    return Misalignment(sweep, effects, spikes.histograms, spikes.residuals, errors)


def shuffled(
    network: SpikingNetwork, order: Order | str, sites: Sequence[str] | None = None
) -> SpikingNetwork:
    """The same network with the trains that leave some sites rearranged in time.

    Args:
        network: a network of one-phase neurons, which stay what they are inside.
        order: how.
        sites: names; every site when None.

    Returns:
        A network with the same thresholds and corrections.
    """
    for site in network.sites if sites is None else sites:
        network = network.with_neuron(Shuffled(network.neurons[site], order), sites=[site])
    return network


def _refuse_frames(network: SpikingNetwork, data: Iterable[tuple[Tensor, Tensor]]) -> None:
    """See that samples are shown as constant currents: as frames they differ in time themselves."""
    first = next(items_of(data), None)
    shown = None if first is None else taken_apart(first)[0]
    if shown is not None and are_frames(shown, len(network.graph.signal.shape)):
        raise AnalysisError(
            "this experiment shows images [B, *S] as constant currents, so that all of the order "
            "in time is the network's own; frames have one: give their mean over time"
        )


class _AtSteps(nn.Module):
    """A spiking network at one T, as a reference that other networks are compared with."""

    def __init__(self, network: SpikingNetwork, steps: int) -> None:
        super().__init__()
        self._network = network
        self._steps = steps
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self._network(images, steps=self._steps)


def _effects(sweep: Sweep) -> tuple[LayerEffect, ...]:
    assert sweep.reference is not None
    return tuple(_effect(row.network, row, sweep.reference) for row in sweep.rows)


def _effect(site: str, row: SweepRow, baseline: Reference) -> LayerEffect:
    ann, own = ACCURACY.of(baseline), ACCURACY.of(row)
    assert ann is not None
    assert own is not None
    assert row.only_network is not None
    assert row.only_reference is not None
    assert row.p_value is not None
    return LayerEffect(
        site=site,
        steps=row.steps,
        baseline=ann.value,
        baseline_low=ann.low or 0.0,
        baseline_high=ann.high or 0.0,
        accuracy=own.value,
        low=own.low or 0.0,
        high=own.high or 0.0,
        only_shuffled=row.only_network,
        only_baseline=row.only_reference,
        p_value=row.p_value,
        samples=row.samples,
    )


def _checked_orders(orders: Sequence[Order | str]) -> tuple[Order, ...]:
    known = ", ".join(ORDERS)
    try:
        kinds = tuple(Order(order) for order in ([orders] if isinstance(orders, str) else orders))
    except ValueError as error:
        raise AnalysisError(f"{error}; the orders are {known}") from None
    if not kinds or len(set(kinds)) < len(kinds):
        raise AnalysisError(f"orders must be different and at least one of {known}, got {orders!r}")
    return kinds


def _layer_steps(times: Sequence[int], layer_steps: int | None, layerwise: bool) -> int:
    if layer_steps is None:
        return sorted(times)[len(times) // 2]
    if not layerwise:
        raise AnalysisError(
            f"layer_steps={layer_steps} has no effect with layerwise=False: leave one of them out"
        )
    return checked_steps(layer_steps)[0]


def _check_neurons(network: SpikingNetwork) -> None:
    others = {
        site: neuron.label
        for site, neuron in network.neurons.items()
        if not isinstance(neuron, IntegrateFire)
    }
    if others:
        wrong = ", ".join(f"{label} at {site}" for site, label in others.items())
        raise AnalysisError(
            f"misalignment needs IntegrateFire neurons at every site, got {wrong}: convert with "
            "neuron=IntegrateFire(); it shuffles by itself"
        )
