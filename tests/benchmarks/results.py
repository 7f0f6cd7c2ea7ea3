"""A result file small enough to work out by hand."""

from __future__ import annotations

from typing import Any


def lane(name: str, steps: int | None, seconds: list[float], **more: Any) -> dict[str, Any]:
    """A contender that ran."""
    return {
        "name": name,
        "steps": steps,
        "what": f"what {name} is",
        "prepare_seconds": 1.5,
        "first_call_seconds": 0.25,
        "round_seconds": seconds,
        "accuracy": None,
        "peak_bytes": None,
        **more,
    }


def result(*lanes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A record of ResNet-20, batch 100."""
    return {
        "format": 1,
        "workload": "resnet20",
        "device": "cpu",
        "config": {
            "batch": 100,
            "images": 200,
            "rounds": 3,
            "calibration_images": 512,
            "calibration_batch": 32,
            "threads": 2,
            "seed": 0,
            "contenders": ["*"],
            "weights": "random",
            "data": "CIFAR-10",
        },
        "machine": {"cpu": "A processor", "cores": 2, "system": "Linux x86_64"},
        "versions": {"python": "3.11", "torch": "2.11", "spikingjelly": None},
        "conversion": {"seconds": 12.0, "peak_bytes": 2**29, "images": 512},
        "contenders": list(lanes),
        **more,
    }


def example() -> dict[str, Any]:
    """The ANN at 100 images/s, three networks beside it, and one that could not run."""
    return result(
        lane("ann-compiled", None, [1.0, 1.0, 2.0], accuracy=0.9, peak_bytes=100 * 2**20),
        lane("counts-nearest-4", 4, [0.5, 1.0, 1.0], accuracy=0.875, peak_bytes=120 * 2**20),
        lane("counts-nearest-16", 16, [0.5, 0.5, 1.0]),
        lane("counts-nearest-64", 64, [1.0, 1.0, 1.0]),
        lane("steps-if-32", 32, [40.0, 40.0, 80.0]),
        lane("spikingjelly-multi-max-32", 32, [120.0, 100.0, 200.0]),
        lane("spikingjelly-single-99.9-32", 32, [60.0, 50.0, 100.0]),
        {"name": "absent", "steps": 8, "what": "what it is", "reason": "not installed"},
    )
