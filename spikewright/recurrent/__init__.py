"""Spiking recurrent networks with adaptive neurons, trained through time on sequences.

Yin, Corradi, Bohte, "Accurate and efficient time-domain classification with adaptive spiking
recurrent neural networks", Nature Machine Intelligence 2021, arXiv 2103.12593.
"""

from spikewright.recurrent.alif import ALIF, State
from spikewright.recurrent.costs import RecurrentCosts, lstm_counts, recurrent_costs
from spikewright.recurrent.fitting import (
    SequenceEpoch,
    SequenceRecipe,
    SequenceTraining,
    sequence_accuracy,
    train_on_sequences,
)
from spikewright.recurrent.heidelberg import open_heidelberg
from spikewright.recurrent.layers import ReadOut, RecurrentLayer
from spikewright.recurrent.network import SRNN, Answer
from spikewright.recurrent.sequences import SequenceData, digit_sequences, recall_sequences
from spikewright.recurrent.speech_commands import Spectrogram, open_speech_commands
from spikewright.recurrent.surrogate import MultiGaussian

__all__ = [
    "ALIF",
    "SRNN",
    "Answer",
    "MultiGaussian",
    "ReadOut",
    "RecurrentCosts",
    "RecurrentLayer",
    "SequenceData",
    "SequenceEpoch",
    "SequenceRecipe",
    "SequenceTraining",
    "Spectrogram",
    "State",
    "digit_sequences",
    "lstm_counts",
    "open_heidelberg",
    "open_speech_commands",
    "recall_sequences",
    "recurrent_costs",
    "sequence_accuracy",
    "train_on_sequences",
]
