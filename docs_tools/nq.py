"""The table of docs/methods/nq.md: the same fine-tuning with residual noise and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import spikewright as sw
from docs_tools import markdown
from docs_tools.finetuned import Images, only, right
from spikewright.measure.statistics import mcnemar_exact
from spikewright.methods.finetune import NQ
from spikewright.network import SpikingNetwork
from spikewright.runs import load_model
from spikewright.training.tuning import Tuner
from spikewright.training.tuning_data import TuningData

RECORD = Path("docs/results/nq-resnet20.json")
SOURCE = "resnet20-qcfs8-cifar10"
LEVELS = 8
STEPS = (2, 4)
SETTINGS = {"images": 4000, "choosing": 500, "tested": 10000, "epochs": 2}


@dataclass(frozen=True)
class Row:
    """One pair of runs on the same images in the same order, tested on the same images.

    Attributes:
        steps: T at which noise is measured, epochs are chosen, and test images answered.
        seed: of the images, their order and the noise.
        images: test images.
        before: right before fine-tuning.
        plain: right after fine-tuning without noise.
        noisy: right after fine-tuning with residual noise.
        only_plain: right without noise alone.
        only_noisy: right with noise alone.
        kept: the epochs that were chosen, without noise and with it; 0 is before fine-tuning.
    """

    steps: int
    seed: int
    images: int
    before: int
    plain: int
    noisy: int
    only_plain: int
    only_noisy: int
    kept: tuple[int, int]

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them."""
        rights = (self.before, self.plain, self.noisy)
        accuracies = (f"{100 * right / self.images:.2f} %" for right in rights)
        p = mcnemar_exact(self.only_plain, self.only_noisy)
        return (f"{self.steps}", f"{self.seed}", *accuracies, f"{p:.1g}")


def measured(
    data: str, seeds: Sequence[int], images: int, choosing: int, tested: int, epochs: int
) -> Iterator[Row]:
    """Fine-tune with and without noise at every T by every seed, and test.

    Args:
        data: the images, as `spikewright.data.open_dataset` names them.
        seeds: of the pairs of runs.
        images: of the training split, drawn by the seed.
        choosing: images that the zoo's network never saw, drawn by the seed: noise is measured on
            them, and they choose the epoch.
        tested: of the test split, the same for all.
        epochs: of every run.
    """
    shown = Images.of(data, SOURCE)
    test = shown.tested(tested)
    for t in STEPS:
        snn = sw.methods.QCFS.convert(load_model(f"zoo:{SOURCE}"), test[0][:8], steps=t)
        before = right(snn, *test)
        for seed in seeds:
            chosen = shown.tuning(images, choosing, seed)
            plain, noisy = (_tuned(snn, chosen, noise, epochs, seed) for noise in (0.0, 1.0))
            rights = [right(network, *test) for network, _ in (plain, noisy)]
            counts = [int(found.sum()) for found in (before, *rights)]
            yield Row(t, seed, tested, *counts, *only(*rights), kept=(plain[1], noisy[1]))


def _tuned(
    snn: SpikingNetwork, images: TuningData, noise: float, epochs: int, seed: int
) -> tuple[SpikingNetwork, int]:
    """The network of the best epoch, and its number."""
    method = NQ(epochs=epochs, batch_size=32, levels=LEVELS, noise=noise)
    tuner = Tuner(snn, method, images, seed=seed)
    for _ in tuner.epochs():
        pass
    found = tuner.best()
    return found.network, found.best.epoch


def table(rows: Sequence[Row]) -> str:
    """The rows as a table of the page."""
    head = ("T", "seed", "converted", "without noise", "NQ", "p (McNemar)")
    return markdown.table(head, [row.cells for row in rows])
