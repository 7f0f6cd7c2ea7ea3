"""sweep(): how well networks do at every T, and their spikes, with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from spikewright.devices import cpu_by_default
from spikewright.measure.answers import Batches
from spikewright.measure.cells import Cells
from spikewright.measure.metric import Metric
from spikewright.measure.sweep_plan import Progress, SweepPlan
from spikewright.measure.sweep_results import Sweep
from spikewright.network import SpikingNetwork


@cpu_by_default()
def sweep(
    networks: Mapping[str, SpikingNetwork],
    data: Batches | Callable[[int], Batches],
    steps: int | Sequence[int] = (1, 2, 4, 8, 16, 32),
    seeds: int | Sequence[int] = 3,
    reference: nn.Module | None = None,
    *,
    metric: Metric | Callable[[Any, Any], Any] | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
    configuration: Mapping[str, Any] | None = None,
    cells: Cells | None = None,
) -> Sweep:
    """Measure networks at every T, in one pass over the data (or one for each T, see `data`).

    Args:
        networks: networks by the name that tables show.
        data: batches (images `[B, *S]`, labels `[B]`, class numbers from 0). In place of the
            images, networks of several inputs take a dict of arguments by name, or a tuple of
            positional ones; a dict may hold its labels as "labels". The result does not depend on
            how batches were cut, nor on their order; a loader that shuffles is read in the order
            of its data set. With a metric the labels may be anything (a tensor of one dimension
            holds one a sample); with a metric or a reference, batches may be inputs alone. Or a
            function of T that gives such batches of frames `[T, B, *S]`, the same samples at every
            T: the reference sees their mean over time.
        steps: every T to simulate, at least 1 each.
        seeds: how many (0, 1, ...) or which; networks without random draws run once.
        reference: the source model, in eval mode, to compare answers with: relative error and
            cosine of all numbers in them, and of classes how many agree.
        metric: a measure of your own: a function of (output, labels), see `Metric`. Networks and
            reference are measured by it, beside accuracies where labels and answers are of classes.
        device: where to run. Networks and reference elsewhere are copied there, never moved. By
            default everything runs where the first network is.
        progress: called after every cell: a network at one T with one seed on some images.
        configuration: what else belongs in the run record, as plain JSON values.
        cells: where finished cells are kept and who shares them, see `Cells`: the result is that
            of one process that was never stopped. In memory and alone when None.

    A batch that does not fit into memory is halved, see `Portions`; the result is the same.

    Returns:
        A row for every network and T.

    Raises:
        AnalysisError: without networks, steps, seeds or data; for missing labels or labels that
            the networks have no class for, and for answers without classes, where there is no
            metric; for a metric that gives something else than finite numbers; for answers that
            are not finite; for a reference in training mode; when `data` gives another number of
            samples at another T; when cells are the work of another job that is not finished.
        ConversionError: when a batch is not of the shape or dtype that a network takes; at a T that
            was not designed, for a network whose windows are all of their own and do not change.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), steps=(4, 8))
        >>> data = [(torch.rand(10, 4), torch.arange(10) % 3)]
        >>> sw.sweep({"nearest": snn}, data, steps=(4, 8), reference=model).steps
        (4, 8)
    """
    plan = SweepPlan.of(networks, data, steps, seeds, reference, device, metric)
    shared = cells or Cells()
    plan.measure(shared, progress)
    return plan.result(shared, configuration or {})
