"""`train`: killed and resumed it gives the same weights to the bit; it keeps what it promises."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spikewright.data import open_dataset
from spikewright.decoding import encoded
from spikewright.errors import DataError, ModelError, RecipeError, RunError
from spikewright.measure.statistics import wilson_interval
from spikewright.runs import load_model
from spikewright.runs.card import read_card
from spikewright.runs.files import sha256
from spikewright.training import (
    ActivationKind,
    Augmentation,
    DataRecipe,
    NetworkRecipe,
    NumericsRecipe,
    OptimisationRecipe,
    OptimizerKind,
    Recipe,
    RunFolder,
    ScheduleKind,
    train,
)
from spikewright.training.tensorboard import TensorBoardLog
from spikewright.training.trainer import epoch_order
from tests.builders import accuracy
from tests.processes import Forked
from tests.stopping import StoppedError, history, stop_in

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

DIGITS = DataRecipe("digits", augment=(Augmentation.FLIP,))
RECIPE = Recipe(
    DIGITS,
    NetworkRecipe("digits_cnn", levels=4, threshold=2.0),
    OptimisationRecipe(epochs=3, batch_size=256, learning_rate=0.05),
)
EVERYTHING = Recipe(
    DIGITS,
    NetworkRecipe("digits_cnn", ActivationKind.CLIPPED, shift_steps=8),
    OptimisationRecipe(
        epochs=3,
        batch_size=256,
        optimizer=OptimizerKind.ADAMW,
        learning_rate=0.01,
        schedule=ScheduleKind.ONE_CYCLE,
        label_smoothing=0.1,
        ema=0.7,
        clip_gradient=1.0,
    ),
    NumericsRecipe(bf16=True, channels_last=True),
    seed=3,
)


@pytest.mark.parametrize("recipe", [RECIPE, EVERYTHING], ids=["plain", "everything"])
def test_a_run_stopped_again_and_again_ends_in_the_same_weights(
    recipe: Recipe, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    whole = train(recipe, tmp_path / "whole")
    assert torch.equal(before, torch.get_rng_state())
    broken = tmp_path / "broken"
    for epoch, step in ((1, 2), (2, 1), (2, 4), (3, 3)):
        with pytest.raises(StoppedError):
            train(recipe, broken, progress=stop_in(epoch, step))
        assert not (broken / "card.json").exists()
    again = train(recipe, broken)
    assert again.weights_sha256 == whole.weights_sha256
    assert again.test == whole.test
    assert history(broken) == history(tmp_path / "whole")
    assert [entry["epoch"] for entry in history(broken)] == [1, 2, 3]
    one, two = (load_file(tmp_path / run / "checkpoint.safetensors") for run in ("whole", "broken"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    short = replace(RECIPE, optimisation=replace(RECIPE.optimisation, epochs=1))
    first = train(short, tmp_path / "a").weights_sha256
    assert train(replace(short, seed=1), tmp_path / "b").weights_sha256 != first


def test_a_process_killed_with_no_chance_to_clean_up_goes_on(tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimisation=replace(RECIPE.optimisation, epochs=12))
    broken = RunFolder(tmp_path / "broken")
    broken.prepare(recipe)
    code = (
        "import sys; from pathlib import Path\n"
        "from spikewright.training import RunFolder, train\n"
        "train(RunFolder(Path(sys.argv[1])).read_recipe(), Path(sys.argv[1]))\n"
    )
    process = Forked(["-c", code, str(broken.path)])
    try:
        wait_until(lambda: broken.metrics.exists() and len(history(broken.path)) >= 2)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    done = len(history(broken.path))
    assert done < 12
    assert train(recipe, broken.path).epochs == 12
    whole = train(recipe, tmp_path / "whole")
    assert sha256(broken.weights) == whole.weights_sha256


def wait_until(condition) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "the process did not get there in five minutes"
        time.sleep(0.01)


def test_the_card_tells_the_truth(tmp_path: Path) -> None:
    card = train(EVERYTHING, tmp_path)
    run, data = RunFolder(tmp_path), open_dataset("digits")
    model = load_model(f"run:{tmp_path}")
    assert not model.training
    for score, images in ((card.test, data.test), (card.validation, data.validation)):
        measured = accuracy(model, images)
        assert score.accuracy == measured == score.right / score.images
        assert score.wilson_95 == wilson_interval(score.right, score.images)
    accuracies = [entry["validation_accuracy"] for entry in history(tmp_path)]
    assert card.best_epoch == accuracies.index(max(accuracies)) + 1
    assert card.weights_sha256 == sha256(run.weights)
    assert card.recipe == EVERYTHING
    assert card.data.training_images == 1078
    assert json.loads(run.card.read_text()) == encoded(card)
    assert read_card(tmp_path) == card
    assert str(tmp_path) not in run.card.read_text()


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    card = train(RECIPE, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert train(RECIPE, tmp_path, progress=stop_in(1, 1)) == card
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_it_learns(tmp_path: Path) -> None:
    recipe = Recipe(
        DataRecipe("digits", augment=()),
        NetworkRecipe("digits_cnn", levels=8, threshold=4.0),
        OptimisationRecipe(epochs=12, batch_size=64, learning_rate=0.05, warmup_epochs=1),
    )
    # eight seeds: 0.967 .. 0.987
    assert train(recipe, tmp_path).test.accuracy >= 0.94


def test_the_average_of_a_short_run_is_as_good_as_its_weights(tmp_path: Path) -> None:
    recipe = Recipe(
        DataRecipe("digits", augment=()),
        NetworkRecipe("digits_cnn", levels=8, threshold=4.0),
        OptimisationRecipe(epochs=8, batch_size=64, learning_rate=0.05, ema=0.999),
    )
    # eight seeds: 0.949 .. 0.973; with a constant decay the first weights would be left
    assert train(recipe, tmp_path).test.accuracy >= 0.9


def test_another_recipe_is_refused_with_the_differences(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(RECIPE, tmp_path, progress=stop_in(1, 1))
    other = replace(RECIPE, network=replace(RECIPE.network, levels=8))
    with pytest.raises(RecipeError, match=r"another recipe:\n  network.levels: 4 recorded, 8 ask"):
        train(other, tmp_path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match=r"is not empty and holds no run.json; name an empty or"):
        train(RECIPE, tmp_path)
    with pytest.raises(RunError, match=r"holds no training run \(no run.json\)"):
        RunFolder(tmp_path).read_recipe()
    (tmp_path / "run.json").write_text("[" * 50_000)
    with pytest.raises(RunError, match=r"run.json' is not valid JSON"):
        train(RECIPE, tmp_path)
    for text in ("[]", "{}", '{"recipe": 1}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(RunError, match=r"run.json'.*: (expected|object missing)"):
            train(RECIPE, tmp_path)


def test_left_overs_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    RunFolder(tmp_path).prepare(RECIPE)
    left = tmp_path / ".checkpoint.safetensors.0123456789abcdef0123456789abcdef.partial"
    left.touch()
    os.utime(left, (0, 0))
    RunFolder(tmp_path).prepare(RECIPE)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_batch_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    large = replace(RECIPE, optimisation=replace(RECIPE.optimisation, batch_size=2000))
    with pytest.raises(DataError, match="'digits' holds 1078 images, less than one batch of 2000"):
        train(large, tmp_path)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    unknown = replace(RECIPE, network=replace(RECIPE.network, model="resnet21"))
    with pytest.raises(RecipeError, match="unknown architecture 'resnet21'; give one of cct6"):
        train(unknown, tmp_path)


def test_what_cannot_be_carried_out_begins_no_folder(tmp_path: Path) -> None:
    unknown = replace(RECIPE, network=replace(RECIPE.network, model="resnet21"))
    large = replace(RECIPE, optimisation=replace(RECIPE.optimisation, batch_size=2000))
    coloured = replace(RECIPE, network=replace(RECIPE.network, model="resnet20"))
    for recipe, told in (
        (unknown, "unknown architecture"),
        (large, "less than one batch"),
        (coloured, "resnet20 does not take images of 1 x 8 x 8"),
    ):
        with pytest.raises((RecipeError, DataError), match=told):
            train(recipe, tmp_path / "run")
        assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    wild = replace(
        RECIPE,
        network=NetworkRecipe("digits_cnn", ActivationKind.RELU),
        optimisation=replace(RECIPE.optimisation, learning_rate=1e6),
    )
    with pytest.raises(ModelError, match=r"loss of epoch 1 is (nan|inf); lower learning_rate=1"):
        train(wild, tmp_path)
    assert not RunFolder(tmp_path).checkpoint.exists()


def test_the_order_of_images_is_of_seed_and_epoch() -> None:
    assert sorted(epoch_order(50, 0, 1).tolist()) == list(range(50))
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in (0, 1) for epoch in (1, 2)}
    assert len(orders) == 4


def stop(*_: Any) -> None:
    raise StoppedError


def stop_before(what: tuple[type, str], epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die as it turns to something for the n-th time."""
    kind, name = what
    steps: list[Any] = [getattr(kind, name)] * (epoch - 1) + [stop]
    monkeypatch.setattr(kind, name, lambda *args: steps.pop(0)(*args))


@pytest.mark.parametrize("epoch", [2, 3])
@pytest.mark.parametrize("what", [(RunFolder, "write_metrics"), (TensorBoardLog, "write")])
def test_a_stop_between_the_checkpoint_and_its_logs_loses_no_line(
    what: tuple[type, str], epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'train'")
    with monkeypatch.context() as patch:
        stop_before(what, epoch, patch)
        with pytest.raises(StoppedError):
            train(RECIPE, tmp_path, tensorboard=True)
    train(RECIPE, tmp_path, tensorboard=True)
    assert [entry["epoch"] for entry in history(tmp_path)] == [1, 2, 3]
    assert logged(tmp_path) == [
        (entry["epoch"], pytest.approx(entry["validation_accuracy"])) for entry in history(tmp_path)
    ]


def test_tensorboard_has_every_epoch_once_also_after_a_stop(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'train'")
    with pytest.raises(StoppedError):
        train(RECIPE, tmp_path, tensorboard=True, progress=stop_in(3, 1))
    train(RECIPE, tmp_path, tensorboard=True)
    expected = [(e["epoch"], pytest.approx(e["validation_accuracy"])) for e in history(tmp_path)]
    assert logged(tmp_path) == expected


def test_tensorboard_begun_late_has_the_epochs_before(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'train'")
    with pytest.raises(StoppedError):
        train(RECIPE, tmp_path, progress=stop_in(3, 1))
    train(RECIPE, tmp_path, tensorboard=True)
    assert [epoch for epoch, _ in logged(tmp_path)] == [1, 2, 3]


def logged(folder: Path) -> list[tuple[int, float]]:
    """The accuracy on validation by epoch, as TensorBoard reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder / "tensorboard")).Reload()
    return [(event.step, event.value) for event in log.Scalars("accuracy/validation")]
