"""The tables of docs/methods/dsr.md and distil.md: a network as converted, and fine-tuned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from docs_tools import tandem
from docs_tools.finetuned import Images, only, read, right, tuned
from paper import markdown
from spikewright.decoding import parsed
from spikewright.measure.statistics import mcnemar_exact, paired_interval
from spikewright.methods import named
from spikewright.methods.finetune import DSR, Distil, FineTuning
from spikewright.runs import load_model


@dataclass(frozen=True)
class Trial:
    """A network that is converted, and how it is fine-tuned.

    Attributes:
        method: of the fine-tuning.
        source: the network: an entry of the zoo, or the ReLU network of `docs_tools.tandem`.
        conversion: its method, by name.
        steps: T.
        images: training images, drawn by the seed.
        calibration: the first of them, which the conversion is fitted to.
        choosing: others, drawn by the seed, that choose the epoch; the network of the zoo never
            saw them.
        tested: test images, the same for all.
    """

    method: FineTuning
    source: str
    conversion: str
    steps: int
    images: int
    calibration: int
    choosing: int
    tested: int

    @property
    def record(self) -> Path:
        """Where its rows are kept."""
        return Path(f"docs/results/{self.method.name}-resnet20.json")

    @property
    def config(self) -> dict[str, Any]:
        """As the record has it."""
        settings = asdict(self)
        return {**settings.pop("method"), **settings}


TRIALS = {
    trial.method.name: trial
    for trial in (
        Trial(
            DSR(epochs=3, batch_size=32),
            *("resnet20-qcfs8-cifar10-longer", "qcfs"),
            *(4, 3000, 512, 1000, 5000),
        ),
        Trial(Distil(), tandem.SOURCE, "refit", 4, 384, 384, 128, 5000),
    )
}


@dataclass(frozen=True)
class Row:
    """A network before fine-tuning and after, tested on the same images as all others.

    Attributes:
        seed: of the images and their order.
        images: tested.
        before, after: right.
        only_before, only_after: right before alone, and after alone.
        kept: the epoch that was chosen; 0 is before fine-tuning.
    """

    seed: int
    images: int
    before: int
    after: int
    only_before: int
    only_after: int
    kept: int

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them."""
        accuracies = (f"{100 * n / self.images:.2f} %" for n in (self.before, self.after))
        low, high = paired_interval(self.only_after, self.only_before, self.images)
        gain = 100 * (self.after - self.before) / self.images
        interval = f"{gain:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
        p = mcnemar_exact(self.only_before, self.only_after)
        return f"{self.seed}", *accuracies, interval, f"{p:.1g}", f"{self.kept}"


def measured(
    trial: Trial, data: str, seeds: Sequence[int], weights: Path | None = None
) -> Iterator[Row]:
    """Convert a network, fine-tune it by every seed, and test it before and after.

    Args:
        trial: what is done.
        data: the images, as `spikewright.data.open_dataset` names them.
        seeds: of the runs.
        weights: of the ReLU network, a safetensors file; None for one of the zoo.
    """
    if weights is None:
        shown, model = Images.of(data, trial.source), load_model(f"zoo:{trial.source}")
    else:
        shown = Images.of(data, statistics=tandem.STATISTICS)
        model = load_model(tandem.MODEL, weights)
    test = shown.tested(trial.tested)
    for seed in seeds:
        chosen = shown.tuning(trial.images, trial.choosing, seed)
        x, _ = chosen.batch(chosen.train[: trial.calibration], None)
        snn = named(trial.conversion).convert(model, x, steps=trial.steps)
        found = tuned(snn, trial.method, chosen, seed)
        before, after = right(snn, *test), right(found.network, *test)
        counts = (int(before.sum()), int(after.sum()), *only(before, after))
        yield Row(seed, trial.tested, *counts, found.best.epoch)


def done(trial: Trial) -> tuple[Row, ...]:
    """The rows of a record of the same settings: a measurement that was stopped goes on there."""
    if not trial.record.is_file():
        return ()
    config = parsed(trial.record.read_bytes(), f"'{trial.record}'")["config"]
    return read(trial.record, Row) if config == trial.config else ()


def table(rows: Sequence[Row]) -> str:
    """The rows as a table of a page."""
    head = ("seed", "converted", "fine-tuned", "points (95 % interval)", "p (McNemar)", "epoch")
    return markdown.table(head, [row.cells for row in rows])
