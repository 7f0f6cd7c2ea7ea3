"""The page of few-spikes neurons: its tables are those of the record."""

from __future__ import annotations

import pytest
import torch

from docs_tools import few_spikes, harmonic

from .pages import text_of


def test_the_page_repeats_the_record() -> None:
    page = text_of("docs/methods/few-spikes.md")
    for table in few_spikes.tables():
        assert table in page


def test_samples_are_those_of_their_spectra() -> None:
    """Sums of waves, one for each entry, by a loop; and noise at its power."""
    samples, spectra = harmonic.drawn(50, seed=3)
    waves = torch.zeros(50, harmonic.ARRAY, harmonic.ARRAY, dtype=torch.cfloat)
    for sample, row, column in (spectra.square().sum(-1) > 0).nonzero().tolist():
        size = torch.view_as_complex(spectra)[sample, row, column]
        for m in range(harmonic.ARRAY):
            turns = (m * row + torch.arange(harmonic.ARRAY) * column) / harmonic.GRID
            waves[sample, m] += size * torch.exp(-2j * torch.pi * turns)
    noise = torch.view_as_complex(samples.movedim(1, -1).contiguous()) - waves
    powers = (noise.abs().square().mean((1, 2)) / waves.abs().square().mean((1, 2))).log10() * 10
    assert float(powers.mean()) == pytest.approx(harmonic.NOISE_DB, abs=0.5)


def test_the_soft_threshold_is_within_what_is_told_of_its_magnitude() -> None:
    z = torch.randn(2000, dtype=torch.cfloat, generator=torch.Generator().manual_seed(0))
    gain = (1 - 0.5 / z.abs()).clamp(min=0)
    away = harmonic.shrunk(z, torch.tensor(0.5)) - z * gain
    assert bool((away.abs() <= 0.5 * 0.0412 * 1.05).all())  # t times the part by which |z| errs


def test_more_steps_come_nearer_to_the_ann() -> None:
    model = harmonic.SLista(layers=1).requires_grad_(False).eval()
    rows = list(few_spikes.retrievals(model, (2, 10), samples=16, rounds=20))
    gaps = [abs(row.error - row.ann) for row in rows]
    assert gaps[1] < 0.25 * gaps[0]
    assert (
        rows[0].ann
        == rows[1].ann
        == harmonic.error(model(harmonic.drawn(16, 1)[0]), harmonic.drawn(16, 1)[1])
    )
    assert (rows[0].latency, rows[1].latency) == (8, 40)
