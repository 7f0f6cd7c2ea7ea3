"""Operations that refuse conversion, and the message that lists them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikewright.graph.ir import Operation
from spikewright.graph.rule import known_as

_REMEDIES: dict[str, str] = {}


@dataclass(frozen=True)
class Offender:
    """An operation that refuses conversion: which, where, why, and what to do."""

    operator: str
    module: str
    source: str
    reason: str
    remedy: str


def offender(op: Operation, written: str, objection: str) -> Offender:
    """An offender of a rule's objection, `reason; remedy`.

    Args:
        op: the operation.
        written: its operator, as the model writes it.
        objection: of its rule.
    """
    reason, _, remedy = objection.partition("; ")
    remedy = remedy or "write it another way (docs/support.md has what converts)"
    return Offender(known_as(written), op.module, op.source, reason, remedy)


def complaint(
    offenders: Sequence[Offender], verdict: str = "of this model cannot be converted"
) -> str:
    """All offenders, grouped by operation and reason, each place on its own line."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for o in offenders:
        place = f"    in {o.module or 'the model'}" + (f" ({o.source})" if o.source else "")
        groups.setdefault((o.operator, o.reason, o.remedy), []).append(place)
    count = f"{len(offenders)} operation" + ("s" if len(offenders) > 1 else "")
    lines = [f"{count} {verdict}:"]
    for (name, reason, remedy), places in groups.items():
        lines.append(f"- {name}, {len(places)} times: {reason}.\n  What to do: {remedy}.")
        lines.extend(places)
    return "\n".join(lines)


def register_remedies(remedies: Mapping[str, str]) -> None:
    """What to do about operations that have no rule, by a part of their names."""
    _REMEDIES.update(remedies)


def remedy_of(op: Operation) -> str:
    """What to do about an operation that has no rule."""
    base = op.function.strip("_")
    whole = f"{base}.{str(op.target).rpartition('.')[2]}"
    for name in sorted(_REMEDIES, key=len, reverse=True):
        known = (base, base.removeprefix("native_"), whole)
        if name in known or (len(name) > 4 and name in base):
            return _REMEDIES[name]
    return (
        "write it with the operations of docs/support.md, register a rule for it "
        "(spikewright.graph.Rule), or convert the part of the model before it and run it on the "
        "answer"
    )
