"""A code for every layer, chosen by what its spikes cost (hybrid neural coding)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from spikewright.devices import cpu_by_default
from spikewright.errors import AnalysisError
from spikewright.measure.energy.code_costs import exact_codes, two_phase_at
from spikewright.measure.energy.counting import counted
from spikewright.measure.energy.estimate import HOROWITZ_45NM, EnergyModel
from spikewright.measure.energy.results import Operations
from spikewright.measure.energy.written import Written
from spikewright.network import Engine, SpikingNetwork
from spikewright.network.stages import longest_path
from spikewright.neurons import Code, Neuron, TwoPhase, code_of

ASSIGNED = ("binary", "first-spike")
"""Few steps and more spikes, or one spike and more steps."""

_NO_STEP = 1e-9
"""Time steps that a change adds off the longest path: none, as good as."""


@dataclass(frozen=True)
class CodeAssignment:
    """A network with a code for every layer, and what it costs.

    Attributes:
        network: answers as the one that it was made of; of TPP step by step, in distribution.
        operations: of the mean sample, as `operations` counts them.
    """

    network: SpikingNetwork
    operations: Operations

    @property
    def codes(self) -> Mapping[str, str]:
        """The name of the code of every site."""
        neurons = self.network.neurons.items()
        return {site: code_of(n.code).name for site, n in neurons if isinstance(n, TwoPhase)}


@cpu_by_default()
def assign_codes(
    network: SpikingNetwork,
    data: Iterable[Any],
    latency: int | None = None,
    *,
    codes: Sequence[Code | str] = ASSIGNED,
    cost: Callable[[Operations], float] = lambda one: one.energy.snn_nj,
    seed: int = 0,
    model: EnergyModel = HOROWITZ_45NM,
    progress: Callable[[int], None] | None = None,
) -> tuple[CodeAssignment, ...]:
    """Choose a code for every layer: from the fastest network to the cheapest.

    The answers are the same whatever the codes, as all of them write the same counts (those of TPP
    step by step are drawn anew): spikes, time steps and energy differ. The search begins with the
    code of fewest steps at every site. Each later network gives one more site the code that saves
    most for the time steps that it adds. What a site saves is measured on the data, with the codes
    of all other sites as in the beginning; the networks that are returned are measured themselves,
    and those that are no faster and no cheaper than another are left out.

    This is the assignment of hybrid neural coding (Chen et al., TPAMI 2024, arXiv 2305.16594) as
    far as codes without loss go.

    Args:
        network: one of two-phase neurons.
        data: batches of samples, as in `operations`; they are read twice. Not of the test set.
        latency: time steps from the first input to the answer, at most; None for any.
        codes: to choose from, by name or as objects; those that cannot count exactly as far as the
            network does are left out. The binary code counts to 1, 3, 7, 15, ...
        cost: what shall be low; by default the energy of the operations, in nJ.
        seed, model, progress: as in `operations`.

    Returns:
        Networks with their operations, of increasing latency and decreasing cost.

    Raises:
        AnalysisError: for neurons that are not two-phase, a code that rounds counts, codes none
            of which counts as far as some layer does, a latency that no network keeps, and where
            `operations` raises it.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(),
        ...                             torch.nn.Linear(64, 64), torch.nn.ReLU(),
        ...                             torch.nn.Linear(64, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 8), steps=15)
        >>> front = sw.assign_codes(snn, [torch.rand(32, 8)])
        >>> fastest, cheapest = front[0], front[-1]
        >>> fastest.operations.latency, fastest.codes
        (12, {'1': 'binary', '3': 'binary'})
        >>> cheapest.operations.energy.snn_nj < fastest.operations.energy.snn_nj
        True
    """
    batches = list(data)
    exact = exact_codes(codes)
    choices = {site: _choices(network, site, exact) for site in network.sites}
    measured = partial(_measured, network, batches, seed=seed, model=model, progress=progress)
    fastest = {site: some[0] for site, some in choices.items()}
    changed = [(site, other) for site, some in choices.items() for other in some[1:]]
    first, *others = map(cost, measured([fastest, *({**fastest, s: n} for s, n in changed)]))
    saved = {change: first - after for change, after in zip(changed, others, strict=True)}
    taken = [
        neurons
        for neurons in _ever_slower(network, fastest, saved)
        if latency is None or _latency(network, neurons) <= latency
    ]
    if not taken:
        raise AnalysisError(
            f"no assignment answers within {latency} time steps: with the fastest of these codes "
            f"at every site it takes {_latency(network, fastest)}; allow more, give a faster code, "
            "or convert for fewer levels"
        )
    front: list[CodeAssignment] = []
    for neurons, found in zip(taken, measured(taken), strict=True):
        if not front or cost(found) < cost(front[-1].operations):
            if front and found.latency <= front[-1].operations.latency:
                front.pop()  # as fast, and costs more
            front.append(CodeAssignment(_with(network, neurons), found))
    return tuple(front)


def _choices(network: SpikingNetwork, site: str, codes: Sequence[Code]) -> tuple[TwoPhase, ...]:
    """Neurons with the site's own law and each code that counts exactly as far, fastest first."""
    neuron, levels = two_phase_at(network, site), network.plan().levels[site]
    fitting = [
        replace(neuron, code=code, steps=code.steps_for(levels))
        for code in codes
        if code.levels(code.steps_for(levels)) == levels and code.room == 1
    ]
    if not fitting:
        names = ", ".join(code.name for code in codes)
        raise AnalysisError(
            f"site '{site}' counts to {levels}, and none of these codes counts exactly so far: "
            f"{names}. Convert with steps of 3, 7, 15 or another 2**n - 1, which the binary code "
            "reaches in n steps"
        )
    return tuple(sorted(fitting, key=lambda one: one.window(network.steps)))


def _ever_slower(
    network: SpikingNetwork,
    fastest: Mapping[str, TwoPhase],
    saved: Mapping[tuple[str, TwoPhase], float],
) -> Iterator[Mapping[str, TwoPhase]]:
    """The fastest neurons, then with one more change each time, what saves most a step first.

    It goes on to the last change: where trains of two codes are added up, each keeps a sum of its
    own, so that changes may save together what neither saves alone.
    """
    neurons, gained, waiting = dict(fastest), dict.fromkeys(fastest, 0.0), dict(saved)
    yield dict(neurons)
    while waiting:
        now = _latency(network, neurons)
        rates: dict[tuple[str, TwoPhase], tuple[float, float]] = {}
        for (site, neuron), gain in waiting.items():
            more = _latency(network, {**neurons, site: neuron}) - now
            gain -= gained[site]
            rates[site, neuron] = (gain / max(more, _NO_STEP), gain)
        site, neuron = best = max(rates, key=rates.__getitem__)
        neurons[site], gained[site] = neuron, waiting.pop(best)
        window = neuron.window(network.steps)
        for other in [(s, n) for s, n in waiting if s == site]:
            if other[1].window(network.steps) <= window:
                del waiting[other]
        yield dict(neurons)


def _latency(network: SpikingNetwork, neurons: Mapping[str, Neuron]) -> int:
    return sum(longest_path(network.graph, neurons, network.steps))


def _measured(
    network: SpikingNetwork,
    batches: Sequence[Any],
    assignments: Sequence[Mapping[str, Neuron]],
    *,
    seed: int,
    model: EnergyModel,
    progress: Callable[[int], None] | None,
) -> Sequence[Operations]:
    """Operations of the same counts written by each of several assignments; one simulation."""
    return counted(
        network, batches, network.steps, [Written(one, network.steps) for one in assignments],
        seed=seed, engine=Engine.COUNTS, model=model, event_value=None, progress=progress,
    )  # fmt: skip


def _with(network: SpikingNetwork, neurons: Mapping[str, TwoPhase]) -> SpikingNetwork:
    for neuron in dict.fromkeys(neurons.values()):
        sites = [site for site, one in neurons.items() if one == neuron]
        network = network.with_neuron(neuron, sites)
    return network
