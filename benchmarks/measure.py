"""One run: set up every contender, warm it up, time interleaved rounds, count right answers."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders import Contender, Unavailable
from benchmarks.workloads import Subject

Tell = Callable[[str], None]
"""Where progress goes, a line at a time."""

_PATH = re.compile(r"(?:/[^\s:'\"/]+){2,}/?")
_LONGEST_REASON = 200
_SET_UP = 0.75
"""The share of the time after which nobody else is set up."""


@dataclass
class Lane:
    """A contender with what was measured of it.

    Attributes:
        contender: who.
        reason: why it could not run; None while it can.
        prepare_seconds: conversion and calibration; near 0 where it shares a network.
        first_call_seconds: the first batch, compilation included.
        round_seconds: seconds a batch, by round.
        right: right answers of each batch of images met so far, by its index.
    """

    contender: Contender
    reason: str | None = None
    prepare_seconds: float | None = None
    first_call_seconds: float | None = None
    round_seconds: list[float] = field(default_factory=list)
    right: dict[int, int] = field(default_factory=dict)

    def recorded(self, labels: Sequence[Tensor] | None) -> dict[str, Any]:
        """This lane as a result file has it."""
        if self.reason is not None:
            return {**self.contender.described(), "reason": self.reason}
        accuracy = None
        if labels is not None:
            accuracy = sum(self.right.values()) / sum(len(each) for each in labels)
        return {
            **self.contender.described(),
            "prepare_seconds": self.prepare_seconds,
            "first_call_seconds": self.first_call_seconds,
            "round_seconds": self.round_seconds,
            "accuracy": accuracy,
        }


def measure(
    lanes: Sequence[Lane], subject: Subject, rounds: int, tell: Tell, seconds: float | None = None
) -> list[dict[str, Any]]:
    """Measure contenders against each other.

    In round r every contender answers batch r of the images, one contender after the other, so
    that a slower minute of the machine falls on all of them.

    Args:
        lanes: a contender that has a reason already is left out.
        subject: the network and its images.
        rounds: timed batches of each contender; batches are used again when there are fewer.
        tell: progress.
        seconds: see `Settings`; the first round is begun whatever they are.

    Returns:
        One record a lane, in their order.
    """
    start, limit = time.perf_counter(), math.inf if seconds is None else seconds
    for lane in lanes:
        if time.perf_counter() - start > _SET_UP * limit:
            lane.reason = lane.reason or f"there was no time left for it in {limit:g} s"
            continue
        tell(f"set-up and first call: {lane.contender.name}")
        guarded(lane, lambda lane=lane: warm_up(lane, subject))
    for number in range(rounds):
        if number and time.perf_counter() - start > limit:
            break
        for lane in lanes:
            guarded(lane, lambda lane=lane, number=number: _round(lane, subject, number))
        tell(f"round {number + 1} of {rounds}")
    if subject.labels is not None:
        for lane in lanes:
            guarded(lane, lambda lane=lane: _rest(lane, subject))
            tell(f"accuracy: {lane.contender.name}")
    return [lane.recorded(subject.labels) for lane in lanes]


def guarded(lane: Lane, job: Callable[[], None]) -> None:
    """Run a job of a lane that can still run; what it raises becomes its reason."""
    if lane.reason is not None:
        return
    try:
        with torch.no_grad():
            job()
    except Unavailable as why:
        lane.reason = without_paths(str(why))
    except Exception as error:  # other packages raise what they like; the rest must still run
        lane.reason = without_paths(f"{type(error).__name__}: {error}")


def warm_up(lane: Lane, subject: Subject) -> None:
    """Set-up and first call, each with its time."""
    lane.prepare_seconds = timed(lambda: lane.contender.prepare(subject), subject.device)
    first = subject.batches[0]
    lane.first_call_seconds = timed(lambda: lane.contender.run(first), subject.device)


def timed(job: Callable[[], Any], device: torch.device) -> float:
    """Seconds that a job takes, the queue of a GPU drained before and after."""
    _drain(device)
    start = time.perf_counter()
    job()
    _drain(device)
    return time.perf_counter() - start


def without_paths(text: str) -> str:
    """The first line of a message, short, with no place of this machine in it."""
    line = next((line for line in text.splitlines() if line.strip()), "no message")
    return _PATH.sub("<path>", line)[:_LONGEST_REASON]


def _round(lane: Lane, subject: Subject, number: int) -> None:
    index = number % len(subject.batches)
    answers: list[Tensor] = []
    batch = subject.batches[index]
    lane.round_seconds.append(
        timed(lambda: answers.append(lane.contender.run(batch)), subject.device)
    )
    _count_right(lane, subject, index, answers[0])


def _rest(lane: Lane, subject: Subject) -> None:
    """Answers to the batches that no round had."""
    for index, batch in enumerate(subject.batches):
        if index not in lane.right:
            _count_right(lane, subject, index, lane.contender.run(batch))


def _count_right(lane: Lane, subject: Subject, index: int, logits: Tensor) -> None:
    if subject.labels is not None:
        right = logits.argmax(dim=1) == subject.labels[index]
        lane.right[index] = int(right.sum())


def _drain(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
