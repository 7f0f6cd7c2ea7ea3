"""ONNX: outputs of every kind, and inputs that hide places, as the export names and tries them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.export.onnx import export as exporter
from spikewright.export.onnx import export_onnx
from tests.network.nets import converted

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")

pytestmark = pytest.mark.usefixtures("listed_once")


class Denoiser(nn.Module):
    """Inputs and outputs called as each other and as inner values; a mask and whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, sample: Tensor, linear: Tensor) -> dict[str, Tensor]:
        y = self.b(torch.relu(self.a(sample) + linear.unsqueeze(-1)))
        return {"sample": y, "late": linear > 0, "left": linear - 1, "add": y.mean(1)}


def test_outputs_of_every_kind_have_names_of_their_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = {"sample": torch.rand(16, 6), "linear": torch.arange(16) % 3}
    snn = sw.convert(Denoiser().eval(), x, steps=6, correction=None)
    told = export_onnx(snn, tmp_path / "denoiser.onnx", 6)
    assert "sample [batch, 6], linear [batch] to sample.out, late, left, add, T = 6" in told
    assert "sample.out is the answer's 'sample'" in told
    session = onnxruntime.InferenceSession(tmp_path / "denoiser.onnx")
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {name: tensor.numpy() for name, tensor in x.items()})
    found = {name: torch.from_numpy(v) for name, v in zip(names, values, strict=True)}
    expected = snn(**x)
    assert torch.equal(found["late"], expected["late"])
    assert torch.equal(found["left"], expected["left"])
    torch.testing.assert_close(found["sample.out"], expected["sample"])
    torch.testing.assert_close(found["add"], expected["add"])
    entries = onnx.load(tmp_path / "denoiser.onnx").metadata_props
    assert {e.key: e.value for e in entries}["spikewright.output.sample.out"] == "sample"


def test_a_file_that_is_no_valid_onnx_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = exporter.counting_model

    def doubled(plan: Any, x: Tensor) -> Any:
        model = right(plan, x)
        model.graph.node.append(model.graph.node[-1])
        return model

    monkeypatch.setattr(exporter, "counting_model", doubled)
    with pytest.raises(sw.InterchangeError, match=r"is no valid ONNX \(.*nothing was written"):
        export_onnx(converted("plain", steps=4).float(), tmp_path / "x", 4)
    assert not list(tmp_path.iterdir())


class MeanOfShown(nn.Module):
    """The mean over shown places of a sequence, by lengths or by a mask of either meaning."""

    def __init__(self, shown: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.shown = nn.Linear(4, 6), nn.Linear(6, 3), shown

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shown = self.shown(told).unsqueeze(-1).to(x.dtype)
        return self.b((torch.relu(self.a(x)) * shown).sum(1) / shown.sum(1))


HIDDEN = torch.arange(5) >= torch.arange(1, 6).repeat(4)[:, None]


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (lambda mask: ~mask, HIDDEN),
        (lambda mask: mask == 0, HIDDEN.long()),
        (lambda length: torch.arange(5) < length.unsqueeze(-1), (~HIDDEN).sum(1)),
        (lambda mask: ~(mask | mask[:, :1]), HIDDEN),  # no answer where the first place is hidden
    ],
    ids=["true hides", "one hides", "lengths", "the first place must be shown"],
)
def test_what_hides_places_is_tried_with_some_of_them_shown(
    shown: Any, told: Tensor, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    x = {"x": torch.rand(20, 5, 4), "told": told}
    snn = sw.convert(MeanOfShown(shown).eval(), x, steps=6, correction=None)
    export_onnx(snn, tmp_path / "n.onnx", 6)
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx")
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in x.items()})
    torch.testing.assert_close(torch.from_numpy(found), snn(**x), rtol=1e-4, atol=1e-4)


def test_a_network_without_an_answer_to_any_mask_is_not_compared(tmp_path: Path) -> None:
    x = {"x": torch.rand(20, 5, 4), "told": torch.ones(20, 5, dtype=torch.bool)}
    only_whole = MeanOfShown(lambda mask: mask & mask.all(-1, keepdim=True)).eval()
    snn = sw.convert(only_whole, x, steps=6, correction=None)
    with pytest.raises(sw.InterchangeError, match="with masks and their opposites, is not a num"):
        export_onnx(snn, tmp_path / "n.onnx", 6)
    assert not list(tmp_path.iterdir())
