"""The tables of docs/methods/bits.md: QCFS networks in the binary code, then with fewer spikes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import spikewright as sw
from docs_tools.finetuned import BATCH, Images, only, tuned
from paper import markdown
from spikewright.finetuning import TrainableNetwork, quantised_answer
from spikewright.measure.accuracy import predictions
from spikewright.measure.statistics import mcnemar_exact, paired_interval
from spikewright.methods.finetune import Bits
from spikewright.network import SpikingNetwork
from spikewright.runs import load_model

RECORD = Path("docs/results/bits-resnet20.json")
SOURCE = "resnet20-qcfs8-cifar10"
STEPS = (3, 4)
SPARSITIES = (0.5, 1.0, 2.0)
RATE = 2e-4
MOST_LOST = 0.5
"""Points of accuracy that fewer spikes may cost on the images that choose."""
SETTINGS = {"images": 3000, "choosing": 1000, "tested": 10000, "simulated": 300, "epochs": 3}


@dataclass(frozen=True)
class Tried:
    """A weight of the sparsity loss on the images that choose.

    Attributes:
        sparsity: the weight; 0 for the network that all others start from.
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
    """A QCFS network in the binary code before and after training for fewer spikes, tested.

    Attributes:
        steps: T; the ANN has 2^T - 1 levels.
        tried: every weight, 0 first.
        sparsity: the weight that was chosen.
        images: test images.
        before, after: right.
        only_before, only_after: right in one of them alone.
        spikes_before, spikes_after: of all neurons, for an image.
        simulated: test images simulated step by step, before and after, in float64.
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
    data: str, images: int, choosing: int, tested: int, simulated: int, epochs: int
) -> Iterator[Row]:
    """Train QCFS networks of 2^T - 1 levels, then for fewer spikes, choose a weight, and test.

    Args:
        data: the images, as `spikewright.data.open_dataset` names them.
        images: of the training split.
        choosing: images that the zoo's network never saw, which choose epochs and the weight.
        tested: of the test split.
        simulated: of these, the first ones, step by step.
        epochs: of every run.
    """
    shown = Images.of(data, SOURCE)
    chosen, test = shown.tuning(images, choosing, 0), shown.tested(tested)
    apart, labels = chosen.batch(chosen.validation, None)
    assert labels is not None
    for t in STEPS:
        start = sw.methods.BITS.convert(_with_levels(2**t - 1), apart[:8], steps=t)

        def trained(snn: SpikingNetwork, weight: float) -> SpikingNetwork:
            method = Bits(epochs=epochs, batch_size=32, learning_rate=RATE, sparsity=weight)
            return tuned(snn, method, chosen).network

        before = trained(start, 0.0)
        networks = {0.0: before, **{weight: trained(before, weight) for weight in SPARSITIES}}
        found = {weight: Shown.of(snn, apart, labels) for weight, snn in networks.items()}
        tried = tuple(
            Tried(weight, choosing, int(one.right.sum()), one.spikes)
            for weight, one in found.items()
        )
        sparsity = choice(tried)
        pair = (before, networks[sparsity])
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


def _with_levels(levels: int) -> torch.nn.Module:
    """The zoo's network, its activations quantised to other levels."""
    model = load_model(f"zoo:{SOURCE}")
    for module in model.modules():
        if isinstance(module, sw.QCFS):
            module.levels = levels
    return model


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
    """Before and after on the test split, as a table of the page."""
    head = ("T", "levels", "sparsity", "right before", "after", "difference", "p (McNemar)")
    return markdown.table((*head, "spikes before", "after", "times fewer"), map(_cells, rows))


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
