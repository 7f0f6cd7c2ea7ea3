"""What is taken for labels in the tuples of calibration data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph.given import Given


def converted(model: nn.Module, data: Any) -> sw.SpikingNetwork:
    return sw.convert(model, data, threshold=sw.Maximum(), steps=4, correction=None)


class Masked(nn.Module):
    """A mask that may be left out, and labels."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None, labels: Any = None) -> Tensor:
        y = self.linear(x).relu()
        return (y if mask is None else y * mask[..., None]).mean(1)


def test_an_optional_argument_in_a_tuple_is_left_out_with_a_warning() -> None:
    model, x, mask = Masked().eval(), torch.rand(8, 4, 5), torch.ones(8, 4)
    with pytest.warns(UserWarning, match="its argument 'mask' stays None; .* give dicts") as caught:
        snn = converted(model, [(x, mask), (x, mask)])
    assert len(caught) == 1
    with pytest.raises(sw.ConversionError, match=r"given by name, as in {'x': ..., 'mask': ...}"):
        snn(x, mask)
    assert converted(model, [{"x": x, "mask": mask}])(x, mask).shape == (8, 3)


@pytest.mark.parametrize("labels", [torch.zeros(8), ["dog"] * 8])
def test_labels_in_a_tuple_are_left_out_without_a_word(labels: Any) -> None:
    x = torch.rand(8, 4, 5)
    assert converted(Masked().eval(), [(x, labels)])(x).shape == (8, 3)


def test_answers_in_the_place_of_labels_are_left_out_without_a_word() -> None:
    class Scored(Masked):
        def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:  # pyright: ignore
            return self.linear(x).relu()

    x = torch.rand(8, 5)
    assert converted(Scored().eval(), [(x, torch.rand(8, 3))])(x).shape == (8, 3)


class Joined(nn.Module):
    """Any number of inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(self, *xs: Tensor) -> Tensor:
        return sum(self.linear(x).relu() for x in xs)  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("labels", [(), (torch.zeros(8),), (torch.rand(8, 3),)])
def test_inputs_of_any_number_are_a_tuple_before_the_labels(labels: Any) -> None:
    model, x, y = Joined().eval(), torch.rand(8, 5), torch.rand(8, 5)
    snn = converted(model, [((x, y), *labels)])
    torch.testing.assert_close(snn(x, y, steps=256), model(x, y), rtol=0.0, atol=0.1)


def test_a_second_input_that_is_taken_for_labels_is_warned_of() -> None:
    model, x = Joined().eval(), torch.rand(8, 5)
    warned = r"its '\*xs' is the first alone.* give .*\(\(x, y\), labels"
    with pytest.warns(UserWarning, match=warned):
        converted(model, [(x, torch.rand(8, 5))])


def test_a_parameter_may_be_named_as_a_constant_among_the_arguments() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.argument0 = nn.Parameter(torch.tensor(0.5))

        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return (x * self.argument0).relu() * scale

    model, given = Scaled().eval(), {"x": torch.rand(8, 5), "scale": torch.tensor(3.0)}
    torch.testing.assert_close(
        converted(model, given)(**given, steps=256), model(**given), rtol=0.0, atol=0.1
    )


class Attending(nn.Module):
    """A mask of all samples before a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) + mask
        return torch.relu(scores.softmax(-1) @ self.value(x)).mean(1)


def test_a_constant_may_be_infinite_and_no_batch() -> None:
    model, x = Attending().eval(), torch.rand(8, 4, 5)
    mask = torch.full((4, 4), -torch.inf).triu(1)
    given = {"x": x, "mask": mask}
    data = [given, {"x": x[:4], "mask": mask}]  # the first batch tells that the mask is none
    snn = sw.convert(model, data, sw.TwoPhase("nearest", "binary"), steps=12, correction=None)
    torch.testing.assert_close(snn(**given), snn(x))
    torch.testing.assert_close(snn(**given), model(**given), rtol=0.0, atol=0.05)
    item = (given, torch.zeros(8).long())
    assert sw.sweep({"a": snn}, [item], 12, reference=model).rows[0].samples == 8
    for name, value in (("x", -torch.inf), ("mask", torch.nan)):
        wrong = {**given, name: given[name].clone().fill_(value)}
        told = f"holds NaN or infinite values in '{name}'"
        with pytest.raises(sw.CalibrationError, match=told):
            converted(model, wrong)
        with pytest.raises(sw.CalibrationError, match=told):
            converted(model, [tuple(wrong.values())])
        with pytest.raises(sw.AnalysisError, match=told):
            sw.sweep({"a": snn}, [(wrong, item[1])], 12)
    with pytest.raises(sw.AnalysisError, match="infinite values in argument 2"):
        sw.sweep({"a": snn}, [((x, mask.nan_to_num() + torch.nan), item[1])], 12)


class Seeded(nn.Module):
    """A parameter that networks have themselves, before one that they do not."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(
        self, x: Tensor, seed: Any = None, mask: Tensor | None = None, *more: Tensor
    ) -> Tensor:
        y = self.linear(x).relu()
        return y if mask is None else y * mask


def test_an_argument_stays_in_its_place_behind_one_that_networks_have() -> None:
    model, x, mask = Seeded().eval(), torch.rand(32, 5), (torch.rand(32, 3) > 0.5).float()
    snn = converted(model, {"x": x, "mask": mask})
    expected = model(x, mask=mask)
    torch.testing.assert_close(snn(x, mask=mask, steps=256), expected, rtol=0.0, atol=0.05)
    torch.testing.assert_close(snn.ann()(x, mask=mask), expected)
    with pytest.raises(sw.ConversionError, match=r"takes x, mask: too many positional arguments"):
        snn(x, mask)


def test_any_number_of_arguments_behind_one_that_networks_have_is_refused() -> None:
    given = Given((torch.rand(8, 5), None, None, torch.rand(8, 5)))
    with pytest.raises(sw.ConversionError, match=r"takes \(x, mask\): too many positional"):
        converted(Seeded().eval(), [given])
