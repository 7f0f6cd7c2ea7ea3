"""A reference simulator of hardware bundles: whole numbers only, from the bundle alone.

Whole numbers are held in float64, where sums below 2**53 are exact in whatever order they are
added; the bundle states a bound for every sum, and export refuses larger ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.errors import InterchangeError
from spikewright.interchange.hardware.bundle import Bundle

_CONVOLUTIONS: Mapping[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}
_MEANS: Mapping[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d}
_MAXIMA: Mapping[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d}


@dataclass(frozen=True)
class IntegerRun:
    """What a bundle answers to a batch.

    Attributes:
        sums: the read-out's whole numbers, int64 `[B, classes]`.
        logits: `sums` times the read-out's scale, float64 `[B, classes]`.
        counts: by site, int64 `[B, *S]`, 0 .. T.
    """

    sums: Tensor
    logits: Tensor
    counts: Mapping[str, Tensor]


def as_integers(bundle: Bundle, images: Tensor) -> Tensor:
    """Images as the whole numbers that a bundle reads: `round(image / scale)`, halves to even.

    Args:
        bundle: tells scale and range.
        images: floating, `[B, *S]`.

    Returns:
        int64 `[B, *S]`.

    Raises:
        InterchangeError: for another shape, or values beyond the range of the bundle's input.
    """
    entry = bundle.document["input"]
    if list(images.shape[1:]) != entry["shape"]:
        raise InterchangeError(
            f"this bundle takes batches of shape [B, {', '.join(map(str, entry['shape']))}], got "
            f"{list(images.shape)}"
        )
    whole = (images.double() / entry["scale"]).round()
    limits = np.iinfo(entry["dtype"])
    if not bool(((whole >= limits.min) & (whole <= limits.max)).all()):
        raise InterchangeError(
            f"the images reach from {float(images.min()):.4g} to {float(images.max()):.4g}; this "
            f"bundle's input, {entry['dtype']} in units of {entry['scale']}, holds "
            f"{limits.min * entry['scale']:.4g} .. {limits.max * entry['scale']:.4g}: export again "
            "with another InputFormat (--input-bits, --input-fraction), or scale the images as in "
            "training"
        )
    return whole.long()


def run_bundle(bundle: Bundle, images: Tensor) -> IntegerRun:
    """Simulate a bundle, image by image constant in time.

    Args:
        bundle: from `read_bundle`.
        images: floating `[B, *S]`, made whole by `as_integers`.

    Raises:
        InterchangeError: see `as_integers`.
    """
    run = _Run(bundle, as_integers(bundle, images))
    return run.in_steps() if bundle.document["phases"] == 1 else run.in_windows()


class _Run:
    """One simulation; one use."""

    def __init__(self, bundle: Bundle, images: Tensor) -> None:
        self._bundle = bundle
        self._images = images.double()
        self._steps = bundle.steps
        self._reset_to_zero = bundle.document["reset"] == "zero"
        self._arrays = {
            node["name"]: {
                role: torch.from_numpy(bundle.array(node, role)).double() for role in node["arrays"]
            }
            for node in bundle.nodes
        }
        self._potentials: dict[str, Tensor] = {}
        self._evidence: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def in_windows(self) -> IntegerRun:
        """Two-phase: values are sums over a window, so one pass does."""

        def emit(node: Mapping[str, Any], charge: Tensor) -> Tensor:
            arrays = self._arrays[node["name"]]
            bias = self._steps * arrays["bias"]
            potential = arrays["initial"] + bias + self._shifted(node, charge)
            threshold = arrays["threshold"].long()
            count = torch.div(potential.long(), threshold, rounding_mode="floor")
            self._counts[node["site"]] = count.clamp(0, self._steps)
            return self._counts[node["site"]].double()

        return self._answer(self._pass(self._images * self._steps, emit, _pooled))

    def in_steps(self) -> IntegerRun:
        """One-phase: step after step, potentials kept."""
        total = torch.zeros(())
        for _ in range(self._steps):
            total = total + self._pass(self._images, self._integrate, self._pooled_rise)
        return self._answer(total)

    def _integrate(self, node: Mapping[str, Any], charge: Tensor) -> Tensor:
        name, arrays = node["name"], self._arrays[node["name"]]
        threshold = arrays["threshold"]
        potential = self._potentials.get(name, arrays["initial"])
        potential = potential + self._shifted(node, charge) + arrays["bias"]
        spikes = (potential >= threshold).double()
        lost = potential if self._reset_to_zero else threshold
        self._potentials[name] = potential - spikes * lost
        self._counts[node["site"]] = self._counts.get(node["site"], 0) + spikes.long()
        return spikes

    def _pooled_rise(self, node: Mapping[str, Any], value: Tensor) -> Tensor:
        """The rise of the maximum of what has arrived up to now."""
        before = self._evidence.get(node["name"], torch.zeros_like(value))
        now = before + value
        self._evidence[node["name"]] = now
        return _pooled(node, now) - _pooled(node, before)

    def _pass(
        self,
        images: Tensor,
        neurons: Callable[[Mapping[str, Any], Tensor], Tensor],
        max_pooling: Callable[[Mapping[str, Any], Tensor], Tensor],
    ) -> Tensor:
        values: dict[str, Tensor] = {self._bundle.document["input"]["name"]: images}
        for node in self._bundle.nodes:
            inputs = [values[name] for name in node["inputs"]]
            if node["kind"] == "neurons":
                values[node["name"]] = neurons(node, inputs[0])
            elif node["kind"] == "max pooling":
                values[node["name"]] = max_pooling(node, inputs[0])
            else:
                arrays = self._arrays[node["name"]]
                values[node["name"]] = _LINEAR[node["kind"]](node, arrays, inputs)
        return values[self._bundle.nodes[-1]["name"]]

    def _shifted(self, node: Mapping[str, Any], charge: Tensor) -> Tensor:
        return charge * 2.0 ** self._arrays[node["name"]]["shift"]

    def _answer(self, total: Tensor) -> IntegerRun:
        arrays = self._arrays[self._bundle.nodes[-1]["name"]]
        sums = total + arrays["bias"]
        return IntegerRun(sums.long(), sums * arrays["logit"], self._counts)


_Arrays = Mapping[str, Tensor]
_Node = Mapping[str, Any]


def _convolution(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    convolve = _CONVOLUTIONS[len(node["stride"])]
    geometry = (node["stride"], node["padding"], node["dilation"], node["groups"])
    return convolve(inputs[0], arrays["weight"], None, *geometry)


def _linear(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    return F.linear(inputs[0], arrays["weight"])


def _sum(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    terms = _multiplied(arrays, inputs)
    return sum(terms[1:], terms[0])


def _multiplied(arrays: _Arrays, inputs: list[Tensor]) -> list[Tensor]:
    return [arrays[f"factor_{i}"] * value for i, value in enumerate(inputs)]


def _sum_pooling(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    mean = _MEANS[len(node["kernel"])]
    size = int(np.prod(node["kernel"]))
    pooled = mean(inputs[0] * size, node["kernel"], node["stride"], node["padding"])
    return pooled.round()  # a mean may be the product with 1 / size, which is not exact


def _total(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    return inputs[0].sum([d + 1 for d in node["dims"]], keepdim=node["keepdim"])


def _gather(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    """The value at each index; 0 at index -1."""
    flat = F.pad(inputs[0].flatten(1), (0, 1))
    return flat[:, arrays["index"].long().flatten()].reshape(-1, *node["shape"])


def _reshape(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    return inputs[0].reshape(-1, *node["shape"])


def _concatenate(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    parts = _multiplied(arrays, inputs) if "factor_0" in arrays else inputs
    return torch.cat(parts, node["dim"] + 1)


def _readout(node: _Node, arrays: _Arrays, inputs: list[Tensor]) -> Tensor:
    return inputs[0]


_LINEAR: Mapping[str, Callable[[_Node, _Arrays, list[Tensor]], Tensor]] = {
    "convolution": _convolution,
    "linear": _linear,
    "sum": _sum,
    "sum pooling": _sum_pooling,
    "total": _total,
    "gather": _gather,
    "reshape": _reshape,
    "concatenate": _concatenate,
    "readout": _readout,
}


def _pooled(node: _Node, value: Tensor) -> Tensor:
    pool = _MAXIMA[len(node["kernel"])]
    return pool(
        value,
        node["kernel"],
        node["stride"],
        node["padding"],
        node["dilation"],
        node["ceil_mode"],
    )
