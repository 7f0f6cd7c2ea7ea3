"""What all tests share: one thread, a seed, and the place of real data."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import settings

try:
    from tests import quick_captures
except (ImportError, AttributeError):  # a torch that keeps its own ways elsewhere
    quick_captures = None

settings.register_profile("spikewright", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True)  # --hypothesis-profile=explore
settings.load_profile("spikewright")  # the same cases every time; a busy machine is no failure


CAPABILITY = os.environ.get("ATEN_CPU_CAPABILITY")
if (
    CAPABILITY
):  # compiled code is kept for each: torch takes code for other processors from its cache
    cache = Path(tempfile.gettempdir()) / f"torchinductor-{CAPABILITY}"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache))

LONG = (
    "cli/test_commands.py",
    "demo/test_run_demo.py",
    "docs/test_examples.py",
    "docs/test_support.py",
    "export/test_onnx.py",
    "network/test_recurrent.py",
    "paper/test_run.py",
    "robustness/test_fuzz_command_line.py",
    "test_torchvision.py",
    "training/test_processes.py",
    "training/test_train.py",
)
"""Files that take more than ten seconds: workers begin with them, so that all end together."""


def pytest_configure() -> None:
    if quick_captures is not None:
        quick_captures.install()
    torch.set_num_threads(1)  # tensors are small here, and parallel workers share the cores
    torch.backends.nnpack.set_flags(False)  # its convolutions round where a plain sum is exact
    if os.environ.get("SPIKEWRIGHT_ONEDNN") == "off":  # as on processors that it does not serve
        torch.backends.mkldnn.set_flags(_enabled=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {Path(__file__).parent / name for name in LONG}
    items.sort(key=lambda item: item.path not in first)


def pytest_collection_finish() -> None:
    gc.freeze()  # torch's quarter of a million objects stay; the collector need not walk them
    gc.set_threshold(20_000, 10, 10)  # captures make many objects and few cycles: 6 % of their time


@pytest.hookimpl(tryfirst=True)
def pytest_collectstart() -> None:
    """Every test module, and with the next hook every test, begins at the same random numbers."""
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets, named by SPIKEWRIGHT_DATA; without it the test skips."""
    folder = os.environ.get("SPIKEWRIGHT_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPIKEWRIGHT_DATA names no folder with real data")
    return Path(folder)
