"""The twin: the ANN whose activations take the values of counts; its own tests, beside the nets'.

That it equals the count engine is asserted where every unit, group and product is tested.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import InputMeans, OutputMeans
from tests.builders import images, wired
from tests.network.nets import NETS, assert_equals_its_twin, converted


def silu() -> nn.Module:
    return wired(
        lambda m, x: {"out": m.l(F.silu(m.a(x.flatten(1)))), "rest": (x, None)},
        a=nn.Linear(12, 6),
        l=nn.Linear(6, 3),
    )


def x_of(batch: int) -> Tensor:
    return images(batch, size=2)


def test_a_twin_is_what_a_loop_over_levels_finds() -> None:
    snn = sw.convert(silu(), x_of(64), threshold=sw.MinError(), steps=4, correction=InputMeans())
    twin, x = snn.twin(), x_of(5)
    graph, theta = snn.graph, snn.design().thresholds["silu"]
    weight, bias = (graph.tensors[name] for name in graph.operations[1].stored)
    shift = snn.design().corrections["silu"]
    values = F.silu(x.flatten(1) @ weight.T + bias + shift)
    levels = torch.arange(-4, 5)[:, None] * theta / 4
    nearest = (values[:, None] - levels).abs().argmin(1) - 4
    assert torch.equal(twin.counts(x)["silu"], nearest.double())
    assert nearest.min() < 0


def test_a_twin_answers_in_the_structure_of_the_model() -> None:
    model = silu()
    snn, x = sw.convert(model, x_of(64), steps=6), x_of(3)
    answer = snn.twin()(x)
    assert list(answer) == ["out", "rest"]
    assert answer["rest"][1] is None
    assert torch.equal(answer["rest"][0], x)
    torch.testing.assert_close(answer["out"], snn(x)["out"], rtol=1e-12, atol=1e-12)
    fine = sw.convert(model, x_of(64), steps=2**16, threshold=sw.Maximum(), correction=None)
    torch.testing.assert_close(fine.twin()(x), model(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("correction", [None, InputMeans(), OutputMeans()])
def test_corrections_are_part_of_it(correction: Any) -> None:
    snn = converted("residual", steps=4, correction=correction)
    assert_equals_its_twin(snn, images(5, seed=1))
    assert_equals_its_twin(snn.to(torch.float64), images(5, seed=2))


def test_it_is_of_one_t_and_of_one_code() -> None:
    snn, x = converted("max pool", steps=(3, 7)), images(5, seed=1)
    for steps in (3, 7, 5):
        assert snn.twin(steps).levels == dict.fromkeys(snn.sites, steps)
        expected = snn(x, steps=steps)
        torch.testing.assert_close(snn.twin(steps)(x), expected, rtol=1e-12, atol=1e-12)
    binary = snn.with_neuron(sw.TwoPhase("nearest", "binary"))
    assert binary.twin(3).levels == dict.fromkeys(snn.sites, 7)


def test_it_moves_as_a_module_and_shares_the_weights() -> None:
    snn = sw.convert(silu(), x_of(64), steps=4)
    twin, x = snn.twin(), x_of(3)
    shared = {t.data_ptr() for t in snn.graph.tensors.values()}
    assert shared <= {t.data_ptr() for t in twin.buffers()}
    single = copy.deepcopy(twin).float()
    assert single(x.float())["out"].dtype is torch.float32
    torch.testing.assert_close(single(x.float())["out"].double(), twin(x)["out"], rtol=0, atol=1e-5)
    assert snn.to(torch.float32).twin().dtype is torch.float32


def test_a_network_that_computes_something_else_is_told_by_it() -> None:
    snn, x = converted("plain", steps=4), images(5, seed=1)
    twin = snn.twin()
    graph = snn.plan().count_graph
    (last,) = (op for op in graph.operations if op.function == "linear")
    graph.tensors[last.stored[0]].mul_(1.01)
    assert (snn(x) - twin(x)).abs().max() > 1e-6
    with pytest.raises(AssertionError):
        assert_equals_its_twin(snn, x)


@pytest.mark.parametrize(
    "neuron", [sw.TPP(), sw.TwoPhase("unbiased"), sw.IntegrateFire(), sw.SRP(), sw.Shuffled()]
)
def test_neurons_that_do_not_round_to_nearest_have_none(neuron: Any) -> None:
    snn = converted("plain", neuron=neuron, steps=4)
    with pytest.raises(sw.ConversionError, match=r"TwoPhase\('nearest'\)") as error:
        snn.twin()
    assert f"'{neuron.label}' (at relu" in str(error.value)
    assert_equals_its_twin(converted("plain", steps=4), images(3, seed=1))


def test_one_other_neuron_is_enough_and_named() -> None:
    snn = converted("plain", steps=4)
    with pytest.raises(sw.ConversionError, match=r"'IF' \(at relu:2\)"):
        snn.with_neuron(sw.IntegrateFire(), ["relu:2"]).twin()
    assert_equals_its_twin(
        snn.with_neuron(sw.IntegrateFire()).with_neuron(sw.TwoPhase()), images(3)
    )


def test_weights_in_16_bits_have_none() -> None:
    snn = sw.convert(silu().float(), x_of(64).float(), steps=4)
    for rounding in (snn.with_precision("bf16"), copy.deepcopy(snn).bfloat16()):
        with pytest.raises(sw.ConversionError, match="16 bits"):
            rounding.twin()
    torch.testing.assert_close(snn.twin()(x_of(3).float()), snn(x_of(3).float()))


@pytest.mark.parametrize("name", sorted(NETS))
def test_weights_in_8_bits_are_those_of_the_network(name: str) -> None:
    exact, x = converted(name, threshold=sw.MinError(per="channel"), steps=63), images(9, seed=1)
    assert_equals_its_twin(exact.with_precision("int8"), x)
    assert_equals_its_twin(converted(name, steps=6, precision="int8"), x)


def test_compiled_networks_equal_their_twins() -> None:
    snn, x = converted("plain", steps=6).compile(), images(5, seed=1)
    torch.testing.assert_close(snn.twin()(x), snn(x), rtol=1e-9, atol=1e-9)
