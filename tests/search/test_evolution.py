"""The score of untrained networks, and the search."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch

from spikewright.errors import AnalysisError, MissingExtra, ModelError
from spikewright.search import (
    Candidate,
    Evolution,
    EvolutionRecipe,
    MotifNetwork,
    SearchSpace,
    dissimilarities,
    dissimilarity_score,
    evaluate,
    evolution,
    evolve,
)

SPACE = SearchSpace(2)
SMALL = EvolutionRecipe(evaluations=12, population=5, draws=1, channels=2)


def images(count: int = 6) -> torch.Tensor:
    return torch.rand(2, count, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_dissimilarities_are_those_of_numpy() -> None:
    spikes = (torch.rand(4, 5, 3, 2, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    expected = 1 - np.corrcoef(spikes.sum(0).flatten(1).numpy())
    np.testing.assert_allclose(dissimilarities(spikes).numpy(), expected, atol=1e-12)


def test_silent_samples_and_equal_ones_are_not_told_apart() -> None:
    spikes = torch.zeros(2, 3, 4)
    spikes[:, 1:, 0] = 1
    assert torch.equal(dissimilarities(spikes), torch.zeros(3, 3, dtype=torch.float64))
    with pytest.raises(AnalysisError, match="B >= 2 samples"):
        dissimilarities(spikes[:, :1])


def test_a_score_is_the_mean_over_populations_and_leaves_the_network() -> None:
    torch.manual_seed(0)
    network = MotifNetwork(SPACE.decode([1] * len(SPACE.choices)), 1, 10)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    score = dissimilarity_score(network, images())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    trains = network.observe(images()).spikes
    off = ~torch.eye(6, dtype=torch.bool)
    means = [float(dissimilarities(train)[off].mean()) for train in trains]
    assert score == pytest.approx(sum(means) / len(means))
    assert 0 < score < 2


def test_equal_images_score_zero() -> None:
    same = images(1).expand(2, 5, 1, 4, 4)
    network = MotifNetwork(SPACE.decode([0] * len(SPACE.choices)), 1, 10)
    assert dissimilarity_score(network, same) == pytest.approx(0, abs=1e-12)


def test_a_search_makes_as_many_evaluations_as_asked_and_repeats_with_its_seed() -> None:
    pytest.importorskip("pymoo", reason="needs the extra 'search'")
    heard: list[Candidate] = []
    found = evolve(SPACE, images(), 10, SMALL, progress=heard.append)
    assert heard == list(found.candidates)
    assert len(heard) == 12
    assert evolve(SPACE, images(), 10, SMALL) == found
    assert found.candidates[7] == evaluate(found.candidates[7].architecture, images(), 10, SMALL)


def test_a_search_and_its_caller_draw_apart() -> None:
    """Neither changes what the other one draws from the global generators."""
    pytest.importorskip("pymoo", reason="needs the extra 'search'")
    found = evolve(SPACE, images(), 10, SMALL)

    def draw(_: Candidate | None = None) -> tuple[float, float]:
        return random.random(), np.random.rand()

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)

    seed()
    wanted = [draw() for _ in range(SMALL.evaluations + 1)]
    seed()
    drawn: list[tuple[float, float]] = []
    assert evolve(SPACE, images(), 10, SMALL, progress=lambda _: drawn.append(draw())) == found
    assert [*drawn, draw()] == wanted


def test_later_generations_hold_smaller_architectures() -> None:
    pytest.importorskip("pymoo", reason="needs the extra 'search'")
    recipe = EvolutionRecipe(evaluations=60, population=10, draws=1, channels=2)
    found = evolve(SPACE, images(), 10, recipe).candidates
    first, last = (min(c.parameters for c in part) for part in (found[:10], found[10:]))
    assert last < first


def test_the_front_is_what_none_dominates() -> None:
    architectures = [SPACE.decode([motif] + [0] * 14) for motif in range(5)]
    values = [(0.5, 10), (0.6, 20), (0.5, 20), (0.7, 20), (0.4, 9)]
    found = [Candidate(a, *value) for a, value in zip(architectures, values, strict=True)]
    seen = Evolution((*found, found[0]))
    assert seen.front == (found[3], found[0], found[4])
    assert seen.best == found[3]


def test_a_space_too_small_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymoo", reason="needs the extra 'search'")
    monkeypatch.setattr(evolution, "evaluate", lambda found, *_: Candidate(found, 1.0, 1))
    recipe = EvolutionRecipe(evaluations=400, population=320, draws=1, channels=1)
    with pytest.raises(ModelError, match=r"gives no new genome after \d+ evaluations"):
        evolve(SearchSpace(1), images(2)[:1], 2, recipe)


def test_a_missing_package_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pymoo"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymoo", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'pymoo'.*'spikewright\[search\]'"):
        evolve(SPACE, images(), 10, SMALL)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"population": 1}, "population must be at least 2, got 1"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"seed": -1}, r"seed must lie in 0 \.\. 4,294,967,295, got -1"),
        ({"seed": 2**32}, "seed must lie in"),
        ({"evaluations": 10}, "evaluations=10 are fewer than population=20"),
    ],
)
def test_a_recipe_out_of_range_is_refused(given: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        EvolutionRecipe(**given)
