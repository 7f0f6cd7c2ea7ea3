"""Search by evolution: NSGA-II for a high score and few parameters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from spikewright.devices import cpu_by_default
from spikewright.errors import ModelError
from spikewright.extras import require_extra
from spikewright.search.network import MotifNetwork
from spikewright.search.score import dissimilarity_score
from spikewright.search.space import Architecture, SearchSpace
from spikewright.seeding import LARGEST_SEED, seeded


@dataclass(frozen=True)
class EvolutionRecipe:
    """How architectures are searched for.

    Attributes:
        evaluations: of architectures, at least `population`.
        population: architectures that are kept, and made anew in each generation, at least 2.
        draws: networks with weights of their own that a score is the mean of, at least 1.
        channels: of every population of neurons, at least 1.
        seed: of genomes, crossover, mutation and weights, 0 to 4,294,967,295.

    Raises:
        ValueError: for a number out of its range.
    """

    evaluations: int = 100
    population: int = 20
    draws: int = 2
    channels: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("population", 2), ("draws", 1), ("channels", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed must lie in 0 .. {LARGEST_SEED:,}, got {self.seed}")
        if self.evaluations < self.population:
            raise ValueError(
                f"evaluations={self.evaluations} are fewer than population={self.population}, "
                "which is the first generation"
            )


@dataclass(frozen=True)
class Candidate:
    """An architecture that was evaluated.

    Attributes:
        architecture: which.
        score: its mean `dissimilarity_score`, 0 .. 2.
        parameters: the number of its network's parameters.
    """

    architecture: Architecture
    score: float
    parameters: int

    def dominates(self, other: Candidate) -> bool:
        """Whether it is nowhere worse than another one and somewhere better."""
        own, its = (self.score, -self.parameters), (other.score, -other.parameters)
        return own != its and all(a >= b for a, b in zip(own, its, strict=True))


@dataclass(frozen=True)
class Evolution:
    """What a search has seen.

    Attributes:
        candidates: in the order of their evaluation.
    """

    candidates: tuple[Candidate, ...]

    @property
    def front(self) -> tuple[Candidate, ...]:
        """Candidates that none dominates (the Pareto front), each architecture once, best first."""
        distinct = {found.architecture: found for found in self.candidates}.values()
        left = [a for a in distinct if not any(b.dominates(a) for b in distinct)]
        return tuple(sorted(left, key=lambda found: -found.score))

    @property
    def best(self) -> Candidate:
        """The candidate of the highest score; of several, the smallest."""
        return max(self.candidates, key=lambda found: (found.score, -found.parameters))


@cpu_by_default()
def evaluate(
    architecture: Architecture, x: Tensor, classes: int, recipe: EvolutionRecipe | None = None
) -> Candidate:
    """Score an architecture without training it.

    Args:
        architecture: which.
        x: `[T, B, F, H, W]`, B at least 2.
        classes: of the read-out, at least 1.
        recipe: `draws`, `channels` and `seed` say of which networks.

    Raises:
        AnalysisError: for fewer than two samples.
        ModelError: for an input of another shape.
    """
    recipe = recipe or EvolutionRecipe()
    scores: list[float] = []
    parameters = 0
    for draw in range(recipe.draws):
        with seeded(recipe.seed + draw):
            network = MotifNetwork(architecture, x.shape[2], classes, channels=recipe.channels)
        scores.append(dissimilarity_score(network.to(x.device), x))
        parameters = sum(parameter.numel() for parameter in network.parameters())
    return Candidate(architecture, math.fsum(scores) / len(scores), parameters)


@cpu_by_default()
def evolve(
    space: SearchSpace,
    x: Tensor,
    classes: int,
    recipe: EvolutionRecipe | None = None,
    *,
    progress: Callable[[Candidate], None] | None = None,
) -> Evolution:
    """Search for architectures of a high score and few parameters by NSGA-II.

    Args:
        space: where.
        x: images over time, `[T, B, F, H, W]`, B at least 2; all scores are of this batch.
        classes: of the read-out, at least 1.
        recipe: how.
        progress: called after each evaluation.

    Raises:
        AnalysisError: for fewer than two samples.
        MissingExtra: if pymoo is not installed: `pip install 'spikewright[search]'`.
        ModelError: for an input of another shape, or a space too small for the evaluations.

    Source: Pan, Zhao, Shen, Han, Zeng, arXiv 2304.10749; NSGA-II: Deb et al., IEEE TEVC 2002.
    Crossover takes each gene from either parent; mutation is polynomial, rounded.

    Example:
        >>> recipe = EvolutionRecipe(evaluations=4, population=4, draws=1)
        >>> found = evolve(SearchSpace(cells=1), torch.rand(2, 6, 1, 8, 8), 10, recipe)
        >>> len(found.candidates), found.best == found.front[0]
        (4, True)
    """
    recipe = recipe or EvolutionRecipe()
    draws = _Draws()
    with draws.own():
        algorithm = _nsga2(space, recipe)
    seen: list[Candidate] = []
    while True:
        with draws.own():
            asked = algorithm.ask()
        genomes: Sequence[Any] = () if asked is None else asked.get("X")
        if not len(genomes):
            raise ModelError(
                f"{space} gives no new genome after {len(seen)} evaluations; ask for fewer "
                f"evaluations than {recipe.evaluations}, or for more cells"
            )
        generation: list[Candidate] = []
        for genome in genomes[: recipe.evaluations - len(seen)]:
            architecture = space.decode([int(gene) for gene in genome])
            generation.append(evaluate(architecture, x, classes, recipe))
            if progress is not None:
                progress(generation[-1])
        seen += generation
        if len(seen) == recipe.evaluations:
            return Evolution(tuple(seen))
        with draws.own():
            _tell(algorithm, asked, generation)


class _Draws:
    """The global generators of Python and NumPy, which pymoo seeds and draws from.

    Between its calls they are as the caller has them; in the next call they go on where the last
    one left them.
    """

    def __init__(self) -> None:
        self._kept = self._states()

    @contextmanager
    def own(self) -> Generator[None]:
        """Lend pymoo the generators for a block."""
        callers = self._states()
        self._restore(self._kept)
        try:
            yield
        finally:
            self._kept = self._states()
            self._restore(callers)

    @staticmethod
    def _states() -> tuple[Any, Any]:
        return random.getstate(), np.random.get_state()

    @staticmethod
    def _restore(states: tuple[Any, Any]) -> None:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _nsga2(space: SearchSpace, recipe: EvolutionRecipe) -> Any:
    """An algorithm of pymoo, ready to be asked for genomes; both objectives are minimised."""
    upper = np.array(space.choices) - 1
    problem = _pymoo("core.problem").Problem(
        n_var=len(upper), n_obj=2, xl=np.zeros_like(upper), xu=upper, vtype=int
    )
    whole = _pymoo("operators.repair.rounding").RoundingRepair()
    algorithm = _pymoo("algorithms.moo.nsga2").NSGA2(
        pop_size=recipe.population,
        sampling=_pymoo("operators.sampling.rnd").IntegerRandomSampling(),
        crossover=_pymoo("operators.crossover.ux").UX(),
        mutation=_pymoo("operators.mutation.pm").PM(vtype=float, repair=whole),
    )
    algorithm.setup(problem, termination=("n_gen", recipe.evaluations + 1), seed=recipe.seed)
    return algorithm


def _tell(algorithm: Any, asked: Any, generation: Sequence[Candidate]) -> None:
    """Give pymoo the objectives of the genomes that it was asked for."""
    values = np.array([(-found.score, found.parameters) for found in generation])
    static = _pymoo("problems.static").StaticProblem(algorithm.problem, F=values)
    _pymoo("core.evaluator").Evaluator().eval(static, asked)
    algorithm.tell(infills=asked)


def _pymoo(module: str) -> Any:
    return require_extra(f"pymoo.{module}", "search", "the search for architectures")
