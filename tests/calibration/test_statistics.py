"""Statistics of a site do not depend on the order or the cutting of the calibration data."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import spikewright as sw
from spikewright.calibration import MinError, Percentile, SiteStatistics, collect
from spikewright.calibration.statistics import BINS
from spikewright.graph.ir import Site
from spikewright.neurons import TwoPhase
from tests.builders import captured, images, wired

SITE = Site("relu")


def activations(seed: int, spread: float = 3.0, dtype=torch.float64) -> torch.Tensor:
    """`[40, 5, 6]`: magnitudes spread over many powers of two, many zeros, channel 3 dead."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(40, 5, 6, generator=generator, dtype=torch.float64)
    values = values * torch.exp(spread * torch.randn(40, 5, 1, generator=generator)).double()
    values[:, 3] = 0
    return values.clamp(min=0).to(dtype)


def gathered(batches) -> SiteStatistics:
    statistics = SiteStatistics.empty(5)
    for batch in batches:
        statistics.add(batch, batch)
    return statistics


def assert_same(a: SiteStatistics, b: SiteStatistics) -> None:
    assert torch.equal(a.maximum, b.maximum)
    assert torch.equal(a.exponent, b.exponent)
    assert torch.equal(a.histogram, b.histogram)
    assert a.values == b.values
    torch.testing.assert_close(a.input_sum, b.input_sum, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, derandomize=True)
@given(
    st.integers(0, 1000),
    st.permutations(range(40)),
    st.lists(st.integers(1, 39), max_size=5),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_order_cutting_and_merging_change_no_threshold(seed, order, cuts, dtype):
    values = activations(seed, dtype=dtype)
    whole = gathered([values])
    edges = [0, *sorted(set(cuts)), 40]
    parts = [values[order][a:b] for a, b in pairwise(edges)]
    merged = SiteStatistics.empty(5)
    for part in parts:
        merged = gathered([part]).merged(merged)
    assert_same(gathered(parts), whole)
    assert_same(merged, whole)
    assert_same(gathered(parts).pooled(), whole.pooled())
    for strategy in (MinError(), MinError(per="layer"), Percentile(99, per="channel")):
        thresholds = [strategy.choose(SITE, s, TwoPhase(), 8, None) for s in (whole, merged)]
        assert torch.equal(*thresholds)


@settings(max_examples=40, derandomize=True)
@given(st.integers(0, 1000), st.sampled_from([torch.float32, torch.float64]))
def test_a_histogram_counts_every_positive_value_in_its_bin(seed, dtype):
    values = activations(seed, dtype=dtype)
    statistics = gathered(values.split(7))
    for channel in range(5):
        mine = values[:, channel].flatten().double()
        assert statistics.maximum[channel] == mine.max()
        positive = mine[mine > 0]
        end = float(statistics.span[channel])
        if len(positive):
            assert end / 2 <= float(mine.max()) < end
        naive = [int(v / end * BINS) for v in positive.tolist()]
        expected = torch.bincount(torch.tensor(naive, dtype=torch.long), minlength=BINS)
        assert torch.equal(statistics.histogram[channel], expected)


@pytest.mark.parametrize("magnitude", [1e-300, 1e-45, 1e-30, 1.0, 1e30, 1e300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_magnitude_has_a_histogram_and_thresholds(magnitude, dtype):
    values = (activations(0, spread=0.5) * magnitude).to(dtype)
    if not bool(values.isfinite().all()) or not bool((values > 0).any()):
        pytest.skip("not representable in this dtype")
    statistics = gathered([values])
    assert int(statistics.histogram.sum()) == int((values > 0).sum())
    for strategy in (MinError(), MinError(per="layer"), Percentile(99)):
        theta = strategy.choose(SITE, statistics, TwoPhase(), 4, None)
        assert bool((theta > 0).all())
        assert bool((theta <= statistics.maximum.max()).all())


def test_the_mean_input_is_that_of_all_values():
    values = images(12)
    graph = captured(wired(lambda m, x: F.relu(m.c(x)), c=nn.Conv2d(3, 4, 3)), values)
    whole = collect(graph, [values]).statistics["relu"]
    cut = collect(graph, values.split(5)).statistics["relu"]
    inputs = F.conv2d(values, graph.tensors["c.weight"], graph.tensors["c.bias"])
    torch.testing.assert_close(whole.input_mean, inputs.mean((0, 2, 3)))
    torch.testing.assert_close(cut.input_mean, whole.input_mean)
    assert whole.values == 12 * 16


def small():
    return wired(
        lambda m, x: m.l(F.relu(m.c(x)).flatten(1)), c=nn.Conv2d(3, 4, 3), l=nn.Linear(64, 3)
    )


def generator_of(batches):
    yield from batches


def exhausted():
    used = generator_of([images()])
    list(used)
    return used


NOT_FINITE = images().index_fill(0, torch.tensor([1]), float("nan"))
CALIBRATIONS = {
    "empty": (list, "calibration data is empty; if it is a generator it may already be used up"),
    "exhausted generator": (exhausted, "it may already be used up: pass a list or a DataLoader"),
    "batches without samples": (lambda: [images()[:0]], "calibration data is empty"),
    "NaN": (lambda: [images(), NOT_FINITE], "calibration batch 1 holds NaN or infinite values"),
    "mixed shapes": (
        lambda: [images(), images(size=7)],
        r"batch 1 has samples of shape \[3, 7, 7\], the first batch \[3, 6, 6\]",
    ),
    "mixed dtypes": (
        lambda: [images(), images().float()],
        r"batch 1 is of torch.float32, the first batch of torch.float64; all batches must",
    ),
    "not tensors": (lambda: [images().numpy()], r"batch 0 is a ndarray; give tensors \[B, \*S\]"),
}


@pytest.mark.parametrize("case", CALIBRATIONS)
def test_calibration_data_that_cannot_serve_is_refused(case):
    make, message = CALIBRATIONS[case]
    with pytest.raises(sw.CalibrationError, match=message):
        sw.convert(small(), make())


def test_a_site_that_never_fires_is_refused_by_name():
    model = wired(
        lambda m, x: m.l(m.quiet(F.relu(m.c(x)) * -1).flatten(1)),
        c=nn.Conv2d(3, 4, 3),
        l=nn.Linear(64, 3),
        quiet=nn.ReLU(),
    )
    with pytest.raises(sw.CalibrationError, match=r"1 sites never gave.*\(quiet\)"):
        sw.convert(model, images())


def test_activations_that_overflow_are_refused_by_site():
    model = wired(lambda m, x: m.l(F.relu(x * 1e30 * 1e300).flatten(1)), l=nn.Linear(108, 3))
    with pytest.raises(sw.ConversionError, match=r"NaN or infinite|differs from the model by nan"):
        sw.convert(model, images())


def test_labels_are_ignored_and_one_tensor_is_one_batch():
    model, x = small(), images(6)
    pairs = [(x[:4], torch.zeros(4)), [x[4:], torch.zeros(2)]]
    one, several = sw.convert(model, x), sw.convert(model, pairs)
    torch.testing.assert_close(one(x), several(x), rtol=1e-9, atol=1e-9)


def test_the_order_of_calibration_batches_changes_no_answer():
    model, x = small(), images(12)
    batches = list(x.split(3))
    forward = sw.convert(model, batches, correction=None)
    backward = sw.convert(model, batches[::-1], correction=None)
    assert torch.equal(forward(x), backward(x))


class Underflowing(nn.Module):
    """An exponential too small for its dtype, as a state that no token has reached yet has."""

    def __init__(self) -> None:
        super().__init__()
        self.far, self.near, self.head = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 3)
        nn.init.constant_(self.far.bias, -1e4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        live = torch.exp(-self.near(x).abs())
        return self.head(torch.exp(self.far(x)) * live + live)


def test_an_exponential_that_underflows_is_no_dead_layer() -> None:
    torch.manual_seed(0)
    model, x = Underflowing().eval(), torch.randn(32, 4)
    snn = sw.convert(model, x, TwoPhase("nearest", "binary"), steps=12, correction=None)
    with torch.no_grad():
        torch.testing.assert_close(snn(x), model(x), atol=2e-3, rtol=0)
        torch.testing.assert_close(snn(x, engine="steps"), snn(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_masks_write_is_no_part_of_the_sum_of_inputs(dtype: torch.dtype) -> None:
    masked = torch.tensor([1.0, torch.finfo(dtype).min, 2.0, -torch.inf], dtype=dtype)
    whole = SiteStatistics.empty(1)
    whole.add(masked, masked.exp())
    assert whole.merged(whole).input_sum.tolist() == [6.0]


@pytest.mark.parametrize("fill", [-1e4, -1e9, -torch.inf])
def test_a_mask_before_a_maximum_that_hides_all_others_is_refused(fill: float) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            y = self.first(x).relu().masked_fill(~kept[..., None], fill)
            return self.last(y.amax(1))

    torch.manual_seed(0)
    x, kept = torch.randn(32, 6, 5), torch.rand(32, 6) > 0.3
    kept[:, 0] = True
    with pytest.raises(sw.CalibrationError, match="just below all that counts"):
        sw.prepare(Pooled().eval(), [{"x": x, "kept": kept}])
