"""Training that goes wrong with losses that are numbers is told: warnings, log and card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spikewright.activations import MINIMUM_THRESHOLD
from spikewright.cli.commands.train import summary
from spikewright.runs.metrics import EpochMetrics
from spikewright.training import DataRecipe, NetworkRecipe, OptimisationRecipe, Recipe, train
from spikewright.training.alarms import alarms
from tests.stopping import history

GOOD = EpochMetrics(1, 0.5, 0.8, 0.75, 0.6, 0.1, (0.14, 1.16), 20.0)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"thresholds": (0.1, 100.0)}, ()),
        (
            {"thresholds": (0.019, 23763.6)},
            ("largest learned threshold is 2.376e+04 and was 1.16",),
        ),
        ({"thresholds": (MINIMUM_THRESHOLD * (1 + 5e-8), 1.0)}, ("is held at 0.001",)),
        ({"validation_accuracy": 0.38}, ()),
        ({"validation_accuracy": 0.1}, (r"is 10.00 % and was 75.00 % after epoch 1",)),
        ({"thresholds": None, "validation_accuracy": 0.1}, ("validation accuracy",)),
    ],
)
def test_what_an_epoch_tells(changed: dict[str, object], told: tuple[str, ...]) -> None:
    metrics = replace(GOOD, epoch=3, **changed)
    found = alarms(metrics, [GOOD, replace(GOOD, epoch=2)], GOOD.thresholds)
    assert len(found) == len(told)
    assert all(part in one for part, one in zip(told, found, strict=True))


def test_the_first_epoch_is_compared_with_what_it_began_from() -> None:
    assert alarms(GOOD, [], (8.0, 8.0)) == ()
    wild = replace(GOOD, thresholds=(0.5, 801.0))
    assert alarms(wild, [], (8.0, 8.0)) == ("the largest learned threshold is 801 and was 8",)


def test_a_run_that_diverges_says_so_and_its_card_too(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    recipe = Recipe(
        DataRecipe("digits", augment=()),
        NetworkRecipe("digits_cnn", levels=4),
        OptimisationRecipe(epochs=2, batch_size=256, learning_rate=30.0, keep_last=True),
    )
    with pytest.warns(UserWarning, match=r"epoch \d: .*threshold.*lower learning_rate=30, or set"):
        card = train(recipe, tmp_path)
    logged = [f"epoch {one['epoch']}: {a}" for one in history(tmp_path) for a in one["alarms"]]
    assert list(card.alarms) == logged != []
    assert f"training seems to have diverged: {logged[0]}" in summary(card, "runs/it")
