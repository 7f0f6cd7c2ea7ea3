"""Few-spikes neurons: the paper's equations, tables fitted to functions, networks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.artefact.configurations import decoded_neurons, encoded_neurons
from spikewright.calibration.fitted_neurons import _inputs
from spikewright.export.onnx.export import objections
from spikewright.finetuning import TrainableNetwork
from spikewright.measure import HOROWITZ_45NM
from spikewright.neurons import FewSpikes, FewSpikesTable, Neuron, fitted_table
from spikewright.neurons.table_fitting import _Points
from tests.builders import layer
from tests.contracts import STEPS, NeuronContract

T, H, D = (0.9, -0.4, 0.3, -2.0), (1.2, 0.5, -0.7, 0.0), (0.75, 0.5, -0.25, 0.125)


def halves(steps: int) -> FewSpikesTable:
    """ReLU up to the levels of so many halvings, in counts."""
    whole = [32 * 2**t + 1 for t in reversed(range(steps))]
    reals = tuple(map(float, whole))
    return FewSpikesTable(reals, reals, tuple(whole), unit=1 / sum(whole))


class TestTables(NeuronContract):
    neurons = (FewSpikes((halves(STEPS), halves(STEPS - 1), halves(3))),)

    def test_many_steps_reach_the_ann(self, neuron: Neuron) -> None:
        """Tables have a scale of their own, and one for each T: see `test_a_network`."""


def by_the_paper(x: float, t: tuple[float, ...], h: tuple[float, ...], d: tuple[float, ...]):
    """Output and spikes of one number, by the equations."""
    v, out, spikes = x, 0.0, list[int]()
    for threshold, reset, weight in zip(t, h, d, strict=True):
        z = int(v >= threshold)
        v -= reset * z
        out += weight * z
        spikes.append(z)
    return out, spikes


def test_a_table_does_what_the_equations_say() -> None:
    table, x = FewSpikesTable.of_reals(T, H, D), torch.linspace(-3, 3, 301, dtype=torch.float64)
    wanted = [by_the_paper(value, T, H, D) for value in x.tolist()]
    outputs = torch.tensor([output for output, _ in wanted], dtype=torch.float64)
    torch.testing.assert_close(table(x), outputs, rtol=0, atol=1e-4)
    neuron, theta = FewSpikes((table,)), table.unit * table.levels
    here = layer(theta, 4, batch=len(x))
    dynamics = neuron.start(here)
    dynamics.absorb(x[None, :, None], torch.tensor([float(table.levels)]))
    dynamics.rewind()
    train = torch.cat([dynamics.emit(1), dynamics.emit(3)])[:, :, 0]
    assert train.T.tolist() == [spikes for _, spikes in wanted]
    count = neuron.count(x[:, None] / table.unit, here)[:, 0]
    assert torch.equal(neuron.spikes_of(count), train.sum(0))
    assert torch.equal((train * neuron.step_weights(4)[:, None]).sum(0), count)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("steps", [4, 6, 10, 16])
def test_a_current_at_its_threshold_sends_every_bit(steps: int, dtype: torch.dtype) -> None:
    neuron, theta = FewSpikes(), torch.linspace(0.1, 9, 997, dtype=dtype)[None]
    here, levels = replace(layer(1.0, steps), threshold=theta), neuron.levels(steps)
    for part in (1.0, 1 - 2**-9):  # the second one a little below the threshold
        current, wanted = theta * part, int(levels * part)
        counted = neuron.count(current * (levels / theta), here)
        dynamics = neuron.start(here)
        dynamics.absorb(current[None], torch.tensor([float(levels)]))
        dynamics.rewind()
        sent = torch.tensordot(neuron.step_weights(steps).to(dtype), dynamics.emit(steps), 1)
        assert counted.unique().tolist() == sent.unique().tolist() == [wanted]


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_without_a_table_it_sends_the_bits_of_a_charge(steps: int) -> None:
    """T = h = d = alpha 2**-t is ReLU cut off to K bits (the paper's section on ReLU)."""
    alpha = 25.0
    powers = tuple(alpha * 2.0**-t for t in range(1, steps + 1))
    x = torch.linspace(-30, 30, 241, dtype=torch.float64)
    wanted = [by_the_paper(value, powers, powers, powers)[0] for value in x.tolist()]
    levels, neuron = 2**steps - 1, FewSpikes()
    unit = alpha / 2**steps
    count = neuron.count(x / unit, layer(unit * levels, steps))
    assert (count * unit).tolist() == wanted


PUBLISHED = {"silu": 2.58e-3, "sigmoid": 1.64e-4}
"""Mean squared errors over -8 .. 8 of the authors' own tables; see docs/methods/few-spikes.md."""


@pytest.mark.parametrize("name", ["silu", "sigmoid", "gelu"])
def test_a_fit_is_nearer_than_the_published_tables(name: str) -> None:
    function = {"silu": F.silu, "gelu": F.gelu, "sigmoid": torch.sigmoid}[name]
    table = fitted_table(function, torch.linspace(-8, 8, 512), steps=16, rounds=100)
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    assert float((table(x) - function(x)).square().mean()) < PUBLISHED.get(name, 2.58e-3)


def test_a_longer_search_and_more_steps_are_nearer() -> None:
    x = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    tables = [fitted_table(torch.tanh, x, k, rounds) for k, rounds in ((4, 0), (4, 80), (8, 80))]
    errors = [float((table(x) - x.tanh()).square().mean()) for table in tables]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_a_draw_that_rounds_up_to_the_end_is_the_largest_input() -> None:
    inputs = torch.linspace(-8, 8, 512, dtype=torch.float64)
    points = _Points.of(inputs).drawn(512, torch.Generator().manual_seed(30661))
    assert float(points[:256].max()) == float(inputs[-1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_a_fit_is_that_of_float32_whatever_the_default_dtype(dtype: torch.dtype) -> None:
    x = torch.linspace(-8, 8, 512)
    expected = fitted_table(torch.sigmoid, x, steps=4, rounds=3)
    torch.set_default_dtype(dtype)
    try:
        assert fitted_table(torch.sigmoid, x, steps=4, rounds=3) == expected
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("inputs", "function", "steps", "message"),
    [
        (torch.ones(4), torch.tanh, 4, "not all the same"),
        (torch.tensor([0.0, float("inf")]), torch.tanh, 4, "finite inputs"),
        (torch.linspace(-1, 1, 8), torch.zeros_like, 4, "can have no table"),
        (torch.linspace(-1, 1, 8), torch.log, 4, "not finite"),
        (torch.linspace(-1, 1, 8), torch.tanh, 32, "1 to 31 steps"),
    ],
)
def test_what_cannot_be_fitted(
    inputs: Tensor, function: Callable[[Tensor], Tensor], steps: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fitted_table(function, inputs, steps)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (((1.0,), (1.0,), (33, 1), 1.0), "one threshold, reset and weight"),
        (((1.0,), (1.0,), (32,), 1.0), "1 more than multiples of 32"),
        (((1.0,), (float("nan"),), (33,), 1.0), "finite"),
        (((1.0,), (1.0,), (33,), 0.0), "above 0"),
        (((1.0,), (1.0,), (2**25 + 1,), 1.0), r"2\*\*24"),
    ],
)
def test_tables_that_are_none(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FewSpikesTable(*rows)


def test_reals_that_make_no_table() -> None:
    with pytest.raises(ValueError, match="not all of them 0"):
        FewSpikesTable.of_reals((1.0,), (1.0,), (0.0,))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tables": (halves(3), halves(3))}, "one table for each"), ({"rounds": -1}, "at least 0")],
)
def test_neurons_that_are_none(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FewSpikes(**options)


@lru_cache(maxsize=1)
def prepared() -> tuple[nn.Module, Tensor, sw.Prepared]:
    torch.manual_seed(0)
    parts = (nn.Linear(6, 16), nn.SiLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    model, x = nn.Sequential(*parts).double().eval(), torch.randn(64, 6).double()
    return model, x, sw.prepare(model, x)


@lru_cache(maxsize=1)
def converted() -> sw.SpikingNetwork:
    return prepared()[2].convert(FewSpikes(rounds=40), steps=(8, 4), correction=None)


def test_a_network(tmp_path: Path) -> None:
    """Both engines alike, near the ANN, the nearer the more steps; saved with its tables."""
    (model, x, _), snn = prepared(), converted()
    with torch.no_grad():
        wanted = model(x)
    errors: list[float] = []
    for steps in (8, 4):
        counts, trains = (snn.counts(x, steps=steps, engine=e) for e in ("counts", "steps"))
        assert all(torch.equal(counts[site], trains[site]) for site in snn.sites)
        answers = [snn(x, steps=steps, engine=engine) for engine in ("counts", "steps")]
        torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)
        errors.append(float((answers[0] - wanted).norm() / wanted.norm()))
    assert errors[0] < errors[1] < 0.2
    assert not snn.audit(x[:4]).objections
    snn.save(tmp_path / "network")
    loaded = sw.load(tmp_path / "network")
    assert loaded.neurons == snn.neurons
    assert torch.equal(loaded(x), snn(x))


def test_a_file_with_a_damaged_table_is_refused() -> None:
    site = prepared()[2].graph.sites[0]
    neurons = encoded_neurons({site.name: FewSpikes((halves(3),))})
    table = neurons[site.name]["tables"][0]
    assert decoded_neurons(neurons, [site], "neurons") == {site.name: FewSpikes((halves(3),))}
    for name, value, message in (
        ("weights", [33, 65, 96], "1 more than multiples of 32"),
        ("weights", [33, 65, 1.0], "must be of type int"),
        ("thresholds", [1.0], "one threshold, reset and weight"),
    ):
        neurons[site.name]["tables"] = [{**table, name: value}]
        with pytest.raises(sw.InterchangeError, match=message):
            decoded_neurons(neurons, [site], "neurons")


def test_the_function_is_the_work_of_its_steps() -> None:
    """An ANN computes SiLU at a price; the neuron's 8 comparisons and updates are its own."""
    snn, (_, x, _) = converted(), prepared()
    model = replace(HOROWITZ_45NM, function_pj={"silu": 20.0})
    first = sw.operations(snn, [x], model=model).rows[0]
    assert not first.snn.functions
    assert first.ann.functions == {"silu": 16.0}
    assert first.snn.comparisons == 16 * 8
    sent = snn.record(x)["1"]
    assert first.spikes == pytest.approx(float((sent != 0).sum()) / len(x))


def test_what_it_refuses() -> None:
    snn, (_, x, _) = converted(), prepared()
    with pytest.raises(sw.ConversionError, match="fitted for T = 8, 4, not for T = 5"):
        snn(x, steps=5)
    with pytest.raises(sw.ConversionError, match="conversion fits it"):
        snn.with_neuron(FewSpikes())
    with pytest.raises(sw.ConversionError, match="have no gradient"):
        TrainableNetwork(snn)
    with pytest.raises(sw.ConversionError, match="on tables"):
        snn.twin()
    assert "runs the steps of a table" in objections(snn)[0]
    with pytest.raises(sw.ConversionError, match="give 24 at most"):
        FewSpikes().levels(25)


def test_functions_of_several_values_are_not_its() -> None:
    parts = (nn.Linear(4, 4), nn.Softmax(-1), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2))
    model = nn.Sequential(*parts).eval()
    with pytest.raises(sw.UnsupportedOperation, match="functions of one value"):
        sw.convert(model, torch.randn(16, 4), FewSpikes())
    neurons = {"*": FewSpikes(), "1": sw.TwoPhase("nearest", "binary")}
    snn = sw.convert(model, torch.randn(16, 4), neurons, steps=6)
    assert snn(torch.randn(2, 4)).shape == (2, 2)


def test_one_table_cannot_do_what_differs_from_neuron_to_neuron() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.PReLU(4), nn.Linear(4, 2)).eval()
    with pytest.raises(sw.CalibrationError, match="cannot be fitted to prelu at '1'"):
        sw.convert(model, torch.randn(16, 4), FewSpikes(), steps=4)


def test_a_table_is_fitted_to_all_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the number of channels divides the stride through calibration data, too."""
    given: list[Tensor] = []
    fitted = FewSpikes.fitted

    def kept(self: FewSpikes, function: Any, inputs: Tensor, steps: Any) -> FewSpikes:
        given.append(inputs)
        return fitted(self, function, inputs, steps)

    monkeypatch.setattr(FewSpikes, "fitted", kept)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Linear(16, 64)
        model = nn.Sequential(first, nn.SiLU(), nn.Linear(64, 4)).eval()
        x = torch.randn(16384, 16)
    with torch.no_grad():
        first.weight[0] *= 0.001
        deviation = float(first(x).std())
    sw.convert(model, [x], FewSpikes(rounds=1), steps=4, correction=None)
    (inputs,) = given
    assert abs(float(inputs.std()) / deviation - 1) < 0.05  # 1 % is the spread of 16,000 draws


@pytest.mark.parametrize("most", [200, 1 << 14])
def test_batch_sizes_do_not_matter(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The same inputs are kept of 1,024, and their ends, however calibration data is cut."""
    monkeypatch.setattr("spikewright.calibration.fitted_neurons._INPUTS", most)
    model, x, ready = prepared()
    whole, cut = (
        _inputs(replace(ready.samples, parts=tuple(x.split(size))), ["1"])["1"] for size in (64, 10)
    )
    torch.testing.assert_close(whole, cut)
    with torch.no_grad():
        given = model[0](x).flatten()  # pyright: ignore[reportIndexIssue]
    torch.testing.assert_close(whole[-2:], torch.stack(torch.aminmax(given)))
    drawn = whole[:-2]
    assert len(drawn) == min(most, 1024)
    assert float((drawn[:, None] - given).abs().amin(1).max()) < 1e-12


def test_weights_of_a_table_are_whole_numbers_of_any_library() -> None:
    table = FewSpikesTable((1.0, 0.5), (1.0, 0.5), tuple(np.array([65, 33])), 0.1)
    assert [type(d) for d in table.weights] == [int, int]
    assert table == FewSpikesTable((1.0, 0.5), (1.0, 0.5), (65, 33), 0.1)
    with pytest.raises(ValueError, match="1 more than multiples of 32"):
        FewSpikesTable((1.0,), (1.0,), (33.0,), 0.1)  # pyright: ignore[reportArgumentType]
