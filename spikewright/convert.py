"""convert(): capture, sites, thresholds, SpikingNetwork."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from spikewright.calibration import (
    Calibration,
    Correction,
    InputMeans,
    MinError,
    Threshold,
    collect,
    collect_shared,
    deal_work,
)
from spikewright.errors import CalibrationError, ConversionError
from spikewright.graph import Graph, fold_batch_norm, survey
from spikewright.graph.widened import wide, widened
from spikewright.network import Design, SpikingNetwork
from spikewright.neurons import Neuron, TwoPhase
from spikewright.processes import ALONE, Processes

Batches = Iterable["Tensor | Sequence[Any]"]
"""Calibration data: batches `[B, *S]`, or (batch, labels) pairs whose labels are ignored."""


def convert(
    model: nn.Module | ExportedProgram,
    calibration: Tensor | Batches,
    neuron: Neuron | None = None,
    threshold: Threshold | None = None,
    steps: int | Sequence[int] = 16,
    bias_correction: bool | Correction = True,
    seed: int = 0,
    processes: Processes = ALONE,
) -> SpikingNetwork:
    """Turn a trained network into a spiking network, leaving the model untouched.

    Args:
        model: any `nn.Module` in eval mode of one floating-point input and one tensor output, or an
            exported program with a dynamic batch.
        calibration: batches of inputs `[B, *S]` (or (input, label) pairs, or one tensor that is one
            batch), preprocessed as the model wants them and *not* from the test set. Their order
            and sizes do not matter. A few hundred samples do.
        neuron: what stands at every site; default `TwoPhase("nearest")`.
        threshold: how firing thresholds are chosen; default `MinError(per="channel")`.
        steps: T of the design point, or several; the first is the default of later calls. Other T
            can be simulated too, with thresholds from the same statistics and no bias correction.
        bias_correction: put each channel's mean input back where the ANN had it, for every T named;
            or another correction, such as `calibration.OutputMeans()`.
        seed: of the draws that stochastic neurons make during bias correction.
        processes: who shares the work, each with the same model and all of the calibration data;
            the network is the same in every one, and that of one process, to the bit.

    Returns:
        The spiking network, on the model's device and in its dtype.

    Raises:
        UnsupportedOperation: listing every operation that has no spiking form.
        ConversionError: when the model cannot be captured, or the captured graph does not compute
            what the model computes.
        CalibrationError: when the data is empty, malformed, not finite, or leaves a site silent.
        ProcessError: when processes hold other weights or other data.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), neuron=sw.TPP(), steps=8)
        >>> snn(torch.rand(5, 4)).shape
        torch.Size([5, 3])
    """
    neuron = neuron if neuron is not None else TwoPhase()
    threshold = threshold if threshold is not None else MinError()
    points = _checked_steps(steps)
    _check_configuration(neuron, threshold, bias_correction)
    correction = InputMeans() if bias_correction is True else bias_correction or None
    before = _fingerprint(model)
    batches = _batches(calibration, _device(model))
    graph = survey(model, batches[0]).require_convertible()
    graph = fold_batch_norm(graph)
    learned = {s.name: graph.tensors[s.threshold].cpu() for s in graph.sites if s.threshold}
    shared = processes.count > 1
    statistics = collect_shared(graph, batches, processes) if shared else collect(graph, batches)
    fitted = Calibration(graph.sites, statistics, neuron, threshold, learned)
    samples = torch.cat(batches)
    designs = _designs(graph, fitted, points, correction, samples, seed, processes)
    neurons = dict.fromkeys(statistics, neuron)
    network = SpikingNetwork(graph, neurons, points[0], designs, fitted)
    _check_postconditions(model, before, network)
    return network


def _designs(
    graph: Graph,
    calibration: Calibration,
    points: Sequence[int],
    correction: Correction | None,
    samples: Tensor,
    seed: int,
    processes: Processes,
) -> dict[int, Design]:
    """The design of every T; several processes take them by turns."""

    def made(steps: int) -> Design:
        return _design(graph, calibration, steps, correction, samples, seed)

    if processes.count == 1:
        return {steps: made(steps) for steps in points}
    found = deal_work(points, lambda steps: made(steps).tensors(), processes)
    return {steps: Design.of(tensors) for steps, tensors in found.items()}


def _design(
    graph: Graph,
    calibration: Calibration,
    steps: int,
    correction: Correction | None,
    samples: Tensor,
    seed: int,
) -> Design:
    """Thresholds at T = `steps`, and what the correction adds."""
    thresholds = calibration.thresholds_at(steps)
    if correction is None:
        return Design(thresholds)
    # counts of a 16-bit model are kept in float32 here as in the engines
    samples = samples.to(wide(samples.dtype))
    found = correction.offsets(widened(graph), calibration, thresholds, samples, steps, seed)
    return Design(thresholds, found.currents, found.potentials)


def _checked_steps(steps: int | Sequence[int]) -> tuple[int, ...]:
    points = tuple(steps) if isinstance(steps, Iterable) else (steps,)
    if not points or any(isinstance(t, bool) or not isinstance(t, int) or t < 1 for t in points):
        raise ConversionError(f"steps must be whole numbers, at least 1, got {steps!r}")
    return tuple(dict.fromkeys(points))


def _check_configuration(neuron: Any, threshold: Any, bias_correction: Any) -> None:
    if not isinstance(neuron, Neuron):
        raise ConversionError(
            f"neuron must be a neuron such as TPP() or IntegrateFire(), got {neuron!r}"
            + (": call it" if isinstance(neuron, type) or callable(neuron) else "")
        )
    if not isinstance(threshold, Threshold):
        raise ConversionError(
            f"threshold must be a strategy such as MinError() or Percentile(), got {threshold!r}"
            + (": call it" if isinstance(threshold, type) else "")
        )
    if not isinstance(bias_correction, bool | Correction):
        raise ConversionError(
            f"bias_correction must be True, False or a correction, got {bias_correction!r}"
            + (": call it" if isinstance(bias_correction, type) else "")
        )


def _state(model: nn.Module | ExportedProgram) -> dict[str, Tensor]:
    if isinstance(model, ExportedProgram):
        return dict(model.state_dict)
    if isinstance(model, nn.Module):
        return {**dict(model.named_parameters()), **dict(model.named_buffers())}
    raise ConversionError(
        f"expected a torch.nn.Module or an ExportedProgram, got {type(model).__name__}"
    )


def _device(model: nn.Module | ExportedProgram) -> torch.device:
    return next((t.device for t in _state(model).values()), torch.device("cpu"))


def _fingerprint(model: nn.Module | ExportedProgram) -> dict[str, tuple[int, int]]:
    """What changes when a tensor is written to or replaced: its storage and version, if kept."""
    return {
        name: (t.data_ptr(), 0 if t.is_inference() else t._version)
        for name, t in _state(model).items()
    }


def _batches(calibration: Tensor | Batches, device: torch.device) -> list[Tensor]:
    source = [calibration] if isinstance(calibration, Tensor) else calibration
    batches: list[Tensor] = []
    for number, item in enumerate(source):
        batch = item[0] if isinstance(item, (tuple, list)) else item
        if not isinstance(batch, Tensor):
            raise CalibrationError(
                f"calibration batch {number} is a {type(batch).__name__}; give tensors [B, *S] or "
                "(tensor, labels) pairs"
            )
        if batch.is_floating_point() and not bool(batch.isfinite().all()):
            raise CalibrationError(f"calibration batch {number} holds NaN or infinite values")
        if batches and batch.shape[1:] != batches[0].shape[1:]:
            raise CalibrationError(
                f"calibration batch {number} has samples of shape {list(batch.shape[1:])}, the "
                f"first batch {list(batches[0].shape[1:])}; all samples must have one shape"
            )
        if len(batch):
            batches.append(batch.detach().to(device))
    if not batches:
        raise CalibrationError(
            "the calibration data is empty; if it is a generator it may already be used up: pass a "
            "list or a DataLoader"
        )
    return batches


def _check_postconditions(
    model: nn.Module | ExportedProgram,
    before: Mapping[str, tuple[int, int]],
    network: SpikingNetwork,
) -> None:
    if _fingerprint(model) != before:
        raise ConversionError(
            "the model's parameters or buffers changed while it ran; a model that changes itself "
            "cannot be converted"
        )
    for steps in network.designed_steps:
        design = network.design(steps)
        for site in network.sites:
            theta = design.thresholds[site]
            if not bool((theta.isfinite() & (theta > 0)).all()):
                raise ConversionError(
                    f"site '{site}' got a threshold that is not positive and finite at T = {steps}"
                )
