"""The inputs that a model is checked with where it takes several, or token ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from spikewright.cli.failures import WrongUsage
from spikewright.cli.parse import shape_of

_BATCH = 2
_KINDS: Mapping[str, Callable[[Sequence[int], torch.Generator], Tensor]] = {
    "float": lambda shape, generator: torch.randn(shape, generator=generator),
    "ids": lambda shape, generator: torch.randint(0, 2, tuple(shape), generator=generator),
    "mask": lambda shape, generator: torch.ones(tuple(shape), dtype=torch.int64),
    "bool": lambda shape, generator: torch.ones(tuple(shape), dtype=torch.bool),
}
"""What an input holds: numbers, token ids (0 and 1, which every vocabulary has), or a mask of 1."""


def inputs_of(given: Sequence[str], like: Tensor) -> dict[str, Tensor]:
    """The inputs that `--input NAME=KIND:SHAPE` names, two samples of each.

    Args:
        given: the values of the option.
        like: a tensor of the model's dtype and device.

    Raises:
        WrongUsage: for another form, or a name that comes twice.
    """
    inputs: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for text in given:
        name, equals, described = text.partition("=")
        kind, _, shape = described.rpartition(":")
        kind = kind or "float"
        if (
            not equals
            or not described
            or not name.isidentifier()
            or name in inputs
            or kind not in _KINDS
        ):
            raise WrongUsage(
                f"--input {text}: write NAME=KIND:SHAPE, each name once, with a KIND of "
                f"{', '.join(_KINDS)}, such as input_ids=ids:12 or image=float:3,224,224"
            )
        sample = shape_of(shape, f"--input {name}") if shape.strip() else ()
        tensor = _KINDS[kind]((_BATCH, *sample), generator)
        dtype = like.dtype if tensor.is_floating_point() else tensor.dtype
        inputs[name] = tensor.to(like.device, dtype)
    return inputs
