"""Real inputs with labels, from what is installed: nothing is downloaded."""

from __future__ import annotations

import importlib
import inspect
import math
import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from docs_tools.real.packages import MissingError, file_of, module

MODULES = (
    "argparse asyncio calendar csv decimal difflib email.message ftplib gzip imaplib json "
    "logging random socket sqlite3 ssl statistics tarfile turtle zipfile"
)
WORDS = "charge current leak membrane network neuron pulse reset soft spike synapse threshold"
IMAGENET = {
    "airplane": [404, 895],
    "automobile": [436, 468, 511, 609, 627, 656, 661, 751, 817],
    "bird": [*range(7, 25), *range(80, 101), *range(127, 147)],
    "cat": [*range(281, 286)],
    "deer": [351, 352, 353],
    "dog": [*range(151, 269)],
    "frog": [30, 31, 32],
    "horse": [339],
    "ship": [403, 484, 510, 554, 625, 628, 724, 780, 814, 833, 871, 914],
    "truck": [555, 569, 675, 717, 864, 867],
}
"""ImageNet's classes that are one of CIFAR-10's, in the order of CIFAR-10's labels."""
SHEET = 1000
"""Images of a mosaic."""


def cifar10(n: int, split: str = "test") -> tuple[Tensor, Tensor]:
    """The first n images, `[n, 3, 32, 32]` in 0 .. 1, and their labels."""
    folder = Path(os.environ.get("SPIKEWRIGHT_DATA", "nowhere")) / "cifar10" / split
    sheets = sorted(folder.glob("*.webp"))
    if not sheets:
        raise MissingError("SPIKEWRIGHT_DATA names no folder with mosaics of CIFAR-10")
    image, tiles = module("PIL.Image", "the extra 'vision'"), list[Tensor]()
    for file in sheets[: math.ceil(n / SHEET)]:
        sheet = torch.from_numpy(np.array(image.open(file).convert("RGB")))
        grid = sheet.unflatten(1, (-1, 32)).unflatten(0, (-1, 32))  # 25 rows of 40 images
        tiles.append(grid.permute(0, 2, 4, 1, 3).flatten(0, 1))
    labels = torch.from_numpy(np.load(folder / "labels.npy")[:n].astype(np.int64))
    return torch.cat(tiles)[:n].contiguous().float() / 255, labels


def enlarged(images: Tensor) -> Tensor:
    """Images of 224 x 224 pixels, as networks for ImageNet take them."""
    return F.interpolate(images, size=(224, 224), mode="bicubic", antialias=True).clamp(0, 1)


def as_cifar10(logits: Tensor) -> Tensor:
    """ImageNet's logits `[B, 1000]` as scores of CIFAR-10's classes `[B, 10]`."""
    return torch.stack([logits[:, classes].logsumexp(1) for classes in IMAGENET.values()], 1)


def faces(n: int, side: int) -> tuple[Tensor, Tensor]:
    """Faces and others by turns, `[n, 3, side, side]` in -1 .. 1; label 1 is a face; n up to 200.

    They ship with scikit-image, 25 x 25 pixels, grey: 100 faces and then 100 others.
    """
    stored = np.load(file_of("scikit-image", "lfw_subset.npy"))
    order = torch.arange(200).reshape(2, 100).T.flatten()[:n]
    grey = torch.from_numpy(stored).float()[order, None].expand(-1, 3, -1, -1)
    large = F.interpolate(grey, size=(side, side), mode="bilinear", antialias=True)
    return (large * 255 - 127.5) / 128, (order < 100).long()


@cache
def sentences() -> list[tuple[str, int]]:
    """First lines of docstrings of Python's own library, in a mixed order, with their module."""
    found: dict[str, int] = {}
    for label, name in enumerate(MODULES.split()):
        module = importlib.import_module(name)
        members = [value for key, value in vars(module).items() if not key.startswith("_")]
        owned = [m for m in members if (getattr(m, "__module__", None) or "").startswith(name)]
        methods = [m for owner in owned if inspect.isclass(owner) for m in vars(owner).values()]
        for member in [*owned, *methods]:
            line = (getattr(member, "__doc__", None) or "").strip().partition("\n")[0]
            if line.count(" ") > 4:
                found.setdefault(line, label)
    pairs = sorted(found.items())
    order = np.random.default_rng(0).permutation(len(pairs))
    return [pairs[i] for i in order]


def lines(n: int) -> tuple[Tensor, list[str]]:
    """Printed lines of two words and a number, `[n, 1, 64, 320]` in -1 .. 1, and what they say."""
    drawing, image = (
        module(f"PIL.{name}", "the extra 'vision'") for name in ("ImageDraw", "Image")
    )
    font = importlib.import_module("PIL.ImageFont").load_default(size=34)
    draws, words = np.random.default_rng(0), WORDS.split()
    texts, pages = [], []
    for _ in range(n):
        first, second = draws.choice(words, 2)
        texts.append(f"{first} {second} {draws.integers(100)}"[:18])
        page = image.new("L", (320, 64), 255)
        drawing.Draw(page).text((6, 10), texts[-1], fill=0, font=font)
        pages.append(np.asarray(page))
    return torch.from_numpy(np.stack(pages)).float()[:, None] / 127.5 - 1, texts


def tones(n: int) -> tuple[Tensor, Tensor]:
    """Frames of 1,024 samples at 16 kHz, `[n, 1024]`, and their pitch in bins of 20 cents.

    Tones of 55 to 880 Hz with 8 harmonics, in noise; every frame has mean 0 and deviation 1.
    """
    draws = torch.Generator().manual_seed(0)
    pitch = 55 * 2 ** (4 * torch.rand(n, 1, generator=draws))
    time, x = torch.arange(1024) / 16000, torch.zeros(n, 1024)
    for harmonic in range(1, 9):
        frequency, phase = harmonic * pitch, torch.rand(n, 1, generator=draws)
        amplitude = torch.rand(n, 1, generator=draws) / harmonic * (frequency < 7600)
        x += amplitude * torch.sin(2 * torch.pi * (frequency * time + phase))
    x = x / x.std(1, keepdim=True) + 0.1 * torch.randn(n, 1024, generator=draws)
    x = x - x.mean(1, keepdim=True)
    return x / x.std(1, keepdim=True), (1200 * torch.log2(pitch[:, 0] / 10) - 1997.37944) / 20
