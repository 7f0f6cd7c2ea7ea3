"""Models of timm, transformers and ultralytics: made where installed, and every refusal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from spikewright.errors import MissingExtra, ModelError
from spikewright.runs import load_model

TINY = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 20,
}


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm", reason="needs timm")


@pytest.fixture
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="needs transformers")


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize(
    ("spec", "installs"),
    [
        ("timm:resnet18", r"pip install 'spikewright\[timm\]'"),
        ("hf:bert", r"pip install 'spikewright\[hf\]'"),
        ("ultralytics:yolov8n.yaml", r"pip install ultralytics \(its licence is the AGPL-3\.0"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, spec: str, installs: str
) -> None:
    without(monkeypatch, {"hf": "transformers"}.get(spec[:2], spec.partition(":")[0]))
    with pytest.raises(MissingExtra, match=installs):
        load_model(spec)


# --- timm --------------------------------------------------------------------------------------


def test_timm_makes_an_architecture_with_the_same_random_weights_every_time(timm: Any) -> None:
    first, second = (load_model("timm:resnet10t", num_classes=3) for _ in range(2))
    assert not first.training
    assert first.fc.out_features == 3
    assert torch.equal(first.fc.weight, second.fc.weight)


def test_a_name_that_timm_does_not_know_is_refused_with_a_suggestion(timm: Any) -> None:
    with pytest.raises(ModelError, match=r"no architecture 'resnet19' \(did you mean resnet1"):
        load_model("timm:resnet19")


def test_published_weights_of_timm_are_not_downloaded(timm: Any) -> None:
    with pytest.raises(ModelError, match=r"'a1_in1k'\), and nothing is downloaded: give timm:res"):
        load_model("timm:resnet18.a1_in1k")
    with pytest.raises(ModelError, match="'pretrained' is not taken: weights are a safetensors"):
        load_model("timm:resnet18", pretrained=True)


# --- transformers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "made"), [("hf:bert", "BertModel"), ("hf:BertForMaskedLM", "BertForMaskedLM")]
)
def test_a_type_or_a_class_is_made_from_its_default_configuration(
    transformers: Any, spec: str, made: str
) -> None:
    model = load_model(spec, **TINY)
    assert type(model).__name__ == made
    assert (model.config.hidden_size, model.training) == (8, False)


@pytest.fixture
def folder(transformers: Any, tmp_path: Path) -> Path:
    torch.manual_seed(3)
    config = transformers.BertConfig(**TINY)
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def test_a_folder_is_read_with_its_weights(transformers: Any, folder: Path) -> None:
    saved = transformers.BertForMaskedLM.from_pretrained(str(folder), local_files_only=True)
    found = load_model(f"hf:{folder}").state_dict()
    assert all(torch.equal(found[key], value) for key, value in saved.state_dict().items())


def test_a_configuration_alone_has_random_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    for spec in (f"hf:{folder}", f"hf:{folder / 'config.json'}"):
        model = load_model(spec, num_hidden_layers=2)
        assert type(model).__name__ == "BertForMaskedLM"
        assert len(model.bert.encoder.layer) == 2


def test_weights_that_do_not_fill_the_network_are_refused(folder: Path) -> None:
    written = json.loads((folder / "config.json").read_text())
    written["architectures"] = ["BertForSequenceClassification"]
    (folder / "config.json").write_text(json.dumps(written))
    with pytest.raises(ModelError, match=r"lack .*classifier\.bias"):
        load_model(f"hf:{folder}")


def test_pickled_weights_and_foreign_code_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="are pickles, which can run any code"):
        load_model(f"hf:{folder}")
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**written, "architectures": ["MyBert"]}))
    with pytest.raises(ModelError, match=r"no class 'MyBert', which '.*' names"):
        load_model(f"hf:{folder}")


def test_a_name_that_is_nothing_of_transformers_is_refused(transformers: Any) -> None:
    with pytest.raises(ModelError, match=r"'hf:berd' is no folder .*did you mean bert.*; nothing"):
        load_model("hf:berd")
    with pytest.raises(ModelError, match="nothing is downloaded"):
        load_model("hf:google-bert/bert-base-uncased")


def test_a_field_that_a_configuration_lacks_is_refused(transformers: Any) -> None:
    with pytest.raises(ModelError, match=r"BertConfig has no field 'hidden_sise' \(did you mean"):
        load_model("hf:bert", hidden_sise=8)


# --- ultralytics -------------------------------------------------------------------------------


def test_a_yaml_file_is_given_to_ultralytics(monkeypatch: pytest.MonkeyPatch) -> None:
    def yolo(name: str) -> SimpleNamespace:
        return SimpleNamespace(model=nn.Sequential(nn.Linear(2, len(name))))

    monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=yolo))
    assert load_model("ultralytics:net.yaml")[0].out_features == len("net.yaml")


def test_a_network_of_ultralytics_is_made_where_it_is_installed() -> None:
    pytest.importorskip("ultralytics", reason="needs ultralytics")
    assert type(load_model("ultralytics:yolov8n.yaml")).__name__ == "DetectionModel"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yolov8n.pt", r"'yolov8n\.pt' is no yaml file\. A checkpoint .* is a pickle, .*FILE\.pt2"),
        ("yolov8n", "is no yaml file"),
        ("https://example.org/yolov8n.yaml", "is an address, and nothing is downloaded"),
    ],
)
def test_what_would_be_unpickled_or_downloaded_is_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(f"ultralytics:{name}")
