"""Search for architectures of spiking networks by evolution, scored without training.

Pan, Zhao, Shen, Han, Zeng, "Multi-scale Evolutionary Neural Architecture Search for Deep Spiking
Neural Networks", IEEE TEVC, arXiv 2304.10749.
"""

from spikewright.search.evolution import (
    Candidate,
    Evolution,
    EvolutionRecipe,
    evaluate,
    evolve,
)
from spikewright.search.images import still_digits
from spikewright.search.motifs import Motif
from spikewright.search.network import MotifNetwork
from spikewright.search.score import dissimilarities, dissimilarity_score
from spikewright.search.space import Architecture, Cell, SearchSpace

__all__ = [
    "Architecture",
    "Candidate",
    "Cell",
    "Evolution",
    "EvolutionRecipe",
    "Motif",
    "MotifNetwork",
    "SearchSpace",
    "dissimilarities",
    "dissimilarity_score",
    "evaluate",
    "evolve",
    "still_digits",
]
