"""The tables of docs/methods/bits.md: QCFS networks in the binary code, and with fewer spikes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import spikewright as sw
from docs_tools.finetuned import BATCH, Images, only
from paper import markdown
from spikewright.finetuning import TrainableNetwork, quantised_answer
from spikewright.measure.accuracy import predictions
from spikewright.measure.statistics import mcnemar_exact, paired_interval, wilson_interval
from spikewright.network import SpikingNetwork
from spikewright.runs import load_model
from spikewright.runs.kinds import Augmentation
from spikewright.training import (
    DataRecipe,
    NetworkRecipe,
    NumericsRecipe,
    OptimisationRecipe,
    Recipe,
    start_from,
    train,
)

RECORD = Path("docs/results/bits-resnet20.json")
SOURCE = "resnet20-qcfs8-cifar10-longer"
NETWORKS = ((3, None), (3, 0.0), (3, 0.1), (4, None), (4, 0.05), (4, 0.1))
"""T, and the weight of the loss that the network is trained further with; None as it came."""
RATE = 0.03
SETTINGS = {"tested": 10000, "simulated": 300, "epochs": 30}


@dataclass(frozen=True)
class Row:
    """A QCFS network in the binary code.

    Attributes:
        steps: T; the ANN has 2^T - 1 levels.
        sparsity: the weight of the loss; None for the network as it came.
        images: test images.
        right: answered as they are labelled.
        only_start, only_this: right as it came alone, and in this network alone.
        spikes: of all neurons, for an image.
        simulated: test images simulated step by step, in float64.
        same: how many of these got the QCFS ANN's answer.
        gap: the largest distance of any of their logits from the ANN's.
        same_spikes: whether the simulation sent as many spikes as the counts have ones.
    """

    steps: int
    sparsity: float | None
    images: int
    right: int
    only_start: int
    only_this: int
    spikes: float
    simulated: int
    same: int
    gap: float
    same_spikes: bool


def measured(data: str, folder: Path, tested: int, simulated: int, epochs: int) -> Iterator[Row]:
    """Train QCFS networks of 2^T - 1 levels, with the sparsity loss and without it, and test.

    Args:
        data: the images, as `spikewright.data.open_dataset` names them.
        folder: of the trainings, which go on where they were stopped.
        tested: of the test split.
        simulated: of these, the first ones, step by step.
        epochs: of every training, of which the last is kept.
    """
    images, labels = Images.of(data, SOURCE).tested(tested)
    start: Tensor | None = None
    for t, sparsity in NETWORKS:
        if sparsity is None:
            start, model = None, _with_levels(load_model(f"zoo:{SOURCE}"), 2**t - 1)
        else:
            model = _trained(data, folder, 2**t - 1, sparsity, epochs)
        snn = sw.methods.BITS.convert(model, images[:8], steps=t)
        right, spikes = _shown(snn, images, labels)
        start = right if start is None else start
        yield Row(
            t,
            sparsity,
            tested,
            int(right.sum()),
            *only(start, right),
            spikes,
            simulated,
            *_simulated(snn, images[:simulated]),
        )


@torch.no_grad()
def _shown(snn: SpikingNetwork, images: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Which images a network gets right, and its spikes for one of them."""
    network, answers, spikes = TrainableNetwork(snn), list[Tensor](), 0.0
    for part in images.split(BATCH):
        answer = network.observe(part, spikes=True)
        answers.append(predictions(answer.logits))
        spikes += sum(float(sent.double().sum()) for sent in answer.spikes.values())
    return torch.cat(answers) == labels, spikes / len(images)


def _with_levels(model: torch.nn.Module, levels: int) -> torch.nn.Module:
    """The model, its activations quantised to other levels."""
    for module in model.modules():
        if isinstance(module, sw.QCFS):
            module.levels = levels
    return model


def _trained(data: str, folder: Path, levels: int, sparsity: float, epochs: int) -> torch.nn.Module:
    """The zoo's network, its activations quantised to other levels, trained on for fewer spikes."""
    recipe = Recipe(
        DataRecipe(data, augment=(Augmentation.CROP, Augmentation.FLIP, Augmentation.CUTOUT)),
        NetworkRecipe(levels=levels),
        OptimisationRecipe(
            epochs=epochs,
            learning_rate=RATE,
            decay_thresholds=True,
            sparsity=sparsity,
            keep_last=True,
        ),
        NumericsRecipe(bf16=True, channels_last=True, compile=True),
        start=start_from(f"zoo:{SOURCE}"),
    )
    run = folder / f"levels{levels}-sparsity{sparsity:g}"
    train(recipe, run)
    return load_model(f"run:{run}")


@torch.no_grad()
def _simulated(snn: SpikingNetwork, images: Tensor) -> tuple[int, float, bool]:
    """Answers like the QCFS ANN's, the largest distance of a logit, and if spikes are the ones."""
    exact = snn.double()
    network = TrainableNetwork(exact)
    same, gap, equal = 0, 0.0, True
    for part in images.double().split(BATCH // 4):
        ann = quantised_answer(network, part, 2**snn.steps - 1).logits
        answer = exact(part, engine="steps")
        same += int((predictions(answer) == predictions(ann)).sum())
        gap = max(gap, float((answer - ann).abs().max()))
        counted = network.observe(part, spikes=True).spikes
        sent = exact.record(part)
        equal &= all(int(sent[site].sum()) == int(counted[site].sum()) for site in sent)
    return same, gap, equal


def table(rows: Sequence[Row]) -> str:
    """The networks on the test split, as a table of the page."""
    head = ("T", "levels", "network", "right (95 % interval)", "against as it came, points")
    starts = {row.steps: row for row in rows if row.sparsity is None}
    return markdown.table(
        (*head, "p (McNemar)", "spikes", "times fewer"),
        [_cells(row, starts[row.steps]) for row in rows],
    )


def _cells(row: Row, start: Row) -> tuple[str, ...]:
    low, high = wilson_interval(row.right, row.images)
    accuracy = f"{100 * row.right / row.images:.2f} % ({100 * low:.1f} to {100 * high:.1f})"
    sent = f"{row.spikes / 1000:.1f} k"
    if row.sparsity is None:
        return (f"{row.steps}", f"{2**row.steps - 1}", "as it came", accuracy, "-", "-", sent, "-")
    low, high = paired_interval(row.only_this, row.only_start, row.images)
    gain = f"{100 * (row.right - start.right) / row.images:+.2f}"
    return (
        f"{row.steps}",
        f"{2**row.steps - 1}",
        f"trained, sparsity {row.sparsity:g}",
        accuracy,
        f"{gain} ({100 * low:+.2f} to {100 * high:+.2f})",
        f"{mcnemar_exact(row.only_start, row.only_this):.1g}",
        sent,
        f"{start.spikes / row.spikes:.2f}",
    )
