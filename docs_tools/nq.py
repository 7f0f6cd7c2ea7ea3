"""The table of docs/methods/nq.md: the same fine-tuning with residual noise and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import spikewright as sw
from docs_tools.finetuned import Images, only, right, tuned
from paper import markdown
from spikewright.measure.statistics import mcnemar_exact
from spikewright.methods.finetune import NQ
from spikewright.network import SpikingNetwork
from spikewright.runs import load_model

RECORD = Path("docs/results/nq-resnet20.json")
SOURCE = "resnet20-qcfs8-cifar10"
LEVELS = 8
STEPS = (2, 4)
"""Every T that is tested; noise is measured, and the epoch chosen, at the last one."""
SETTINGS = {"images": 8000, "choosing": 2000, "tested": 10000, "epochs": 4}


@dataclass(frozen=True)
class Row:
    """One pair of runs on the same images in the same order, tested on the same images.

    Attributes:
        steps: T at which test images are answered.
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
    """Fine-tune with and without noise by every seed, and test at every T.

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
    snn = sw.methods.QCFS.convert(load_model(f"zoo:{SOURCE}"), test[0][:8], steps=STEPS[-1])
    before = {t: right(_at(snn, t), *test) for t in STEPS}
    for seed in seeds:
        chosen = shown.tuning(images, choosing, seed)
        methods = (NQ(epochs=epochs, batch_size=32, levels=LEVELS, noise=s) for s in (0.0, 1.0))
        plain, noisy = (tuned(snn, method, chosen, seed) for method in methods)
        kept = (plain.best.epoch, noisy.best.epoch)
        for t in STEPS:
            plainly, noisily = (right(_at(one.network, t), *test) for one in (plain, noisy))
            counts = (int(before[t].sum()), int(plainly.sum()), int(noisily.sum()))
            yield Row(t, seed, tested, *counts, *only(plainly, noisily), kept)


def _at(snn: SpikingNetwork, steps: int) -> SpikingNetwork:
    """A network with the weights and thresholds of its design point at another T."""
    design = {steps: snn.design()}
    return SpikingNetwork(snn.graph, snn.neurons, steps, design, snn.calibration)


def table(rows: Sequence[Row]) -> str:
    """The rows as a table of the page."""
    head = ("T", "seed", "converted", "without noise", "NQ", "p (McNemar)")
    return markdown.table(head, [row.cells for row in rows])
