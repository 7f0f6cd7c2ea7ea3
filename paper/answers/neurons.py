"""Answers about neurons and time steps, from paired tests on the networks of the page.

"Above" and "below" are significant differences (`paper.differences.SURE`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper.answers.evidence import (
    Evidence,
    differences,
    enough,
    listed,
    span,
    was_run,
)
from paper.cell import ANN
from paper.differences import Tally
from paper.rows import IN_DOUBLE
from paper.tables import NOT_RUN, NetworkTable, rows_with

_RIVALS = {
    "nearest": "`nearest`",
    "tpp": "TPP",
    "srp": "SRP",
    "cos": "COS",
    "tracer": "the spike tracer",
}
"""What plain IF is compared with in the same time, and how it is called."""


def which_neuron(evidence: Evidence) -> str:
    """`nearest` against TPP at the same T; what is farthest ahead of plain IF in the same time."""
    same = evidence.tally("nearest", "tpp")
    told = [
        f"{_choice('Where T counts', same, '`nearest`', 'TPP')}: at the same T `nearest` is "
        f"{_told(same, 'TPP')}."
    ]
    timed = {
        neuron: tally
        for neuron in _RIVALS
        if (tally := evidence.tally(neuron, "if", no_later=True)).run
    }
    if not timed:
        return f"{told[0]} Where time counts: {NOT_RUN}."
    best = max(timed, key=lambda neuron: timed[neuron].above - timed[neuron].below)
    lead = _choice("Where time counts", timed[best], _RIVALS[best], "plain IF")
    told.append(
        f"{lead}: {_RIVALS[best]} is {_told(timed[best], 'plain IF that answers no later')}"
    )
    if not any(was_run(table, best) for table in evidence.relu):
        told[-1] += " (QCFS networks)"
    if best != "nearest" and "nearest" in timed:
        told[-1] += f", `nearest` in {timed['nearest'].above} and {timed['nearest'].below}"
        told[-1] += f" of {timed['nearest'].run}"
    return " ".join(told) + "."


def tpp_or_if(evidence: Evidence) -> str:
    """TPP against plain IF, in the same time and at the same T."""
    timed, same = (evidence.tally("tpp", "if", no_later=late) for late in (True, False))
    return (
        f"{_verdict(timed)}: TPP is {_told(timed, 'plain IF that answers no later')}. At the same "
        f"T, where TPP answers later, it is {_told(same, 'plain IF')}."
    )


def how_many_steps(evidence: Evidence) -> str:
    """The least T, and the time, at which neurons are not below the ANN."""
    kinds = ("QCFS", evidence.qcfs), ("ReLU", evidence.relu)
    return " ".join(_least(kind, tables) for kind, tables in kinds)


def _least(kind: str, tables: Sequence[NetworkTable]) -> str:
    """The same for networks of one kind."""
    run = [table for table in tables if was_run(table, "nearest")]
    if not run:
        return f"On {kind} networks: {NOT_RUN}."
    found = [(table, least) for table in run if (least := enough(table, "nearest"))]
    if not found:
        return f"On {kind} networks `nearest` is below the ANN up to T = {_last(run, 'nearest')}."
    steps = span(least.steps for _, least in found)
    time = span(least.entry.latency for _, least in found)
    own = f", T = L on {sum(least.steps == table.levels for table, least in found)}"
    return (
        f"On {kind} networks `nearest` is not below the ANN from T = {steps} "
        f"({len(found)} of {len(run)} networks{own if kind == 'QCFS' else ''}), an answer after "
        f"{time} time steps{_beside_plain(tables)}."
    )


def _beside_plain(tables: Sequence[NetworkTable]) -> str:
    """When plain IF is not below the ANN, and when `nearest` is not on the same images."""
    run = [table for table in tables if was_run(table, "if")]
    if not run:
        return f"; plain IF was {NOT_RUN}"
    images = {table.name: table.configuration["one_phase_images"] for table in run}
    told = [
        f"{name} {_reached(run, neuron, images)}"
        for neuron, name in (("nearest", "`nearest`"), ("if", "plain IF"))
    ]
    return f"; on {span(images.values())} images of each, {' and '.join(told)}"


def _reached(tables: Sequence[NetworkTable], neuron: str, images: Mapping[str, int]) -> str:
    """The time steps after which a neuron is not below the ANN, on so many images by network."""
    run = [table for table in tables if was_run(table, neuron)]
    found = [least for table in run if (least := enough(table, neuron, images[table.name]))]
    if not run:
        return f"was {NOT_RUN}"
    if not found:
        return f"is below it up to T = {_last(run, neuron)}"
    time = span(least.entry.latency for least in found)
    return f"gets there after {time} steps ({len(found)} of {len(run)})"


def _last(tables: Sequence[NetworkTable], neuron: str) -> int:
    """The largest T at which a neuron was run."""
    cells = [
        cell for table in tables for cell in table.entries if cell[0] in rows_with(table, neuron)
    ]
    return max(t for _, t in cells)


def misalignment(evidence: Evidence) -> str:
    """Shuffled spikes against spikes as they come, on networks trained with QCFS, by T."""
    steps = sorted({t for table in evidence.qcfs for t in table.steps})
    by_steps = {
        t: [
            difference
            for table in evidence.qcfs
            for difference in differences(table, "shuffled", "if", (t,))
            if difference is not None
        ]
        for t in steps
    }
    tallies = {t: Tally.of(found) for t, found in by_steps.items() if found}
    if not tallies:
        return f"{NOT_RUN.capitalize()}."
    everywhere = [t for t, tally in tallies.items() if tally.above == tally.run]
    points = [difference.pair.points for t in everywhere for difference in by_steps[t]]
    parts = []
    if everywhere:
        parts.append(
            f"at T = {listed([str(t) for t in everywhere])} on all "
            f"({span(points, '{:+.1f}'.format)} points)"
        )
    parts += [
        f"at T = {t} on {tally.above} of {tally.run}"
        + f", below on {tally.below}" * bool(tally.below)
        for t, tally in tallies.items()
        if t not in everywhere
    ]
    above = any(tally.above for tally in tallies.values())
    lead = "Yes, with one-phase neurons" if above else "No"
    return (
        f"{lead}: on QCFS networks shuffled IF is above plain IF {listed(parts)}. To neurons that "
        "add up all of their input before they send (TPP, `nearest`) its order cannot matter."
    )


def lossless(evidence: Evidence) -> str:
    """At T = L in float64 and float32; then what loses."""
    return f"{_exact(evidence.qcfs)} {_losing(evidence)}"


def _exact(tables: Sequence[NetworkTable]) -> str:
    """`nearest` at T = L on QCFS networks, image by image."""
    doubles = [record for table in tables if (record := table.in_double.get(IN_DOUBLE.name))]
    if not doubles:
        return f"`nearest` at T = L on QCFS networks, in float64: {NOT_RUN}."
    equal = sum(record.differs == 0 for record in doubles)
    lead = "Lossless" if equal == len(doubles) else "Not lossless everywhere"
    singles = [entry for table in tables if (entry := table.entry("nearest", table.levels or 0))]
    differing = span(entry.first.differs for entry in singles) if singles else NOT_RUN
    images = f" of {span(entry.images for entry in singles)} images" if singles else ""
    return (
        f"{lead} is `nearest` at T = L on QCFS networks: in float64 every answer is the ANN's on "
        f"{equal} of {len(doubles)} networks; in float32 {differing}{images} get another."
    )


def _losing(evidence: Evidence) -> str:
    """Who is below the ANN: at T = L with QCFS, at the largest T with ReLU."""
    parts: list[str] = []
    for title, neuron in (("TPP", "tpp"), ("plain IF", "if")):
        tally = Tally.of(
            difference
            for table in evidence.qcfs
            for difference in differences(table, neuron, ANN, (table.levels or 0,))
        )
        if tally.run:
            parts.append(f"{title} at T = L on {tally.below} of {tally.run} QCFS networks")
    for table in evidence.relu:
        t = table.steps[-1]
        tally = Tally.of(differences(table, "nearest", ANN, (t,)))
        if tally.run:
            parts.append(
                f"`nearest` at T = {t} on `{table.name}` with {tally.below} of {tally.run} "
                "calibrations"
            )
    return f"Below the ANN are {listed(parts)}." if parts else f"What loses: {NOT_RUN}."


def _told(tally: Tally, other: str) -> str:
    """How often something is above and below another."""
    if not tally.run:
        return f"{NOT_RUN} against {other}"
    return f"above {other} in {tally.above} and below in {tally.below} of {tally.run:,} comparisons"


def _choice(when: str, tally: Tally, first: str, second: str) -> str:
    """What to take, by which of two is ahead in more comparisons."""
    if tally.above == tally.below:
        return f"{when}, neither {first} nor {second} is ahead"
    return f"{when}, take {first if tally.above > tally.below else second}"


def _verdict(tally: Tally) -> str:
    """Whether the first of two is ahead."""
    if tally.above == tally.below:
        return "Neither is ahead"
    mostly = "Mostly " if tally.above and tally.below else ""
    return (mostly + ("Yes" if tally.above > tally.below else "No")).capitalize()
