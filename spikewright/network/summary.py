"""The text that describes a converted network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from torch import Tensor

from spikewright.calibration import Design, Expected
from spikewright.calibration.auto import least
from spikewright.graph.ir import Kind, Operation
from spikewright.graph.units import computed_in
from spikewright.network.plan import Plan
from spikewright.network.stages import longest_path


def summarise(plan: Plan, design: Design) -> str:
    """Sites with thresholds, then operations by class, then latency.

    Args:
        plan: the network at one T.
        design: its thresholds and corrections.
    """
    graph = plan.graph
    rows = _rows(plan)
    lines = [f"Spiking network at T = {plan.steps}", ""]
    width = max(len("total"), *(len(name) for name in rows))
    wide = max(11, *(len(_unit(ops)) for ops in rows.values()))
    named = max(14, *(len(neuron.label) for neuron in plan.neurons.values()))
    head = f"{'site':<{width}}  {'unit':<{wide}} {'neuron':<{named}}"
    lines.append(f"{head} {'neurons':>9}  threshold")
    total = 0
    for name, ops in rows.items():
        site = ops[0].site
        assert site is not None
        size = len(ops) * math.prod(ops[0].shape)
        total += size
        theta = design.thresholds[site.name]
        thresholds = f"{theta.min().item():.4g}"
        if len(theta) > 1:
            thresholds += f" .. {theta.max().item():.4g} in {len(theta)} channels"
        neuron = f"{_unit(ops):<{wide}} {plan.neurons[site.name].label:<{named}}"
        lines.append(f"{name:<{width}}  {neuron} {size:>9,}  {thresholds}")
    lines.append(f"{'total':<{width}}  {'':<{wide}} {'':<{named}} {total:>9,}")
    lines += ["", f"{'operation':<28} {'class':<10} {'times':>5}"]
    kinds = Counter(
        (op.operator, str(op.kind)) for op in graph.operations if op.kind is not Kind.UNIT
    )
    lines += [f"{name:<28} {kind:<10} {n:>5}" for (name, kind), n in sorted(kinds.items())]
    lines += ["", f"latency: {_latency(plan)}{_settling(plan)}", *_payload(plan)]
    lines += ["", *_corrections(design)]
    return "\n".join(lines)


def _latency(plan: Plan) -> str:
    """The time steps until the answer, and the windows that they are made of."""
    windows = longest_path(plan.source, plan.neurons, plan.steps)
    runs = ((len(list(same)), length) for length, same in groupby(windows))
    path = ", ".join(f"{n} window{'s' * (n > 1)} of {length}" for n, length in runs)
    return f"{sum(windows)} time steps ({path})"


def _payload(plan: Plan) -> Iterator[str]:
    """What a spike says, where that is more than that it came."""
    labels: dict[int, list[str]] = {}
    for neuron in plan.neurons.values():
        labels.setdefault(neuron.bits, []).append(neuron.label)
    for bits, those in labels.items():
        names = " and ".join(f"'{label}'" for label in dict.fromkeys(those))
        whose = f" of {names}" if len(labels) > 1 else ""
        if bits > 1:
            yield f"payload: {bits} bits a neuron and step{whose}, where a spike or none is 1"


def _settling(plan: Plan) -> str:
    """How long neurons settle after their window."""
    if plan.settling is None:
        return ", then until no neuron owes a spike"
    return f", then up to {plan.settling} to settle" if plan.settling else ""


def _corrections(design: Design) -> Iterator[str]:
    """What makes up for errors, how it was chosen, and what is expected of it."""
    refitted = sum(weight.numel() for weight in design.weights.values())
    parts = {
        "biases": bool(design.corrections),
        "initial potentials": bool(design.potentials),
        f"{refitted:,} refitted weights and biases": refitted > 0,
    }
    yield f"corrected by: {', '.join(n for n, has in parts.items() if has) or 'nothing'}"
    if design.held_out:
        yield from ("", "on samples held out", *_errors(design.held_out))
    if design.expected:
        yield f"expected of samples not seen: {Expected.of(design.expected)}"


def _errors(held_out: Mapping[str, Tensor]) -> Iterator[str]:
    """A line for every candidate; the thresholds and the correction that were taken are chosen."""
    networks = _candidates(held_out, corrections=True)
    chosen = {chosen_threshold(held_out), least(networks) if networks else None}
    for measure, corrections in (("unexplained", False), ("error", True)):
        for name, error in _candidates(held_out, corrections=corrections).items():
            yield f"{measure:<11} {error:<10.4g} {name}{'  (chosen)' if name in chosen else ''}"


def chosen_threshold(held_out: Mapping[str, Tensor]) -> str | None:
    """The name of the threshold strategy that a design took; None where none was chosen.

    It is the one that the name of the network of the least error ends with, as in `+ CORRECTION,
    STRATEGY`; where that names none, the one that leaves least unexplained.
    """
    strategies = _candidates(held_out, corrections=False)
    networks = _candidates(held_out, corrections=True)
    if not strategies:
        return None
    taken = least(networks) if networks else ""
    named = (name for name in strategies if taken.endswith(f", {name}"))
    return next(named, least(strategies))


def _candidates(held_out: Mapping[str, Tensor], *, corrections: bool) -> dict[str, float]:
    return {n: float(e) for n, e in held_out.items() if n.startswith("+ ") is corrections}


def _rows(plan: Plan) -> dict[str, list[Operation]]:
    """Units by site, those with one threshold and one neuron together."""
    rows: dict[str, list[Operation]] = {}
    for name, ops in alike(plan.graph.neurons).items():
        sites = {op.site.name: op for op in ops if op.site is not None}
        same = len({plan.neurons[site].label for site in sites}) == 1
        rows |= {name: ops} if same else {site: [op] for site, op in sites.items()}
    return rows


def alike(units: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Units by site, those with one threshold together, such as `lstm.forget:*`."""
    groups: dict[str, list[Operation]] = {}
    for op in units:
        assert op.site is not None
        groups.setdefault(op.site.group_name, []).append(op)
    return {
        (ops[0].site.name if len(ops) == 1 and ops[0].site else f"{name}:*"): ops
        for name, ops in groups.items()
    }


def _unit(ops: Sequence[Operation]) -> str:
    """What units of a kind compute, and of how many inputs where it is of several."""
    times = f"{len(ops):,} × " if len(ops) > 1 else ""
    return times + _function(ops[0])


def _function(op: Operation) -> str:
    members = 1 if op.site is None else op.site.group
    name = ", ".join(computed_in(op))
    return name if members == 1 else f"{name} of {members:,}"
