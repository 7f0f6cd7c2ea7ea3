"""Export to a hardware bundle: a network of whole numbers, as plain files that any tool reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from spikewright.interchange.hardware.bundle import Bundle, write_bundle
from spikewright.interchange.hardware.quantise import InputFormat, quantised
from spikewright.interchange.hardware.simulation import run_bundle
from spikewright.interchange.made_up import made_up
from spikewright.network import SpikingNetwork

_SAMPLES = 4
"""Made-up images that a bundle is tried on."""


@dataclass(frozen=True)
class BundleAccuracy:
    """A bundle beside the network it was made of, on the same samples.

    Attributes:
        samples: how many.
        network_right: samples that the spiking network, in floating point, answers right.
        bundle_right: samples that the bundle, in whole numbers, answers right.
        agreeing: samples that both answer alike, right or wrong.
    """

    samples: int
    network_right: int
    bundle_right: int
    agreeing: int

    @property
    def loss(self) -> float:
        """The accuracy that whole numbers cost, as a fraction of the samples; below 0 if none."""
        return (self.network_right - self.bundle_right) / self.samples

    def __str__(self) -> str:
        return (
            f"on {self.samples:,} images: {self.network_right:,} right in floating point, "
            f"{self.bundle_right:,} in whole numbers ({100 * self.loss:.2f} points lost), "
            f"{self.agreeing:,} answered alike"
        )


def export_hardware(
    network: SpikingNetwork,
    path: Path,
    steps: int,
    source_sha256: str | None = None,
    *,
    input_format: InputFormat | None = None,
    measured_on: Iterable[tuple[Tensor, Tensor]] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> str:
    """Write a network at one T as 8-bit weights and integer thresholds, with their description.

    Args:
        network: of integrate-and-fire neurons, or of two-phase nearest ones with any emission. It
            stays as it is.
        path: of the folder; it is there as a whole or not at all. A bundle there is replaced.
        steps: T; thresholds and biases are those of this T, and serve no other.
        source_sha256: of the saved network that this one was loaded from, for the description.
        input_format: how images are read; `InputFormat()` when None.
        measured_on: batches of images `[B, *S]`, as the network takes them, and labels `[B]`: the
            bundle then says what accuracy it costs there, see `bundle_accuracy`.
        notes: plain JSON values for people, such as how images are prepared.

    Returns:
        What was written, and what accuracy it costs; without data how its counts compare with the
        network's on made-up images, which tells that it runs, not how accurate it is.

    Raises:
        InterchangeError: naming every neuron and operation that has no integer form; when something
            else is at `path`, or it cannot be written.
    """
    input_format = input_format or InputFormat()
    bundle = quantised(network, steps, input_format, source_sha256)
    bundle = bundle.with_more(notes=dict(notes or {}))
    if measured_on is None:
        largest = (input_format.bound - 1) * input_format.scale
        shape = tuple(bundle.document["input"]["shape"])
        compared = _compared(network, bundle, made_up(shape, _SAMPLES).clamp(-largest, largest))
    else:
        accuracy = bundle_accuracy(bundle, network, measured_on)
        bundle, compared = bundle.with_more(accuracy=asdict(accuracy)), f"  {accuracy}"
    write_bundle(path, bundle)
    return f"{path}: {_told(bundle)}\n{compared}"


def bundle_accuracy(
    bundle: Bundle, network: SpikingNetwork, batches: Iterable[tuple[Tensor, Tensor]]
) -> BundleAccuracy:
    """What whole numbers cost: a bundle and its network on the same labelled samples.

    Args:
        bundle: from `read_bundle`.
        network: that it was exported from.
        batches: of images `[B, *S]`, as the network takes them, and labels `[B]`.

    Raises:
        InterchangeError: for images beyond the range of the bundle's input.
        ValueError: when there is no batch.
    """
    samples = network_right = bundle_right = agreeing = 0
    for images, labels in batches:
        labels = labels.cpu()
        mine = network(images, steps=bundle.steps).argmax(1).cpu()
        its = run_bundle(bundle, images.cpu()).logits.argmax(1)
        samples += len(labels)
        network_right += int((mine == labels).sum())
        bundle_right += int((its == labels).sum())
        agreeing += int((mine == its).sum())
    if not samples:
        raise ValueError("there is no batch to measure on")
    return BundleAccuracy(samples, network_right, bundle_right, agreeing)


def _compared(network: SpikingNetwork, bundle: Bundle, images: Tensor) -> str:
    weights = next(t for t in network.graph.tensors.values() if t.is_floating_point())
    shown = images.to(weights.device, weights.dtype)
    expected = network.counts(shown, steps=bundle.steps)
    found = run_bundle(bundle, images).counts
    total = sum(counts.numel() for counts in found.values())
    apart = {site: (found[site] - n.cpu().long()).abs() for site, n in expected.items()}
    equal = sum(int((difference == 0).sum()) for difference in apart.values())
    largest = max(int(difference.amax()) for difference in apart.values())
    return (
        f"  on {len(images)} made-up samples {equal / total:.1%} of {total:,} counts equal the "
        f"network's, the others differ by up to {largest}; measure its accuracy on your data "
        "with --data, or spikewright.interchange.hardware.bundle_accuracy"
    )


def _told(bundle: Bundle) -> str:
    kinds: dict[str, int] = {}
    for node in bundle.nodes:
        kinds[node["kind"]] = kinds.get(node["kind"], 0) + 1
    weights = sum(_size(bundle, node) for node in bundle.nodes)
    membrane = max(node.get("membrane_bits", 0) for node in bundle.nodes)
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return (
        f"hardware bundle, T = {bundle.steps}, {bundle.document['neuron']}\n"
        f"  {listed}; {weights:,} int8 weights; potentials of at most {membrane} bits"
    )


def _size(bundle: Bundle, node: Mapping[str, object]) -> int:
    name = f"{node['name']}.weight"
    return int(bundle.arrays[name].size) if name in bundle.arrays else 0
