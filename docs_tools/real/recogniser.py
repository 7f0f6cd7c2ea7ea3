"""EasyOCR's recogniser of printed text (second generation), with its names of parameters."""

from __future__ import annotations

from torch import Tensor, nn


class _Recurrent(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(features, 256, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(512, 256)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.rnn(x)[0])


class _Features(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width, pool, norm in [
            (32, (2, 2), False),
            (64, (2, 2), False),
            (128, None, False),
            (128, (2, 1), False),
            (256, None, True),
            (256, (2, 1), True),
        ]:
            layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(width)] if norm else []
            layers += [nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(pool)] if pool else []
            channels = width
        self.ConvNet = nn.Sequential(*layers, nn.Conv2d(256, 256, 2), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.ConvNet(x)


class Recogniser(nn.Module):
    """`[B, 1, 64, W]` to the logits of connectionist temporal classification `[B, steps, 97]`."""

    def __init__(self) -> None:
        super().__init__()
        self.FeatureExtraction = _Features()
        self.AdaptiveAvgPool = nn.AdaptiveAvgPool2d((None, 1))
        self.SequenceModeling = nn.Sequential(_Recurrent(256), _Recurrent(256))
        self.Prediction = nn.Linear(256, 97)

    def forward(self, x: Tensor) -> Tensor:
        features = self.FeatureExtraction(x).permute(0, 3, 1, 2)
        return self.Prediction(self.SequenceModeling(self.AdaptiveAvgPool(features).squeeze(3)))
