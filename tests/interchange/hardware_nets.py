"""Networks whose weights lie on the 8-bit grid, and a simulator of bundles in plain loops."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.interchange.hardware import Bundle
from tests.builders import wired

UNIT = 2.0**-6
"""What a one of the grid networks' weights stands for."""


def on_the_grid(weight: Tensor, unit: float, seed: int) -> None:
    """Weights that are whole numbers of a unit, every channel reaching 127 of them."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randint(-127, 128, weight.shape, generator=generator).double()
    whole.flatten(1)[:, 0] = 127
    with torch.no_grad():
        weight.copy_(whole * unit)


def grid_network(neuron: Any = None) -> sw.SpikingNetwork:
    """Convolutions, average pooling, a residual sum, max pooling and a linear layer; float64.

    All numbers are whole multiples of powers of two, so both the network and its bundle are exact.
    """

    def wire(m: Any, x: Tensor) -> Tensor:
        y = F.avg_pool2d(m.first(m.a(x)), 2)
        z = m.second(m.b(y) + y)
        return m.l(F.max_pool2d(z, 2).flatten(1))

    model = wired(
        wire,
        a=nn.Conv2d(2, 4, 3, padding=1),
        b=nn.Conv2d(4, 4, 3, padding=1, groups=2),
        l=nn.Linear(16, 3),
        first=sw.QCFS(levels=4, threshold=4.0),
        second=sw.QCFS(levels=4, threshold=2.0),
    )
    for i, layer in enumerate((model.a, model.b, model.l)):
        on_the_grid(layer.weight, UNIT, i)
        with torch.no_grad():
            layer.bias.copy_(torch.linspace(-1, 1, len(layer.bias)).mul(8).round() / 8)
    return sw.convert(
        model,
        grid_images(8),
        neuron or sw.TwoPhase("nearest"),
        sw.Learned(),
        steps=4,
        bias_correction=False,
    )


def grid_images(batch: int, seed: int = 0) -> Tensor:
    """Float64 images `[B, 2, 8, 8]` of whole numbers of 1 / 64, in -1 .. 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-64, 65, (batch, 2, 8, 8), generator=generator).double() / 64


def looped(bundle: Bundle, image: Tensor) -> tuple[list[int], dict[str, Any]]:
    """The read-out's sums, and counts by site, of one image; one spike, one addition at a time."""
    entry = bundle.document["input"]
    pixels = np.rint(image.numpy() / entry["scale"]).astype(np.int64)
    waits = bundle.document["phases"] == 2
    state: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    if waits:
        values = {entry["name"]: pixels * bundle.steps}
        for node in bundle.nodes:
            values[node["name"]] = _value(bundle, node, values, counts)
        return _read(bundle, values[bundle.nodes[-1]["name"]]), counts
    total: Any = 0
    for _ in range(bundle.steps):
        values = {entry["name"]: pixels}
        for node in bundle.nodes:
            values[node["name"]] = _value(bundle, node, values, counts, state)
        total = total + values[bundle.nodes[-1]["name"]]
    return _read(bundle, total), counts


def _read(bundle: Bundle, total: Any) -> list[int]:
    return (total + bundle.array(bundle.nodes[-1], "bias")).tolist()


def _value(
    bundle: Bundle, node: Any, values: Any, counts: Any, state: dict[str, Any] | None = None
) -> Any:
    first = values[node["inputs"][0]]
    kind, shape = node["kind"], tuple(node["shape"])
    if kind == "neurons":
        return _neurons(bundle, node, first, counts, state)
    if kind == "max pooling" and state is not None:  # the rise of the largest sum up to now
        before = state.get(node["name"], np.zeros_like(first))
        state[node["name"]] = before + first
        return _window(node, before + first, max) - _window(node, before, max)
    if kind == "max pooling":
        return _window(node, first, max)
    if kind == "sum pooling":
        return _window(node, first, sum)
    if kind == "convolution":
        return _convolved(node, first, bundle.array(node, "weight").astype(np.int64))
    if kind == "linear":
        rows = bundle.array(node, "weight").astype(np.int64)
        return np.array(
            [sum(int(w) * int(v) for w, v in zip(row, first, strict=True)) for row in rows]
        )
    if kind == "sum":
        terms = enumerate(node["inputs"])
        return sum(bundle.array(node, f"factor_{i}") * values[name] for i, name in terms)
    if kind == "total":
        return first.sum(axis=tuple(node["dims"]), keepdims=node["keepdim"])
    assert kind in ("reshape", "readout"), kind
    return first.reshape(shape)


def _neurons(bundle: Bundle, node: Any, current: Any, counts: Any, state: Any) -> Any:
    roles = ("threshold", "bias", "initial", "shift")
    threshold, bias, initial, shift = (
        np.broadcast_to(bundle.array(node, role).astype(np.int64), current.shape) for role in roles
    )
    if state is None:  # two-phase: the whole window, then a spike for every threshold
        potential = initial + bundle.steps * bias + (current << shift)
        sent = np.zeros_like(potential)
        for _ in range(bundle.steps):
            fires = potential >= threshold
            potential, sent = potential - fires * threshold, sent + fires
        counts[node["site"]] = sent
        return sent
    potential = state.get(node["name"], initial) + (current << shift) + bias
    fires = (potential >= threshold).astype(np.int64)
    zero = bundle.document["reset"] == "zero"
    state[node["name"]] = np.where(fires, 0 if zero else potential - threshold, potential)
    counts[node["site"]] = counts.get(node["site"], 0) + fires
    return fires


def _window(node: Any, value: Any, choose: Any) -> Any:
    """Pooling without padding."""
    assert not any(node["padding"])
    out = np.zeros(node["shape"], dtype=np.int64)
    for c, y, x in product(*map(range, node["shape"])):
        top, left = y * node["stride"][0], x * node["stride"][1]
        block = value[c, top : top + node["kernel"][0], left : left + node["kernel"][1]]
        out[c, y, x] = choose(int(v) for v in block.flatten())
    return out


def _convolved(node: Any, value: Any, weight: Any) -> Any:
    outputs, per_group, height, width = weight.shape
    rows = outputs // node["groups"]
    (up, left), (down, right) = node["padding"], node["stride"]
    padded = np.pad(value, ((0, 0), (up, up), (left, left)))
    out = np.zeros(node["shape"], dtype=np.int64)
    for o, y, x in product(*map(range, node["shape"])):
        start = o // rows * per_group
        for i, r, c in product(range(per_group), range(height), range(width)):
            at = padded[start + i, y * down + r, x * right + c]
            out[o, y, x] += int(weight[o, i, r, c]) * int(at)
    return out
