"""Sweeps over frames: batches by T, the reference on their mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw

STEPS = (2, 5)


def in_frames(images: Tensor, steps: int) -> Tensor:
    """`[T, B, *S]` whose mean is `images`: all of it comes at the last step."""
    frames = torch.zeros(steps, *images.shape, dtype=images.dtype)
    frames[-1] = steps * images
    return frames


def test_two_phase_networks_see_the_mean_and_others_when_it_comes(
    integrate_fire: sw.SpikingNetwork,
    nearest: sw.SpikingNetwork,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
) -> None:
    networks = {"IF": integrate_fire, "nearest": nearest}
    told: list[sw.measure.SweepProgress] = []

    def at(steps: int) -> list[tuple[Tensor, Tensor]]:
        parts = zip(images.split(15), labels.split(15), strict=True)
        return [(in_frames(part, steps), named) for part, named in parts]

    found = sw.sweep(networks, at, STEPS, reference=model, progress=told.append)
    still = sw.sweep(networks, [(images, labels)], STEPS, reference=model)
    assert found.reference is not None
    assert still.reference is not None
    assert found.reference.accuracy == still.reference.accuracy
    assert found.reference.samples == len(images)
    for steps in STEPS:
        row, same = found.row("nearest", steps), still.row("nearest", steps)
        assert (row.accuracy, row.spikes_per_image) == (same.accuracy, same.spikes_per_image)
        frames = in_frames(images, steps)
        said = integrate_fire(frames, steps=steps).argmax(1)
        assert found.row("IF", steps).accuracy == float((said == labels).double().mean())
    assert found.row("IF", 5).spikes_per_image != still.row("IF", 5).spikes_per_image
    assert [p.done for p in told] == [1, 2, 3, 4, 5, 6]  # of two T: two networks, the reference
    assert told[-1].total == 6


def test_a_loader_of_frames_serves_its_own_t(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    data = [(in_frames(images, 5), labels)]
    assert sw.sweep({"nearest": nearest}, data, 5).row("nearest", 5).samples == len(images)
    with pytest.raises(sw.ConversionError, match="got 5 frames for T = 2"):
        sw.sweep({"nearest": nearest}, data, STEPS)


@pytest.mark.parametrize("compared", [False, True])
def test_other_samples_at_another_t_are_refused(
    nearest: sw.SpikingNetwork, model: nn.Module, images: Tensor, labels: Tensor, compared: bool
) -> None:
    def at(steps: int) -> list[tuple[Tensor, Tensor]]:
        return [(in_frames(images[:steps], steps), labels[:steps])]

    with pytest.raises(sw.AnalysisError, match=r"data\(2\) gave 2 samples and data\(5\) 5"):
        sw.sweep({"nearest": nearest}, at, STEPS, reference=model if compared else None)


def test_labels_are_counted_by_sample(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    with pytest.raises(sw.AnalysisError, match="batch 0 has 40 images and 39 labels"):
        sw.sweep({"nearest": nearest}, [(in_frames(images, 5), labels[1:])], 5)


def test_the_reference_is_measured_on_the_frames_of_every_t(
    nearest: sw.SpikingNetwork, model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    def at(steps: int) -> list[tuple[Tensor, Tensor]]:
        return [(in_frames(images if steps == 5 else -images, steps), labels)]

    found = sw.sweep({"nearest": nearest}, at, STEPS, reference=model)
    right = {2: accuracy(model(-images), labels), 5: accuracy(model(images), labels)}
    assert right[2] != right[5]
    assert {t: getattr(found.reference_at(t), "accuracy", None) for t in STEPS} == right
    for row in found.rows:
        own = found.reference_at(row.steps)
        assert own is not None
        assert row.accuracy is not None
        assert row.only_network is not None
        assert row.only_reference is not None
        apart = (row.only_network - row.only_reference) / row.samples
        assert row.accuracy - (own.accuracy or 0.0) == pytest.approx(apart)
    lines = found.to_csv().splitlines()
    assert [float(line.split(",")[-2]) for line in lines[1:]] == [*right.values()]
    shown = next(line for line in str(found).splitlines() if line.startswith("ANN"))
    assert shown.split()[1:] == [f"{100 * right[t]:.2f}" for t in STEPS]
    same = sw.sweep({"nearest": nearest}, lambda t: [(in_frames(images, t), labels)], STEPS,
                    reference=model)  # fmt: skip
    assert same.references == ()


def accuracy(answers: Tensor, labels: Tensor) -> float:
    return float((answers.argmax(1) == labels).double().mean())
