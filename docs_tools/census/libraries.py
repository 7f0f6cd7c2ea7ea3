"""Networks of ultralytics, segmentation-models-pytorch, diffusers and torchaudio."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from docs_tools.census.building import Build, Inputs

YOLO = (
    "yolov8n yolov5n yolo11n yolov3-tiny yolov10n yolo12n yolov8n-cls yolo11n-cls yolov8n-seg "
    "yolov8n-pose"
)
SEGMENTATION = "Unet UnetPlusPlus FPN PSPNet DeepLabV3Plus Linknet MAnet PAN UPerNet"
UNET = {
    "sample_size": 16,
    "in_channels": 3,
    "out_channels": 3,
    "layers_per_block": 1,
    "block_out_channels": (16, 32),
    "norm_num_groups": 8,
    "attention_head_dim": 8,
}
WAV2VEC2 = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(16, 10, 5), (16, 3, 2)],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 32,
    "encoder_projection_dropout": 0.0,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 2,
    "encoder_num_heads": 4,
    "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_features": 64,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.0,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": 10,
}
TORCHAUDIO: dict[str, tuple[str, dict[str, Any], Build | Any]] = {
    "wav2letter": (
        "Wav2Letter",
        {"num_classes": 20, "input_type": "mfcc", "num_features": 13},
        lambda: (torch.randn(2, 13, 400),),
    ),
    "deepspeech": (
        "DeepSpeech",
        {"n_feature": 16, "n_hidden": 64, "n_class": 20},
        lambda: (torch.randn(2, 1, 30, 16),),
    ),
    "conv_tasnet": (
        "ConvTasNet",
        {
            "num_sources": 2,
            "enc_num_feats": 32,
            "msk_num_feats": 16,
            "msk_num_hidden_feats": 32,
            "msk_num_layers": 2,
            "msk_num_stacks": 1,
        },
        lambda: (torch.randn(2, 1, 400),),
    ),
    "conformer": (
        "Conformer",
        {
            "input_dim": 32,
            "num_heads": 4,
            "ffn_dim": 64,
            "num_layers": 2,
            "depthwise_conv_kernel_size": 7,
        },
        lambda: (torch.randn(2, 20, 32),),
    ),
    "wav2vec2_base": ("wav2vec2_model", WAV2VEC2, lambda: (torch.randn(2, 800),)),
}


def builds() -> dict[str, Build]:
    """Every architecture by name."""
    found: dict[str, Build] = {name: partial(_yolo, name) for name in YOLO.split()}
    found["rtdetr-l"] = _rtdetr
    for name in SEGMENTATION.split():
        found[f"smp {name} (resnet18)"] = partial(_segmentation, name, "resnet18")
    found["smp Segformer (mit_b0)"] = partial(_segmentation, "Segformer", "mit_b0")
    found["diffusers UNet2DModel"] = _unet
    found["diffusers UNet2DConditionModel"] = _conditional_unet
    found["diffusers VAE encoder"] = partial(_vae, "encoder", (3, 32, 32))
    found["diffusers VAE decoder"] = partial(_vae, "decoder", (4, 8, 8))
    found["diffusers DiT"] = _dit
    for name in TORCHAUDIO:
        found[f"torchaudio {name}"] = partial(_torchaudio, name)
    return found


def _yolo(name: str) -> tuple[nn.Module, tuple[Tensor]]:
    model = importlib.import_module("ultralytics").YOLO(f"{name}.yaml").model
    return model, (torch.rand(2, 3, 64, 64),)


def _rtdetr() -> tuple[nn.Module, tuple[Tensor]]:
    tasks = importlib.import_module("ultralytics.nn.tasks")
    model = tasks.RTDETRDetectionModel("rtdetr-l.yaml", verbose=False)
    return model, (torch.rand(2, 3, 128, 128),)


def _segmentation(name: str, encoder: str) -> tuple[nn.Module, tuple[Tensor]]:
    library = importlib.import_module("segmentation_models_pytorch")
    model = getattr(library, name)(encoder, encoder_weights=None, classes=3)
    side = 128 if name == "PAN" else 64
    return model, (torch.randn(2, 3, side, side),)


def _unet() -> tuple[nn.Module, Inputs]:
    model = importlib.import_module("diffusers").UNet2DModel(
        **UNET,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return model, {"sample": torch.randn(2, 3, 16, 16), "timestep": torch.tensor([10, 10])}


def _conditional_unet() -> tuple[nn.Module, Inputs]:
    model = importlib.import_module("diffusers").UNet2DConditionModel(
        **UNET,
        cross_attention_dim=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    return model, {
        "sample": torch.randn(2, 3, 16, 16),
        "timestep": torch.tensor([10, 10]),
        "encoder_hidden_states": torch.randn(2, 4, 16),
    }


def _vae(part: str, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[Tensor]]:
    model = importlib.import_module("diffusers").AutoencoderKL(
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    return getattr(model, part), (torch.randn(2, *shape),)


def _dit() -> tuple[nn.Module, Inputs]:
    model = importlib.import_module("diffusers").DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=1000,
    )
    return model, {
        "hidden_states": torch.randn(2, 4, 8, 8),
        "timestep": torch.tensor([10, 10]),
        "class_labels": torch.tensor([3, 4]),
    }


class _SameLength(nn.Module):
    """A conformer of recordings of one length, without the mask that it makes of lengths."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.layers = model.conformer_layers

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        for layer in self.layers:
            x = layer(x, None)
        return x.transpose(0, 1)


def _torchaudio(name: str) -> tuple[nn.Module, Inputs]:
    function, options, inputs = TORCHAUDIO[name]
    model = getattr(importlib.import_module("torchaudio.models"), function)(**options)
    return _SameLength(model) if name == "conformer" else model, inputs()
