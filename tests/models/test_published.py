"""Published weights of torchvision, without a network: what would be downloaded is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from spikewright.data.preprocessing import FilePreprocessing, Normalisation, Resize
from spikewright.errors import ModelError
from spikewright.models.published import preset_of
from spikewright.runs import load_model

torchvision = pytest.importorskip("torchvision", reason="needs the extra 'vision'")
SPEC = "torchvision:squeezenet1_1@IMAGENET1K_V1"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """What a download would bring."""
    torch.manual_seed(7)
    state = torchvision.models.squeezenet1_1().state_dict()
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *_, **__: dict(state)
    )
    return state


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "DEFAULT"])
def test_a_model_has_its_published_weights(published: dict[str, torch.Tensor], name: str) -> None:
    model = load_model(f"torchvision:squeezenet1_1@{name}")
    assert not model.training
    found = model.state_dict()
    assert all(torch.equal(found[key], value) for key, value in published.items())


def test_images_are_prepared_as_its_preset_says() -> None:
    preset = preset_of(SPEC)
    assert preset is not None
    assert (preset.mean, preset.size) == ((0.485, 0.456, 0.406), 224)
    assert preset_of("torchvision:inception_v3@DEFAULT").size == 299  # pyright: ignore[reportOptionalMemberAccess]
    assert preset_of("torchvision:squeezenet1_1") is None
    assert preset_of("zoo:digits-qcfs8") is None


@pytest.mark.parametrize(
    "weights",
    [
        "squeezenet1_1@IMAGENET1K_V1",  # 224 of 256, bilinear
        "regnet_x_400mf@DEFAULT",  # 224 of 232
        "resnet50@DEFAULT",
        "efficientnet_b0@DEFAULT",  # bicubic
        "vit_b_16@IMAGENET1K_SWAG_E2E_V1",  # 384 of 384
        "inception_v3@DEFAULT",  # 299 of 342
    ],
)
def test_a_picture_is_prepared_as_torchvision_does_it(weights: str) -> None:
    from PIL import Image

    name, _, of = weights.partition("@")
    pixels = np.random.default_rng(0).integers(0, 256, (250, 410, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    preset = preset_of(f"torchvision:{weights}")
    assert preset is not None
    resize = Resize(preset.resize, preset.interpolation)
    ours = FilePreprocessing(preset.size, Normalisation(preset.mean, preset.std), resize)
    theirs = torchvision.models.get_model_weights(name)[of].transforms()
    assert torch.equal(ours(picture), theirs(picture))


def test_without_a_network_the_error_says_where_to_put_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ModelError, match=r"cannot be downloaded .*no network.*squeezenet1_1-.*pth"):
        load_model(SPEC)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("torchvision:squeezenet1_1@BEST", "it has IMAGENET1K_V1, DEFAULT"),
        ("torchvision:squeezenet1_1@", "no weights ''"),
        ("torchvision:squeezenet@DEFAULT", "did you mean squeezenet1_"),
    ],
)
def test_what_torchvision_does_not_have_is_refused(spec: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        load_model(spec)
    with pytest.raises(ModelError, match=told):
        preset_of(spec)


def test_weights_twice_are_refused() -> None:
    with pytest.raises(ModelError, match="names its weights"):
        load_model(SPEC, Path("mine.safetensors"))
