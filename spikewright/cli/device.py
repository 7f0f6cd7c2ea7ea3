"""The device that --device names."""

from __future__ import annotations

import torch

from spikewright.cli.failures import WrongUsage


def usable_device(name: str) -> torch.device:
    """A device by its name.

    Raises:
        WrongUsage: when there is none of that name, or it cannot be used here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WrongUsage(f"--device {name}: cannot be used here ({first})") from error
    return device
