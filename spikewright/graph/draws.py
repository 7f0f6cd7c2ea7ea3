"""Random numbers that a model draws when it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spikewright.graph.origins import is_of_user, short_path


class Draws(TorchDispatchMode):
    """Notes the first call that draws from torch's own generator, and where it is written.

    Attributes:
        found: such as "aten.randint at model.py:12", or "".
    """

    def __init__(self) -> None:
        super().__init__()
        self.found = ""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a call, and see whether the generator has moved on."""
        options = dict(kwargs or {})
        if self.found or torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **options)
        before = torch.get_rng_state()
        result = func(*args, **options)
        if not torch.equal(before, torch.get_rng_state()):
            self.found = f"{str(func).removesuffix('.default')}{_place(inspect.currentframe())}"
        return result


def drawn_by(run: Callable[[], Any]) -> str:
    """What draws random numbers while something runs, and where; "" where nothing does."""
    with Draws() as draws:
        run()
    return draws.found


def _place(frame: FrameType | None) -> str:
    """Where the user's code stands that led here, such as " at model.py:12"."""
    while frame is not None:
        file = frame.f_code.co_filename
        if is_of_user(file):
            return f" at {short_path(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
