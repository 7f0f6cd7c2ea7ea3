"""A device that stands for a GPU where there is none: "standin", which computes on the CPU.

It takes tensors of two devices together where CUDA does, and raises CUDA's error elsewhere. It is
compiled when it is installed, which takes a C++ compiler, ninja and half a minute, once.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils.cpp_extension import load

from spikewright.devices import has_float64

NAME = "standin"
_SOURCE = Path(__file__).with_suffix(".cpp")


class _StandIn(ModuleType):
    """What torch asks of the module of a device, such as `torch.cuda`."""

    is_available = is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    _is_in_bad_fork = staticmethod(lambda: False)
    _lazy_init = synchronize = set_device = staticmethod(lambda *_: None)
    manual_seed = manual_seed_all = set_rng_state = staticmethod(lambda *_: None)
    get_rng_state = staticmethod(lambda *_: torch.get_rng_state())
    get_amp_supported_dtype = staticmethod(lambda: [torch.float16, torch.bfloat16])


def install() -> str:
    """Make the device known to torch, for the rest of the process; its name."""
    torch.utils.rename_privateuse1_backend(NAME)
    _compiled().install()
    torch._register_device_module(NAME, _StandIn(f"torch.{NAME}"))
    torch.utils.generate_methods_for_privateuse1_backend()
    cells = torch.library.Library("aten", "IMPL", "PrivateUse1")
    cells.impl("_thnn_fused_lstm_cell", _lstm_cell)
    cells.impl("_thnn_fused_gru_cell", _gru_cell)
    _KEPT.append(cells)
    return NAME


@lru_cache
def _compiled() -> Any:
    return load("stand_in_device", [str(_SOURCE)], extra_cflags=["-O1", "-w"])


@contextmanager
def without_float64() -> Generator[None]:
    """The device refuses numbers of 64 bits meanwhile, as "mps" does."""
    _compiled().allow_float64(False)
    has_float64.cache_clear()
    try:
        yield
    finally:
        _compiled().allow_float64(True)
        has_float64.cache_clear()


_KEPT: list[Any] = []
"""Operators are taken away with the library that they came by."""


def _lstm_cell(
    x: Tensor, hidden: Tensor, kept: Tensor, b_x: Tensor | None = None, b_h: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    gates = x + hidden if b_x is None or b_h is None else x + hidden + b_x + b_h
    take, keep, new, show = gates.chunk(4, 1)
    kept = keep.sigmoid() * kept + take.sigmoid() * new.tanh()
    return show.sigmoid() * kept.tanh(), kept, gates


def _gru_cell(
    x: Tensor, hidden: Tensor, state: Tensor, b_x: Tensor | None = None, b_h: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    if b_x is not None and b_h is not None:
        x, hidden = x + b_x, hidden + b_h
    (reset, update, new), (of_reset, of_update, of_new) = x.chunk(3, 1), hidden.chunk(3, 1)
    share = (update + of_update).sigmoid()
    fresh = (new + (reset + of_reset).sigmoid() * of_new).tanh()
    return (1 - share) * fresh + share * state, x
