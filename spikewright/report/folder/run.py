"""A run: what the folder of a measuring command holds, and what a page needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from spikewright.measure import Energy, EnergyModel, OperationsRow
from spikewright.report.contents import Raster, Report, Study, Thresholds

FORMAT = 1
"""Of results.json and operations.json. It rises when an older reader would misread a newer file;
fields that are only added leave it as it is. A file without one is of format 1."""


@dataclass(frozen=True)
class LayerCosts:
    """What one layer costs for the mean sample: a row of operations.json.

    Attributes:
        operations: counted, of the spiking network and of its source.
        energy: estimated from them when they were counted.
    """

    operations: OperationsRow
    energy: Energy


@dataclass(frozen=True)
class Energies:
    """What one network at one T costs for the mean sample: one entry of operations.json.

    Attributes:
        network: label of its neurons.
        steps: T.
        latency: time steps from the first input to the answer, unpipelined.
        accuracy: fraction of samples right; None without labels.
        samples: how many were counted.
        spikes: of all layers for one sample.
        snn_nj, snn_integer_nj, snn_with_memory_nj: estimated energies of the spiking network in nJ
            (see `measure.Energy`).
        ann_nj, ann_quantised_nj, ann_with_memory_nj: of its source.
        model: energies of single operations, and where they come from.
        layers: in the order in which they run; empty where the file does not tell them apart.
    """

    network: str
    steps: int
    latency: int
    accuracy: float | None
    samples: int
    spikes: float
    snn_nj: float
    snn_integer_nj: float
    snn_with_memory_nj: float
    ann_nj: float
    ann_quantised_nj: float
    ann_with_memory_nj: float
    model: EnergyModel
    layers: tuple[LayerCosts, ...] = ()


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        name: the folder's, made unique among those compared.
        report: its accuracies and its own page; None for a run of `energy` alone.
        energies: of every network and T; empty where they were not measured.
        energy_configuration: what `energy` was asked for.
        fingerprint: SHA-256 of its results, the same for copies of one run.
    """

    name: str
    report: Report | None
    energies: tuple[Energies, ...] = ()
    energy_configuration: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fingerprint: str = ""

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What was asked for; of the accuracies where there are both."""
        return self.energy_configuration if self.report is None else self.report.configuration


@dataclass(frozen=True)
class StudyRecord:
    """What a study's page shows and the measurements of results.json do not hold.

    Attributes:
        title, note, raster, thresholds, error_samples: as in `Study`.
    """

    title: str
    note: str = ""
    raster: Raster | None = None
    thresholds: Thresholds | None = None
    error_samples: int = 0


@dataclass(frozen=True)
class PageRecord:
    """The part `page` of results.json, from which the page can be made again.

    Attributes:
        title, subject, command: as in `Report`.
        studies: in the order of the page.
    """

    title: str
    subject: str
    command: str
    studies: tuple[StudyRecord, ...]


def page_record(report: Report) -> dict[str, Any]:
    """What results.json must hold, beside the measurements, for the page to be made again."""
    studies = tuple(_study_record(study) for study in report.studies)
    return asdict(PageRecord(report.title, report.subject, report.command, studies))


def _study_record(study: Study) -> StudyRecord:
    return StudyRecord(study.title, study.note, study.raster, study.thresholds, study.error_samples)
