"""Harmonic retrieval: directions and delays of a few sources, from the samples of an array.

    y = A b + noise,   A = F (x) F,   F[m, n] = exp(-2 pi i m n / N)

with few entries of b other than 0, complex amplitudes on a grid of N x N frequencies, and fewer
samples, M x M, than the grid has places. S-LISTA unrolls the iterations of sparse recovery,

    b <- S(g A^H y / M^2 + G * b),   S(z) = z max(1 - t / |z|, 0),

and learns of each the gain g, the kernel G of a circular convolution and the threshold t (Andrei et
al., arXiv 2412.04008). Signals, weights and S are complex.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

GRID, ARRAY, SOURCES, NOISE_DB = 16, 8, 4, -20.0
"""N, M, the largest number of sources, and the power of the noise over that of the signal."""

ALPHA, BETA = 0.96043387, 0.39782473
"""|z| is about ALPHA times the larger of the magnitudes of its parts plus BETA times the smaller
one: within 4 %, by rectifiers alone."""


class SLista(nn.Module):
    """Unrolled sparse recovery on complex signals.

    Args:
        layers: iterations.
        kernel: the width of G, odd.
    """

    def __init__(self, layers: int = 4, kernel: int = 7) -> None:
        super().__init__()
        self.pad = kernel // 2
        shape = (1, 1, kernel, kernel)
        own = [nn.Parameter(torch.zeros(shape, dtype=torch.cfloat)) for _ in range(layers - 1)]
        self.kernels = nn.ParameterList(own)
        self.gains = nn.Parameter(torch.ones(layers))
        self.thresholds = nn.Parameter(torch.full((layers,), 0.1))
        self.register_buffer("adjoint", waves().conj().T / ARRAY)

    def forward(self, samples: Tensor) -> Tensor:
        """The spectrum `[B, N, N, 2]` of samples `[B, 2, M, M]`, real and imaginary parts."""
        y = torch.complex(samples[:, 0], samples[:, 1])
        adjoint = cast(Tensor, self.adjoint)
        first = (adjoint @ y @ adjoint.T)[:, None]
        spectrum = shrunk(first * self.gains[0], self.thresholds[0])
        for layer, kernel in enumerate(self.kernels, 1):
            around = torch.conv2d(wrapped(spectrum, self.pad), kernel)
            spectrum = shrunk(first * self.gains[layer] + around, self.thresholds[layer])
        return torch.view_as_real(spectrum[:, 0])


def waves() -> Tensor:
    """F, `[M, N]`, complex."""
    turns = torch.outer(torch.arange(ARRAY), torch.arange(GRID)) / GRID
    return torch.polar(torch.ones_like(turns), -2 * math.pi * turns)


def wrapped(x: Tensor, pad: int) -> Tensor:
    """A plane with its opposite borders around it."""
    x = torch.cat([x[..., -pad:], x, x[..., :pad]], -1)
    return torch.cat([x[..., -pad:, :], x, x[..., :pad, :]], -2)


def shrunk(z: Tensor, threshold: Tensor) -> Tensor:
    """The complex soft threshold; both parts share the gain `max(|z| - t, 0) / |z|`."""
    a, b = (part.relu() + (-part).relu() for part in (z.real, z.imag))
    more = (a - b).relu()  # of the larger magnitude than b
    size = ALPHA * (b + more) + BETA * (a - more)
    gain = (size - threshold).relu() / size.clamp(min=threshold)
    return torch.complex(z.real * gain, z.imag * gain)


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Samples `[B, 2, M, M]` of random sources, and their spectra `[B, N, N, 2]`."""
    generator = torch.Generator().manual_seed(seed)
    spectra = torch.zeros(count, GRID * GRID, dtype=torch.cfloat)
    sources = torch.randint(1, SOURCES + 1, (count,), generator=generator)
    for source in range(SOURCES):
        size = 0.5 + 0.5 * torch.rand(count, generator=generator)
        turn = 2 * math.pi * torch.rand(count, generator=generator)
        place = torch.randint(0, GRID * GRID, (count,), generator=generator)
        spectra[torch.arange(count), place] += torch.polar(size, turn) * (sources > source)
    spectra = spectra.unflatten(1, (GRID, GRID))
    clean = waves() @ spectra @ waves().T
    noise = torch.view_as_complex(torch.randn(*clean.shape, 2, generator=generator)) / 2**0.5
    power = clean.abs().square().mean((1, 2), keepdim=True)
    samples = clean + noise * (power * 10 ** (NOISE_DB / 10)).sqrt()
    return torch.view_as_real(samples).movedim(-1, 1).contiguous(), torch.view_as_real(spectra)


def error(given: Tensor, wanted: Tensor) -> float:
    """The squared error relative to the square of what is wanted."""
    return float((given.detach() - wanted).square().sum() / wanted.square().sum())


def trained(batches: int, batch: int = 64, seed: int = 0) -> SLista:
    """A network trained on fresh samples by Adam; its seeds are 2**20 and those after it."""
    torch.manual_seed(seed)
    model = SLista()
    small = {"params": [model.gains, model.thresholds], "lr": 1e-2}
    groups = [{"params": list(model.kernels), "lr": 3e-3}, small]
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, batches))
    for number in range(batches):
        samples, spectra = drawn(batch, 2**20 + number)
        loss = (model(samples) - spectra).square().sum() / spectra.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.requires_grad_(False).eval()
