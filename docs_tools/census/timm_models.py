"""timm: the smallest architecture of every one of its model files."""

from __future__ import annotations

import importlib

import torch
from torch import nn

NAMES = """
adv_inception_v3 beit_base_patch16_224 cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32
convnext_zepto_rms cpubone_nano crossvit_tiny_240 cs3darknet_focus_s csatv2 cspnext_tiny
davit_tiny deepseek_vit_412m deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small
efficientformer_l1 efficientformerv2_s0 efficientvim_m1 efficientvit_b0 efficientvit_m0
ens_adv_inception_resnet_v2 ese_vovnet19b_slim fasternet_t0 fastvit_t8 focalnet_tiny_srf
gcvit_xxtiny gemma4_vit_167m ghostnet_050 gmlp_ti16_224 halonet_h1 hardcorenas_b hgnetv2_b0
hiera_tiny_224 hrnet_w18_small iformer_t inception_next_atto inception_v4 jx_nest_tiny
lcnetv2_small legacy_seresnet18 levit_128s lowformer_b0 mambaout_femto maxvit_pico_rw_256
mobilenetv2_035 mobilenetv3_small_050 mobilenetv5_base mobileone_s1 mobilevit_xxs mvitv2_tiny
naflexvit_base_patch16_parfac_gap nasnetalarge nextvit_small nf_regnet_b0 pit_ti_224 pnasnet5large
poolformerv2_s12 pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 repghostnet_050 repvit_m1
res2next50 resnest14d resnet10t resnetv2_18 rexnet_100 sam2_hiera_tiny samvit_base_patch16_224
selecsls42 sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs
swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window16_256 tiny_vit_5m_224
tnt_s_legacy_patch16_224 tresnet_m twins_pcpvt_small vgg11 visformer_tiny
vit_relpos_small_patch16_224 vit_tiny_patch16_224 vit_tiny_patch16_dinov3_qkvb
vit_tiny_r_s16_p8_224 vitamin_small_224 volo_d1_224 xception xception41 xcit_nano_12_p16_224
"""


SIDES = {"deepseek_vit_412m": 224, "gemma4_vit_167m": 192}
"""Of images that are smaller than their own, of which these two take minutes for an answer."""


def build(name: str) -> tuple[nn.Module, tuple[torch.Tensor]]:
    """The network, and images of the size it is made for, or of its `SIDES`."""
    model = importlib.import_module("timm").create_model(name, pretrained=False)
    channels, *size = model.default_cfg["input_size"]
    size = [SIDES[name]] * 2 if name in SIDES else size
    return model, (torch.randn(2, channels, *size),)
