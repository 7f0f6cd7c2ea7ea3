"""`train_srnn`: killed and resumed it gives the same weights to the bit; its card is true."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spikewright.decoding import encoded
from spikewright.errors import DataError, ModelError, RecipeError, RunError
from spikewright.recurrent import (
    SequenceData,
    SequenceDataRecipe,
    SequenceRecipe,
    SRNNFolder,
    SRNNRecipe,
    SRNNRunRecipe,
    load_srnn,
    read_srnn_card,
    recall_sequences,
    recurrent_costs,
    sequence_accuracy,
    train_on_sequences,
    train_srnn,
)
from spikewright.recurrent.sequences import InMemorySequences
from spikewright.recurrent.training import COSTED, spread
from spikewright.runs.files import sha256
from tests.processes import Forked
from tests.stopping import StoppedError, history, stop_in

RECIPE = SRNNRunRecipe(
    SequenceDataRecipe("recall:3", noise=0.0),
    SRNNRecipe((8, 6), 0.1, 0.5, (10.0, 2.0), (30.0, 5.0), answer_steps=5),
    SequenceRecipe(epochs=4, batch_size=32, rate_steps=1, clip_gradient=1.0, seed=3),
)


@pytest.fixture(scope="module")
def data() -> SequenceData:
    return recall_sequences(3, noise=0.0, sizes=(96, 32, 64))


def test_a_run_stopped_again_and_again_ends_in_the_same_weights(
    data: SequenceData, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    whole = train_srnn(RECIPE, tmp_path / "whole", data=data)
    assert torch.equal(before, torch.get_rng_state())
    broken = tmp_path / "broken"
    for epoch, step in ((1, 2), (2, 1), (3, 3), (4, 2)):
        with pytest.raises(StoppedError):
            train_srnn(RECIPE, broken, data=data, progress=stop_in(epoch, step))
        assert not (broken / "card.json").exists()
    again = train_srnn(RECIPE, broken, data=data)
    assert replace(again, training_seconds=0) == replace(whole, training_seconds=0)
    assert history(broken) == history(tmp_path / "whole")
    assert [entry["epoch"] for entry in history(broken)] == [1, 2, 3, 4]
    one, two = (load_file(tmp_path / run / "checkpoint.safetensors") for run in ("whole", "broken"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_process_killed_with_no_chance_to_clean_up_goes_on(tmp_path: Path) -> None:
    recipe = replace(RECIPE, training=replace(RECIPE.training, epochs=10, batch_size=256))
    broken = SRNNFolder(tmp_path / "broken")
    broken.prepare(recipe)
    words = ["-m", "spikewright", "train-sequences", "--resume", str(broken.path)]
    process = Forked(words)
    try:
        end = time.monotonic() + 300
        while not (broken.metrics.exists() and len(history(broken.path)) >= 2):
            assert time.monotonic() < end, "the process did not get there in five minutes"
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(history(broken.path)) < 10
    assert train_srnn(recipe, broken.path).epochs == 10
    whole = train_srnn(recipe, tmp_path / "whole")
    assert sha256(broken.weights) == whole.weights_sha256


def test_a_folder_and_memory_train_the_same_network(data: SequenceData, tmp_path: Path) -> None:
    network = RECIPE.network.network(data.features, len(data.classes), RECIPE.training.seed)
    trained = train_on_sequences(network, data, RECIPE.training)
    card = train_srnn(RECIPE, tmp_path, data=data)
    assert card.best_epoch == trained.best.epoch
    loaded = load_srnn(tmp_path).state_dict()
    assert all(torch.equal(loaded[name], t) for name, t in trained.model.state_dict().items())


def test_the_card_tells_the_truth(data: SequenceData, tmp_path: Path) -> None:
    card = train_srnn(RECIPE, tmp_path, data=data)
    network = load_srnn(str(tmp_path))
    assert not network.training
    assert card.test.accuracy == sequence_accuracy(network, data.test)
    assert card.test.images == 64
    assert card.validation.accuracy == sequence_accuracy(network, data.validation)
    accuracies = [entry["validation_accuracy"] for entry in history(tmp_path)]
    assert card.best_epoch == accuracies.index(max(accuracies)) + 1
    assert card.costs == recurrent_costs(network, spread(data.test))
    assert card.costed == 64
    assert (card.data.name, card.data.steps, card.data.features) == (data.name, 23, 5)
    assert (card.data.training, card.data.validation, card.data.test) == (96, 32, 64)
    assert card.weights_sha256 == sha256(SRNNFolder(tmp_path).weights)
    assert card.recipe == RECIPE
    assert read_srnn_card(tmp_path) == card
    assert json.loads((tmp_path / "card.json").read_text()) == encoded(card)
    assert [entry["learning_rate"] for entry in history(tmp_path)] == [0.01, 0.005, 0.0025, 0.00125]


def test_another_seed_gives_other_weights(data: SequenceData, tmp_path: Path) -> None:
    short = replace(RECIPE, training=replace(RECIPE.training, epochs=1))
    other = replace(RECIPE, training=replace(RECIPE.training, epochs=1, seed=4))
    first, second = (
        train_srnn(recipe, tmp_path / name, data=data).weights_sha256
        for name, recipe in (("a", short), ("b", other))
    )
    assert first != second


def test_a_finished_run_is_not_trained_again(data: SequenceData, tmp_path: Path) -> None:
    card = train_srnn(RECIPE, tmp_path, data=data)
    assert train_srnn(RECIPE, tmp_path, data=data, progress=stop_in(1, 1)) == card


def test_another_recipe_and_other_sequences_are_refused(data: SequenceData, tmp_path: Path) -> None:
    train_srnn(RECIPE, tmp_path, data=data)
    longer = replace(RECIPE, training=replace(RECIPE.training, epochs=9))
    with pytest.raises(RecipeError, match=r"training\.epochs: 4 recorded, 9 asked for"):
        train_srnn(longer, tmp_path, data=data)
    moved = replace(RECIPE, data=SequenceDataRecipe("recall:4", noise=0.0))
    with pytest.raises(RecipeError, match="steps: 23 recorded, 24 found"):
        train_srnn(moved, tmp_path)
    (tmp_path / "card.json").unlink()
    more = recall_sequences(3, noise=0.0, sizes=(96, 32, 65))
    with pytest.raises(RecipeError, match="test: 64 recorded, 65 found"):
        train_srnn(RECIPE, tmp_path, data=more)


def test_what_cannot_be_trained_begins_no_folder(data: SequenceData, tmp_path: Path) -> None:
    empty = InMemorySequences(torch.zeros(0, 23, 5), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(DataError, match="0 for the test: none may be empty"):
        train_srnn(RECIPE, tmp_path / "x", data=replace(data, test=empty))
    asking = replace(RECIPE, network=replace(RECIPE.network, answer_steps=24))
    with pytest.raises(RecipeError, match=r"answer_steps=24, .* has 23 time steps"):
        train_srnn(asking, tmp_path / "x", data=data)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_or_damaged_run_is_not_loaded(data: SequenceData, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a finished run of spikewright train-sequences"):
        load_srnn(tmp_path)
    with pytest.raises(StoppedError):
        train_srnn(RECIPE, tmp_path, data=data, progress=stop_in(2, 1))
    with pytest.raises(ModelError, match="go on with spikewright train-sequences --resume"):
        load_srnn(tmp_path)
    train_srnn(RECIPE, tmp_path, data=data)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="is not the file that"):
        load_srnn(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"holds a card\.json, but no weights\.safetensors"):
        load_srnn(tmp_path)


def test_a_damaged_checkpoint_is_refused(data: SequenceData, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train_srnn(RECIPE, tmp_path, data=data, progress=stop_in(2, 1))
    checkpoint = SRNNFolder(tmp_path).checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with pytest.raises(RunError, match="remove it to start the run again"):
        train_srnn(RECIPE, tmp_path, data=data)


def test_counted_sequences_are_spread_over_the_split() -> None:
    count = 2 * COSTED + 100
    x = torch.arange(count, dtype=torch.float32).view(count, 1, 1)
    split = InMemorySequences(x, torch.zeros(count, dtype=torch.int64))
    chosen = spread(split).flatten()
    assert (len(chosen), chosen[0], chosen[-1]) == (COSTED, 0, count - 1)
    assert {1.0, 2.0, 3.0} >= set((chosen[1:] - chosen[:-1]).tolist())
    assert torch.equal(spread(split, count).flatten(), x.flatten())
