"""transformers: one model of every family, tiny (2 layers, width 32), called as users call it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from docs_tools.census.building import Build, Inputs

WIDTH, LAYERS, HEADS, VOCABULARY = 32, 2, 4, 100
LENGTH = 12
ENCODER = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 2 * WIDTH,
}
DECODER = ENCODER | {"num_key_value_heads": 2, "max_position_embeddings": 64, "use_cache": False}
PATCHES = {"image_size": 32, "patch_size": 8}
STAGES = {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]}
WINDOWS = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
BOTH = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 2 * WIDTH,
    "decoder_ffn_dim": 2 * WIDTH,
}
WAVES = ENCODER | {
    "conv_dim": (16, 16),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": VOCABULARY,
    "classifier_proj_size": 16,
}
FORECAST = BOTH | {
    "prediction_length": 4,
    "num_time_features": 1,
    "use_cache": False,
    "scaling": "std",  # "mean" takes the other samples' mean where nothing was observed
}
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
CLASSIFY = "ForImageClassification"
IMAGES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "vit": ("ViT" + CLASSIFY, 32, ENCODER | PATCHES),
    "deit": ("DeiT" + CLASSIFY, 32, ENCODER | PATCHES),
    "beit": ("Beit" + CLASSIFY, 32, ENCODER | PATCHES),
    "swin": ("Swin" + CLASSIFY, 32, WINDOWS),
    "swinv2": ("Swinv2" + CLASSIFY, 32, WINDOWS),
    "convnext": ("ConvNext" + CLASSIFY, 64, STAGES),
    "convnextv2": ("ConvNextV2" + CLASSIFY, 64, STAGES),
    "resnet": ("ResNet" + CLASSIFY, 64, STAGES | {"embedding_size": 16, "layer_type": "basic"}),
    "regnet": (
        "RegNet" + CLASSIFY,
        64,
        {"hidden_sizes": [32, 32, 64, 64], "depths": [1, 1, 1, 1]}
        | {"embedding_size": 16, "groups_width": 8},
    ),
    "mobilenet_v1": ("MobileNetV1" + CLASSIFY, 64, {"depth_multiplier": 0.25, "image_size": 64}),
    "mobilenet_v2": ("MobileNetV2" + CLASSIFY, 64, {"depth_multiplier": 0.35, "image_size": 64}),
    "efficientnet": ("EfficientNet" + CLASSIFY, 64, {"image_size": 64}),
    "mobilevit": (
        "MobileViT" + CLASSIFY,
        64,
        {
            "image_size": 64,
            "hidden_sizes": [16, 16, 32],
            "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 32],
        },
    ),
    "mobilevitv2": ("MobileViTV2" + CLASSIFY, 64, {"image_size": 64, "width_multiplier": 0.5}),
    "levit": (
        "Levit" + CLASSIFY,
        64,
        {
            "image_size": 64,
            "hidden_sizes": [16, 32, 48],
            "num_attention_heads": [2, 4, 4],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
    ),
    "poolformer": ("PoolFormer" + CLASSIFY, 64, STAGES),
    "pvt_v2": ("PvtV2" + CLASSIFY, 64, STAGES | {"num_attention_heads": [1, 1, 2, 2]}),
    "segformer": (
        "SegformerForSemanticSegmentation",
        64,
        STAGES | {"num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 32},
    ),
    "vit_mae": ("ViTMAEModel", 32, ENCODER | PATCHES),
    "dinov2": (
        "Dinov2" + CLASSIFY,
        28,
        {
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "image_size": 28,
            "patch_size": 14,
        },
    ),
    "siglip vision": ("SiglipVisionModel", 32, ENCODER | PATCHES),
    "clip vision": ("CLIPVisionModelWithProjection", 32, ENCODER | PATCHES),
    "yolos": (
        "YolosForObjectDetection",
        32,
        ENCODER | {"image_size": [32, 32], "patch_size": 8, "num_detection_tokens": 5},
    ),
}
"""Class, side of the images, fields of the configuration."""
TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForSequenceClassification", ENCODER),
    "distilbert": (
        "DistilBertForSequenceClassification",
        {"dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 2 * WIDTH},
    ),
    "roberta": ("RobertaForSequenceClassification", ENCODER | {"max_position_embeddings": 64}),
    "electra": ("ElectraForSequenceClassification", ENCODER | {"embedding_size": WIDTH}),
    "albert": ("AlbertForSequenceClassification", ENCODER | {"embedding_size": WIDTH}),
    "deberta_v2": (
        "DebertaV2ForSequenceClassification",
        ENCODER | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    "modernbert": (
        "ModernBertForSequenceClassification",
        ENCODER | SPECIAL | {"cls_token_id": 1, "sep_token_id": 2},
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 64}
        | {"bos_token_id": 1, "eos_token_id": 1, "use_cache": False},
    ),
    "opt": (
        "OPTForCausalLM",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
        | {"ffn_dim": 64, "max_position_embeddings": 64, "word_embed_proj_dim": WIDTH}
        | {"use_cache": False},
    ),
    "llama": ("LlamaForCausalLM", DECODER),
    "qwen2": ("Qwen2ForCausalLM", DECODER),
    "mistral": ("MistralForCausalLM", DECODER),
    "gemma2": ("Gemma2ForCausalLM", DECODER | {"head_dim": 8}),
    "phi": ("PhiForCausalLM", DECODER),
    "mixtral": ("MixtralForCausalLM", DECODER | {"num_local_experts": 2}),
    "mamba": (
        "MambaForCausalLM",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": 4, "use_cache": False},
    ),
    "rwkv": (
        "RwkvForCausalLM",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "attention_hidden_size": WIDTH}
        | {"intermediate_size": 64, "use_cache": False},
    ),
    "t5 encoder": (
        "T5EncoderModel",
        {"d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": LAYERS, "num_heads": HEADS},
    ),
}
"""Class, fields of the configuration. Decoders keep no cache of keys and values."""


def builds() -> dict[str, Build]:
    """Every architecture by name."""
    found: dict[str, Build] = {}
    for name, (model, side, fields) in IMAGES.items():
        inputs = partial(_pixels, side)
        found[name] = partial(_made, model, fields, inputs)
    for name, (model, fields) in TEXTS.items():
        found[name] = partial(_made, model, {"vocab_size": VOCABULARY} | fields, _words)
    for name, (model, fields, inputs) in OTHERS.items():
        found[name] = partial(_made, model, fields, inputs)
    return found | {"clip (both towers)": _clip, "detr": _detr}


def _made(model: str, fields: dict[str, Any], inputs: Callable[[], Inputs]) -> Any:
    package, _, name = f"transformers.{model}".rpartition(".")
    made = getattr(importlib.import_module(package), name)
    config = made.config_class(**fields)
    if "vocab_size" in fields and getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = 0
    return made(config), inputs()


def _pixels(side: int) -> Inputs:
    return {"pixel_values": torch.randn(2, 3, side, side)}


def _words() -> Inputs:
    ids = torch.randint(3, VOCABULARY, (2, LENGTH))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _named(name: str, *shape: int) -> Callable[[], Inputs]:
    return lambda: {name: torch.randn(2, *shape)}


def _translation() -> Inputs:
    return dict(_words()) | {"decoder_input_ids": torch.randint(3, VOCABULARY, (2, 4))}


def _series(past: int) -> Callable[[], Inputs]:
    """A time series with its features of time: what is known, and the 4 steps to forecast."""

    def inputs() -> Inputs:
        return {
            "past_values": torch.randn(2, past),
            "past_time_features": torch.randn(2, past, 1),
            "past_observed_mask": torch.ones(2, past),
            "future_values": torch.randn(2, 4),
            "future_time_features": torch.randn(2, 4, 1),
        }

    return inputs


PATCHED = {
    "num_input_channels": 2,
    "context_length": 32,
    "patch_length": 8,
    "patch_stride": 8,
    "d_model": WIDTH,
    "prediction_length": 4,
}
OTHERS: dict[str, tuple[str, dict[str, Any], Callable[[], Inputs]]] = {
    "t5 encoder-decoder": (
        "T5ForConditionalGeneration",
        TEXTS["t5 encoder"][1]
        | {"vocab_size": VOCABULARY, "decoder_start_token_id": 0, "use_cache": False},
        _translation,
    ),
    "whisper encoder": (
        "models.whisper.modeling_whisper.WhisperEncoder",
        BOTH
        | SPECIAL
        | {"vocab_size": VOCABULARY, "num_mel_bins": 16, "max_source_positions": 30}
        | {"decoder_start_token_id": 1, "suppress_tokens": None, "begin_suppress_tokens": None},
        _named("input_features", 16, 60),
    ),
    "wav2vec2": ("Wav2Vec2ForSequenceClassification", WAVES, _named("input_values", 800)),
    "hubert": ("HubertForSequenceClassification", WAVES, _named("input_values", 800)),
    "audio spectrogram transformer": (
        "ASTForAudioClassification",
        ENCODER | {"max_length": 64, "num_mel_bins": 32},
        _named("input_values", 64, 32),
    ),
    "time-series transformer": (
        "TimeSeriesTransformerModel",
        FORECAST | {"context_length": 8, "lags_sequence": [1, 2]},
        _series(10),
    ),
    "informer": (
        "InformerModel",
        FORECAST | {"context_length": 16, "lags_sequence": [1]},
        _series(17),
    ),
    "autoformer": (
        "AutoformerModel",
        FORECAST | {"context_length": 16, "lags_sequence": [1]},
        _series(17),
    ),
    "patchtst": (
        "PatchTSTForPrediction",
        PATCHED | {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "ffn_dim": 2 * WIDTH},
        _named("past_values", 32, 2),
    ),
    "patchtsmixer": ("PatchTSMixerForPrediction", PATCHED, _named("past_values", 32, 2)),
}


class _Towers(nn.Module):
    """Both towers of CLIP up to their embeddings; which image meets which text is outside."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        answer = self.model(input_ids, pixel_values, attention_mask)
        return answer.image_embeds, answer.text_embeds


def _clip() -> tuple[nn.Module, Inputs]:
    library = importlib.import_module("transformers")
    text = ENCODER | {"vocab_size": VOCABULARY, "max_position_embeddings": 32, "eos_token_id": 2}
    config = library.CLIPConfig(
        text_config=text, vision_config=ENCODER | PATCHES, projection_dim=16
    )
    words: dict[str, Tensor] = dict(_words())
    words["input_ids"][:, -1] = 2
    return _Towers(library.CLIPModel(config)), words | dict(_pixels(32))


def _detr() -> tuple[nn.Module, Inputs]:
    library = importlib.import_module("transformers")
    backbone = library.ResNetConfig(
        **STAGES, embedding_size=16, layer_type="basic", out_features=["stage4"]
    )
    config = library.DetrConfig(
        **BOTH,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        num_queries=6,
        num_labels=5,
    )
    return library.DetrForObjectDetection(config), _pixels(64)
