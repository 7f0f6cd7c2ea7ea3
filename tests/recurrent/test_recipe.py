"""Recipes of runs on sequences: what they name, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spikewright.decoding import decoded, encoded
from spikewright.errors import DataError, RecipeError
from spikewright.recurrent import (
    ALIF,
    SequenceDataRecipe,
    SequenceRecipe,
    SRNNRecipe,
    SRNNRunRecipe,
    digit_sequences,
    recall_sequences,
)
from spikewright.recurrent.sequences import InMemorySequences


def inputs(split: object) -> torch.Tensor:
    assert isinstance(split, InMemorySequences)
    return split.inputs


@pytest.mark.parametrize("reading", ["rows", "pixels"])
def test_digits_by_name_are_those_of_the_call(reading: str) -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    for shifted in (False, True):
        named = SequenceDataRecipe(f"digits-{reading}", shifted).open()
        called = digit_sequences(reading, shifted=shifted)
        assert named.name == called.name
        assert torch.equal(inputs(named.train), inputs(called.train))


def test_recall_by_name_is_that_of_the_call() -> None:
    for noise, more in ((None, {}), (0.2, {"noise": 0.2})):
        named = SequenceDataRecipe("recall:7", noise=noise).open()
        assert torch.equal(inputs(named.test), inputs(recall_sequences(7, **more).test))


def test_a_data_set_of_a_folder_is_named_without_it() -> None:
    data = SequenceDataRecipe("heidelberg:some/where")
    assert data.without_folder().data == "heidelberg"
    assert SequenceDataRecipe("recall:7").without_folder().data == "recall:7"
    with pytest.raises(DataError, match="give heidelberg:DIR"):
        data.without_folder().open()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": "digits"}, "unknown sequences 'digits'; give one of: digits-rows"),
        ({"data": "digits-rows:x"}, "unknown sequences"),
        ({"data": "recall"}, "give recall:DELAY"),
        ({"data": "recall:0"}, "give recall:DELAY"),
        ({"data": "recall:10001"}, "1 to 10,000 steps"),
        ({"data": "recall:٣"}, "give recall:DELAY"),
        ({"data": "recall:5", "shifted": True}, "'recall:5' has no shifted digits"),
        ({"data": "digits-rows", "noise": 0.1}, "'digits-rows' takes no noise"),
        ({"data": "recall:5", "noise": 1.5}, "noise lies in 0 .. 1"),
        ({"data": "recall:5", "noise": float("nan")}, "noise lies in 0 .. 1"),
    ],
)
def test_data_that_are_not_there_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        SequenceDataRecipe(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"units": ()}, "units names 1 to 16,384 neurons"),
        ({"units": (8, 0)}, "units names 1 to 16,384 neurons"),
        ({"units": (16385,)}, "units names 1 to 16,384 neurons"),
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"threshold": 1e7}, "threshold must be at most 1e6"),
        ({"beta": -1.0}, "beta must be at least 0"),
        ({"beta": float("nan")}, "beta must be at most 1e6"),
        ({"time_constant": (3.0,)}, "time_constant is a mean above 0 and a standard deviation"),
        ({"time_constant": (0.0, 1.0)}, "time_constant is a mean above 0"),
        ({"adaptation_time_constant": (3.0, -1.0)}, "adaptation_time_constant is a mean above 0"),
        (
            {"beta": 0.0, "adaptation_time_constant": (3.0, 1.0)},
            "adaptation_time_constant has no effect with beta=0",
        ),
        ({"input_gain": 0.0}, "input_gain must be above 0"),
        ({"answer_steps": 0}, "answer_steps must be at least 1"),
    ],
)
def test_networks_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        SRNNRecipe(**wrong)


def test_a_recipe_makes_the_network_that_it_describes() -> None:
    recipe = SRNNRecipe(
        (6, 7), 0.1, 0.5, (10.0, 2.0), (30.0, 5.0), recurrent=False, input_gain=3.0, answer_steps=2
    )
    assert recipe.neuron() == ALIF(0.1, 0.5, (10.0, 2.0), (30.0, 5.0))
    before = torch.get_rng_state()
    network, again, other = (recipe.network(5, 4, seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    weights = [n.read_out.inward.weight for n in (network, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    plain = SRNNRecipe((6, 7), 0.1, 0.5, (10.0, 2.0), (30.0, 5.0), recurrent=False)
    small = plain.network(5, 4, 1).state_dict()["layers.0.inward.weight"]
    assert torch.equal(network.state_dict()["layers.0.inward.weight"], 3 * small)
    assert not any("among" in name for name in network.state_dict())
    assert (network.inputs, network.answer_steps) == (5, 2)
    assert [len(layer.log_tau) for layer in network.layers] == [6, 7]  # type: ignore[arg-type]


def test_neurons_without_beta_do_not_adapt() -> None:
    assert not SRNNRecipe(beta=0.0).neuron().adapts


def test_a_recipe_is_read_as_it_was_written_and_tells_what_differs() -> None:
    recipe = SRNNRunRecipe(SequenceDataRecipe("recall:5"), SRNNRecipe((8, 8)), SequenceRecipe())
    assert decoded(SRNNRunRecipe, encoded(recipe), "recipe") == recipe
    other = SRNNRunRecipe(recipe.data, SRNNRecipe((8,)), SequenceRecipe(epochs=3))
    assert other.differences(recipe) == [
        "network.units: [8, 8] recorded, [8] asked for",
        "training.epochs: 20 recorded, 3 asked for",
    ]
