"""Records beside the page that are no cells of its tables: of codes, and of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spikewright.decoding import decoded, parsed
from spikewright.errors import ExperimentError, RunError

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class CodeRow:
    """A neuron and its code on one network.

    Attributes:
        neuron: as the command line spells it, such as "nearest:digits".
        steps: T.
        latency: time steps until the answer.
        energy_integer: arithmetic in integers over that of the ANN with weights and activations of
            8 bits.
        same: fraction of samples with the ANN's answer.
    """

    neuron: str
    steps: int
    latency: int
    energy_integer: float
    same: float


@dataclass(frozen=True)
class CodeSettings:
    """How many samples answers were compared on."""

    samples: int


@dataclass(frozen=True)
class Codes:
    """What codes come to on a network: `codes-NAME.json`.

    Attributes:
        title: the network and its samples.
    """

    title: str
    config: CodeSettings
    rows: tuple[CodeRow, ...]


@dataclass(frozen=True)
class AtSteps:
    """The T of every row of a record."""

    steps: int


@dataclass(frozen=True)
class NQRow:
    """A network fine-tuned with noise and without, tested at one T.

    Attributes:
        steps: T.
        images: tested.
        before, noisy: right as converted, and after fine-tuning with noise.
    """

    steps: int
    images: int
    before: int
    noisy: int


@dataclass(frozen=True)
class NQTuning:
    """What fine-tuning by NQ gives over conversion: `nq-NAME.json`."""

    rows: tuple[NQRow, ...]


@dataclass(frozen=True)
class TrainedRow:
    """A network as it was converted, or after training.

    Attributes:
        name: of the conversion or the training.
        start: the conversion that was trained further; None for a conversion.
        images: tested.
        right: answered as they are labelled.
    """

    name: str
    start: str | None
    images: int
    right: int


@dataclass(frozen=True)
class TandemTuning:
    """What tandem learning gives over conversions: `tandem-NAME.json`."""

    config: AtSteps
    rows: tuple[TrainedRow, ...]


@dataclass(frozen=True)
class BitsRow:
    """A network in the binary code, as it came or trained further.

    Attributes:
        steps: T.
        sparsity: the weight of the loss of spikes; None as it came.
        images: tested.
        right: answered as they are labelled.
        spikes: for an image.
    """

    steps: int
    sparsity: float | None
    images: int
    right: int
    spikes: float


@dataclass(frozen=True)
class BitsTuning:
    """What the sparsity loss saves: `bits-NAME.json`."""

    rows: tuple[BitsRow, ...]


@dataclass(frozen=True)
class GainRow:
    """A network before fine-tuning and after.

    Attributes:
        images: tested.
        before, after: right.
    """

    images: int
    before: int
    after: int


@dataclass(frozen=True)
class GainTuning:
    """What dsr or distil gives over the conversion, a row a seed: `dsr-NAME.json`, say."""

    config: AtSteps
    rows: tuple[GainRow, ...]


def read_records(folder: Path | None, prefix: str, kind: type[Kind]) -> tuple[Kind, ...]:
    """Every record `PREFIX-NAME.json` of a folder, by name; none where there is no folder.

    Args:
        folder: such as `docs/results`.
        prefix: the kind of record, such as "codes".
        kind: a dataclass of what is read of each; what else a record holds is passed over.

    Raises:
        ExperimentError: for a record that is damaged.
    """
    paths = sorted(folder.glob(f"{prefix}-*.json")) if folder is not None else []
    try:
        return tuple(
            decoded(kind, parsed(path.read_bytes(), f"'{path}'"), f"'{path}'") for path in paths
        )
    except RunError as error:
        raise ExperimentError(f"{error}: it is no record of {prefix}; measure it again") from error
