"""A model becomes a graph: capture, folding, the rules of operations, neuron sites."""

from spikewright.graph.batch_norm import fold_batch_norm
from spikewright.graph.capture import InputRefused, Survey, survey
from spikewright.graph.evaluate import evaluate
from spikewright.graph.ir import Graph, Kind, Operation, Site
from spikewright.graph.offenders import Offender
from spikewright.graph.scales import fold_scales

__all__ = [
    "Graph",
    "InputRefused",
    "Kind",
    "Offender",
    "Operation",
    "Site",
    "Survey",
    "evaluate",
    "fold_batch_norm",
    "fold_scales",
    "survey",
]
