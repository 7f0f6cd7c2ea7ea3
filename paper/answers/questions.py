"""The list of questions, and how they are written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paper.answers.costs import (
    how_many_images,
    how_much_energy,
    what_was_tried,
    which_code,
)
from paper.answers.evidence import Evidence
from paper.answers.neurons import (
    how_many_steps,
    lossless,
    misalignment,
    tpp_or_if,
    which_neuron,
)
from paper.answers.real_networks import what_is_left
from paper.answers.tuning import what_tuning_gives


@dataclass(frozen=True)
class Question:
    """What a user asks.

    Attributes:
        asked: in the user's words.
        answer: two sentences, every figure in them from the evidence; "Not run." where there is
            none.
        shown: a link to what shows it.
    """

    asked: str
    answer: Callable[[Evidence], str]
    shown: str


_CLAIMS = "[all comparisons](#what-holds-of-the-papers-claims-and-why)"
_PICTURES = "[the pictures](#in-pictures)"

QUESTIONS: tuple[Question, ...] = (
    Question("Which neuron should I take?", which_neuron, _CLAIMS),
    Question(
        "Which code should I take?",
        which_code,
        "[what codes come to](choosing.md#what-they-come-to)",
    ),
    Question(
        "How many time steps do I need, and how long is that until the answer?",
        how_many_steps,
        _PICTURES,
    ),
    Question("How much energy does it take against an int8 ANN?", how_much_energy, _PICTURES),
    Question("Does temporal misalignment matter for me?", misalignment, _CLAIMS),
    Question("What is lossless, and what is not?", lossless, _CLAIMS),
    Question("Does TPP beat plain IF, given the same time?", tpp_or_if, _CLAIMS),
    Question(
        "How many calibration images do I need?",
        how_many_images,
        "[which calibration wins where](methods/compared.md)",
    ),
    Question(
        "What does fine-tuning give over conversion alone?",
        what_tuning_gives,
        "[NQ](methods/nq.md), [tandem](methods/tandem.md), [bits](methods/bits.md), "
        "[DSR](methods/dsr.md) and [distil](methods/distil.md)",
    ),
    Question(
        "Which networks were tried, and which were not?",
        what_was_tried,
        "[all networks](#all-networks-side-by-side) and [the census](census.md) of what converts",
    ),
)
"""The page begins with these."""

FURTHER: tuple[Question, ...] = (
    Question(
        "What is left of a network that was trained for no spikes, without any further training?",
        what_is_left,
        "[real networks](real.md)",
    ),
)
"""Questions on real pretrained networks; they stand under a heading of their own."""


def answered(evidence: Evidence, questions: Sequence[Question]) -> str:
    """The questions with their answers, a numbered list."""
    return "".join(
        f"{number}. **{question.asked}** {question.answer(evidence)} See {question.shown}.\n"
        for number, question in enumerate(questions, 1)
    )
