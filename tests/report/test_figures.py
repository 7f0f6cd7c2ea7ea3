from __future__ import annotations

import base64
import io
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import spikewright as sw
from spikewright.measure import decompose
from spikewright.report import observe_errors, observe_raster, observe_thresholds
from spikewright.report.bin_figures import rate_histogram, threshold_histogram
from spikewright.report.bins import rate_counts
from spikewright.report.observe import LAYERS_SHOWN, NEURONS_SHOWN, png_uri
from spikewright.report.plotting import spread
from spikewright.report.score_curves import score_curves
from spikewright.report.series import KNOWN, series_of

from .conftest import row, sweep_of


@given(st.lists(st.floats(0, 300), min_size=1, max_size=10))
def test_labels_never_overlap_and_stay_inside(wanted: list[float]) -> None:
    placed = spread(sorted(wanted), 16, 330)
    assert all(b - a >= 16 - 1e-9 for a, b in pairwise(placed))
    assert placed[-1] <= 330


def test_labels_with_room_stay_where_they_belong() -> None:
    assert spread([10, 50, 200], 16, 330) == [10, 50, 200]


def test_a_network_looks_the_same_whatever_stands_beside_it() -> None:
    alone = series_of(["nearest"])["nearest"]
    assert series_of(["IF", "other", "nearest"])["nearest"] == alone


def test_networks_of_one_page_differ_in_colour_and_marker() -> None:
    names = [series.name for series in KNOWN if series.name != "independent"]
    found = series_of([*names[:5], "a", "b"]).values()
    assert len({(s.slot, s.marker) for s in found}) == len(found)


def test_no_two_networks_that_are_known_look_alike() -> None:
    looks = [(one.slot, one.marker) for one in KNOWN if one.name != "independent"]  # shuffled, too
    assert len(set(looks)) == len(looks)


def test_a_name_of_a_network_is_text_in_a_figure() -> None:
    figure = score_curves(sweep_of((row("a<b", 4, 4, 700), row("a<b", 8, 8, 800))), "steps")
    hover = [text for trace in figure["data"] for text in trace.get("text", ())]
    labels = [label["text"] for label in figure["layout"]["annotations"]]
    assert all(text.startswith("<b>a&lt;b</b>") for text in hover)
    assert labels == ["ANN", "a&lt;b"]


@pytest.fixture(scope="module")
def network() -> sw.SpikingNetwork:
    torch.manual_seed(0)
    first = [torch.nn.Flatten(), torch.nn.Linear(6, 40), torch.nn.ReLU()]
    second = [torch.nn.Linear(40, 30), torch.nn.ReLU(), torch.nn.Linear(30, 3)]
    model = torch.nn.Sequential(*first, *second).eval()
    return sw.convert(model, torch.rand(32, 1, 2, 3), neuron=sw.TPP(), steps=(4,))


def test_a_raster_shows_the_recorded_spikes(network: sw.SpikingNetwork) -> None:
    image = torch.rand(1, 2, 3)
    trains = network.record(image[None], 4, seed=3)
    answer = int(network(image[None], steps=4, seed=3).argmax())
    found = observe_raster({"TPP": network}, image, "b", ["a", "b", "c"], 4, seed=3)
    (picture,) = found.networks
    assert (picture.latency, picture.answer) == (12, "abc"[answer])
    assert {layer.window for layer in picture.layers} == {4}
    assert [layer.start for layer in picture.layers] == [4, 8]
    own = network.with_neuron(sw.TwoPhase("nearest", "binary", steps=3), sites=["2"])
    (other,) = observe_raster({"": own}, image, "b", ["a", "b", "c"], 4).networks
    assert [(layer.start, layer.window) for layer in other.layers] == [(3, 3), (6, 4)]
    assert other.latency == 10
    for layer, train in zip(picture.layers, trains.values(), strict=True):
        fires = train[:, 0].any(dim=0)
        assert layer.active == int(fires.sum())
        assert len(layer.trains) == min(NEURONS_SHOWN, layer.active)
        assert all(shown for shown in layer.trains)
        assert {step for shown in layer.trains for step in shown} <= {1, 2, 3, 4}
    assert len(picture.layers) <= LAYERS_SHOWN


def test_thresholds_are_those_of_the_design(network: sw.SpikingNetwork) -> None:
    images = torch.rand(16, 1, 2, 3)
    found = observe_thresholds("TPP", network, images, 4, seed=3)
    counts = network.counts(images, 4, seed=3)
    for shown in found.rows:
        theta = network.design(4).thresholds[shown.site]
        assert (shown.low, shown.high) == (float(theta.min()), float(theta.max()))
        assert shown.spikes_per_neuron == pytest.approx(float(counts[shown.site].mean()))
    assert [shown.neurons for shown in found.rows] == [40, 30]
    assert found.samples == 16


def test_neurons_that_send_negative_spikes_are_not_silent() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 20), torch.nn.Tanh(), torch.nn.Linear(20, 3))
    images = torch.rand(32, 6)
    network = sw.convert(model.eval(), images, steps=8)
    (shown,) = observe_thresholds("nearest", network, images, 8).rows
    assert shown.rate_counts[0] == int(
        (network.counts(images)["1"] != 0).any(0).logical_not().sum()
    )


def test_rates_are_relative_to_the_largest_count_that_a_code_reaches() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 20), torch.nn.ReLU(), torch.nn.Linear(20, 3))
    images = torch.rand(32, 6)
    network = sw.convert(model.eval(), images, sw.TwoPhase("nearest", "digits"), steps=3)
    (shown,) = observe_thresholds("digits", network, images, 3).rows
    shares = network.counts(images)["1"].abs().mean(0) / network.plan(3).reach["1"]
    assert network.plan(3).reach["1"] > network.plan(3).levels["1"]
    assert shown.rate_counts == rate_counts(shares)


def test_histograms_hold_every_threshold_and_every_neuron(network: sw.SpikingNetwork) -> None:
    images = torch.rand(16, 1, 2, 3)
    found = observe_thresholds("TPP", network, images, 4, seed=3)
    counts = network.counts(images, 4, seed=3)
    for shown in found.rows:
        assert sum(shown.threshold_counts) == shown.channels
        assert sum(shown.rate_counts) == shown.neurons
        assert shown.rate_counts[0] == int((counts[shown.site].sum(dim=0) == 0).sum())
    figure = rate_histogram(found)["data"][0]
    assert figure["y"] == [shown.site for shown in found.rows]
    shares = [[z**2 for z in row] for row in figure["z"]]
    assert [sum(row) for row in shares] == pytest.approx([1, 1])
    assert len(figure["x"]) == len(figure["z"][0])
    edges = threshold_histogram(found)["data"][0]
    assert len(edges["x"]) == len(edges["z"][0]) + 1


def test_errors_are_those_of_the_decomposition(network: sw.SpikingNetwork) -> None:
    images = torch.rand(20, 1, 2, 3)
    found = observe_errors({"one": network, "two": network}, images, 4, seed=3)
    expected = decompose(network, [images], 4, seed=3, name="one")
    assert [(e.network, e.site) for e in found] == [
        (name, e.site) for name in ("one", "two") for e in expected
    ]
    for got, own in zip(found, expected, strict=False):
        assert got.total == pytest.approx(own.total, rel=1e-5)
        assert got.unevenness == pytest.approx(own.unevenness, rel=1e-5)


def test_frames_are_looked_at_as_they_come() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(6, 40), torch.nn.ReLU(), torch.nn.Linear(40, 3)
    ).eval()
    network = sw.convert(model, torch.rand(32, 1, 2, 3), sw.IntegrateFire(), steps=(4,))
    frames = torch.zeros(4, 20, 1, 2, 3)
    frames[-1] = 4 * torch.rand(20, 1, 2, 3)  # all of it comes at the last step
    raster = observe_raster({"IF": network}, frames[:, 0], "b", ["a", "b", "c"], 4)
    (layer,) = raster.networks[0].layers
    trains = network.record(frames[:, :1], 4)["2"][:, 0]
    assert layer.active == int(trains.any(dim=0).sum())
    assert raster.networks[0].answer == "abc"[int(network(frames[:, :1], steps=4).argmax())]
    assert raster.image == png_uri(frames[:, 0].mean(0))
    rates = observe_thresholds("IF", network, frames, 4)
    assert rates.samples == 20
    counts = network.counts(frames, 4)["2"]
    assert rates.rows[0].spikes_per_neuron == pytest.approx(float(counts.mean()))
    (error,) = observe_errors({"IF": network}, frames, 4)
    assert error.total == pytest.approx(decompose(network, [frames], 4)[0].total, rel=1e-5)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (5, "L")])
def test_pictures_are_valid_png(channels: int, mode: str) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = torch.arange(channels * 6.0).reshape(channels, 2, 3)
    head, _, content = png_uri(pixels).partition(",")
    picture = image.open(io.BytesIO(base64.b64decode(content)))
    assert head == "data:image/png;base64"
    assert (picture.size, picture.mode) == ((3, 2), mode)
    lows_and_highs = [span for band in picture.split() for span in band.getextrema()]
    assert (min(lows_and_highs), max(lows_and_highs)) == (0, 255)
