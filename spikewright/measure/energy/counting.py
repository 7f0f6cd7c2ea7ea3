"""operations(): what a network's answer to a sample takes, counted on data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spikewright.devices import cpu_by_default
from spikewright.errors import AnalysisError
from spikewright.graph import Graph, Operation
from spikewright.graph.inputs import Batch
from spikewright.measure.accuracy import logits_of, predictions, require_answers
from spikewright.measure.energy.account import Account, SiteRule
from spikewright.measure.energy.activity import Activities, observe_activity
from spikewright.measure.energy.arriving import batches_for, flows_at
from spikewright.measure.energy.counts import Counts, OperationsRow
from spikewright.measure.energy.estimate import HOROWITZ_45NM, EnergyModel
from spikewright.measure.energy.flow import Flow, Form, spikes_and_powers
from spikewright.measure.energy.layers import OUTPUT, layer_kinds
from spikewright.measure.energy.results import Operations
from spikewright.measure.energy.source import Source, evaluations
from spikewright.measure.energy.written import Written
from spikewright.measure.placement import device_of
from spikewright.measure.run_record import RunClock
from spikewright.measure.shown import moved
from spikewright.network import Engine, SpikingNetwork
from spikewright.network.frames import are_frames, samples_in
from spikewright.network.plan import Plan
from spikewright.network.site_names import label_of
from spikewright.network.stages import longest_path


@cpu_by_default()
def operations(
    network: SpikingNetwork,
    data: Iterable[Any],
    steps: int | None = None,
    *,
    seed: int = 0,
    engine: Engine | str = Engine.AUTO,
    model: EnergyModel = HOROWITZ_45NM,
    event_value: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Operations:
    """Count the operations of a network's answers, layer by layer, and estimate their energy.

    Additions are the sum over spikes of each neuron's exact fan-out; what is counted, and under
    which assumptions, stands in `Counts`.

    Args:
        network: the network to count, compiled or not.
        data: batches of images `[B, *S]` or frames `[T, B, *S]`, alone or with labels, or of all
            inputs: mappings of keyword arguments, or tuples of them with labels. Frames of whole
            numbers from 0 are taken as events: an addition each. Others are multiplied, unless
            `event_value` says how many events they are. Rows of an embedding are read, and cost no
            arithmetic.
        steps: T; the design point when None.
        seed: the seed of the random draws.
        engine: "auto", "counts" or "steps".
        model: energies of single operations.
        event_value: what one event adds to a frame, above 0, such as `EventData.event_value`: a
            constant that belongs to the weights and costs nothing.
        progress: called with the number of samples done, after every batch.

    Returns:
        Rows for the mean sample, their total, and its energy.

    Raises:
        AnalysisError: without data, for an operation or neuron that is not counted, or a network
            that is no SpikingNetwork; for an `event_value` of which the data are no multiples, and
            labels that are no classes of the network's.
        ConversionError: when a batch is not of the shape or dtype that the network takes.

    Example:
        >>> import torch, spikewright as sw
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                           torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(net, torch.rand(64, 4), steps=4)
        >>> total = sw.operations(snn, [torch.rand(10, 4)]).total
        >>> total.snn.input_macs, round(total.snn.additions / total.spikes, 6)
        (32.0, 3.0)
    """
    if not isinstance(network, SpikingNetwork):
        raise AnalysisError(
            f"operations counts a SpikingNetwork, got a {type(network).__name__}: convert it first"
        )
    steps = network.steps if steps is None else steps
    (result,) = counted(
        network, data, steps, [Written(network.neurons, steps)], seed=seed, engine=engine,
        model=model, event_value=event_value, progress=progress,
    )  # fmt: skip
    return result


def counted(
    network: SpikingNetwork,
    data: Iterable[Any],
    steps: int,
    codes: Sequence[Written],
    *,
    seed: int,
    engine: Engine | str,
    model: EnergyModel,
    event_value: float | None,
    progress: Callable[[int], None] | None,
) -> list[Operations]:
    """`operations` of the same counts under several codes; it takes the arguments of `operations`.

    Args:
        steps: the network's T.
        codes: the neurons that write the counts.
    """
    _require_priced(network, model)
    clock = RunClock()
    place = device_of(network)
    source = Source(network.graph)
    tallies = [_Tally(network, steps, code, source) for code in codes]
    trains = tallies[0].account.trains
    apart = tallies[0].account.limits_samples or source.reads_samples
    graph = network.graph
    samples, right, labelled = 0, 0, 0
    for given, labels in batches_for(graph, data):
        shown = graph.call.batch(moved(given, place), graph.tensors)
        answer, activities = observe_activity(
            network, shown, steps, seed=seed, engine=engine, trains=trains, codes=codes, apart=apart
        )
        size = samples_in(graph, shown)
        for number, part in enumerate(_one_by_one(graph, shown) if apart else [shown]):
            arriving = flows_at(graph, part, event_value)
            source.add(part)
            for tally, sent in zip(tallies, activities, strict=True):
                tally.add(arriving, *((1, sent.of(number, size)) if apart else (size, sent)))
        samples += size
        if labels is not None:
            logits = logits_of(answer, "the network")
            require_answers(logits, labels, "the network")
            right += int((predictions(logits).cpu() == labels).sum())
            labelled += size
        if progress is not None:
            progress(samples)
    asked = {"steps": steps, "engine": str(engine), "constants": model.source}
    record = clock.finish(place, seed=seed, samples=samples, configuration=asked)
    accuracy = right / labelled if labelled else None
    return [tally.result(samples, accuracy, model, record) for tally in tallies]


def _one_by_one(graph: Graph, shown: Batch) -> Sequence[Batch]:
    """The samples of a batch, each as a batch of its own."""
    return shown.split(1, 1) if are_frames(shown, graph) else shown.split(1)


def _require_priced(network: SpikingNetwork, model: EnergyModel) -> None:
    """See that the model has a price for what the neurons of every site compute."""
    unpriced = [
        (name, op.site.name)
        for op in network.graph.neurons
        if op.site is not None
        for name in evaluations(op, 1).functions
        if not model.prices(name)
    ]
    if unpriced:
        listed = ", ".join(f"{name} at '{site}'" for name, site in unpriced)
        named = ", ".join(f'"{name}": ...' for name in sorted({name for name, _ in unpriced}))
        raise AnalysisError(
            "the energy of these functions, which neurons compute once a window, has no price in "
            f"'{model.source}': {listed}; name prices in pJ, as in operations(..., model="
            f"dataclasses.replace(HOROWITZ_45NM, function_pj={{{named}}})), or on the command line "
            "--function-pj NAME=PJ,..."
        )


@dataclass
class _Tally:
    """The running account of one network under one code."""

    network: SpikingNetwork
    steps: int
    code: Written
    source: Source
    charged: dict[str, Counts] = field(default_factory=dict)
    spikes: dict[str, float] = field(default_factory=dict)
    settling: int = 0
    latest: int = 0

    def __post_init__(self) -> None:
        neurons = self.code.neurons.values()
        self.duration = max(neuron.duration(self.code.steps) for neuron in neurons)
        self.plan = self.network.plan(self.steps)
        self.account = Account(self.plan.graph, self.code)

    def add(self, shown: Mapping[str, Flow], samples: int, sent: Activities) -> None:
        rule = _spiking(self.plan, self.code, self.duration, samples, sent)
        settling = sent.settling / samples
        walked = self.account.walk(
            shown, samples, self.duration, rule, settling=settling, maxima=sent.maxima
        )
        for site, counts in walked.items():
            self.charged[site] = self.charged.get(site, Counts()) + counts
        for site, activity in sent.sites.items():
            self.spikes[site] = self.spikes.get(site, 0.0) + float(activity.spikes.sum())
        self.settling += sent.settling
        self.latest = max(self.latest, sent.latest)

    def result(
        self, samples: int, accuracy: float | None, model: EnergyModel, record: Any
    ) -> Operations:
        graph, ann = self.network.graph, self.source.counts
        kinds = layer_kinds(graph)
        sizes = {op.site.name: math.prod(op.shape) for op in graph.neurons if op.site is not None}
        neurons = self.network.neurons.items()
        levels = {site: neuron.magnitudes(self.steps) for site, neuron in neurons}
        rows = tuple(
            OperationsRow(
                site=site,
                neuron=self.code.neurons[site].label if site in self.code.neurons else "",
                neurons=sizes.get(site, 0),
                spikes=self.spikes.get(site, 0.0) / samples,
                snn=self.charged.get(site, Counts()).divided(samples),
                ann=ann.get(site, Counts()),
                levels=self._levels(site, levels),
                kind=kinds.get(site, ""),
            )
            for site in (*sizes, OUTPUT)
        )
        return Operations(
            network=label_of(self.code.neurons),
            steps=self.code.steps,
            duration=self.duration,
            bits=max(neuron.bits for neuron in self.code.neurons.values()),
            latency=sum(longest_path(graph, self.code.neurons, self.code.steps)) + self.latest,
            accuracy=accuracy,
            rows=rows,
            model=model,
            footprint_bytes=sum(t.numel() * t.element_size() for t in graph.tensors.values()),
            connection_sparsity=self.source.sparsity,
            record=record,
            settling=self.settling / samples,
            zero_macs=self.source.zero_macs,
        )

    def _levels(self, row: str, levels: Mapping[str, int]) -> int:
        """The magnitudes that arrive at a row; of what reads the input alone, that it sends."""
        sites = self.account.arriving[row] or {row} & levels.keys() or levels.keys()
        return max(levels[site] for site in sites)


def _spiking(plan: Plan, code: Written, duration: int, samples: int, sent: Activities) -> SiteRule:
    """Sites send the spikes observed; their neurons are charged for their window."""

    def rule(op: Operation, arriving: Flow) -> tuple[Flow, Counts]:
        assert op.site is not None
        site = op.site.name
        neuron, size = code.neurons[site], samples * math.prod(op.shape)
        shifted = site in plan.corrections or site in plan.potentials
        steady = Form.STEADY in arriving.parts
        times = 1 if neuron.has_count_law and neuron.waits else duration
        work = Counts(**asdict(neuron.work(code.steps))).divided(1 / size)
        settling = math.prod(op.shape) * sent.settling
        work += Counts(**{k: v * settling for k, v in asdict(neuron.settling_work).items()})
        biased = size * times * (arriving.constant or shifted or steady)
        activity = sent.sites[site]
        often = samples if neuron.waits else samples * duration + sent.settling
        if not neuron.fits_function:  # else its steps, which `work` has, are all it does
            work += evaluations(op, often)
        return (
            spikes_and_powers(
                activity.spikes, activity.spikes * (neuron.largest_spike > 1), activity.counts
            ),
            work + Counts(bias_additions=biased),
        )

    return rule
