"""prepare(): once for all neurons and T, in bounded memory, whatever the cut of the data."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spikewright as sw
from spikewright.calibration import InputMeans, OutputMeans
from spikewright.calibration.layers import Layers, Sent
from spikewright.calibration.segments import kept_bytes, segments_of
from spikewright.calibration.thinned import Thinned
from spikewright.cli.options import ConversionOptions
from spikewright.cli.source import Source
from spikewright.methods import METHODS, RTS
from spikewright.neurons import NEURONS as REGISTERED
from tests.builders import captured, images, wired
from tests.network.nets import NETS, net, program

NEURONS = (sw.IntegrateFire(), sw.Shuffled(), sw.TPP(), sw.TwoPhase("unbiased"), sw.TwoPhase())
STEPS = (1, 2, 4, 8, 16, 32)
CONVERT = sys.modules["spikewright.convert"]  # the function has the module's name


@pytest.fixture
def calls(monkeypatch):
    """How often the parts of preparation run."""
    counts = Counter()
    for name in ("survey", "collect"):
        part = getattr(CONVERT, name)

        def counted(*arguments, part=part, name=name, **options):
            counts[name] += 1
            return part(*arguments, **options)

        monkeypatch.setattr(CONVERT, name, counted)
    return counts


def test_five_neurons_at_six_t_are_captured_and_calibrated_once(calls):
    source = Source(net("plain"), None, tuple(images(12).split(5)))
    for neuron in NEURONS:
        snn = source.convert(neuron, STEPS, ConversionOptions())
        assert snn.designed_steps == STEPS
    assert calls == {"survey": 1, "collect": 1}
    prepared = sw.prepare(program("plain"), images(12))
    for method in METHODS.values():
        if method.name not in ("qcfs", "srp", "cos"):  # these are for other networks
            method.convert(prepared, steps=(4, 8))
    assert calls == {"survey": 2, "collect": 2}


@pytest.mark.parametrize(
    ("neuron", "correction"),
    [(sw.TPP(), InputMeans()), (sw.IntegrateFire(), None), (sw.TPP(), OutputMeans())],
)
def test_convert_is_prepare_and_convert(neuron, correction):
    x = images(12)
    arguments = {"neuron": neuron, "steps": (4, 3), "correction": correction, "seed": 2}
    whole = sw.convert(program("residual"), x, **arguments)
    parts = sw.prepare(program("residual"), x)
    parts.convert(sw.TwoPhase(), steps=4)  # changes nothing for the next
    apart = parts.convert(**arguments)
    for steps in (4, 3, 5):
        assert torch.equal(whole(x, steps=steps, seed=1), apart(x, steps=steps, seed=1))


VARIANTS = [neuron for kind in REGISTERED for neuron in kind.variants()]


@pytest.mark.parametrize("neuron", VARIANTS, ids=str)
def test_neurons_that_share_a_design_count_alike(neuron):
    charge = torch.linspace(0, 9, 1001)
    twin = neuron.evenly_driven
    assert twin.evenly_driven == twin
    for steps in (1, 3):
        assert twin.levels(steps) == neuron.levels(steps)
        ours, theirs = (n.expected_count(charge, steps) for n in (neuron, twin))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class ByPhase(sw.Maximum):
    """Half of the maximum for neurons that do not wait, though they may count alike."""

    def choose(self, site, statistics, neuron, steps, learned):
        whole = super().choose(site, statistics, neuron, steps, learned)
        return whole if neuron.waits else whole / 2


@pytest.mark.parametrize(
    "threshold",
    [ByPhase(), sw.calibration.Headroom(ByPhase()), sw.Learned(ByPhase())],
    ids=["own", "headroom", "learned"],
)
def test_a_strategy_that_looks_at_more_than_counts_is_asked_for_every_neuron(threshold):
    prepared = sw.prepare(program("plain"), images(12))
    pair = [sw.Shuffled(), sw.IntegrateFire()]
    assert pair[0].evenly_driven == pair[1].evenly_driven
    found = [prepared.convert(one, threshold, 4, None).design().tensors() for one in pair]
    assert all(torch.equal(tensor, 2 * found[1][name]) for name, tensor in found[0].items())


@pytest.mark.parametrize("threshold", [sw.MinError(), sw.Maximum()])
def test_a_shared_design_is_the_one_that_is_made_alone(threshold, monkeypatch):
    x, passes, rule = images(12), [], InputMeans()
    corrected = InputMeans.corrected
    monkeypatch.setattr(InputMeans, "corrected", lambda *a: passes.append(0) or corrected(*a))
    prepared = sw.prepare(program("residual"), x)
    for neuron in NEURONS:
        together = prepared.convert(neuron, threshold, (4, 3), rule)
        with monkeypatch.context() as context:
            context.setattr(InputMeans, "corrected", corrected)
            alone = replace(prepared, _designs={}).convert(neuron, threshold, (4, 3), rule)
        for steps in (4, 3):
            ours, theirs = (s.design(steps).tensors() for s in (together, alone))
            assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert len(passes) == 3 * 2  # IF, its shuffled trains and nearest count alike


@pytest.mark.parametrize("settle", [None, 0, 3])
@pytest.mark.parametrize("rounding", ["nearest", "unbiased"])
def test_a_tracer_is_corrected_as_the_neuron_whose_count_it_goes_towards(rounding, settle):
    """Signed counts too, in whatever order neurons are converted from one preparation."""
    torch.manual_seed(0)
    layers = (nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    model, x = nn.Sequential(*layers).double().eval(), torch.randn(64, 8).double()
    pair = (sw.TwoPhase(rounding), sw.SpikeTracer(rounding, settle=settle))
    wanted = sw.convert(model, x, pair[0], sw.MinError(), 4, InputMeans()).design().tensors()
    for order in (pair, pair[::-1]):
        prepared = sw.prepare(model, x)
        for neuron in order:
            found = prepared.convert(neuron, sw.MinError(), 4, InputMeans()).design().tensors()
            assert all(torch.equal(tensor, found[name]) for name, tensor in wanted.items())


@pytest.mark.parametrize("samples", [1, 3])
def test_a_batch_holds_as_many_samples_of_every_input(samples):
    """One would be taken beside each of the others."""
    model = nn.Bilinear(4, 5, 3).double().eval()
    x, y = torch.rand(8, 4).double(), torch.rand(8, 5).double()
    with pytest.raises(sw.ConversionError, match=f"'input2': got {samples} samples, and 8 of"):
        sw.prepare(model, [(x, y), (x, y[:samples])])


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_cut_of_the_data_changes_no_correction(name):
    x = images(24, seed=4)
    cuts = (x, x.split(7), [x[:1], x[1:20], x[20:]])
    prepared = [sw.prepare(program(name), data) for data in cuts]
    for neuron, correction in product(
        (sw.TPP(), sw.IntegrateFire()), (InputMeans(), OutputMeans())
    ):
        designs = [p.convert(neuron, steps=5, correction=correction).design() for p in prepared]
        for other in designs[1:]:
            for part in ("thresholds", "corrections", "potentials"):
                for site, values in getattr(designs[0], part).items():
                    same = getattr(other, part)[site]
                    torch.testing.assert_close(same, values, rtol=1e-9, atol=1e-9)


def test_a_segment_keeps_counts_not_the_currents_of_branches():
    model = wired(
        lambda m, x: m.l(F.relu(m.b(F.relu(m.a(h := F.relu(m.i(x))))) + m.d(h)).mean((2, 3))),
        i=nn.Conv2d(3, 4, 3),
        a=nn.Conv2d(4, 4, 3, padding=1),
        b=nn.Conv2d(4, 5, 3, padding=1),
        d=nn.Conv2d(4, 5, 1),
        l=nn.Linear(5, 3),
    )
    graph = captured(model, images())
    first, second, third = segments_of(graph)
    assert [len(s.operations) for s in (first, second, third)] == [1, 1, 3]
    assert not first.keeps | second.keeps | third.keeps
    assert second.reads == {first.end.name}
    assert third.reads == third.frees == {first.end.name, second.end.name}
    assert (first.lasts, second.lasts, third.lasts) == (True, True, False)
    assert kept_bytes(graph, 8) == (4 + 4) * 16  # one byte a count


@pytest.mark.parametrize("name", sorted(NETS))
def test_layers_keep_no_more_than_they_say_and_nothing_in_the_end(name):
    graph, x = captured(program(name), images(2)), images(6, seed=1)
    layers, most = Layers(graph, x.split(2)), kept_bytes(graph, 8)
    for layer in layers.units():
        for number, current in layer.currents():
            layer.send(number, Sent(current.clamp(0, 9).round(), current.new_ones(())))
        for kept in layers.kept:
            held = (v.numbers if isinstance(v, Sent) else v for k, v in kept.items())
            sizes = [t.nbytes for t in held if t is not None and t.data_ptr() != x.data_ptr()]
            assert sum(sizes) <= 2 * most + x[:2].nbytes  # two samples, and the input
    assert all(len(kept) <= 2 for kept in layers.kept)


@pytest.mark.parametrize(
    ("most", "dtype"), [(255, torch.uint8), (256, torch.int16), (40000, torch.float32)]
)
def test_counts_are_kept_in_the_narrowest_integers(most, dtype):
    counts = torch.tensor([0.0, 1.0, most])
    sent = Sent(counts, torch.tensor(0.3))
    assert sent.narrowed().numbers.dtype is dtype
    assert torch.equal(sent.narrowed().values, counts * 0.3)
    for other in (-1.0, 0.5):
        sent = Sent(torch.tensor([other]), torch.tensor(0.3))
        assert torch.equal(sent.narrowed().values, sent.values)


def test_thinned_parts_are_spread_over_the_series():
    thinned = Thinned(8)
    parts = list(torch.arange(40).split(2))
    assert all(a is b for a, b in zip(thinned.watch(iter(parts)), parts, strict=True))
    assert [int(part[0]) for part in thinned.kept.values()] == [0, 16, 32]
    assert thinned.seen == 40


def test_data_that_come_in_one_buffer_are_kept_as_they_came():
    x, buffer = images(40, seed=4), images(8)
    prepared = sw.prepare(program("plain"), (buffer.copy_(part) for part in x.split(8)))
    assert torch.equal(torch.cat(prepared.samples.parts), x)


@pytest.mark.parametrize("neuron", [sw.TPP(), sw.IntegrateFire()])
def test_data_beyond_the_budget_is_streamed_and_said(monkeypatch, neuron):
    x = images(40, seed=4)
    stream = (part for part in x.split(4))
    each = 3 * 36 * 8 + kept_bytes(captured(program("residual"), x), 8)
    monkeypatch.setattr(CONVERT, "MEMORY", 12 * each)
    prepared = sw.prepare(program("residual"), stream)
    assert (len(prepared.samples), prepared.samples.seen) == (12, 40)
    assert torch.equal(torch.cat(prepared.samples.parts), torch.cat([x[:4], x[16:20], x[32:36]]))
    with pytest.warns(UserWarning, match=r"measured on 12 of the 40 calibration samples, evenly"):
        snn = prepared.convert(neuron, steps=4, correction=InputMeans())
    whole = sw.convert(program("residual"), x, neuron, steps=4, correction=None)
    first = snn.sites[0]
    assert float(snn.design().corrections[first].abs().max()) < 1e-12  # like against like
    for site, theta in whole.design().thresholds.items():
        assert torch.equal(snn.design().thresholds[site], theta)
    prepared.convert(neuron, steps=4, correction=None)  # nothing to warn of


def test_one_large_tensor_runs_in_parts(monkeypatch):
    monkeypatch.setattr("spikewright.calibration.samples.PART_BYTES", 5 * 64 * 8)
    monkeypatch.setattr("spikewright.calibration.samples.CALL_BYTES", 0)
    prepared = sw.prepare(program("plain"), images(24))
    assert {len(part) for part in prepared.samples.parts} == {5, 4}


def test_parts_are_larger_where_most_operations_are_small(monkeypatch):
    """A convolution to 400 numbers, then a layer of 20 over 4 time steps."""
    monkeypatch.setattr("spikewright.calibration.samples.PART_BYTES", 2 * 400 * 8)
    model = wired(
        lambda m, x: m.rnn(F.avg_pool2d(m.conv(x).relu(), 10).flatten(2).expand(-1, -1, 20))[0],
        conv=nn.Conv2d(3, 4, 1),
        rnn=nn.RNN(20, 20, batch_first=True),
    )
    assert {len(p) for p in sw.prepare(model, images(24, size=10)).samples.parts} == {16, 8}


def image_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, 5)).eval()


X = torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))
WRONG = {
    "None": (None, "must be batches .* got None"),
    "a number": (3, "must be batches .* got a int"),
    "a data set": (TensorDataset(X, X), r"TensorDataset, which gives single.*DataLoader\("),
    "one picture": (X[0], r"does not take .*\[3, 12, 12\].*one sample: .*batch\[None\]"),
    "a list of pictures": (list(X), r"one sample: give batches \[B, \*S\]"),
    "frames": (X[:, None].expand(8, 10, 3, 12, 12), r"look like frames.*mean\(1\).*\[T, N"),
    "channels last": (X.permute(0, 2, 3, 1), r"channels first: give batch.permute\(0, 3, 1, 2\)"),
    "float64": (X.double(), r"takes torch.float32: give batch.to\(torch.float32\)"),
    "nothing at all": (torch.rand(8, 7), r"does not take a batch of shape \[8, 7\]"),
    "a single number": (torch.tensor(1.0), "is a single number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_data_of_another_kind_is_refused_in_plain_words(case):
    data, message = WRONG[case]
    with pytest.raises(sw.ConversionError, match=message) as caught:
        sw.convert(image_net(), data)
    assert "torch.export" not in str(caught.value)


def test_steps_given_as_a_tensor_are_refused():
    with pytest.raises(sw.ConversionError, match="whole numbers, at least 1, not a tensor"):
        sw.convert(image_net(), X, steps=torch.tensor(8))


def test_an_empty_batch_is_left_out():
    model, pairs = image_net(), [(X, torch.zeros(8)), (X[:0], torch.zeros(0))]
    snn = sw.convert(model, pairs, steps=4)
    assert torch.equal(snn(X), sw.convert(model, X, steps=4)(X))
    loader = DataLoader(TensorDataset(X, torch.arange(8) % 5), 3)
    assert sw.convert(model, loader, steps=4).steps == 4
    labelled = [(X, torch.arange(8) % 5), (X[:0], torch.zeros(0, dtype=torch.long))]
    assert sw.operations(snn, labelled).record.samples == 8
    assert sw.sweep({"a": snn}, labelled, steps=4).record.samples == 8


def test_a_learned_threshold_below_zero_is_told_as_such():
    model = nn.Sequential(nn.Linear(16, 8), sw.QCFS(8), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[1].threshold.fill_(-0.3)
    with pytest.raises(sw.CalibrationError, match=r"site '1': its learned threshold is -0\.3"):
        sw.convert(model, torch.rand(64, 16), threshold=sw.Learned())


def test_a_prepared_model_has_its_data():
    prepared = sw.prepare(program("plain"), images())
    with pytest.raises(sw.ConversionError, match="has its calibration data"):
        RTS.convert(prepared, images())
    with pytest.raises(sw.ConversionError, match="got None"):
        RTS.convert(program("plain"))
