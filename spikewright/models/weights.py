"""Weights from a safetensors file into a model, with nothing left unsaid."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spikewright.errors import ModelError

OPTIONAL_SUFFIX = "num_batches_tracked"
"""Batch norm's counter of training batches: evaluation never reads it."""


def load_weights(model: nn.Module, path: Path, optional: Collection[str] = ()) -> frozenset[str]:
    """Copy the tensors of a safetensors file into a model, all of them or none.

    Every parameter and persistent buffer of the model must be in the file, in its shape, and
    the other way round; only `num_batches_tracked` counters may be missing. Parameters that the
    model shares under several names are complete when the file has one of the names. What modules
    keep beside tensors (`get_extra_state`) stays as it is.

    Args:
        model: changed in place.
        path: a `.safetensors` file; it holds tensors alone and cannot run code.
        optional: names of the model that may be missing as well, all of them together; they
            keep their values.

    Returns:
        The names of `optional`, if they were missing; else none.

    Raises:
        ModelError: if the file cannot be read, naming the reason; or naming *every* tensor that is
            missing, unexpected, of another shape or kind, of two values for one parameter, or
            holds NaN or infinity, the model being left as it was; or for parameters that have no
            shape before a lazy module has seen an input.
    """
    tensors = _read(path)
    kept = model.state_dict(keep_vars=True)
    state = {name: tensor for name, tensor in kept.items() if isinstance(tensor, Tensor)}
    if lazy := [name for name, tensor in state.items() if is_lazy(tensor)]:
        raise ModelError(
            f"{type(model).__name__} has no shape yet for {', '.join(lazy)}: lazy modules take it "
            "from their first input, so call the model on one where it is made"
        )
    left_out = frozenset(optional if tensors.keys().isdisjoint(optional) else ())
    problems = _mismatches(state, tensors, left_out)
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        raise ModelError(
            f"the weights in '{path}' do not fit {type(model).__name__}, "
            f"{len(problems)} difference(s):\n{listing}\n"
            "check that the architecture and its arguments (e.g. num_classes) are those of the "
            "network that was saved, and rename the tensors in the file where names differ"
        )
    model.load_state_dict(tensors, strict=False)
    return left_out


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"there is no weight file '{path}'")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"'{path}' is not a readable safetensors file ({error}); save weights with "
            "safetensors.torch.save_model(model, path)"
        ) from error


def _mismatches(
    state: dict[str, Tensor], tensors: dict[str, Tensor], left_out: frozenset[str]
) -> list[str]:
    """List every difference between a model and a file, and what no network can use."""
    present = {id(state[name]) for name in tensors if name in state}
    missing = [
        f"missing: {name} {tuple(tensor.shape)}"
        for name, tensor in state.items()
        if name not in tensors
        and id(tensor) not in present
        and name not in left_out
        and not name.endswith(OPTIONAL_SUFFIX)
    ]
    unexpected = [
        f"unexpected: {name} {tuple(tensor.shape)}"
        for name, tensor in tensors.items()
        if name not in state
    ]
    misshapen = [
        f"shape: {name} is {tuple(tensors[name].shape)} in the file, "
        f"{tuple(tensor.shape)} in the model"
        for name, tensor in state.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    fitting = {n: t for n, t in tensors.items() if n in state and t.shape == state[n].shape}
    mistyped = [
        f"type: {name} is {tensor.dtype} in the file, {state[name].dtype} in the model"
        for name, tensor in fitting.items()
        if tensor.is_floating_point() != state[name].is_floating_point()
    ]
    names: dict[int, list[str]] = {}
    for name in fitting:
        names.setdefault(id(state[name]), []).append(name)
    torn = [
        f"two values: {name} and {first} are one parameter of the model, and differ in the file"
        for first, *others in names.values()
        for name in others
        if not torch.equal(*(fitting[one].to(state[first].dtype) for one in (first, name)))
    ]
    broken = [
        f"not finite: {name} {tuple(tensor.shape)}"
        for name, tensor in fitting.items()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    ]
    return missing + unexpected + misshapen + mistyped + torn + broken
