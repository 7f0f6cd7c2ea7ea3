"""The questions that the page of results begins with, answered from records alone.

A question is an object in a list, its answer a function of `Evidence`: every figure in it is
computed, its verdict follows from paired tests, and what has no record says "not run".
"""

from paper.answers.evidence import Evidence
from paper.answers.questions import FURTHER, QUESTIONS, Question, answered

__all__ = ["FURTHER", "QUESTIONS", "Evidence", "Question", "answered"]
