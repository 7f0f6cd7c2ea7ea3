"""The digits code: what T signed powers of two say of a count."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.neurons import Digits, TwoPhase
from spikewright.neurons.codes.digits import _by_comparisons, nearest_power
from tests.builders import images
from tests.network.nets import converted
from tests.network.test_compiled import needs_compiler


def greedy(count: int, steps: int) -> list[int]:
    """The digits of a count, by whole numbers of python's own: the nearest power, ties upward."""
    left, digits = count, list[int]()
    for _ in range(steps):
        powers = [0, *(2**e for e in range(24))]
        nearest = min(powers, key=lambda p: (abs(abs(left) - p), -p))
        digits.append(nearest if left > 0 else -nearest)
        left -= digits[-1]
    return digits


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_counts_are_written_greedily(steps: int) -> None:
    code, every = Digits(), range(0, 2049, 7)
    counts = torch.tensor([list(every)], dtype=torch.float64)
    wanted = [greedy(count, steps) for count in every]
    assert code.carried(counts, steps)[0].tolist() == [sum(digits) for digits in wanted]
    assert code.spikes_of(code.carried(counts, steps))[0].tolist() == [
        sum(digit != 0 for digit in digits) for digits in wanted
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_nearest_power_by_bits_is_that_by_comparisons(dtype: torch.dtype) -> None:
    values = torch.arange(-3000, 3001, dtype=dtype)
    assert torch.equal(nearest_power(values), _by_comparisons(values))


def test_each_digit_leaves_a_third_at_most() -> None:
    code, counts = Digits(), torch.arange(1, 2049, dtype=torch.float64)
    for steps in (1, 2, 3, 4):
        left = (counts - code.carried(counts, steps)).abs()
        assert bool((left <= counts / 3**steps + 1e-9).all())


def test_it_tells_its_payload() -> None:
    assert (Digits().bits, Digits(3).bits, TwoPhase("nearest", "digits").bits) == (5, 3, 5)
    assert (Digits().levels(3), Digits().room, Digits().largest_spike) == (512, 4, 2048)


@pytest.mark.parametrize("exponents", [2, 21, 12.0, True])
def test_exponents_out_of_range(exponents: object) -> None:
    with pytest.raises(ValueError, match="3 to 20"):
        Digits(exponents)  # type: ignore[arg-type]


@pytest.mark.parametrize("rounding", ["unbiased", "bernoulli"])
def test_it_rounds_by_itself(rounding: str) -> None:
    with pytest.raises(ValueError, match="give 'nearest' with it"):
        TwoPhase(rounding, "digits")


def activation(kind: str) -> nn.Module:
    return {"relu": nn.ReLU(), "relu6": nn.ReLU6(), "qcfs": sw.QCFS(8, 2.0)}[kind]


@pytest.mark.parametrize(("kind", "most"), [("relu", 40.0), ("relu6", 6.0), ("qcfs", 2.0)])
def test_room_ends_where_the_activation_does(kind: str, most: float) -> None:
    """Values that calibration did not see pass, but none that the activation would not let pass."""
    model = nn.Sequential(nn.Linear(1, 1), activation(kind), nn.Linear(1, 1)).double().eval()
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.fill_(1.0)
            layer.bias.fill_(0.0)
    seen, unseen = torch.linspace(0, 10, 64)[:, None], torch.tensor([[40.0]])
    digits, options = TwoPhase("nearest", "digits"), {"steps": 6, "correction": None}
    for threshold in (sw.MinError(), sw.Maximum()):
        snn = sw.convert(model, seen.double(), digits, threshold, **options)
        assert snn(unseen.double()).item() == pytest.approx(most, rel=0.02)


@needs_compiler
def test_code_of_many_digits_is_compiled_in_seconds() -> None:
    """Where each digit read what is left several times, six of them took longer than a test may."""
    snn = converted("plain", neuron=TwoPhase("nearest", "digits"), steps=6)
    x = images(4)
    wanted, sent = snn(x), sw.operations(snn, [x]).total.spikes
    snn.compile()
    torch.testing.assert_close(snn(x), wanted)
    assert sw.operations(snn, [x]).total.spikes == pytest.approx(sent)
