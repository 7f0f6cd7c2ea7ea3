"""The results folder: one small JSON record a cell, one file that says what network it was.

RESULTS/NETWORK/network.json        what was measured, and how; a later run must agree
RESULTS/NETWORK/ROW-tT-sSEED.json   one finished cell; `ann.json` is the source network
RESULTS/NETWORK/training/*.json     cards of its training, one after the other, where the weights
                                    are too large to stand beside them
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper.cell import Cell, CellRecord
from spikewright.decoding import decoded
from spikewright.errors import ExperimentError, RunError
from spikewright.measure.cells import Cells, read_record

FORMAT = 2
NETWORK_FILE = "network.json"
TRAINING = "training"


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


def cells_in(folder: Path, configuration: Mapping[str, Any]) -> Cells:
    """The cells of a network, to go on with.

    Raises:
        AnalysisError: when those in the folder are of another configuration.
    """
    return Cells(folder, {"format": FORMAT, **configuration}, about=NETWORK_FILE)


@dataclass(frozen=True)
class NetworkStore:
    """The records of one network, to be read.

    Attributes:
        folder: `RESULTS/NETWORK`.
    """

    folder: Path

    def configuration(self) -> dict[str, Any]:
        """What the results are of.

        Raises:
            AnalysisError: when the file is damaged.
            ExperimentError: when it is of another format, or lacks what a page needs.
        """
        path = self.folder / NETWORK_FILE
        document = read_record(path, dict[str, Any])
        if document.get("format") != FORMAT:
            raise ExperimentError(
                f"'{path}' is no file of format {FORMAT}; its results are of another version of "
                "this library"
            )
        try:
            decoded(_Configuration, document, f"'{path}'")
        except RunError as error:
            raise ExperimentError(f"{error}: it was changed or damaged") from error
        return document

    @property
    def has_training(self) -> bool:
        """Whether cards of its training are kept here."""
        return any((self.folder / TRAINING).glob("*.json"))

    def records(self) -> dict[Cell, CellRecord]:
        """Every finished cell.

        Raises:
            AnalysisError: for a damaged file.
        """
        files = sorted(p for p in self.folder.glob("*.json") if p.name != NETWORK_FILE)
        records = (read_record(path, CellRecord) for path in files)
        return {record.cell: record for record in records}


def stores_of(results: Path) -> list[NetworkStore]:
    """Every network of a results folder, by name."""
    return [NetworkStore(path.parent) for path in sorted(results.glob(f"*/{NETWORK_FILE}"))]
