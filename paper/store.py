"""The results folder: one small JSON record a cell, one file that says what network it was.

    RESULTS/NETWORK/network.json        what was measured, and how; a later run must agree
    RESULTS/NETWORK/ROW-tT-sSEED.json   one finished cell; `ann.json` is the source network

Files appear as a whole or not at all, so what is there is finished, and what is missing is to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikewright.decoding import decoded
from spikewright.errors import ExperimentError, RunError
from spikewright.files import write_json
from spikewright.measure.cells import differences
from spikewright.runs.files import read_json

FORMAT = 2
NETWORK_FILE = "network.json"
ANN = "ann"
"""The name of the row of the source network; its T is 0."""
ANN_IN_DOUBLE = "ann-float64"
"""The same in float64; it differs from `ANN` where float32 rounds across a boundary of QCFS."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table for one seed.

    Attributes:
        row: name of its row, or `ANN`.
        steps: T; 0 for the ANN.
        seed: of the random draws.
    """

    row: str
    steps: int
    seed: int

    @property
    def file(self) -> str:
        """The name of its record."""
        return "ann.json" if self.row == ANN else f"{self.row}-t{self.steps}-s{self.seed}.json"


@dataclass(frozen=True)
class CellRecord:
    """What was measured in one cell.

    Attributes:
        cell: which.
        method: name of the conversion method; empty for the ANN.
        neuron: label of the neuron; empty for the ANN.
        images: how many were measured: the first so many of the experiment's fixed order.
        right: how many it got right.
        low, high: Wilson 95 % interval of `right / images`.
        differs: images whose predicted class is not the ANN's.
        only_network, only_ann: images that one of the two alone gets right.
        p_value: the exact McNemar test of those.
        spikes_per_image: of all layers.
        spikes_by_site: the same by neuron site.
        energy: estimates for one image in nJ, under the names of `measure.Energy`; empty where it
            was not measured: for the ANN, for seeds but 0, and for operations that are not counted.
        energy_images: how many it is the mean over, the first so many; 0 where there is none.
        latency: time steps from the first input to the answer, unpipelined.
        hits: which images it got right, one bit each, packed and base64; of the first seed only.
        run: versions, device, seed, samples, wall seconds (`RunRecord.to_dict`).
    """

    cell: Cell
    method: str
    neuron: str
    images: int
    right: int
    low: float
    high: float
    differs: int
    only_network: int
    only_ann: int
    p_value: float
    spikes_per_image: float
    spikes_by_site: Mapping[str, float]
    energy: Mapping[str, float]
    energy_images: int
    latency: int
    hits: str | None
    run: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.images or self.images < 1:
            raise ValueError(f"{self.right} of {self.images} images are right")

    @property
    def accuracy(self) -> float:
        """Fraction right."""
        return self.right / self.images


@dataclass(frozen=True)
class _Configuration:
    """What a page reads of a network's file."""

    name: str
    architecture: str
    data: str
    note: str
    levels: int | None
    weights_sha256: str
    images: int
    one_phase_images: int
    calibration_samples: int


@dataclass(frozen=True)
class NetworkStore:
    """The records of one network.

    Attributes:
        folder: `RESULTS/NETWORK`.
    """

    folder: Path

    def prepare(self, configuration: Mapping[str, Any]) -> None:
        """Start the folder, or see that its cells are of the same configuration.

        A configuration without a cell, left by a run that failed before its first, is replaced.

        Args:
            configuration: plain JSON values; everything that decides a number.

        Raises:
            ExperimentError: naming every difference.
        """
        path = self.folder / NETWORK_FILE
        if path.is_file() and any(self._cells()):
            self.require_same(configuration)
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, {"format": FORMAT, **configuration})
        except OSError as error:
            raise ExperimentError(f"cannot write to '{self.folder}' ({error.strerror})") from error

    def require_same(self, configuration: Mapping[str, Any]) -> None:
        """See that the folder is of this configuration.

        Raises:
            ExperimentError: naming every difference.
        """
        listing = differences(self.configuration(), {"format": FORMAT, **configuration})
        if listing:
            told = "\n".join(listing)
            raise ExperimentError(
                f"'{self.folder}' holds results of another configuration:\n{told}\n"
                "go on with the recorded one, or name another folder with --out"
            )

    def configuration(self) -> dict[str, Any]:
        """What the results are of.

        Raises:
            ExperimentError: when the file is missing, damaged or of another format.
        """
        found = _read(self.folder / NETWORK_FILE)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ExperimentError(
                f"'{self.folder / NETWORK_FILE}' is no file of format {FORMAT}; its results are "
                "of another version of this library"
            )
        try:
            decoded(_Configuration, found, f"'{self.folder / NETWORK_FILE}'")
        except RunError as error:
            raise ExperimentError(f"{error}: it was changed or damaged") from error
        return found

    def has(self, cell: Cell) -> bool:
        """Whether a cell is finished."""
        return (self.folder / cell.file).is_file()

    def write(self, record: CellRecord) -> None:
        """Keep a finished cell."""
        write_json(self.folder / record.cell.file, asdict(record))

    def records(self) -> dict[Cell, CellRecord]:
        """Every finished cell.

        Raises:
            ExperimentError: for a damaged file.
        """
        found = (_record(path) for path in sorted(self._cells()))
        return {record.cell: record for record in found}

    def _cells(self) -> Iterator[Path]:
        """The file of every finished cell."""
        return (path for path in self.folder.glob("*.json") if path.name != NETWORK_FILE)


def stores_of(results: Path) -> list[NetworkStore]:
    """Every network of a results folder, by name."""
    return [NetworkStore(path.parent) for path in sorted(results.glob(f"*/{NETWORK_FILE}"))]


def _record(path: Path) -> CellRecord:
    try:
        return decoded(CellRecord, _read(path), f"'{path}'")
    except RunError as error:
        raise ExperimentError(
            f"{error}: it is not the record of a cell; remove it, and the cell runs again"
        ) from error


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except RunError as error:
        raise ExperimentError(str(error)) from error
