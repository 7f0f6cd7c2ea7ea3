"""Calls to be tried: of every operation of the tables, and some that must be refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw

IMAGE = (4, 6, 6)


@dataclass(frozen=True, eq=False)
class Case:
    """One call, as a user writes it.

    Attributes:
        call: shown in the table.
        run: (modules, activations after a ReLU) to the value that the rest of the network reads.
        shape: of one sample.
        modules: what the call needs, by name.
        bare: whether `run` is given the input itself, without a ReLU before it.
    """

    call: str
    run: Callable[[Any, Tensor], Tensor]
    shape: tuple[int, ...] = IMAGE
    modules: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    bare: bool = False


def _module(call: str, make: Callable[[], nn.Module], shape: tuple[int, ...] = IMAGE) -> Case:
    return Case(call, lambda m, x: m.it(x), shape, {"it": make})


def _activation(call: str, run: Callable[[Tensor], Tensor]) -> Case:
    return Case(call, lambda _, x: run(x), bare=True)


def _call(call: str, run: Callable[[Tensor], Tensor], shape: tuple[int, ...] = IMAGE) -> Case:
    return Case(call, lambda _, x: run(x), shape)


def _cell(m: Any, x: Tensor) -> Tensor:
    return m.it(x[:, 1], m.it(x[:, 0]))


def _lstm_cell(m: Any, x: Tensor) -> Tensor:
    return m.it(x[:, 1], m.it(x[:, 0]))[0]


def _bounds(like: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros((), dtype=like.dtype), torch.ones((), dtype=like.dtype)


def _mask(like: Tensor) -> Tensor:
    mask = torch.zeros(like.shape[-1], dtype=like.dtype)
    mask[-1] = -torch.inf
    return mask


def _assigned(x: Tensor) -> Tensor:
    changed = x.clone()
    changed[:, torch.tensor([0, 2])] = x[:, :2]
    return changed


ACTIVATIONS = (
    Case("nn.ReLU()", lambda m, x: m.it(x), IMAGE, {"it": nn.ReLU}, bare=True),
    _activation("F.relu(x)", F.relu),
    _activation("(x + 0).relu_()", lambda x: (x + 0).relu_()),
    _activation("F.relu6(x)", F.relu6),
    _activation("F.hardtanh(x, 0, 2)", lambda x: F.hardtanh(x, 0, 2)),
    _activation("x.clamp(0, 2)", lambda x: x.clamp(0, 2)),
    _activation("x.clamp(min=0)", lambda x: x.clamp(min=0)),
    _activation("x.clamp_min(0)", lambda x: x.clamp_min(0)),
    Case("nn.PReLU(4)", lambda m, x: m.it(x), IMAGE, {"it": lambda: nn.PReLU(4)}, bare=True),
    _activation("F.leaky_relu(x, 0.2)", lambda x: F.leaky_relu(x, 0.2)),
    _activation("F.rrelu(x)", F.rrelu),
    _activation("F.elu(x)", F.elu),
    _activation("F.celu(x)", F.celu),
    _activation("F.selu(x)", F.selu),
    _activation("F.silu(x)", F.silu),
    _activation("F.gelu(x)", F.gelu),
    _activation('F.gelu(x, approximate="tanh")', lambda x: F.gelu(x, approximate="tanh")),
    _activation("F.mish(x)", F.mish),
    _activation("F.softplus(x)", F.softplus),
    _activation("F.logsigmoid(x)", F.logsigmoid),
    _activation("torch.sigmoid(x)", torch.sigmoid),
    _activation("torch.tanh(x)", torch.tanh),
    _activation("F.tanhshrink(x)", F.tanhshrink),
    _activation("F.hardswish(x)", F.hardswish),
    _activation("F.hardsigmoid(x)", F.hardsigmoid),
    _activation("F.hardtanh(x)", F.hardtanh),
    _activation("F.threshold(x, 0.1, 0.2)", lambda x: F.threshold(x, 0.1, 0.2)),
    _activation("x.clamp(-1, 2)", lambda x: x.clamp(-1, 2)),
    _activation("x.clamp(max=1)", lambda x: x.clamp(max=1)),
    _activation("x.clamp_max(1)", lambda x: x.clamp_max(1)),
    _activation("x.clamp(low, high)  # tensors", lambda x: x.clamp(*_bounds(x))),
    _activation("torch.maximum(x, constant)", lambda x: torch.maximum(x, _bounds(x)[1])),
    _activation("torch.minimum(x, constant)", lambda x: torch.minimum(x, _bounds(x)[1])),
    _activation("x.abs()", torch.abs),
    _activation("x.exp()", torch.exp),
    _activation("torch.expm1(x)", torch.expm1),
    _activation("(x.abs() + 1).log()", lambda x: (x.abs() + 1).log()),
    _activation("(x.abs() + 1).log2()", lambda x: (x.abs() + 1).log2()),
    _activation("x.abs().sqrt()", lambda x: x.abs().sqrt()),
    _activation("(x.abs() + 1).rsqrt()", lambda x: (x.abs() + 1).rsqrt()),
    _activation("1 / (x.abs() + 1)", lambda x: 1 / (x.abs() + 1)),
    _activation("x ** 2", lambda x: x**2),
    _activation("torch.square(x)", torch.square),
    _activation("2 ** x", lambda x: 2**x),
    _activation("x.abs() ** constant", lambda x: x.abs() ** _bounds(x)[1]),
    _activation("x.sin()", torch.sin),
    _activation("x.cos()", torch.cos),
    _activation("torch.atan(x)", torch.atan),
    _activation("torch.erf(x)", torch.erf),
    Case("sw.QCFS(8)", lambda m, x: m.it(x), IMAGE, {"it": lambda: sw.QCFS(8, 2.0)}, bare=True),
    Case(
        "sw.ClippedReLU()", lambda m, x: m.it(x), IMAGE,
        {"it": lambda: sw.ClippedReLU(2.0)}, bare=True,
    ),
)  # fmt: skip

WRITTEN_OUT = (
    _activation("x * torch.sigmoid(x)", lambda x: x * torch.sigmoid(x)),
    _activation("x * F.relu6(x + 3) / 6", lambda x: x * F.relu6(x + 3) / 6),
    _activation("x * x.mean((2, 3), keepdim=True)", lambda x: x * x.mean((2, 3), keepdim=True)),
    _activation("x * gate(x)", lambda x: x * x.mean((2, 3), keepdim=True).sigmoid()),
    _activation("x / (1 + x.abs())", lambda x: x / (1 + x.abs())),
    _activation("F.softsign(x)", F.softsign),
    _activation("torch.where(x > 0, x, 0.1 * x)", lambda x: torch.where(x > 0, x, 0.1 * x)),
    _activation("x.masked_fill(x < 0.2, 0)", lambda x: x.masked_fill(x < 0.2, 0)),
    _activation("F.hardshrink(x)", F.hardshrink),
    _activation("F.softshrink(x)", F.softshrink),
    _activation("F.normalize(x, dim=1)", lambda x: F.normalize(x, dim=1)),
    _activation(
        "(x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)",
        lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
    ),
    _activation(
        "x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)",
        lambda x: x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6),
    ),
)

GROUPS = (
    _activation("F.softmax(x, 1)", lambda x: F.softmax(x, 1)),
    _activation("F.softmax(x + mask, -1)  # -inf", lambda x: F.softmax(x + _mask(x), -1)),
    _activation("F.log_softmax(x, 1)", lambda x: F.log_softmax(x, 1)),
    _activation("F.layer_norm(x, (6, 6))", lambda x: F.layer_norm(x, (6, 6))),
    Case(
        "nn.LayerNorm(6)", lambda m, x: m.it(x), IMAGE, {"it": lambda: nn.LayerNorm(6)}, bare=True,
    ),
    Case("nn.RMSNorm(6)", lambda m, x: m.it(x), IMAGE, {"it": lambda: nn.RMSNorm(6)}, bare=True),
    Case(
        "nn.GroupNorm(2, 4)", lambda m, x: m.it(x), IMAGE,
        {"it": lambda: nn.GroupNorm(2, 4)}, bare=True,
    ),
    _activation("F.instance_norm(x)", F.instance_norm),
)  # fmt: skip

LINE, VOLUME, VECTOR = (4, 8), (4, 4, 4, 4), (8,)

WEIGHTED = (
    _module("nn.Conv1d(4, 4, 3)", lambda: nn.Conv1d(4, 4, 3), LINE),
    _module('nn.Conv1d(4, 4, 3, padding="same")', lambda: nn.Conv1d(4, 4, 3, padding="same"), LINE),
    _module("nn.Conv2d(4, 4, 3, stride=2)", lambda: nn.Conv2d(4, 4, 3, stride=2)),
    _module("nn.Conv2d(4, 4, 3, groups=4)", lambda: nn.Conv2d(4, 4, 3, groups=4)),
    _module("nn.Conv2d(4, 4, 3, dilation=2)", lambda: nn.Conv2d(4, 4, 3, dilation=2)),
    _module('nn.Conv2d(4, 4, 3, padding="same")', lambda: nn.Conv2d(4, 4, 3, padding="same")),
    _module("nn.Conv3d(4, 4, 3)", lambda: nn.Conv3d(4, 4, 3), VOLUME),
    _module(
        'nn.Conv3d(4, 4, 3, padding="same")', lambda: nn.Conv3d(4, 4, 3, padding="same"), VOLUME
    ),
    _module("nn.ConvTranspose1d(4, 4, 3)", lambda: nn.ConvTranspose1d(4, 4, 3), LINE),
    _module("nn.ConvTranspose2d(4, 4, 3)", lambda: nn.ConvTranspose2d(4, 4, 3)),
    _module("nn.ConvTranspose3d(4, 4, 3)", lambda: nn.ConvTranspose3d(4, 4, 3), VOLUME),
    _module("nn.Linear(8, 4)", lambda: nn.Linear(8, 4), VECTOR),
    Case(
        "x @ weight", lambda m, x: x @ m.it.weight, VECTOR,
        {"it": lambda: nn.Linear(4, 8, bias=False)},
    ),
    _module("nn.BatchNorm1d(8)", lambda: nn.BatchNorm1d(8), VECTOR),
    _module("nn.BatchNorm2d(4)", lambda: nn.BatchNorm2d(4)),
    _module("nn.Dropout()", nn.Dropout),
    _module("nn.Identity()", nn.Identity),
)  # fmt: skip

POOLING = (
    _module("nn.MaxPool1d(2)", lambda: nn.MaxPool1d(2), LINE),
    _module("nn.MaxPool2d(3, 2, padding=1)", lambda: nn.MaxPool2d(3, 2, padding=1)),
    _module("nn.MaxPool3d(2)", lambda: nn.MaxPool3d(2), VOLUME),
    _module("nn.AvgPool1d(2)", lambda: nn.AvgPool1d(2), LINE),
    _module("nn.AvgPool2d(3, 2, padding=1)", lambda: nn.AvgPool2d(3, 2, padding=1)),
    _module("nn.AvgPool3d(2)", lambda: nn.AvgPool3d(2), VOLUME),
    _module("nn.AdaptiveAvgPool1d(2)", lambda: nn.AdaptiveAvgPool1d(2), LINE),
    _module("nn.AdaptiveAvgPool2d(1)", lambda: nn.AdaptiveAvgPool2d(1)),
    _module("nn.AdaptiveAvgPool3d(2)", lambda: nn.AdaptiveAvgPool3d(2), VOLUME),
    _module("nn.Upsample(scale_factor=2), 1-d", lambda: nn.Upsample(scale_factor=2), LINE),
    _module("nn.Upsample(scale_factor=2), 2-d", lambda: nn.Upsample(scale_factor=2)),
    _module("nn.Upsample(scale_factor=2), 3-d", lambda: nn.Upsample(scale_factor=2), VOLUME),
    _module(
        'nn.Upsample(scale_factor=2, mode="linear")',
        lambda: nn.Upsample(scale_factor=2, mode="linear"), LINE,
    ),
    _module(
        'nn.Upsample(scale_factor=2, mode="bilinear")',
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    ),
    _module(
        'nn.Upsample(scale_factor=2, mode="trilinear")',
        lambda: nn.Upsample(scale_factor=2, mode="trilinear"), VOLUME,
    ),
    _module("nn.PixelShuffle(2)", lambda: nn.PixelShuffle(2)),
    _module("nn.AdaptiveMaxPool2d(2)", lambda: nn.AdaptiveMaxPool2d(2)),
    _call("x.amax((2, 3))", lambda x: x.amax((2, 3))),
    _call("x.max(1).values", lambda x: x.max(1).values),
    _call("x.min(1).values", lambda x: x.min(1).values),
    _call("torch.maximum(x, y)", lambda x: torch.maximum(x, x.flip(1))),
    _call("torch.minimum(x, y)", lambda x: torch.minimum(x, x.flip(1))),
    _call("x.mean((2, 3))", lambda x: x.mean((2, 3))),
    _call("x.sum((2, 3))", lambda x: x.sum((2, 3))),
)  # fmt: skip

ARITHMETIC = (
    _call("x + y", lambda x: x + x.flip(1)),
    _call("x + 1", lambda x: x + 1),
    _call("x - y", lambda x: x - x.flip(1)),
    _call("1 - x", lambda x: 1 - x),
    _call("-x", lambda x: -x),
    _call("2 * x", lambda x: 2 * x),
    _call("x / 2", lambda x: x / 2),
    _call("torch.addcmul(a, x, b)", lambda x: torch.addcmul(torch.ones(6), x, torch.ones(6))),
    _call("torch.lerp(x, y, 0.3)", lambda x: torch.lerp(x, x.flip(1), 0.3)),
    _call("x.var((2, 3))", lambda x: x.var((2, 3))),
    _call("x.norm(dim=1)", lambda x: x.norm(dim=1)),
    _call("x.logsumexp(1)", lambda x: x.logsumexp(1)),
    _call("F.cosine_similarity(x, y)", lambda x: F.cosine_similarity(x, x.flip(1))),
    _call("torch.cdist(x, y)", lambda x: torch.cdist(x[:, 0], x[:, 1])),
    _call("torch.fft.rfft(x).abs()", lambda x: torch.fft.rfft(x).abs()),
    _call("torch.fft.irfft(torch.fft.rfft(x) * filter, 6)",
          lambda x: torch.fft.irfft(torch.fft.rfft(x) * (1 - 0.5j), 6)),
    _call("F.pad(x, (1, 1))", lambda x: F.pad(x, (1, 1))),
    _call('F.pad(x, (1, 1, 1, 1), mode="reflect")', lambda x: F.pad(x, (1,) * 4, mode="reflect")),
)  # fmt: skip

PRODUCTS = (
    _call("x * y", lambda x: x * x.flip(1)),
    _call("x * gate  # of other features", lambda x: x * torch.sigmoid(x.flip(1))),
    _call("x * x", lambda x: x * x),
    _call("x / (1 + y)", lambda x: x / (1 + x.flip(1))),
    _call("1 / (1 + x)", lambda x: 1 / (1 + x)),
    _call("torch.addcmul(x, y, z)", lambda x: torch.addcmul(x, x.flip(1), x.flip(2))),
    _call("F.glu(x, 1)", lambda x: F.glu(x[:, :2], 1)),
    _call("x @ y", lambda x: x @ x.flip(1)),
    _call("x @ x.mT", lambda x: x @ x.mT),
    _call("torch.bmm(x, y)", lambda x: torch.bmm(x.flatten(2), x.flatten(2).mT)),
    _call(
        'torch.einsum("bchw,bdhw->bcd", x, y)',
        lambda x: torch.einsum("bchw,bdhw->bcd", x, x.flip(1)),
    ),
    _call(
        "F.scaled_dot_product_attention(q, k, v)",
        lambda x: F.scaled_dot_product_attention(x, x.flip(1), x.flip(2)),
    ),
    _call(
        "F.scaled_dot_product_attention(q, k, v, is_causal=True)",
        lambda x: F.scaled_dot_product_attention(x, x.flip(1), x.flip(2), is_causal=True),
    ),
    _call(
        "F.grid_sample(x, y)",
        lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False),
    ),
    _call("torch.gather(y, 1, x.topk(2, 1).indices)",
          lambda x: torch.gather(x.flip(2), 1, x.topk(2, 1).indices)),
    _call("torch.zeros_like(x).scatter(1, places, values)  # of x.topk(2, 1)",
          lambda x: torch.zeros_like(x).scatter(1, x.topk(2, 1).indices, x.topk(2, 1).values)),
)  # fmt: skip

RECURRENT = (
    Case("nn.LSTM(4, 5, batch_first=True)(x)[0]", lambda m, x: m.it(x)[0], (6, 4),
         {"it": lambda: nn.LSTM(4, 5, batch_first=True)}),
    Case("nn.LSTM(4, 5, 2, bidirectional=True)(x)[0]  # x: [L, B, F]",
         lambda m, x: m.it(x.transpose(0, 1))[0].transpose(0, 1), (6, 4),
         {"it": lambda: nn.LSTM(4, 5, 2, bidirectional=True)}),
    Case("nn.GRU(4, 5, batch_first=True)(x)[1][-1]", lambda m, x: m.it(x)[1][-1], (6, 4),
         {"it": lambda: nn.GRU(4, 5, batch_first=True)}),
    Case("nn.RNN(4, 5, batch_first=True)(x)[0]", lambda m, x: m.it(x)[0], (6, 4),
         {"it": lambda: nn.RNN(4, 5, batch_first=True)}),
    Case('nn.RNN(4, 5, nonlinearity="relu", batch_first=True)(x)[0]', lambda m, x: m.it(x)[0],
         (6, 4), {"it": lambda: nn.RNN(4, 5, nonlinearity="relu", batch_first=True)}),
    Case("nn.LSTMCell(4, 5)(x, (h, c))", _lstm_cell, (6, 4), {"it": lambda: nn.LSTMCell(4, 5)}),
    Case("nn.GRUCell(4, 5)(x, h)", _cell, (6, 4), {"it": lambda: nn.GRUCell(4, 5)}),
    Case("nn.RNNCell(4, 5)(x, h)", _cell, (6, 4), {"it": lambda: nn.RNNCell(4, 5)}),
)  # fmt: skip

MOVES = (
    _call("x.flatten(1)", lambda x: x.flatten(1)),
    _call("x.view(x.size(0), -1)", lambda x: x.view(x.size(0), -1)),
    _call("x.reshape(x.shape[0], 2, -1)", lambda x: x.reshape(x.shape[0], 2, -1)),
    _call("torch.cat([x, y], 1)", lambda x: torch.cat([x, x.flip(1)], 1)),
    _call("torch.stack([x, y], 1)", lambda x: torch.stack([x, x.flip(1)], 1)),
    _call("x.split(2, 1)", lambda x: x.split(2, 1)[0]),
    _call("x.split([1, 3], 1)", lambda x: x.split([1, 3], 1)[1]),
    _call("x.chunk(2, 1)", lambda x: x.chunk(2, 1)[1]),
    _call("x.unbind(1)", lambda x: x.unbind(1)[0]),
    _call("x.flip(2)", lambda x: x.flip(2)),
    _call("x[:, 0]", lambda x: x[:, 0]),
    _call("x[:, 1:3]", lambda x: x[:, 1:3]),
    _call(
        "x.index_select(1, indices)", lambda x: x.index_select(1, torch.tensor([0, 2]))
    ),
    _call("x[:, indices] = y", lambda x: _assigned(x)),
    _call(
        "y.index_add(1, indices, x)",
        lambda x: torch.zeros_like(x).index_add(1, torch.tensor([1, 0, 1, 2]), x),
    ),
    _call("torch.hstack([x, y])", lambda x: torch.hstack([x, x.flip(1)])),
    _call("x.unsqueeze(1)", lambda x: x.unsqueeze(1)),
    _call("x.squeeze(1)", lambda x: x.mean(1, keepdim=True).squeeze(1)),
    _call("x.squeeze((1, 2))", lambda x: x.mean((1, 2), keepdim=True).squeeze((1, 2))),
    _call("x.transpose(1, 2)", lambda x: x.transpose(1, 2)),
    _call("x.permute(0, 2, 3, 1)", lambda x: x.permute(0, 2, 3, 1)),
    _call("x.expand(-1, 4, -1, -1)", lambda x: x.mean(1, keepdim=True).expand(-1, 4, -1, -1)),
    _call("x.clone()", lambda x: x.clone()),
    _call("x.contiguous()", lambda x: x.permute(0, 2, 3, 1).contiguous()),
    _call("x.detach()", lambda x: x.detach()),
)  # fmt: skip

ACCEPTED = {
    "Activations: they become neurons": ACTIVATIONS,
    "Softmax and norms: neurons that wait for a group of charges": GROUPS,
    "Functions of one signal that the model writes out: one unit": WRITTEN_OUT,
    "Weights and norms": WEIGHTED,
    "Pooling, means, upsampling": POOLING,
    "Arithmetic": ARITHMETIC,
    "Products of two signals": PRODUCTS,
    "Recurrent layers, over a fixed length": RECURRENT,
    "Rearranging": MOVES,
}
"""What should convert, by heading."""
