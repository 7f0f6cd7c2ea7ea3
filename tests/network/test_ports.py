"""Networks answer as their models do: tuples, dicts and objects, every tensor an exact read-out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import spikewright as sw
from spikewright.export.nir import export_nir
from spikewright.export.onnx import export_onnx
from spikewright.measure.accuracy import logits_of
from spikewright.network.plan import SILENT
from spikewright.neurons import Neuron


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@dataclass
class Found:
    boxes: Tensor
    scores: Tensor
    more: Any = None


class Trunk(nn.Module):
    """Two layers; `made` puts an answer together from the input, both, and a constant."""

    def __init__(self, made: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2), nn.ReLU())
        self.head = nn.Linear(4, 3)
        self.register_buffer("anchors", torch.arange(6.0).reshape(2, 3))
        self.made = made

    def forward(self, x: Tensor) -> Any:
        first = self.first(x)
        second = self.second(first)
        return self.made(x, first, second, self.head(second.mean((2, 3))), self.anchors)


def model(made: Callable[..., Any]) -> nn.Module:
    return Trunk(made).double().eval()


@lru_cache
def prepared(answer: str) -> sw.Prepared:
    """The model of an answer, captured once for all tests."""
    return sw.prepare(model(ANSWERS[answer]), images())


def images(batch: int = 12, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2, 7, 7, generator=generator, dtype=torch.float64)


ANSWERS: dict[str, Callable[..., Any]] = {
    "tuple": lambda x, a, b, y, c: (y, b),
    "tuple of one": lambda x, a, b, y, c: (y,),
    "list": lambda x, a, b, y, c: [a, b, y],
    "dict": lambda x, a, b, y, c: {"out": y, "aux": a},
    "ordered dict": lambda x, a, b, y, c: OrderedDict(out=y),
    "named tuple": lambda x, a, b, y, c: Pair(y, a),
    "dataclass": lambda x, a, b, y, c: Found(b, y),
    "nested": lambda x, a, b, y, c: {"levels": [a, (b, None)], "found": Found(a, y, 3)},
    "constants": lambda x, a, b, y, c: (y, c, None, 2, "name"),
    "input": lambda x, a, b, y, c: (x, y),
    "linear of the input": lambda x, a, b, y, c: (x.mean(1), y),
    "twice": lambda x, a, b, y, c: (y, y, {"again": y}),
    "deep": lambda x, a, b, y, c: Found(a, y, (x, c, None)),
    "sums": lambda x, a, b, y, c: (y, y * 2 + 1),
}
NEURONS = [sw.TwoPhase("nearest"), sw.TPP(), sw.IntegrateFire()]


def same(left: Any, right: Any, tolerance: float = 1e-9) -> None:
    """Answers of one structure, of equal numbers."""
    assert type(left) is type(right)
    if isinstance(left, Tensor):
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            same(left[key], right[key], tolerance)
    elif isinstance(left, Found):
        same(vars(left), vars(right), tolerance)
    elif isinstance(left, (tuple, list)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            same(one, other, tolerance)
    else:
        assert left == right


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_put_together_as_the_model_has_it(answer: str) -> None:
    source = model(ANSWERS[answer])
    snn = prepared(answer).convert(correction=None)
    x = images(3, seed=2)
    with torch.no_grad():
        expected = source(x)
    same(snn.ann()(x), expected)
    same(snn(x, steps=2**14), expected, 1e-2)  # each output is a read-out: its mean over time


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: neuron.label)
@pytest.mark.parametrize("answer", ["nested", "input", "linear of the input"])
def test_both_engines_give_every_output(answer: str, neuron: Neuron) -> None:
    snn = prepared(answer).convert(neuron, steps=5)
    x = images(3, seed=2)
    stepped = snn(x, engine="steps", seed=4)
    if neuron == sw.TwoPhase("nearest"):  # TPP's engines agree in distribution
        same(snn(x, engine="counts", seed=4), stepped)
    chunks = snn.observe(x, SILENT, engine="steps", seed=4, memory_budget=1)
    same(chunks, stepped)


@pytest.mark.parametrize("neuron", [sw.TPP(), sw.IntegrateFire()], ids=lambda n: n.label)
def test_compiled_engines_give_every_output(neuron: Neuron) -> None:
    """Of counts, with draws, and of time steps."""
    snn = prepared("deep").convert(neuron, steps=5)
    x = images(3, seed=2)
    expected = snn(x, seed=4)
    same(snn.compile()(x, seed=4), expected)


def test_an_early_output_is_read_when_it_is_ready() -> None:
    snn = sw.convert(model(lambda x, a, b, y, c: (a, y)), images(), steps=4)
    assert snn.latency() == 3 * 4  # of the last output
    early = sw.convert(model(lambda x, a, b, y, c: a), images(), steps=4)
    x = images(3, seed=2)
    assert early.latency() == 2 * 4
    assert torch.equal(snn(x, engine="steps")[0], early(x, engine="steps"))


def test_a_value_that_is_read_and_normalised_is_an_output_as_it_was() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
            nn.init.uniform_(self.norm.weight, 2, 3)

        def forward(self, x: Tensor) -> Any:
            raw = self.conv(x)
            return torch.relu(self.norm(raw)), raw

    source = Both().double().eval()
    x = images()
    with torch.no_grad():
        same(sw.convert(source, x).ann()(x), source(x))


@pytest.mark.parametrize("answer", ["tuple", "nested", "constants", "input", "named tuple"])
def test_a_saved_network_answers_in_plain_containers(answer: str, tmp_path: Path) -> None:
    snn = prepared(answer).convert(steps=(4, 8))
    snn.save(tmp_path / "net.safetensors")
    loaded = sw.load(tmp_path / "net.safetensors")
    x = images(3, seed=2)
    same(loaded(x), plain(snn(x)), 0)


def plain(answer: Any) -> Any:
    """Objects as dicts of their fields."""
    if isinstance(answer, Found):
        fields = {"boxes": answer.boxes, "scores": answer.scores}
        return {key: plain(part) for key, part in fields.items()} | (
            {} if answer.more is None else {"more": answer.more}
        )
    if isinstance(answer, dict):
        return {key: plain(part) for key, part in answer.items()}
    if isinstance(answer, (tuple, list)):
        parts = [plain(part) for part in answer]
        return parts if isinstance(answer, list) else tuple(parts)
    return answer


def test_a_copy_and_another_dtype_keep_the_structure() -> None:
    snn = prepared("nested").convert(steps=4)
    half = snn.half()
    answer = half(images(2).half())
    assert {leaf.dtype for leaf in tree_leaves(answer) if isinstance(leaf, Tensor)} == {
        torch.float16
    }


def test_logits_are_the_only_tensor_or_the_one_of_that_name() -> None:
    y, z = torch.rand(2, 3), torch.rand(2, 3)
    for answer in (y, (y,), {"out": y}, {"logits": y, "aux": z}, [None, y]):
        assert logits_of(answer, "it") is y
    with pytest.raises(sw.AnalysisError, match=r"it answers 2 tensors \(0, 1\.a\), and none"):
        logits_of((y, {"a": z}), "it")


def test_accuracy_is_that_of_the_logits() -> None:
    source = model(lambda x, a, b, y, c: {"features": a, "logits": y})
    snn = sw.convert(source, images(), steps=8)
    data = [(images(6, seed=3), torch.arange(6) % 3)]
    sweep = sw.sweep({"nearest": snn}, data, steps=8, reference=source)
    assert sweep.rows[0].samples == 6
    several = sw.convert(model(lambda x, a, b, y, c: (a, y)), images(), steps=8)
    with pytest.raises(sw.AnalysisError, match="none of them is called 'logits'"):
        sw.sweep({"nearest": several}, data, steps=8)


def test_energy_counts_what_every_output_receives() -> None:
    data = [images(4, seed=3)]
    one = sw.operations(prepared("tuple of one").convert(steps=4), data)
    two = sw.operations(prepared("twice").convert(steps=4), data)
    more = sw.operations(prepared("tuple").convert(steps=4), data)
    assert one.total.snn == two.total.snn  # one value, however often it stands in the answer
    assert more.total.snn.additions > one.total.snn.additions


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "nothing": (lambda x, a, b, y, c: None, "returns no tensor"),
    "constants alone": (lambda x, a, b, y, c: (c, None), "does not depend on its input"),
    "no activation": (lambda x, a, b, y, c: (x, x.mean(1)), "no activation"),
    "an object": (lambda x, a, b, y, c: (y, object()), "returns a object, which cannot"),
    "mixed": (
        lambda x, a, b, y, c: (y, {"mean": b - b.mean(0)}),
        "mean",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_answer_that_is_refused_is_refused_with_the_reason(case: str) -> None:
    made, reason = REFUSED[case]
    with pytest.raises(sw.ConversionError, match=reason):
        sw.convert(model(made), images())


def test_onnx_holds_every_output_by_its_place(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    source = model(lambda x, a, b, y, c: {"logits": y, "maps": (a, b)})
    snn = sw.convert(source, images(), steps=6).float()
    text = export_onnx(snn, tmp_path / "net.onnx", 6)
    assert "to logits, maps.0, maps.1, T = 6" in text
    x = images(5, seed=3).float()
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    assert [output.name for output in session.get_outputs()] == ["logits", "maps.0", "maps.1"]
    logits, *_ = session.run(None, {"images": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), snn(x)["logits"], rtol=1e-4, atol=1e-4)


def test_nir_refuses_several_outputs_by_name(tmp_path: Path) -> None:
    source = model(lambda x, a, b, y, c: (y, a))
    snn = sw.convert(source, images(), neuron=sw.IntegrateFire(), steps=6)
    pytest.importorskip("nir")
    with pytest.raises(sw.UnsupportedOperation, match=r"several outputs \(0, 1\)"):
        export_nir(snn, tmp_path / "net.nir", 6)


def test_two_places_of_one_name_are_refused():
    model = Trunk(lambda x, first, second, *_: {"a.b": first, "a": {"b": second}}).eval()
    with pytest.raises(sw.ConversionError, match=r"two places .* are called 'a\.b': rename a key"):
        sw.convert(model, torch.rand(4, 2, 6, 6), steps=4, correction=None)
