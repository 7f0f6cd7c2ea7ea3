"""Spiking recurrent networks with adaptive neurons, trained through time on sequences.

Yin, Corradi, Bohte, "Accurate and efficient time-domain classification with adaptive spiking
recurrent neural networks", Nature Machine Intelligence 2021, arXiv 2103.12593.
"""

from spikewright.recurrent.alif import ALIF, State
from spikewright.recurrent.costs import RecurrentCosts, lstm_counts, recurrent_costs
from spikewright.recurrent.fitting import sequence_accuracy, train_on_sequences
from spikewright.recurrent.heidelberg import open_heidelberg
from spikewright.recurrent.layers import ReadOut, RecurrentLayer
from spikewright.recurrent.network import SRNN, Answer
from spikewright.recurrent.recipe import SequenceRecipe, SRNNRecipe, SRNNRunRecipe
from spikewright.recurrent.run import SRNNCard, SRNNFolder, load_srnn, read_srnn_card
from spikewright.recurrent.sequence_names import SequenceDataRecipe
from spikewright.recurrent.sequences import SequenceData, digit_sequences, recall_sequences
from spikewright.recurrent.speech_commands import Spectrogram, open_speech_commands
from spikewright.recurrent.surrogate import MultiGaussian
from spikewright.recurrent.training import train_srnn

__all__ = [
    "ALIF",
    "SRNN",
    "Answer",
    "MultiGaussian",
    "ReadOut",
    "RecurrentCosts",
    "RecurrentLayer",
    "SRNNCard",
    "SRNNFolder",
    "SRNNRecipe",
    "SRNNRunRecipe",
    "SequenceData",
    "SequenceDataRecipe",
    "SequenceRecipe",
    "Spectrogram",
    "State",
    "digit_sequences",
    "load_srnn",
    "lstm_counts",
    "open_heidelberg",
    "open_speech_commands",
    "read_srnn_card",
    "recall_sequences",
    "recurrent_costs",
    "sequence_accuracy",
    "train_on_sequences",
    "train_srnn",
]
