"""What a number must carry to be believed and repeated: versions, device, seed, samples, time."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from spikewright.errors import AnalysisError
from spikewright.version import __version__


@dataclass(frozen=True)
class RunRecord:
    """Where a set of numbers comes from.

    Attributes:
        spikewright: version of this library.
        torch: version of torch.
        python: version of Python.
        platform: operating system and processor.
        device: what ran it, such as "cpu" or "cuda:0 (NVIDIA H100)".
        threads: CPU threads that torch used for one operation.
        started: ISO 8601, UTC.
        seconds: wall time of the run.
        seed: the first seed of the random draws.
        samples: how many samples were measured.
        configuration: what was asked for; plain JSON values.

    Raises:
        AnalysisError: when the configuration cannot be written as JSON.
    """

    spikewright: str
    torch: str
    python: str
    platform: str
    device: str
    threads: int
    started: str = field(default="", kw_only=True)
    seconds: float = field(default=0.0, kw_only=True)
    seed: int
    samples: int
    configuration: dict[str, Any]

    def __post_init__(self) -> None:
        try:
            json.dumps(self.configuration)
        except (TypeError, ValueError) as error:
            raise AnalysisError(
                f"the configuration of a run record must be plain JSON values ({error}): "
                "turn paths, tensors and enums into strings and numbers"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """All fields, as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class RunClock:
    """A run that has started; `finish` makes its record.

    Example:
        >>> import torch
        >>> clock = RunClock()
        >>> record = clock.finish(torch.device("cpu"), seed=0, samples=10, configuration={})
        >>> record.device, record.samples
        ('cpu', 10)
    """

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _at: float = field(default_factory=time.perf_counter)

    def finish(
        self, device: torch.device, *, seed: int, samples: int, configuration: Mapping[str, Any]
    ) -> RunRecord:
        """The record of everything since this clock was made; arguments are its fields."""
        return RunRecord(
            spikewright=__version__,
            torch=str(torch.__version__),
            python=platform.python_version(),
            platform=platform.platform(),
            device=describe_device(device),
            threads=torch.get_num_threads(),
            started=self.started.isoformat(timespec="seconds"),
            seconds=time.perf_counter() - self._at,
            seed=seed,
            samples=samples,
            configuration=dict(configuration),
        )


def describe_device(device: torch.device) -> str:
    """A device by name, with its maker's name for CUDA devices."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
