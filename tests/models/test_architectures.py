"""The architectures that come with the library."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikewright.activations import QCFS
from spikewright.graph import survey
from spikewright.models import ARCHITECTURES, cct6, digits_cnn, resnet18, resnet20, vgg16
from spikewright.models.cifar_resnet import BasicBlock
from spikewright.runs import load_model
from spikewright.training import seeded

CHECKPOINT = "resnet20-cifar10-relu.safetensors"


class Doubled(nn.Module):
    """An activation with a parameter of its own, as a QCFS site has."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x) * self.scale


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_resnet20_has_the_names_of_published_checkpoints() -> None:
    names = {name.rpartition(".")[0] for name, _ in resnet20().named_parameters()}
    blocks = {
        f"layer{stage}.{block}.{part}"
        for stage in (1, 2, 3)
        for block in (0, 1, 2)
        for part in ("conv1", "bn1", "conv2", "bn2")
    }
    assert names == {"conv1", "bn1", "linear"} | blocks


def test_resnet20_is_as_large_as_the_paper_says() -> None:
    assert parameter_count(resnet20()) == 269_722  # 0.27 M
    convolutions = [m for m in resnet20().modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + 1 == 20
    assert sum(isinstance(m, nn.ReLU) for m in resnet20().modules()) == 19


def test_option_a_shortcut_by_hand() -> None:
    block = BasicBlock(2, 4, 2, nn.ReLU).eval()
    nn.init.zeros_(block.conv2.weight)  # the branch gives 0: what is left is the shortcut
    x = torch.arange(1.0, 33.0).view(1, 2, 4, 4)
    kept = torch.tensor([[[1.0, 3.0], [9.0, 11.0]], [[17.0, 19.0], [25.0, 27.0]]])
    empty = torch.zeros(1, 2, 2)
    assert torch.equal(block(x)[0], torch.cat([empty, kept, empty]))


@pytest.mark.parametrize("make", [resnet20, digits_cnn])
def test_an_activation_factory_makes_one_module_for_every_site(make) -> None:
    plain, twin = make(num_classes=7), make(num_classes=7, activation=Doubled)
    sites = sum(isinstance(module, nn.ReLU) for module in plain.modules())
    assert sum(isinstance(module, Doubled) for module in twin.modules()) == sites
    assert parameter_count(twin) == parameter_count(plain) + sites
    assert set(plain.state_dict()) <= set(twin.state_dict())


@pytest.mark.parametrize(("make", "shape"), [(resnet20, (3, 32, 32)), (digits_cnn, (1, 8, 8))])
def test_the_outputs_are_logits(make, shape: tuple[int, ...]) -> None:
    with seeded(0):
        model = make(num_classes=7).eval()
    with torch.inference_mode():
        assert model(torch.zeros(5, *shape)).shape == (5, 7)


def test_digits_cnn_is_small() -> None:
    assert 20_000 <= parameter_count(digits_cnn()) <= 40_000


def test_a_published_checkpoint_scores_what_it_scored_elsewhere(data_folder: Path) -> None:
    """On the first 1,000 test images, found in the data folder as lossless mosaics."""
    Image = pytest.importorskip("PIL.Image", reason="needs the extra 'vision'")
    folders = (data_folder, data_folder / "models", data_folder.parent / "models")
    weights = [folder / CHECKPOINT for folder in folders if (folder / CHECKPOINT).is_file()]
    sheets = sorted((data_folder / "cifar10" / "test").glob("*.webp"))
    if not weights or not sheets:
        pytest.skip(f"SPIKEWRIGHT_DATA holds no CIFAR-10 mosaics, or there is no {CHECKPOINT}")
    sheet = np.asarray(Image.open(sheets[0]).convert("RGB"))  # 25 rows of 40 images
    tiles = sheet.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3).reshape(1000, 3, 32, 32)
    labels = torch.from_numpy(np.load(sheets[0].with_name("labels.npy"))[:1000].astype(np.int64))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    images = (torch.from_numpy(tiles.copy()).float() / 255 - mean) / std
    model = load_model("spikewright.models:resnet20", weights[0])
    with torch.inference_mode():
        right = torch.cat([model(batch).argmax(1) for batch in images.split(250)]) == labels
    assert right.float().mean() == pytest.approx(0.9173, abs=0.015)  # published, whole test set


@pytest.mark.parametrize(
    ("make", "parameters", "sites", "weighted"),
    [(resnet18, 11_173_962, 17, 21), (vgg16, 33_642_442, 15, 16)],
)
def test_larger_networks_are_as_the_literature_has_them(make, parameters, sites, weighted) -> None:
    model = make().eval()
    assert parameter_count(model) == parameters
    assert sum(isinstance(m, nn.ReLU) for m in model.modules()) == sites
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == weighted
    assert not any(isinstance(m, nn.MaxPool2d) for m in model.modules())
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_compact_transformer_keeps_gelu_norms_and_attention() -> None:
    model = cct6().eval()
    assert parameter_count(model) == 877_899
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    units = survey(model, torch.zeros(2, 3, 32, 32)).graph.neurons
    relay, norm = "spikewright.relay", "aten.layer_norm"
    expected = {"aten.gelu": 8, norm: 13, "aten.softmax.int": 7, relay: 18}
    assert Counter(op.operator for op in units) == expected


def test_a_projected_shortcut_stands_only_where_the_shape_changes() -> None:
    names = {name for name, _ in resnet18().named_parameters() if "shortcut.0" in name}
    assert names == {f"layer{stage}.0.shortcut.0.weight" for stage in (2, 3, 4)}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_converts(name: str) -> None:
    digits = (1, 8, 8)
    shapes = {"digits_cnn": digits, "digits_resnet": digits, "events_cnn": (2, 32, 32)}
    shape = shapes.get(name, (3, 32, 32))
    model = ARCHITECTURES[name](num_classes=3, activation=lambda: QCFS(4)).eval()
    units = survey(model, torch.zeros(2, *shape)).graph.neurons
    layers = [op for op in units if op.operator == "spikewright.qcfs"]
    assert len(layers) == sum(isinstance(module, QCFS) for module in model.modules())
    assert all(op.args[2] == 4 for op in layers)
