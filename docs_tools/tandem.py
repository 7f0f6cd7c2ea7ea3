"""The table of docs/methods/tandem.md: what training adds to conversion, at few steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import spikewright as sw
from docs_tools.finetuned import Images, only, right, tuned
from paper import markdown
from spikewright.calibration import MinError
from spikewright.measure.statistics import mcnemar_exact, wilson_interval
from spikewright.methods.finetune import Tandem
from spikewright.runs import load_model

RECORD = Path("docs/results/tandem-resnet20.json")
SOURCE = "resnet20-relu-cifar10"
MODEL = "spikewright.models:resnet20"
STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of the channels that the weights were trained with."""
STEPS = 8
BATCH = 32
"""Images a step of training."""
SETTINGS = {"calibration": 512, "images": 2000, "choosing": 1000, "tested": 2000, "epochs": 15}
MORE = {"images": 8000, "epochs": 6, "learning_rate": 3e-5}
"""Of the last row; at the rate of the others it forgot, by the images that choose."""


@dataclass(frozen=True)
class Row:
    """A network, tested on the same images as all others.

    Attributes:
        name: of the conversion, or of what was trained.
        start: the network that was trained further; None for a conversion.
        images: tested.
        right: answered as they are labelled.
        only_start: right before training alone.
        only_this: right after it alone.
    """

    name: str
    start: str | None
    images: int
    right: int
    only_start: int = 0
    only_this: int = 0

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them."""
        low, high = wilson_interval(self.right, self.images)
        accuracy = f"{100 * self.right / self.images:.2f} % ({100 * low:.1f} to {100 * high:.1f})"
        if self.start is None:
            return self.name, accuracy, "-", "-"
        gain = 100 * (self.only_this - self.only_start) / self.images
        p = mcnemar_exact(self.only_start, self.only_this)
        return f"{self.name}, from {self.start}", accuracy, f"{gain:+.2f} points", f"{p:.1g}"


def measured(
    data: str,
    weights: Path,
    calibration: int,
    images: int,
    choosing: int,
    tested: int,
    epochs: int,
) -> Iterator[Row]:
    """Convert a ReLU network to plain integrate-and-fire neurons, train them further, and test.

    Args:
        data: the images, as `spikewright.data.open_dataset` names them.
        weights: of `spikewright.models.resnet20`, a safetensors file.
        calibration: training images of the conversions.
        images: training images of these, but for the last row.
        choosing: images of the training split, apart from these, that choose the epoch.
        tested: of the test split, the same for all.
        epochs: of tandem learning.
    """
    shown = Images.of(data, statistics=STATISTICS)
    chosen, test = shown.tuning(images, choosing, 0), shown.tested(tested)
    x, _ = chosen.batch(chosen.train[:calibration], None)
    ready = sw.prepare(load_model(MODEL, weights), x)
    neuron, methods = sw.IntegrateFire(), sw.methods
    conversions = {
        "MinError": ready.convert(neuron, MinError(per="channel"), STEPS, None),
        "MinError, means corrected": methods.MINERROR.convert(ready, steps=STEPS, neuron=neuron),
        "SNNC": methods.SNNC.convert(ready, steps=STEPS),
        "Auto": methods.AUTO.convert(ready, steps=STEPS, neuron=neuron),
    }
    rights = {name: right(snn, *test) for name, snn in conversions.items()}
    for name, found in rights.items():
        yield Row(name, None, tested, int(found.sum()))
    start, few = "MinError", {"epochs": epochs, "batch_size": BATCH}
    long, rate = int(MORE["epochs"]), MORE["learning_rate"]
    more = shown.tuning(int(MORE["images"]), choosing, 0)
    all_of_more = Tandem(epochs=long, batch_size=BATCH, joint_epochs=long, learning_rate=rate)
    for name, method, trained in (
        ("Tandem, layer after layer", Tandem(**few), chosen),
        ("Tandem, then all at once", Tandem(**few, joint_epochs=epochs // 2), chosen),
        ("Tandem, all at once", Tandem(**few, joint_epochs=epochs), chosen),
        ("Tandem, all at once, 8,000 images", all_of_more, more),
    ):
        found = right(tuned(conversions[start], method, trained).network, *test)
        yield Row(name, start, tested, int(found.sum()), *only(rights[start], found))


def table(rows: Sequence[Row]) -> str:
    """The rows as a table of the page."""
    head = ("network", "right (95 % interval)", "against its start", "p (McNemar)")
    return markdown.table(head, [row.cells for row in rows])
