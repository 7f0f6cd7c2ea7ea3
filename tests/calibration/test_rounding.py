"""Weights in 8 bits, rounded so that the others make up for each error."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import Auto, InputMeans, Refit
from spikewright.calibration.moments import Moments, Places
from spikewright.calibration.rounding import BLOCK, DAMPING, rounded
from spikewright.errors import ConversionError
from spikewright.graph.precision import Precision
from spikewright.graph.whole_numbers import in_one_unit, reading_whole_numbers, unit_of
from tests.builders import images
from tests.network.nets import NETS, net, program

DOUBLE = torch.float64


def read(groups: int, places: int, inputs: int) -> Tensor:
    """Positive values that go together, `[G, P, K]`."""
    torch.manual_seed(0)
    common = torch.rand(groups, places, 2, dtype=DOUBLE) @ torch.rand(groups, 2, inputs).double()
    return common + 0.3 * torch.rand(groups, places, inputs, dtype=DOUBLE)


def moments_of(x: Tensor, outputs: int, *, constant: bool) -> Moments:
    places = Places(len(x), outputs, x.shape[-1], constant=constant)
    places.add(x.float(), torch.zeros(*x.shape[:2], outputs))
    return places.moments()


def in_turn(row: Tensor, squares: Tensor) -> Tensor:
    """One row as the paper's equations have it: the inverse of what is left, at every turn."""
    left, unit = row.clone(), unit_of(row)
    largest, end = int(row.abs().argmax()), row[row.abs().argmax()]
    order = squares.diagonal().argsort(descending=True).tolist()
    squares = squares + DAMPING * squares.diagonal().mean() * torch.eye(len(row), dtype=DOUBLE)
    for turn, at in enumerate(order):
        rest = order[turn:]
        value = end if at == largest else (left[at] / unit).round().clamp(-127, 127) * unit
        inverse = squares[rest][:, rest].inverse()
        error = (left[at] - value) / inverse[0, 0]
        left[rest] -= error * inverse[0]
        left[at] = value
    return left


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("inputs", [7, BLOCK + 30])
def test_rounding_is_that_of_the_paper(inputs: int, constant: bool) -> None:
    x, rows = read(2, 400, inputs), torch.randn(2, 3, inputs, dtype=DOUBLE)
    factors = torch.rand(2, 1, inputs, dtype=DOUBLE) + 0.5
    found, of_bias = rounded(rows, factors, moments_of(x, 3, constant=constant))
    counts = x / factors
    if constant:
        counts = counts - counts.mean(1, keepdim=True)
        torch.testing.assert_close(
            of_bias, ((rows - found) * x.mean(1, keepdim=True)).sum(-1), rtol=1e-3, atol=1e-6
        )
    else:
        assert not of_bias.any()
    for group in range(2):
        squares = counts[group].T @ counts[group]
        for row in range(3):
            wanted = in_turn((rows * factors)[group, row], squares) / factors[group, 0]
            off = (found[group, row] - wanted).abs() / (unit_of(rows * factors)[group, row])
            assert float((off > 0.01).double().mean()) <= 0.05  # ties, by sums in another order


def test_rounding_to_the_nearest_changes_nothing_more() -> None:
    x, rows = read(3, 300, 20), torch.randn(3, 4, 20)
    factors = torch.rand(3, 1, 20) + 0.5
    found, _ = rounded(rows, factors, moments_of(x, 4, constant=True))
    whole = (found * factors.double()).float()
    torch.testing.assert_close(in_one_unit(whole), whole, rtol=1e-6, atol=0)


def test_the_others_make_up_for_errors() -> None:
    x, rows = read(1, 1000, 60), torch.randn(1, 16, 60, dtype=DOUBLE)
    found, of_bias = rounded(rows, torch.ones(1, 1, 60), moments_of(x, 16, constant=True))
    plain, exact = in_one_unit(rows), x @ rows.mT
    mean = ((rows - plain) * x.mean(1, keepdim=True)).sum(-1)
    fed_on = (x @ found.mT + of_bias[:, None] - exact).square().mean()
    nearest = (x @ plain.mT + mean[:, None] - exact).square().mean()
    assert float(fed_on) < 0.7 * float(nearest)


def test_inputs_that_do_not_vary_are_no_trouble() -> None:
    x, rows = 1e3 * torch.ones(1, 500, 6, dtype=DOUBLE), torch.randn(1, 2, 6, dtype=DOUBLE)
    found, of_bias = rounded(rows, torch.ones(1, 1, 6), moments_of(x, 2, constant=True))
    torch.testing.assert_close(x @ found.mT + of_bias[:, None], x @ rows.mT)


@pytest.mark.parametrize("spread", [0.0, 1e-5, 1e-3])
def test_inputs_that_hardly_vary_are_rounded_for_as_they_vary(spread: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 1, 200) + spread * torch.randn(1, 3000, 200)
    x, rows = x.double(), torch.randn(1, 4, 200, dtype=DOUBLE)
    found, of_bias = rounded(rows, torch.ones(1, 1, 200), moments_of(x, 4, constant=True))
    error = (x @ found.mT + of_bias[:, None] - x @ rows.mT).square().mean()
    plain, centred = in_one_unit(rows), x - x.mean(1, keepdim=True)
    nearest = (centred @ (plain - rows).mT).square().mean()
    assert float(error) <= float(nearest) + 1e-12


def test_moments_of_inputs_that_hardly_vary_are_exact() -> None:
    torch.manual_seed(0)
    x = (torch.rand(1, 1, 50) + 1e-4 * torch.randn(1, 3000, 50)).double()
    squares = moments_of(x, 1, constant=True).squares
    about_mean = squares[0, :-1, :-1] - squares[0, :-1, -1:] @ squares[0, -1:, :-1] / 3000
    torch.testing.assert_close(about_mean, 2999 * x[0].T.cov(), rtol=1e-3, atol=1e-8)


def test_a_network_converts_where_one_image_is_all_that_calibrates_it() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3)
    head = [nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)]
    model = nn.Sequential(first, nn.ReLU(), second, *head).eval()
    x = images(1).float().expand(24, -1, -1, -1)
    snn = sw.convert(model, x, steps=16, correction=Refit(), precision="int8")
    with torch.no_grad():
        torch.testing.assert_close(snn(x), model(x), rtol=1e-3, atol=1e-3)


def test_weights_that_are_all_zero_stay() -> None:
    rows = torch.zeros(1, 2, 5)
    found, of_bias = rounded(
        rows, torch.ones(1, 1, 5), moments_of(read(1, 50, 5), 2, constant=True)
    )
    assert not found.any()
    assert not of_bias.any()


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("neuron", [sw.TwoPhase("nearest"), sw.IntegrateFire()], ids=str)
def test_refitted_weights_stand_in_8_bits(name: str, neuron: sw.neurons.Neuron) -> None:
    x = images(24)
    snn = sw.convert(
        program(name), x, neuron, steps=4, correction=Refit(places=7), precision="int8"
    )
    assert snn.precision == "int8"
    plan = snn.with_precision("float32").plan()
    stored = {op.name: set(op.stored) for op in plan.source.operations}
    views = [
        view
        for op, (_, view) in reading_whole_numbers(plan.graph).items()
        if stored[op] & set(snn.design().weights)
    ]
    assert views
    for view in views:
        torch.testing.assert_close(in_one_unit(view.rows), view.rows)
    torch.testing.assert_close(snn.with_precision("float32")(x), snn(x))


def test_the_corrections_that_are_chosen_from_know_the_precision() -> None:
    low = Auto().at_precision(Precision.INT8)
    assert low == Auto(corrections=(InputMeans(), Refit(precision="int8")), precision="int8")


@pytest.mark.parametrize("correction", [None, Refit()], ids=str)
def test_what_is_chosen_by_has_weights_in_8_bits(correction: Refit | None) -> None:
    x = images(64)
    corrections = () if correction is None else (correction,)
    options = {"steps": 4, "threshold": sw.MinError(), "correction": Auto(None, corrections)}
    snn = sw.convert(program("plain"), x, **options, precision="int8")
    held_out, told = x[torch.arange(64) % 4 == 0], snn.expected()
    with torch.no_grad():
        wanted = net("plain")(held_out)
    gaps = {
        precision: float((snn.with_precision(precision)(held_out) - wanted).norm() / wanted.norm())
        for precision in ("int8", "float32")
    }
    assert told.samples == len(held_out)
    assert told.relative_error == pytest.approx(gaps["int8"], rel=1e-4)
    assert correction is not None or gaps["int8"] != pytest.approx(gaps["float32"], rel=1e-3)


def test_a_correction_may_round_weights_of_a_network_in_float32() -> None:
    options = {"steps": 4, "correction": Refit(precision="int8")}
    snn, x = sw.convert(program("plain"), images(24), **options), images(8)
    assert snn.precision == "float32"
    torch.testing.assert_close(snn(x), snn.with_precision("int8")(x))


def test_a_conversion_without_fitted_weights_is_rounded_as_any_network() -> None:
    options = {"steps": 4, "correction": InputMeans()}
    asked = sw.convert(program("plain"), images(24), **options, precision="int8")
    later = sw.convert(program("plain"), images(24), **options).with_precision("int8")
    assert torch.equal(asked(images(8)), later(images(8)))


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConversionError, match="precision must be one of 'float32', 'bf16', 'int8'"):
        Refit(precision="int4")
    with pytest.raises(ConversionError, match="got 'half'"):
        sw.convert(program("plain"), images(24), precision="half")


def normed(pad: int) -> tuple[nn.Module, Tensor]:
    """A batch norm behind an activation, whose shift meets a border where there is one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        after = nn.Conv2d(8, 8, 3, padding=pad)
        norm = nn.BatchNorm2d(8)
        layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), norm, after, nn.ReLU(), nn.Flatten())
        model = nn.Sequential(*layers, nn.Linear(8 * (4 + 2 * pad) ** 2, 5)).double().eval()
        x = torch.rand(64, 3, 8, 8, dtype=DOUBLE)
    with torch.no_grad():
        norm.bias.fill_(0.5)
        norm.running_var.fill_(0.05)
        after.weight[:, 0] *= 30
    return model, x


@pytest.mark.parametrize("correction", [(), (Refit(),)], ids=["none", "refit"])
@pytest.mark.parametrize("pad", [0, 1])
def test_what_is_expected_is_of_the_rounded_weights_behind_a_norm(
    pad: int, correction: tuple[Refit, ...]
) -> None:
    model, x = normed(pad)
    neuron = sw.TwoPhase("nearest", "binary")
    auto = Auto(None, correction)
    snn = sw.convert(model, x, neuron, sw.MinError(), 8, auto, precision="int8")
    held_out = x[torch.arange(64) % 4 == 0]
    with torch.no_grad():
        wanted = model(held_out)
    gap = float((snn(held_out) - wanted).norm() / wanted.norm())
    assert (told := snn.expected()) is not None
    assert told.relative_error == pytest.approx(gap, rel=1e-6)
    exact = snn.with_precision("float32")(held_out)
    assert correction or float((exact - wanted).norm() / wanted.norm()) < 0.9 * gap


@pytest.mark.parametrize(
    "correction", [Refit(), Auto(None, (InputMeans(),))], ids=["refit", "auto"]
)
def test_a_channel_that_a_norm_silences_keeps_its_weights(correction: Refit | Auto) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(16)
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), norm, nn.Linear(16, 4)).eval()
    with torch.no_grad():
        norm.weight[3] = 0.0
    x = torch.rand(64, 8, generator=torch.Generator().manual_seed(0))
    snn = sw.convert(model, x, correction=correction, precision="int8")
    with torch.no_grad():
        wanted = model(x)
    assert float((snn(x) - wanted).norm() / wanted.norm()) < 0.1
    assert isinstance(correction, Refit) or 0 < snn.expected().relative_error < 0.2
