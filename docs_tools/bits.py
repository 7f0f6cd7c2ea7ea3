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
from spikewright.measure.statistics import mcnemar_exact, paired_interval
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
STEPS = (3, 4)
SPARSITIES = (0.1, 0.2)
RATE = 0.05
MOST_LOST = 0.5
"""Points of accuracy that fewer spikes may cost on the images that choose."""
SETTINGS = {"choosing": 2000, "tested": 10000, "simulated": 300, "epochs": 12}


@dataclass(frozen=True)
class Tried:
    """A weight of the sparsity loss on the images that choose.

    Attributes:
        sparsity: the weight; 0 for training without that loss.
        images: shown.
        right: answered as they are labelled.
        spikes: of all neurons, for an image.
    """

    sparsity: float
    images: int
    right: int
    spikes: float


@dataclass(frozen=True)
class Row:
    """Two QCFS networks in the binary code, trained without the sparsity loss and with it, tested.

    Attributes:
        steps: T; the ANN has 2^T - 1 levels.
        tried: every weight, 0 first.
        sparsity: the weight that was chosen.
        images: test images.
        before, after: right, without the loss and with it.
        only_before, only_after: right in one of them alone.
        spikes_before, spikes_after: of all neurons, for an image.
        simulated: test images simulated step by step, of both networks, in float64.
        same: of both together, how many got the QCFS ANN's answer.
        gap: the largest distance of any of their logits from the ANN's.
        same_spikes: whether the simulation sent as many spikes as the counts have ones.
    """

    steps: int
    tried: tuple[Tried, ...]
    sparsity: float
    images: int
    before: int
    after: int
    only_before: int
    only_after: int
    spikes_before: float
    spikes_after: float
    simulated: int
    same: int
    gap: float
    same_spikes: bool


@dataclass(frozen=True)
class Shown:
    """What a network does on images: which it gets right, and its spikes for one of them."""

    right: Tensor
    spikes: float

    @classmethod
    @torch.no_grad()
    def of(cls, snn: SpikingNetwork, images: Tensor, labels: Tensor) -> Shown:
        network, answers, spikes = TrainableNetwork(snn), list[Tensor](), 0.0
        for part in images.split(BATCH):
            answer = network.observe(part, spikes=True)
            answers.append(predictions(answer.logits))
            spikes += sum(float(sent.double().sum()) for sent in answer.spikes.values())
        return cls(torch.cat(answers) == labels, spikes / len(images))


def measured(
    data: str, folder: Path, choosing: int, tested: int, simulated: int, epochs: int
) -> Iterator[Row]:
    """Train QCFS networks of 2^T - 1 levels with every weight, choose one, and test.

    Args:
        data: the images, as `spikewright.data.open_dataset` names them.
        folder: of the trainings, which go on where they were stopped.
        choosing: images that no training has seen, which choose the weight.
        tested: of the test split.
        simulated: of these, the first ones, step by step.
        epochs: of every training, of which the last is kept.
    """
    shown = Images.of(data, SOURCE)
    chosen, test = shown.tuning(1, choosing, 0), shown.tested(tested)
    apart, labels = chosen.batch(chosen.validation, None)
    assert labels is not None
    for t in STEPS:
        networks = {
            weight: sw.methods.BITS.convert(
                _trained(data, folder, 2**t - 1, weight, epochs), apart[:8], steps=t
            )
            for weight in (0.0, *SPARSITIES)
        }
        found = {weight: Shown.of(snn, apart, labels) for weight, snn in networks.items()}
        tried = tuple(
            Tried(weight, choosing, int(one.right.sum()), one.spikes)
            for weight, one in found.items()
        )
        sparsity = choice(tried)
        pair = (networks[0.0], networks[sparsity])
        plain, sparse = (Shown.of(snn, *test) for snn in pair)
        agreed = [_simulated(snn, test[0][:simulated]) for snn in pair]
        yield Row(
            t,
            tried,
            sparsity,
            tested,
            int(plain.right.sum()),
            int(sparse.right.sum()),
            *only(plain.right, sparse.right),
            plain.spikes,
            sparse.spikes,
            simulated,
            sum(same for same, _, _ in agreed),
            max(gap for _, gap, _ in agreed),
            all(equal for _, _, equal in agreed),
        )


def choice(tried: Sequence[Tried]) -> float:
    """The weight of fewest spikes among those that cost no more than is allowed; else 0."""
    first = tried[0]
    least = first.right - MOST_LOST / 100 * first.images
    return min((one for one in tried if one.right >= least), key=lambda one: one.spikes).sparsity


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
    """Without the loss and with it on the test split, as a table of the page."""
    head = ("T", "levels", "sparsity", "right without", "with it", "difference", "p (McNemar)")
    return markdown.table((*head, "spikes without", "with it", "times fewer"), map(_cells, rows))


def _cells(row: Row) -> tuple[str, ...]:
    low, high = paired_interval(row.only_after, row.only_before, row.images)
    before, after = (f"{100 * n / row.images:.2f} %" for n in (row.before, row.after))
    gain = f"{100 * (row.after - row.before) / row.images:+.2f}"
    p = mcnemar_exact(row.only_before, row.only_after)
    fewer = row.spikes_before / row.spikes_after
    return (
        f"{row.steps}",
        f"{2**row.steps - 1}",
        f"{row.sparsity:g}",
        before,
        after,
        f"{gain} ({100 * low:+.2f} to {100 * high:+.2f})",
        f"{p:.1g}",
        f"{row.spikes_before / 1000:.1f} k",
        f"{row.spikes_after / 1000:.1f} k",
        f"{fewer:.2f}",
    )


def choosing_table(rows: Sequence[Row]) -> str:
    """Every weight on the images that chose, as a table of the page."""
    head = ("T", "sparsity", "right", "spikes", "")
    return markdown.table(
        head,
        [
            (
                f"{row.steps}",
                f"{one.sparsity:g}",
                f"{100 * one.right / one.images:.2f} %",
                f"{one.spikes / 1000:.1f} k",
                "chosen" if one.sparsity == row.sparsity else "",
            )
            for row in rows
            for one in row.tried
        ],
    )
