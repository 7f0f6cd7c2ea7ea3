"""Recurrent layers and cells: written out they are torch's own; as spikes they approach them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import spikewright as sw
from spikewright.calibration import InputMeans
from spikewright.export.onnx import export_onnx
from spikewright.graph.evaluate import evaluate
from spikewright.measure import HOROWITZ_45NM
from tests.builders import Wired, wired

LENGTH, WIDTH = 3, 2
BINARY = sw.TwoPhase("nearest", "binary")


class Whole(nn.Module):
    """A recurrent layer with all that it gives, the batch first."""

    def __init__(self, layer: nn.RNNBase, state: Callable[[Tensor], Any] | None = None) -> None:
        super().__init__()
        self.rnn, self.state = layer, state

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        given = () if self.state is None else (self.state(x),)
        if not self.rnn.batch_first:
            x = x.transpose(0, 1)
        y, ends = self.rnn(x, *given)
        y = y if self.rnn.batch_first else y.transpose(0, 1)
        return y, tuple(e.transpose(0, 1) for e in (ends if isinstance(ends, tuple) else (ends,)))


def zeros(states: int, value: float = 0.0) -> Callable[[Tensor], Any]:
    """Initial states of one layer of 4, the same number for every sample."""

    def state(x: Tensor) -> Any:
        one = torch.full((1, x.shape[0], 4), value, dtype=x.dtype)
        return one if states == 1 else (one, 2 * one)

    return state


def of_the_input(states: int) -> Callable[[Tensor], Any]:
    """Initial states of one layer of 4 that depend on the sample."""

    def state(x: Tensor) -> Any:
        one = torch.nn.functional.pad(x[:, 0], (0, 2))[None]
        return one if states == 1 else (one, x[:, 1, :1].expand(-1, 4)[None] * 0.5)

    return state


def cells(m: Any, x: Tensor) -> Tensor:
    """One cell of each kind after the other, at every time step."""
    h = c = x.new_zeros(x.shape[0], 4)
    g = r = None
    for time in range(x.shape[1]):
        h, c = m.lstm(x[:, time], (h, c))
        g, r = m.gru(h, g), m.rnn(h, r)
    assert g is not None
    return g + r


def decoder(m: Any, x: Tensor) -> Tensor:
    """Cells that begin with an answer of zeros, or learned, and with states of the input."""
    h = c = g = r = m.enter(x[:, 0]).tanh()
    y, z = x.new_zeros(x.shape[0], WIDTH), m.start.expand(x.shape[0], -1)
    for _ in range(2):
        h, c = m.lstm(y, (h, c))
        g, r = m.gru(y, g), m.rnn(z, r)
        y = z = m.answer(h + g)
    return y + m.answer(r)


def with_start(model: Wired) -> Wired:
    model.start = nn.Parameter(torch.tensor([0.3, -0.2]))
    return model


def windows(m: Any, x: Tensor) -> Tensor:
    """Two sequences a sample, as a batch of twice the size."""
    both = torch.cat([x[:, None], x.flip(1)[:, None]], 1).reshape(-1, LENGTH, WIDTH)
    return m.rnn(both)[0].reshape(x.shape[0], 2, LENGTH, 4).mean(1)


def _lstm(*layers: int, **options: Any) -> nn.LSTM:
    return nn.LSTM(WIDTH, 4, *layers, **options)


NETS: dict[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: Whole(_lstm(batch_first=True)),
    "LSTM, time first": lambda: Whole(_lstm()),
    "LSTM, 2 layers, both ways": lambda: Whole(_lstm(2, bidirectional=True, dropout=0.5)),
    "LSTM without biases": lambda: Whole(_lstm(bias=False, batch_first=True)),
    "LSTM with projections": lambda: Whole(_lstm(2, proj_size=2, bidirectional=True)),
    "LSTM, zeros given": lambda: Whole(_lstm(batch_first=True), zeros(2)),
    "LSTM, states given": lambda: Whole(_lstm(batch_first=True), zeros(2, 0.3)),
    "LSTM, states of the input": lambda: Whole(_lstm(batch_first=True), of_the_input(2)),
    "GRU": lambda: Whole(nn.GRU(WIDTH, 4, batch_first=True)),
    "GRU, 2 layers, both ways": lambda: Whole(nn.GRU(WIDTH, 4, 2, bidirectional=True)),
    "GRU without biases": lambda: Whole(nn.GRU(WIDTH, 4, bias=False, batch_first=True)),
    "GRU, states given": lambda: Whole(nn.GRU(WIDTH, 4, batch_first=True), zeros(1, 0.3)),
    "GRU, states of the input": lambda: Whole(nn.GRU(WIDTH, 4, batch_first=True), of_the_input(1)),
    "RNN": lambda: Whole(nn.RNN(WIDTH, 4, 2, bidirectional=True)),
    "RNN of ReLUs": lambda: Whole(nn.RNN(WIDTH, 4, 2, nonlinearity="relu", batch_first=True)),
    "RNN, states given": lambda: Whole(nn.RNN(WIDTH, 4, bias=False), zeros(1, 0.3)),
    "cells": lambda: Wired(
        cells, lstm=nn.LSTMCell(WIDTH, 4), gru=nn.GRUCell(4, 4), rnn=nn.RNNCell(4, 4)
    ),
    "cells of a decoder": lambda: with_start(
        Wired(
            decoder,
            enter=nn.Linear(WIDTH, 4),
            lstm=nn.LSTMCell(WIDTH, 4),
            gru=nn.GRUCell(WIDTH, 4),
            rnn=nn.RNNCell(WIDTH, 4),
            answer=nn.Linear(4, WIDTH),
        )
    ),
    "a decoder of zeros": lambda: Wired(
        lambda m, x: m.rnn(torch.zeros_like(x), of_the_input(1)(x))[0],
        rnn=nn.GRU(WIDTH, 4, batch_first=True),
    ),
    "a batch of windows": lambda: Wired(windows, rnn=_lstm(batch_first=True)),
    "one layer twice": lambda: Wired(
        lambda m, x: m.rnn(x)[0] - m.rnn(x.flip(1))[0], rnn=_lstm(batch_first=True)
    ),
    "the last hidden state": lambda: Wired(
        lambda m, x: m.rnn(x)[1][-1], rnn=nn.GRU(WIDTH, 4, bidirectional=True, batch_first=True)
    ),
    "encoder and decoder": lambda: Wired(
        lambda m, x: m.out(*m.rnn(x))[0],
        rnn=_lstm(batch_first=True),
        out=nn.LSTM(4, 4, batch_first=True),
    ),
}


def net(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return NETS[name]().double().eval()


def x_of(batch: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, LENGTH, WIDTH, generator=generator, dtype=torch.float64)


@lru_cache
def prepared(name: str) -> sw.Prepared:
    """A network of `NETS`, captured once for all tests."""
    return sw.prepare(net(name), x_of(64))


def converted(name: str) -> sw.SpikingNetwork:
    return prepared(name).convert(BINARY, steps=4, correction=InputMeans())


def sites_of(name: str) -> set[str]:
    return {site.name for site in prepared(name).graph.sites}


@pytest.mark.parametrize("name", NETS)
def test_written_out_it_is_torchs_own_layer(name: str) -> None:
    model, x = net(name), x_of(5, seed=1)
    with torch.no_grad():
        expected, found = tree_leaves(model(x)), evaluate(prepared(name).graph, x)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_the_engines_agree_and_approach_the_ann(name: str, tmp_path: Path) -> None:
    model, x = net(name), x_of(64)
    snn = converted(name)
    counts, steps = (tree_leaves(snn(x[:3], engine=engine)) for engine in ("counts", "steps"))
    twin = tree_leaves(snn.twin()(x[:3]))
    for one, stepped, quantised in zip(counts, steps, twin, strict=True):
        torch.testing.assert_close(one, stepped, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one, quantised, rtol=1e-12, atol=1e-12)
    fine = prepared(name).convert(BINARY, sw.Maximum(), steps=12, correction=None)
    with torch.no_grad():
        expected = tree_leaves(model(x))
    for own, other in zip(tree_leaves(fine(x)), expected, strict=True):
        assert (own - other).norm() < 3e-3 * other.norm()
    snn.save(tmp_path / "net.safetensors")
    loaded = sw.load(tmp_path / "net.safetensors")
    for own, other in zip(
        tree_leaves(loaded(x, steps=5)), tree_leaves(snn(x, steps=5)), strict=True
    ):
        assert torch.equal(own, other)
    assert loaded.summary() == snn.summary()


def test_sites_say_layer_direction_gate_and_time_step() -> None:
    sites = sites_of("LSTM, 2 layers, both ways")
    assert {"rnn.l0.forget:3", "rnn.l1_reverse.output:1", "rnn.l1.cell:2"} <= sites
    assert "rnn.l0.forget:1" not in sites  # there is nothing to forget yet
    assert "rnn.l0_reverse.forget:3" not in sites
    gates = {"input", "forget", "candidate", "output", "cell", "tanh"}
    assert sites_of("LSTM") >= {f"rnn.{gate}:3" for gate in gates}
    gates = {"reset", "update", "new", "hidden", "change"}
    assert sites_of("GRU") >= {f"rnn.{gate}:3" for gate in gates}
    states = [site.name for site in prepared("RNN, states given").graph.sites]
    assert states == [f"rnn.state:{time}" for time in (1, 2, 3)]
    assert {"lstm.forget:3", "gru.reset:2", "rnn.state:1"} <= sites_of("cells")
    assert "rnn:2.forget:3" in sites_of("one layer twice")


def test_time_steps_share_weights_and_thresholds() -> None:
    """However long the sequence, the weights are stored and folded once."""
    x = torch.randn(8, 12, WIDTH, dtype=torch.float64)
    snn = sw.convert(net("LSTM"), x, BINARY, steps=4)
    thresholds = snn.plan().thresholds
    assert torch.equal(thresholds["rnn.forget:2"], thresholds["rnn.forget:12"])
    graph = snn.plan().count_graph
    hidden = [op for op in graph.operations if op.target is torch.ops.aten.linear.default]
    assert len(hidden) == 1 + 11
    assert len({id(graph.tensors[op.stored[0]]) for op in hidden}) == 2
    own = sum(t.numel() for t in snn.plan().source.tensors.values())
    assert own < 2 * sum(p.numel() for p in net("LSTM").parameters())


def test_statistics_of_a_gate_are_those_of_all_its_steps() -> None:
    model, x = net("RNN, states given"), x_of(16)
    with torch.no_grad():
        values = model(x)[0]
    in_parts = sw.prepare(model, list(x.split(5)))
    for time in range(1, LENGTH + 1):
        statistics = in_parts.statistics[f"rnn.state:{time}"]
        torch.testing.assert_close(statistics.maximum, values.abs().amax((0, 1)))
        assert statistics.values == len(x) * LENGTH
    means = in_parts.samples.input_means
    weight = model.rnn.weight_ih_l0  # pyright: ignore
    expected = (x[:, 0] @ weight.T).mean(0) + model.rnn.weight_hh_l0.sum(1) * 0.3  # pyright: ignore
    torch.testing.assert_close(means["rnn.state:1"], expected.detach())


def test_the_summary_has_a_line_for_a_gate() -> None:
    summary = converted("LSTM").summary()
    lines = [line.split()[:4] for line in summary.splitlines() if line.startswith("rnn.")]
    assert ["rnn.input:*", "3", "×", "sigmoid"] in lines
    assert ["rnn.forget:*", "2", "×", "sigmoid"] in lines
    assert ["rnn.cell:*", "2", "×", "relay"] in lines
    assert len(lines) == 6


def test_another_length_is_refused() -> None:
    snn = converted("LSTM")
    with pytest.raises(
        sw.ConversionError, match=r"takes batches of shape \[B, 3, 2\], got \[2, 5, 2\]"
    ):
        snn(torch.randn(2, 5, WIDTH).double())


def packed(m: Any, x: Tensor) -> Tensor:
    lengths = torch.full((x.shape[0],), LENGTH)
    sequence = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    return nn.utils.rnn.pad_packed_sequence(m.rnn(sequence)[0], batch_first=True)[0]


@pytest.mark.parametrize(
    ("wire", "layer", "reason"),
    [
        (lambda m, x: m.rnn(x)[0], _lstm(), r"reads the batch as time: rnn takes \[L, B, F\]"),
        (lambda m, x: m.rnn(x.transpose(0, 1))[0], _lstm(batch_first=True), "the batch as time"),
        (packed, _lstm(batch_first=True), r"\(rnn\) read packed sequences.*pass padded ones"),
        (
            lambda m, x: m.rnn(x)[0].flatten(0, 1),
            _lstm(batch_first=True),
            "the batch is merged with other dimensions.*unflatten",
        ),
    ],
)
def test_refusals(wire: Callable[[Any, Tensor], Any], layer: nn.Module, reason: str) -> None:
    with pytest.raises(sw.ConversionError, match=f"(?s){reason}"):
        sw.convert(wired(wire, rnn=layer), x_of(8))


def test_states_are_answered_with_the_batch_where_torch_has_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer, x = _lstm(batch_first=False).double().eval(), x_of(15)
    model = wired(lambda m, x: m.rnn(x.transpose(0, 1)), rnn=layer).double().eval()
    snn = sw.convert(model, x, BINARY, steps=12)
    snn.save(tmp_path / "layer.safetensors")
    loaded = sw.load(tmp_path / "layer.safetensors")
    expected = tree_leaves(model(x))
    for network in (snn, snn.ann(), loaded):
        for own, found in zip(expected, tree_leaves(network(x)), strict=True):
            assert own.shape == found.shape
            assert (own - found).norm() < 3e-3 * own.norm()
    with pytest.raises(sw.AnalysisError, match="'0' has the batch at dimension 1"):
        sw.sweep({"nearest": snn}, [x], steps=4, reference=snn.ann())


def test_every_edge_into_weights_and_products_is_audited() -> None:
    audit = converted("LSTM, 2 layers, both ways").audit(x_of(2))
    assert audit.objections == ()
    carried = {str(edge.carries) for edge in audit.edges if edge.role == "product"}
    assert carried == {"spikes"}


@pytest.mark.parametrize("name", ["LSTM", "GRU, states given", "cells"])
def test_operations_are_counted_alike_by_both_engines(name: str) -> None:
    priced = replace(HOROWITZ_45NM, function_pj={"sigmoid": 5.0, "tanh": 5.0})
    snn, x = converted(name), x_of(3, seed=1)
    counts, steps = (sw.operations(snn, [x], model=priced, engine=e) for e in ("counts", "steps"))
    assert counts.rows == steps.rows
    assert counts.total.snn.held_additions > 0


def test_macs_of_an_lstm_by_hand() -> None:
    """3 steps of 2 -> 16, 2 of 4 -> 16; products of 4 values: 2 in the first step, 3 later."""
    priced = replace(HOROWITZ_45NM, function_pj={"sigmoid": 5.0, "tanh": 5.0})
    total = sw.operations(converted("LSTM"), [x_of(2)], model=priced).total
    assert total.ann.all_macs == 3 * 2 * 16 + 2 * 4 * 16 + 4 * (2 + 2 * 3)


def test_onnx_holds_an_unrolled_layer(tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra 'onnx'")
    model = net("LSTM, states of the input").float()
    snn = sw.convert(model, x_of(12).float(), BINARY, steps=4)
    report = export_onnx(snn, tmp_path / "network.onnx", 4)  # compared before it is written
    assert "to 0, 1.0, 1.1, T = 4" in report
