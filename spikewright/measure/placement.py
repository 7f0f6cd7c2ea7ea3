"""Where a module runs; nothing of the caller's is moved."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

_Module = TypeVar("_Module", bound=nn.Module)


def device_of(module: nn.Module) -> torch.device:
    """Where a module's tensors are; the CPU for one without any."""
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def placed(module: _Module, device: torch.device) -> _Module:
    """The module itself when it is on the device, else a copy that is."""
    here = device_of(module)
    same = here.type == device.type and device.index in (None, here.index)
    return module if same else copy.deepcopy(module).to(device)
