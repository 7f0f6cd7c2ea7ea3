"""Networks of sequences: text, audio, signals in time; recurrent, convolutional, attention."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from docs_tools.census.building import Build
from docs_tools.census.plain.made import fed, made, sequential


class Recurrent(nn.Module):
    """The last output of a recurrent layer, classified."""

    def __init__(self, layer: type[nn.Module], **options: Any) -> None:
        super().__init__()
        self.layer, self.linear = layer(8, 16, batch_first=True, **options), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.layer(x)[0][:, -1])


class TextLstm(nn.Module):
    """Token ids through an embedding and an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 16)
        self.lstm, self.linear = nn.LSTM(16, 16, batch_first=True), nn.Linear(16, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.linear(self.lstm(self.embedding(ids))[1][0][-1])


class TextCnn(nn.Module):
    """Token ids through an embedding and convolutions, the largest over time (Kim 2014)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Embedding(100, 16), nn.Linear(24, 2)
        self.convs = nn.ModuleList([nn.Conv1d(16, 8, k) for k in (3, 4, 5)])

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids).transpose(1, 2)
        return self.linear(torch.cat([F.relu(c(x)).max(dim=2)[0] for c in self.convs], 1))


class TemporalConvolutions(nn.Module):
    """Causal dilated convolutions (Bai et al. 2018)."""

    class Block(nn.Module):
        """Two convolutions that see no future."""

        def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
            super().__init__()
            self.cut = -2 * dilation
            options: dict[str, Any] = {"padding": 2 * dilation, "dilation": dilation}
            self.conv1 = nn.Conv1d(inputs, outputs, 3, **options)
            self.conv2 = nn.Conv1d(outputs, outputs, 3, **options)
            same = inputs == outputs
            self.shortcut = nn.Identity() if same else nn.Conv1d(inputs, outputs, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(self.conv1(x)[:, :, : self.cut].contiguous())
            y = F.relu(self.conv2(y)[:, :, : self.cut].contiguous())
            return F.relu(y + self.shortcut(x))

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(self.Block(4, 8, 1), self.Block(8, 8, 2), self.Block(8, 8, 4))
        self.linear = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.blocks(x)[:, :, -1])


class ResNet1d(nn.Module):
    """Residual blocks over a signal."""

    class Block(nn.Module):
        """Two convolutions beside a shortcut."""

        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            first = [nn.Conv1d(inputs, outputs, 7, padding="same"), nn.BatchNorm1d(outputs)]
            second = [nn.Conv1d(outputs, outputs, 5, padding="same"), nn.BatchNorm1d(outputs)]
            self.net = nn.Sequential(*first, nn.ReLU(), *second)
            self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.net(x) + self.shortcut(x))

    def __init__(self) -> None:
        super().__init__()
        pool = [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 4)]
        self.net = nn.Sequential(self.Block(2, 8), self.Block(8, 16), *pool)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Transformer(nn.Module):
    """PyTorch's own encoder."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.embed, self.encoder = nn.Linear(8, 16), nn.TransformerEncoder(layer, 2)
        self.linear = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.encoder(self.embed(x)).mean(1))


class LinearAttention(nn.Module):
    """Attention with ReLU for softmax, keys and values first."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = F.relu(self.q(x)), F.relu(self.k(x)), self.v(x)
        return self.out(q @ (k.transpose(1, 2) @ v) / x.shape[1]).mean(1)


class WaveNet(nn.Module):
    """Gated dilated convolutions (van den Oord et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()

        def dilated() -> nn.ModuleList:
            return nn.ModuleList(
                [nn.Conv1d(8, 8, 2, dilation=2**i, padding=2**i) for i in range(4)]
            )

        self.into, self.filters, self.gates = nn.Conv1d(1, 8, 1), dilated(), dilated()
        self.skips = nn.ModuleList([nn.Conv1d(8, 8, 1) for _ in range(4)])
        out = [nn.ReLU(), nn.Conv1d(8, 8, 1), nn.ReLU(), nn.Conv1d(8, 16, 1)]
        self.out = nn.Sequential(*out)

    def forward(self, x: Tensor) -> Tensor:
        length, x = x.shape[-1], self.into(x)
        total = torch.zeros_like(x)
        for f, g, s in zip(self.filters, self.gates, self.skips, strict=True):
            y = s(torch.tanh(f(x)[..., :length]) * torch.sigmoid(g(x)[..., :length]))
            total, x = total + y, x + y
        return self.out(total)


class NBeats(nn.Module):
    """Every block takes off what it explains (Oreshkin et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()

        def block() -> nn.Module:
            hidden = [nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()]
            return nn.Sequential(*hidden, nn.Linear(32, 20))

        self.blocks = nn.ModuleList([block() for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        forecast = torch.zeros(4)
        for block in self.blocks:
            explained, ahead = block(x).split([16, 4], 1)
            x, forecast = x - explained, forecast + ahead
        return forecast


class DLinear(nn.Module):
    """Trend and rest, both linear: no activation at all (Zeng et al. 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.rest, self.trend = nn.Linear(16, 4), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        padded = torch.cat([x[:, :1].repeat(1, 2), x, x[:, -1:].repeat(1, 2)], 1)
        trend = F.avg_pool1d(padded[:, None], 5, 1)[:, 0]
        return self.rest(x - trend) + self.trend(trend)


class Spectrogram(nn.Module):
    """A logarithmic mel spectrogram, then convolutions."""

    def __init__(self) -> None:
        super().__init__()
        transforms = importlib.import_module("torchaudio.transforms")
        self.mel = transforms.MelSpectrogram(8000, n_fft=128, n_mels=16)
        ends = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), *ends)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(torch.log(self.mel(x) + 1e-6)[:, None])


def _eegnet() -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(1, 8, (1, 16), padding="same"), nn.BatchNorm2d(8)]
    layers += [nn.Conv2d(8, 16, (8, 1), groups=8), nn.BatchNorm2d(16), nn.ELU()]
    layers += [nn.AvgPool2d((1, 4)), nn.Dropout()]
    layers += [nn.Conv2d(16, 16, (1, 8), padding="same", groups=16), nn.Conv2d(16, 16, 1)]
    layers += [nn.BatchNorm2d(16), nn.ELU(), nn.AvgPool2d((1, 4))]
    return [*layers, nn.Flatten(), nn.Linear(64, 4)]


def _ids() -> tuple[Tensor]:
    return (torch.randint(0, 100, (2, 12)),)


NETWORKS: dict[str, Build] = {
    "LSTM": made(Recurrent, 12, 8, layer=nn.LSTM),
    "GRU": made(Recurrent, 12, 8, layer=nn.GRU),
    "RNN (relu)": made(Recurrent, 12, 8, layer=nn.RNN, nonlinearity="relu"),
    "LSTM of text": fed(TextLstm, _ids),
    "CNN of text": fed(TextCnn, _ids),
    "temporal convolutions": made(TemporalConvolutions, 4, 32),
    "ResNet, 1 dimension": made(ResNet1d, 2, 64),
    "nn.TransformerEncoder": made(Transformer, 12, 8),
    "linear attention (relu)": made(LinearAttention, 12, 16),
    "WaveNet": made(WaveNet, 1, 64),
    "EEGNet": sequential(_eegnet, 1, 8, 64),
    "N-BEATS": made(NBeats, 16),
    "DLinear (no activation)": made(DLinear, 16),
    "mel spectrogram, CNN": made(Spectrogram, 2000),
}
