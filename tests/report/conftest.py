"""A made-up report whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spikewright.measure import (
    LayerEffect,
    LayerError,
    Reference,
    SpikeTimeHistogram,
    Sweep,
    SweepRow,
    wilson_interval,
)
from spikewright.report import (
    NetworkRaster,
    Raster,
    RasterLayer,
    Report,
    SiteRow,
    Study,
    Thresholds,
)

from .folders import RECORD

SAMPLES = 1000


def row(network: str, steps: int, latency: int, correct: int, seeds: int = 1) -> SweepRow:
    low, high = wilson_interval(correct, SAMPLES)
    return SweepRow(
        network=network,
        steps=steps,
        latency=latency,
        accuracy=correct / SAMPLES,
        low=low,
        high=high,
        seeds=seeds,
        spread=0.004 if seeds > 1 else 0.0,
        per_seed=(correct / SAMPLES,) * seeds,
        samples=SAMPLES,
        agreement=0.9,
        only_network=12,
        only_reference=34,
        p_value=0.0001 if correct < 900 else 0.1234,
        spikes_per_image=1234.5 * steps,
        spikes_per_neuron=0.25 * steps,
        seconds=1.0,
    )


def sweep_of(rows: tuple[SweepRow, ...], reference: bool = True) -> Sweep:
    low, high = wilson_interval(950, SAMPLES)
    started = "2026-01-01T00:00:00+00:00"
    record = replace(RECORD, started=started, seconds=12.3, samples=SAMPLES)
    return Sweep(rows, Reference(0.95, low, high, SAMPLES, 1.0) if reference else None, record)


@pytest.fixture(scope="session")
def sweep() -> Sweep:
    return sweep_of(
        (
            row("IF", 4, 4, 700),
            row("IF", 8, 8, 941),
            row("TPP", 4, 16, 945, seeds=3),
            row("TPP", 8, 32, 948, seeds=3),
        )
    )


@pytest.fixture(scope="session")
def report(sweep: Sweep) -> Report:
    layer = RasterLayer("act<1>", 0, 4, ((1, 3), (2,)), 64, 20)
    raster = Raster(4, "data:image/png;base64,AA==", "7", (NetworkRaster("IF", 4, "1", (layer,)),))
    study = Study(
        "A study",
        sweep,
        note="A note.",
        raster=raster,
        histograms=(SpikeTimeHistogram("act1", 4, (0.1, 0.4, 0.2, 0.3), (0.25,) * 4),),
        thresholds=Thresholds(
            "TPP",
            4,
            100,
            (
                SiteRow("act1", 2048, 32, 0.5, 1.25, 2.5, 0.75),
                SiteRow("act2", 512, 16, 1, 2, 3, 0.5),
            ),
        ),
        layers=(LayerEffect("act1", 4, 0.7, 0.67, 0.73, 0.8, 0.77, 0.83, 120, 20, 0.0, 1000),),
        errors=(LayerError("act1", 4, 0.1, 0.02, 0.03, 0.04, 0.12, -0.01, 1.0, "IF"),),
    )
    return Report("A title", "A subject.", (study,), "spikewright sweep x", {"seed": 7})
