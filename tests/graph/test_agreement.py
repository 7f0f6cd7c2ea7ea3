"""A captured graph is run beside its model, and each sample alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import spikewright as sw
from spikewright.graph import survey
from spikewright.graph.agreement import check_agreement
from tests.builders import images, wired


def altered(batch, target):
    """A graph whose last operation does something else to its input, and the model's answer."""
    model = wired(lambda m, x: F.relu(x) * 2.0)
    graph = survey(model, batch).graph
    *others, last = graph.operations
    last = replace(last, target=lambda x, factor: target(x) * factor)
    return replace(graph, operations=(*others, last)), model(batch)


MIXING = {
    "mean": lambda x: x - x.mean(0, keepdim=True),
    "reversed": lambda x: x.flip(0),
    "the next sample": lambda x: torch.cat([x[1:], x[:1]]),
    "the sample before": lambda x: torch.cat([torch.zeros_like(x[:1]), x[:-1]]),
}


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("case", MIXING)
def test_a_graph_that_mixes_samples_is_refused(case, size):
    graph, _ = altered(images(size), MIXING[case])
    answer = graph.operations[-1].target(F.relu(images(size)), 2.0)
    with pytest.raises(sw.ConversionError, match="with the others in its batch"):
        check_agreement(graph, images(size), answer)


def test_a_graph_that_computes_something_else_is_refused():
    graph, expected = altered(images(), lambda x: x * 1.01)
    with pytest.raises(sw.ConversionError, match="differs from the model by"):
        check_agreement(graph, images(), expected)
    graph, expected = altered(images(), lambda x: x.flatten(1))
    with pytest.raises(sw.ConversionError, match=r"answers \[4, 108\], the model \[4, 3, 6, 6\]"):
        check_agreement(graph, images(), expected)


def test_a_unit_that_takes_inputs_for_less_than_its_function_does_is_refused():
    model = wired(lambda m, x: torch.tanh(x))
    graph = survey(model, images()).graph
    (unit,) = graph.neurons
    within = replace(unit, site=replace(unit.site, least=0.0))
    operations = tuple(within if op is unit else op for op in graph.operations)
    with pytest.raises(sw.ConversionError, match="differs from the model by"):
        check_agreement(replace(graph, operations=operations), images(), model(images()))


def test_constants_that_tell_places_apart_are_refused():
    model = wired(lambda m, x: F.relu(x) + torch.arange(x.size(0)).view(-1, 1, 1, 1))
    (offender, *_) = survey(model, images()).offenders
    assert "differs between the samples" in offender.reason


def test_kernels_that_round_otherwise_for_other_batches_are_no_mixing():
    """Every charge lies on the border of two levels, so that any rounding moves it by one."""

    def by_size(x):
        return x + 1e-9 * (len(x) % 2)

    graph, _ = altered(images(5), lambda x: torch.floor(by_size(x.round())))
    answer = graph.operations[-1].target(F.relu(images(5)), 2.0)
    check_agreement(graph, images(5), answer)


@pytest.mark.parametrize(
    ("dtype", "rounding", "more"), [(torch.bfloat16, 0.02, 0.2), (torch.float16, 0.004, 0.02)]
)
def test_rounding_is_that_of_the_dtype(dtype, rounding, more):
    """An operation that is taken apart rounds what the model kept in 32 bits within it."""
    x = images().to(dtype)
    graph, expected = altered(x, lambda y: y * (1 + rounding))
    check_agreement(graph, x, expected)
    graph, expected = altered(x, lambda y: y * (1 + more))
    with pytest.raises(sw.ConversionError, match="differs from the model by"):
        check_agreement(graph, x, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_operations_that_are_taken_apart_agree_in_16_bits(dtype):
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 8, 3), torch.nn.GLU(1), torch.nn.Flatten(), torch.nn.Linear(64, 5))
    model = torch.nn.Sequential(*layers).to(dtype).eval()
    snn = sw.convert(model, images().to(dtype), steps=4, correction=None)
    assert snn(images().to(dtype)).shape == (4, 5)


def test_rounding_is_no_difference():
    graph, expected = altered(images(), lambda x: x * (1 + 1e-6))
    check_agreement(graph, images(), expected)


def masked(m, x):
    """Signals beside what is whole: a mask and the number of its places."""
    mask = (torch.ones(x.shape[:2], dtype=torch.long).cumsum(1) > 1)[:, :, None, None]
    return {"signal": F.relu(x), "mask": mask, "numbers": 30_000 + mask.long()}


def test_answers_may_hold_whole_numbers():
    model = wired(masked)
    graph = survey(model, images()).require_convertible()
    check_agreement(graph, images(), model(images()))


@pytest.mark.parametrize("key", ["mask", "numbers"])
def test_whole_numbers_must_be_equal(key):
    model = wired(masked)
    graph = survey(model, images()).require_convertible()
    answer = model(images())
    answer[key][0, 1] = ~answer[key][0, 1] if key == "mask" else 30_002
    with pytest.raises(sw.ConversionError, match=f"at output '{key}', whose numbers are whole"):
        check_agreement(graph, images(), answer)


ACROSS = {
    "the largest": lambda y, n: y / n.max(),
    "the smallest, as a dimension": lambda y, n: y / n.min(0, keepdim=True)[0][:, None],
    "whether there is any": lambda y, n: torch.where((n > 2).any(), y, -y),
    "how many there are": lambda y, n: y * (n > 2).sum(),
}


@pytest.mark.parametrize("case", ACROSS)
def test_a_number_computed_of_all_samples_is_refused(case):
    class Model(torch.nn.Module):
        def forward(self, x, n):
            return ACROSS[case](F.relu(x), n)

    given = {"x": torch.rand(5, 3), "n": torch.tensor([3, 1, 4, 1, 5])}
    (offender,) = survey(Model().eval(), given).offenders
    assert "mixes samples" in offender.reason


def test_an_order_of_all_samples_is_refused():
    class Model(torch.nn.Module):
        def forward(self, x, n):
            return F.relu(x) * n.sort(0)[0][:, None]

    given = {"x": torch.rand(5, 3), "n": torch.tensor([3, 1, 4, 5, 6])}
    with pytest.raises(sw.ConversionError, match="mixes samples"):
        survey(Model().eval(), given)
