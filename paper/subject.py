"""What is measured: a network, its data and settings; and how one cell of it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from paper.cell import (
    ANN,
    ANN_IN_DOUBLE,
    Cell,
    CellRecord,
    Conversion,
    measure_cell,
    record_of,
)
from paper.images import (
    CALIBRATION_SEED,
    calibration_batches,
    calibration_images,
    first,
    images_in_order,
    images_sha256,
    ordered,
)
from paper.network import NetworkSource, levels_of
from paper.rows import IN_DOUBLE, SEEDS, STEPS, Row, rows_for
from paper.store import cells_in
from spikewright.convert import Prepared, prepare
from spikewright.data import ImageData, open_dataset
from spikewright.data.image_data import dataset_length
from spikewright.errors import ExperimentError
from spikewright.fingerprint import fingerprint
from spikewright.measure import RunClock
from spikewright.measure.answers import Answers, Batches, answers_of
from spikewright.measure.batches import Block
from spikewright.measure.cells import Cells
from spikewright.network import SpikingNetwork


@dataclass(frozen=True)
class Settings:
    """How an experiment runs.

    Attributes:
        steps: every T.
        seeds: of the rows that draw random numbers, 0 first: paired tests and energies are of it.
        rows: names of the rows to run; all when empty.
        images: test images; all of them when None.
        one_phase_images: of the rows that need the step engine; as many as `images` when None.
        energy_images: the operations of the first so many are counted; 0 for none.
        calibration_samples: training images that set thresholds.
        batch_size: images a batch.
        device: where everything runs.
        compiled: compile the networks first.
        rank, processes: which of how many processes this is.

    Raises:
        ExperimentError: when made with what is out of range.
    """

    steps: tuple[int, ...] = STEPS
    seeds: tuple[int, ...] = SEEDS
    rows: tuple[str, ...] = ()
    images: int | None = None
    one_phase_images: int | None = None
    energy_images: int = 100
    calibration_samples: int = 512
    batch_size: int = 250
    device: str = "cpu"
    compiled: bool = False
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 1:
            raise ExperimentError(f"give at least one T, each of 1 or more, got {self.steps}")
        if not self.seeds or self.seeds[0] != 0 or len(set(self.seeds)) < len(self.seeds):
            raise ExperimentError(
                "seeds differ from each other and begin with 0, whose records alone keep what "
                f"paired tests and energies need: give such as {SEEDS}, got {self.seeds}"
            )
        counts = (self.images, self.one_phase_images, self.calibration_samples, self.batch_size)
        if any(count is not None and count < 1 for count in counts):
            raise ExperimentError(f"numbers of images are at least 1, got {counts}")
        if self.energy_images < 0:
            raise ExperimentError(f"energy_images is at least 0, got {self.energy_images}")
        if not 0 <= self.rank < self.processes:
            raise ExperimentError(
                f"the processes of {self.processes} are numbered from 0, got rank {self.rank}"
            )


@dataclass
class Subject:
    """A network with what its cells are measured on; parts are made when they are needed.

    Attributes:
        source: which network.
        data: its images.
        settings: of the experiment.
        store: its finished cells.
        configuration: everything that decides a number, as `network.json` holds it.
        levels: L of a QCFS network; None for ReLU.
        images: test images of a row.
        one_phase_images: of a row that needs the step engine.
    """

    source: NetworkSource
    data: ImageData
    settings: Settings
    store: Cells
    configuration: Mapping[str, Any]
    levels: int | None
    images: int
    one_phase_images: int
    _model: nn.Module | None = None
    _test: Block | None = None
    _ann: Answers | None = None
    _ann_in_double: Answers | None = None
    _converted: tuple[str, SpikingNetwork] | None = None
    _prepared: Prepared | None = None
    _prepared_in_double: Prepared | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows asked for, or all that calibrate on the experiment's images."""
        rows, asked = rows_for(self.levels), self.settings.rows
        if asked:
            return tuple(row for row in rows if row.name in asked)
        return tuple(row for row in rows if row.calibration_samples is None)

    @property
    def device(self) -> torch.device:
        """The device of the measurement."""
        return torch.device(self.settings.device)

    def images_of(self, row: Row) -> int:
        """How many images a row is measured on."""
        return self.one_phase_images if row.expensive else self.images

    def cells(self) -> list[tuple[Row | None, Cell]]:
        """Every cell; None stands for the ANN."""
        cells: list[tuple[Row | None, Cell]] = [(None, Cell(ANN, 0, 0))]
        for row in self.rows:
            cells += [
                (row, Cell(row.name, steps, seed))
                for steps in self.settings.steps
                for seed in row.seeds(self.settings.seeds)
            ]
        if self.levels in self.settings.steps and any(row.name == "nearest" for row in self.rows):
            cells += [
                (None, Cell(ANN_IN_DOUBLE, 0, 0)),
                (IN_DOUBLE, Cell(IN_DOUBLE.name, self.levels, 0)),
            ]
        return cells

    def measure(self, row: Row | None, cell: Cell) -> CellRecord:
        """Measure one cell."""
        if row is IN_DOUBLE or cell.row == ANN_IN_DOUBLE:
            return self._measure_in_double(row, cell)
        if row is None:
            clock, ann = RunClock(), self._answers(self.images)
            return record_of(cell, ann, ann, clock, self.device)
        count = self.images_of(row)
        images, counted = self._test_images(), min(self.settings.energy_images, count)
        energy = list(first(images, counted)) if counted else None
        conversion = Conversion(row, self._network(row, cell), energy)
        ann = self._answers(count).first(count)
        return measure_cell(cell, conversion, first(images, count), ann, self.device)

    def _measure_in_double(self, row: Row | None, cell: Cell) -> CellRecord:
        """The ANN in float64 against itself in float32; a network in float64 against that ANN."""
        model = deepcopy(self._loaded()).double()

        def images() -> Batches:
            return ((x.double(), y) for x, y in first(self._test_images(), self.images))

        clock = RunClock()
        if self._ann_in_double is None:
            who = f"{self.source.name} in float64"
            self._ann_in_double = answers_of(model, images(), self.device, who)
        ann = self._ann_in_double
        if row is None:
            usual = self._answers(self.images).first(self.images)
            return record_of(cell, ann, usual, clock, self.device)
        if self._prepared_in_double is None:
            batches = [batch.double() for batch in self._calibration()]
            self._prepared_in_double = prepare(model, batches)
        network = row.method.convert(
            self._prepared_in_double, steps=cell.steps, neuron=row.neuron, seed=CALIBRATION_SEED
        )
        return measure_cell(cell, Conversion(row, network), images(), ann, self.device)

    def release(self) -> None:
        """Forget what takes memory; it is made again when it is needed."""
        self._model = self._test = self._ann = self._ann_in_double = self._converted = None
        self._prepared = self._prepared_in_double = None

    def _loaded(self) -> nn.Module:
        if self._model is None:
            self._model = self.source.load().to(self.device)
        return self._model

    def _test_images(self) -> Block:
        if self._test is None:
            most = max(self.images, self.one_phase_images)
            self._test = images_in_order(self.data.test, most, self.settings.batch_size)
        return self._test

    def _answers(self, count: int) -> Answers:
        """The ANN's answers to at least `count` images."""
        if self._ann is None or len(self._ann.labels) < count:
            batches = first(self._test_images(), count)
            self._ann = answers_of(self._loaded(), batches, self.device, self.source.name)
        return self._ann

    def _calibration(self) -> tuple[Tensor, ...]:
        settings = self.settings
        return calibration_batches(
            self.data, settings.calibration_samples, settings.batch_size, self.device
        )

    def _network(self, row: Row, cell: Cell) -> SpikingNetwork:
        """The network of a cell; only the last one of a row is kept, converted for all its T."""
        if row.calibration_samples is not None:
            count, place = row.calibration_samples, (self.settings.batch_size, self.device)
            images = calibration_batches(self.data, count, *place, cell.seed)
            network = row.method.convert(self._loaded(), images, cell.steps, row.neuron)
            return network.compile() if self.settings.compiled else network
        if self._converted is None or self._converted[0] != row.name:
            settings = self.settings
            missing = tuple(
                steps
                for steps in settings.steps
                if not all(
                    self.store.read(Cell(row.name, steps, seed).name, CellRecord)
                    for seed in row.seeds(settings.seeds)
                )
            )
            if self._prepared is None:
                self._prepared = prepare(self._loaded(), self._calibration())
            network = row.method.convert(
                self._prepared, steps=missing, neuron=row.neuron, seed=CALIBRATION_SEED
            )
            self._converted = row.name, network.compile() if settings.compiled else network
        return self._converted[1]


def open_subject(
    source: NetworkSource, data: Mapping[str, str], results: Path, settings: Settings
) -> Subject:
    """A network ready to be measured; nothing is written yet.

    Args:
        source: which network.
        data: by data set name, as `open_dataset` takes it.
        results: the folder of all results.
        settings: how the experiment runs.

    Raises:
        ExperimentError: when its data is not given, there are fewer images than asked for, or its
            layers differ in L.
        AnalysisError: when its cells in the folder are of another configuration.
        ModelError, DataError: when the network or its data cannot be used.
    """
    if source.data not in data:
        raise ExperimentError(
            f"network '{source.name}' was trained on {source.data}: give --data {source.data}:DIR"
        )
    images = open_dataset(data[source.data], mean=source.mean, std=source.std, size=source.size)
    model = source.load()
    whole, subset = _counts(source, images, settings)
    configuration = _configuration(source, model, images, settings, (whole, subset))
    store = cells_in(results / source.name, configuration)
    levels = configuration["levels"]
    return Subject(source, images, settings, store, configuration, levels, whole, subset)


def _counts(source: NetworkSource, data: ImageData, settings: Settings) -> tuple[int, int]:
    """Test images of a row, and of one that needs the step engine.

    Raises:
        ExperimentError: when there are fewer, or fewer calibration images than asked for.
    """
    available, training = dataset_length(data.test), dataset_length(data.train)
    whole = available if settings.images is None else settings.images
    subset = whole if settings.one_phase_images is None else settings.one_phase_images
    if max(whole, subset) > available:
        raise ExperimentError(
            f"{max(whole, subset)} images were asked for; the test split of '{source.data}' holds "
            f"{available}"
        )
    if settings.calibration_samples > training:
        raise ExperimentError(
            f"{settings.calibration_samples} calibration images were asked for; the training split "
            f"of '{source.data}' holds {training}"
        )
    return whole, subset


def _configuration(
    source: NetworkSource,
    model: nn.Module,
    data: ImageData,
    settings: Settings,
    counts: tuple[int, int],
) -> dict[str, Any]:
    """Everything that decides a number, as plain JSON values."""
    levels = levels_of(model)
    factory, arguments = source.factory()
    calibration = calibration_images(data, settings.calibration_samples)
    return {
        "name": source.name,
        "architecture": source.architecture,
        "model": factory,
        "arguments": arguments,
        "data": source.data,
        "note": source.note,
        "activation": "relu" if levels is None else "qcfs",
        "levels": levels,
        "weights_sha256": source.sha256 or fingerprint(model.state_dict()),
        "mean": None if source.mean is None else list(source.mean),
        "std": None if source.std is None else list(source.std),
        "size": source.size,
        "test_images": dataset_length(data.test),
        "images": counts[0],
        "one_phase_images": counts[1],
        "images_sha256": images_sha256(ordered(data.test, max(counts))),
        "energy_images": settings.energy_images,
        "calibration_samples": settings.calibration_samples,
        "calibration_sha256": images_sha256(calibration),
        "compiled": settings.compiled,
    }
