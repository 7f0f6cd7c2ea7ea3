"""Counter-based random numbers: a draw is a pure function of what it is for.

A generator with a state gives a neuron another number as soon as the batch is cut differently. Here
the number a neuron sees depends on (seed, site, sample, neuron index, step) alone, so the same seed
gives the same spikes at any batch size, in any order, on any number of workers and devices, eager
or compiled. The per-sample part is mixed in 64 bits (the finaliser of SplitMix64, Steele et al.
2014); the per-neuron part, which is what costs time, takes two multiplications in 32 bits keyed by
two words of it (after the low-bias 32-bit hashes of Wellons, 2018).

Why such numbers are independent, though nothing is remembered: a mixer sends every input to its own
output (each of its steps can be undone), and flips about half of the output's bits when one bit
of the input changes, so inputs that differ anywhere give numbers that have nothing visible to do
with each other. What remains is to give every draw an input of its own:

    layer key   = mix64(site key + seed * golden)        one per seed and layer
    sample key  = mix64(sample id + layer key)           one per sample of it
    step words  = mix64(sample key + (step + 1) * golden), cut into `low` and `high`
    neuron word = index * golden, 32 bits
    draw        = mix32(neuron word + low, in which `high` is mixed half way)

Seeds, steps and neurons are multiplied by an odd number near the golden ratio of the range, which
is one to one and spreads neighbours far apart. Two words of a step, not one, key the neurons: with
`low` alone, neuron 5 of one sample and neuron 9 of another whose `low` differs by just their
distance would see equal draws, and so would all the neurons beside them; `high` tells them apart
but in one of 2**32 cases. For example, layer "relu", seed 0, sample 7: rounding reads step -1 and
emission in random order reads steps 0 .. T - 1, so no draw is read twice, and a run at T = 8 begins
with the draws of the run at T = 4. `tests/neurons/test_counter_random.py` puts neighbours in every
one of these directions to the test.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

Fuse = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes a function of tensors faster, such as a compiler; the result computes the same."""


def unfused(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is."""
    return function


def _signed(value: int, bits: int) -> int:
    """The two's complement reading of an integer cut to so many bits, as torch's types want it."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


_GOLDEN_64 = _signed(0x9E3779B97F4A7C15, 64)
_MIX_64 = (_signed(0xBF58476D1CE4E5B9, 64), _signed(0x94D049BB133111EB, 64))
_GOLDEN_32 = _signed(0x9E3779B1, 32)
_MIX_32 = (_signed(0x7FEB352D, 32), _signed(0x846CA68B, 32))

DRAW_RANGE = 2**24
"""Draws are whole numbers below it, as many as float32 tells apart in `[0, 1)`."""

DITHER_RANGE = 2**8
"""Dithers are whole numbers below it, in the bits of a 32-bit number that a draw leaves over."""


def _shift_right(x: Tensor, places: int, bits: int) -> Tensor:
    """Logical shift: torch's own is arithmetic on signed integers."""
    return (x >> places) & ((1 << (bits - places)) - 1)


def _mix64(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30, 64)) * _MIX_64[0]
    x = (x ^ _shift_right(x, 27, 64)) * _MIX_64[1]
    return x ^ _shift_right(x, 31, 64)


def site_key(name: str) -> int:
    """A signed 64-bit key of a site's name, stable across machines and Python versions."""
    return _signed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"), 64)


def sample_ids_of(samples: Tensor, fuse: Fuse = unfused) -> Tensor:
    """The identities of samples, derived from their content.

    Equal samples get equal identities wherever they stand in a batch, so a network is a
    deterministic function of (sample, seed). Values are read as float32.

    Args:
        samples: `[B, *S]`, any floating dtype.
        fuse: applied to what takes time.

    Returns:
        int64 `[B]`.
    """
    bits = (samples.detach().reshape(samples.shape[0], -1).float() + 0.0).view(torch.int32)
    position = torch.arange(1, bits.shape[1] + 1, device=samples.device) * _GOLDEN_64
    return fuse(_mixed_sum)(bits, position)


def _mixed_sum(bits: Tensor, position: Tensor) -> Tensor:
    return _mix64(_mix64(bits.long() + position).sum(dim=1))


def site_keys(names: Sequence[str], device: torch.device) -> Tensor:
    """The keys of sites, int64 `[N]`."""
    return torch.tensor([site_key(name) for name in names], device=device)


def layer_keys(seed: int, sites: Tensor, sample_ids: Tensor) -> Tensor:
    """The keys of every layer's draws for every sample, int64 `[N, B]`.

    Args:
        seed: any integer, also one of numpy or a tensor of one.
        sites: from `site_keys`, `[N]`.
        sample_ids: int64 `[B]`.
    """
    whole = operator.index(seed)  # those of numpy and torch overflow
    layers = _mix64(sites + _signed(whole * _GOLDEN_64, 64))
    return _mix64(sample_ids + layers[:, None])


def step_words(keys: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The two words a sample's draws of one step are keyed by, int32 of the shape of `keys`."""
    words = _mix64(keys + _signed((step + 1) * _GOLDEN_64, 64))
    return words.to(torch.int32), (words >> 32).to(torch.int32)


def neuron_words(shape: Sequence[int], device: torch.device) -> Tensor:
    """The word of each neuron of a layer, int32 `[*S]`; the same for every sample and step."""
    index = torch.arange(math.prod(shape), dtype=torch.int32, device=device)
    return (index * _GOLDEN_32).reshape(tuple(shape))


@dataclass(frozen=True)
class StepDraws:
    """The random numbers of one layer at one step.

    Attributes:
        low, high: int32 `[B]`, from `step_words`.
        neurons: int32 `[*S]`, from `neuron_words`.
    """

    low: Tensor
    high: Tensor
    neurons: Tensor

    def uniform(self) -> Tensor:
        """One number in `[0, 1)` per neuron, a multiple of 1 / `DRAW_RANGE`, float32 `[B, *S]`."""
        return _shift_right(self._bits(), 8, 32).float() * (1 / DRAW_RANGE)

    def draw_and_dither(self) -> tuple[Tensor, Tensor]:
        """`uniform` as a whole number, and a second one made of the 8 bits that it leaves over.

        Returns:
            int32 `[B, *S]` each, uniform below `DRAW_RANGE` and below `DITHER_RANGE`.
        """
        bits = self._bits()
        return _shift_right(bits, 8, 32), bits & (DITHER_RANGE - 1)

    def _bits(self) -> Tensor:
        """32 random bits a neuron, int32 `[B, *S]`."""
        places = [1] * self.neurons.ndim
        x = self.neurons + self.low.reshape(-1, *places)
        x = (x ^ _shift_right(x, 16, 32)) * _MIX_32[0]
        x = x ^ self.high.reshape(-1, *places)
        x = (x ^ _shift_right(x, 15, 32)) * _MIX_32[1]
        return x ^ _shift_right(x, 16, 32)


@dataclass(frozen=True)
class Draws:
    """The random numbers of one layer of neurons, for the samples of one batch.

    Attributes:
        seed: any integer.
        site: the name of the layer.
        sample_ids: int64 `[B]`, the identities of the samples.
    """

    seed: int
    site: str
    sample_ids: Tensor

    @cached_property
    def keys(self) -> Tensor:
        """One key a sample, int64 `[B]`; made when the first number is drawn, if one is."""
        sites = site_keys([self.site], self.sample_ids.device)
        return layer_keys(self.seed, sites, self.sample_ids)[0]

    def at(self, step: int, shape: Sequence[int]) -> StepDraws:
        """The draws of one step (any integer) of a layer of shape `[B, *S]`."""
        return StepDraws(
            *step_words(self.keys, step), neuron_words(shape[1:], self.sample_ids.device)
        )

    def uniform(self, step: int, shape: Sequence[int]) -> Tensor:
        """`at(step, shape).uniform()`, float32 `[B, *S]`."""
        return self.at(step, shape).uniform()
