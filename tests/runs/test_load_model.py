"""Models by name, weights by file, and every refusal on the way."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from spikewright.errors import MissingExtra, ModelError
from spikewright.models import digits_cnn, load_weights
from spikewright.runs import load_model

USER_MODULE = """
import torch
from torch import nn

FACTOR = 3
network = nn.Linear(2, 2)

def make(outputs=2):
    return nn.Sequential(nn.Linear(4, outputs), nn.Dropout(0.5))

def make_dict():
    return {}

def make_badly():
    raise RuntimeError("no such luck")
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that can be found through the current directory alone."""
    name = f"users_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def export(model: nn.Module, path: Path) -> Path:
    example = (torch.rand(2, 1, 8, 8),)
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(model, example, dynamic_shapes=shapes), path)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = load_model("spikewright.models:digits_cnn")
    return export(model, tmp_path_factory.mktemp("exported") / "digits.pt2")


# --- factories ---------------------------------------------------------------------------------


def test_a_factory_is_found_in_the_current_directory(user_module: str) -> None:
    before = list(sys.path)
    model = load_model(f"{user_module}:make", outputs=5)
    assert model[0].out_features == 5
    assert not any(module.training for module in model.modules())
    assert sys.path == before


def test_random_weights_are_the_same_every_time_and_the_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, second = (load_model("spikewright.models:digits_cnn") for _ in range(2))
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert torch.equal(before, torch.get_rng_state())


def test_torchvision_models_come_without_weights() -> None:
    pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    model = load_model("torchvision:resnet18", num_classes=3)
    assert (model.fc.out_features, model.training) == (3, False)
    assert not load_model("torchvision:googlenet").training  # unset, init_weights draws a warning


@pytest.mark.parametrize("spec", ["resnet18", "", ":make", "module:", "model.pth"])
def test_an_unknown_form_is_refused_with_the_forms(spec: str) -> None:
    with pytest.raises(ModelError, match=f"unknown model '{spec}'; give torchvision:NAME"):
        load_model(spec)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mak", r"has no 'mak' \(did you mean make"),
        ("FACTOR", "is a int; name a function or class that returns the network"),
        ("network", "is a Linear; name a function or class that returns the network"),
        ("make_dict", "returned a dict; it must return a nn.Module"),
        ("make_badly", r"make_badly\(\) failed: RuntimeError: no such luck"),
    ],
)
def test_a_name_that_is_no_factory_is_refused(name: str, message: str, user_module: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(f"{user_module}:{name}")


def test_arguments_that_the_factory_does_not_take_are_shown(user_module: str) -> None:
    with pytest.raises(ModelError, match=r"make\(depth=20\) failed: TypeError"):
        load_model(f"{user_module}:make", depth=20)


def test_a_missing_module_and_a_broken_one_are_told_apart(user_module: str) -> None:
    with pytest.raises(ModelError, match=r"there is no module 'nowhere\.models'; run from the"):
        load_model("nowhere.models:make")
    Path("needs_more.py").write_text("import not_installed_anywhere")
    with pytest.raises(ModelError, match="'needs_more' failed: No module named 'not_installed_an"):
        load_model("needs_more:make")
    Path("broken.py").write_text("def")
    with pytest.raises(ModelError, match="importing 'broken' failed: SyntaxError"):
        load_model("broken:make")


def test_an_unknown_torchvision_model_is_refused_with_a_suggestion() -> None:
    pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    with pytest.raises(ModelError, match=r"no classifier 'resnet19' \(did you mean resnet1"):
        load_model("torchvision:resnet19")


def test_missing_torchvision_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'spikewright\[vision\]'"):
        load_model("torchvision:resnet18")


# --- weights -----------------------------------------------------------------------------------


def test_saved_weights_come_back(tmp_path: Path) -> None:
    source = digits_cnn()
    save_model(source, str(tmp_path / "digits.safetensors"))
    loaded = load_model("spikewright.models:digits_cnn", tmp_path / "digits.safetensors")
    for name, tensor in source.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_only_batch_counters_may_be_missing(tmp_path: Path) -> None:
    tensors = {
        name: tensor
        for name, tensor in digits_cnn().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(tensors, tmp_path / "weights.safetensors")
    load_weights(digits_cnn(), tmp_path / "weights.safetensors")
    del tensors["bn1.running_mean"]
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"missing: bn1.running_mean \(32,\)"):
        load_weights(digits_cnn(), tmp_path / "weights.safetensors")


def test_every_difference_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    tensors = {name: torch.ones_like(t) for name, t in digits_cnn().state_dict().items()}
    tensors["features.weight"] = tensors.pop("conv1.weight")
    tensors["linear.weight"] = torch.ones(5, 512)
    tensors["linear.bias"] = torch.ones(5)
    save_file(tensors, tmp_path / "weights.safetensors")
    model = digits_cnn()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_weights(model, tmp_path / "weights.safetensors")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("do not fit DigitsCNN, 4 difference(s):")
    assert lines[1:5] == [
        "  missing: conv1.weight (32, 1, 3, 3)",
        "  unexpected: features.weight (32, 1, 3, 3)",
        "  shape: linear.weight is (5, 512) in the file, (10, 512) in the model",
        "  shape: linear.bias is (5,) in the file, (10,) in the model",
    ]
    assert all(torch.equal(model.state_dict()[name], t) for name, t in before.items())


def test_a_shared_parameter_needs_one_of_its_names(tmp_path: Path) -> None:
    model = nn.ModuleDict({"first": nn.Linear(2, 2), "second": nn.Linear(2, 2)})
    model["second"].weight = model["first"].weight
    save_model(model, str(tmp_path / "tied.safetensors"))  # drops one of the two names
    load_weights(model, tmp_path / "tied.safetensors")


def test_a_shared_parameter_of_two_values_is_refused(tmp_path: Path) -> None:
    model = nn.ModuleDict({"first": nn.Linear(2, 2), "second": nn.Linear(2, 2)})
    model["second"].weight = model["first"].weight
    tensors = {name: torch.ones_like(t) for name, t in model.state_dict().items()}
    save_file(tensors, tmp_path / "weights.safetensors")
    load_weights(model, tmp_path / "weights.safetensors")
    tensors["second.weight"][0, 0] = 2
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"second\.weight and first\.weight are one parameter"):
        load_weights(model, tmp_path / "weights.safetensors")
    assert torch.equal(model["first"].weight, torch.ones(2, 2))


def test_state_that_is_no_tensor_stays_and_lazy_modules_are_refused(tmp_path: Path) -> None:
    class Counting(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"seen": 3}

        def set_extra_state(self, state: dict[str, int]) -> None:
            raise AssertionError

    save_model(nn.Sequential(nn.Linear(2, 2)), str(tmp_path / "weights.safetensors"))
    load_weights(nn.Sequential(Counting(2, 2)), tmp_path / "weights.safetensors")
    lazy = nn.Sequential(nn.LazyLinear(2))
    with pytest.raises(ModelError, match=r"no shape yet for 0\.weight, 0\.bias: lazy modules take"):
        load_weights(lazy, tmp_path / "weights.safetensors")
    lazy(torch.ones(1, 2))
    load_weights(lazy, tmp_path / "weights.safetensors")


def test_a_weight_file_that_is_missing_or_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no weight file '.*nowhere.safetensors'"):
        load_weights(digits_cnn(), tmp_path / "nowhere.safetensors")
    torch.save(digits_cnn().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ModelError, match=r"is not a readable safetensors file.*save_model"):
        load_weights(digits_cnn(), tmp_path / "weights.pth")


# --- exported programs -------------------------------------------------------------------------


def test_an_exported_program_is_the_model(exported: Path) -> None:
    program, model = load_model(str(exported)), load_model("spikewright.models:digits_cnn")
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(program(images), model(images))
    assert not any(module.training for module in program.modules())


def test_an_exported_program_takes_weights_but_no_arguments(exported: Path, tmp_path: Path) -> None:
    zeros = {
        name: torch.zeros_like(t) for name, t in load_model(str(exported)).state_dict().items()
    }
    save_file(zeros, tmp_path / "zeros.safetensors")
    program = load_model(str(exported), tmp_path / "zeros.safetensors")
    assert program(torch.rand(2, 1, 8, 8)).abs().max() == 0
    with pytest.raises(ModelError, match="takes no arguments, got: num_classes"):
        load_model(str(exported), num_classes=10)


def test_a_program_exported_in_training_mode_is_refused(tmp_path: Path) -> None:
    model = nn.Sequential(digits_cnn(), nn.Dropout(0.5)).train()
    path = export(model, tmp_path / "training.pt2")
    with pytest.raises(ModelError, match=r"training mode: batch_norm.*dropout.*model\.eval\(\)"):
        load_model(str(path))


def test_a_missing_or_foreign_pt2_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no exported program"):
        load_model(str(tmp_path / "nowhere.pt2"))
    (tmp_path / "text.pt2").write_text("hello")
    with pytest.raises(ModelError, match=r"is not a program saved by torch\.export\.save"):
        load_model(str(tmp_path / "text.pt2"))
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("other/readme", "hello")
    with pytest.raises(ModelError, match=r"cannot read '.*other.pt2'.*export the model again"):
        load_model(str(tmp_path / "other.pt2"))


class Payload:
    """Unpickled, it creates the folder `marker`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def with_sample_inputs(source: Path, target: Path, payload: object) -> None:
    """Copy an exported program and put a pickle in the place of its example inputs."""
    torch.save(payload, target)
    content = target.read_bytes()
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for entry in before.infolist():
            replaced = entry.filename.endswith("data/sample_inputs/model.pt")
            after.writestr(entry.filename, content if replaced else before.read(entry))


def test_a_pickle_in_the_example_inputs_does_not_run(exported: Path, tmp_path: Path) -> None:
    crafted, marker = tmp_path / "crafted.pt2", tmp_path / "marker"
    with_sample_inputs(exported, crafted, (Payload(marker),))
    with pytest.raises(ModelError, match=r"cannot read '.*crafted.pt2'"):
        load_model(str(crafted))
    assert not marker.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data/weights/model_weights_config.json", b'{"config": {"w": {"use_pickle": true}}}'),
        ("data/weights/model.pt", b""),
        ("data/constants/custom_obj_0", b""),
        ("data/constants/opaque_obj_0", b""),
    ],
)
def test_pickled_objects_are_refused_before_torch_sees_them(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.export, "load", lambda path: pytest.fail("torch was called"))
    with zipfile.ZipFile(tmp_path / "crafted.pt2", "w") as archive:
        archive.writestr(f"crafted/{name}", content)
    with pytest.raises(ModelError, match="holds pickled objects, which could run code"):
        load_model(str(tmp_path / "crafted.pt2"))
