"""Hardware bundles: whole numbers that do what the network does, and files that stay whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import spikewright as sw
from spikewright.interchange.hardware import (
    Bundle,
    InputFormat,
    as_integers,
    bundle_accuracy,
    export_hardware,
    read_bundle,
    run_bundle,
)
from spikewright.interchange.hardware import (
    bundle as bundle_module,
)
from tests.builders import images
from tests.interchange.hardware_nets import UNIT, grid_images, grid_network, looped
from tests.network.nets import converted

NEURONS = [sw.TwoPhase("nearest"), sw.IntegrateFire(), sw.IntegrateFire(reset="hard", v0=0.25)]


@pytest.fixture(scope="module")
def grid() -> sw.SpikingNetwork:
    return grid_network()


def bundled(network: sw.SpikingNetwork, folder: Path, steps: int = 4, **options: Any) -> Bundle:
    export_hardware(network, folder / "bundle", steps, **options)
    return read_bundle(folder / "bundle")


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: neuron.label)
def test_weights_on_the_grid_give_the_same_counts(
    grid: sw.SpikingNetwork, neuron: Any, tmp_path: Path
) -> None:
    network, x = grid.with_neuron(neuron), grid_images(9, seed=5)
    bundle = bundled(network, tmp_path)
    found, expected = run_bundle(bundle, x), network.counts(x, steps=4)
    for site, count in expected.items():
        assert len(count.unique()) > 3  # something fires, and not everything at once
        assert torch.equal(found.counts[site].double(), count), site
    torch.testing.assert_close(found.logits, network(x, steps=4), rtol=0, atol=1e-9)


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: neuron.label)
def test_the_simulator_agrees_with_plain_loops(
    grid: sw.SpikingNetwork, neuron: Any, tmp_path: Path
) -> None:
    # off the grid: thresholds and biases that had to be rounded
    network = converted("residual", neuron=neuron, steps=3)
    for net, x in ((grid.with_neuron(neuron), grid_images(2, seed=7)), (network, images(2))):
        bundle = bundled(net, tmp_path, net.steps)
        run = run_bundle(bundle, x)
        for i, image in enumerate(x):
            sums, counts = looped(bundle, image)
            assert run.sums[i].tolist() == sums
            for site, count in counts.items():
                assert np.array_equal(run.counts[site][i].numpy(), count), site


def test_the_numbers_are_those_of_the_grid(grid: sw.SpikingNetwork, tmp_path: Path) -> None:
    bundle = bundled(grid, tmp_path)
    by_module = {node["module"]: node for node in bundle.nodes if node["kind"] != "sum"}
    first, spikes = by_module["a"], by_module["first"]
    weight = grid.graph.tensors[grid.graph.operations[0].stored[0]]
    assert np.array_equal(bundle.array(first, "weight") * UNIT, weight.numpy())
    assert bundle.array(first, "weight").dtype == np.int8
    unit = UNIT * 2.0**-10  # of a weight times a pixel
    assert np.all(bundle.array(spikes, "threshold") == 4.0 / unit)
    assert np.all(bundle.array(spikes, "initial") == 2.0 / unit)  # nearest: half a threshold
    assert np.all(bundle.array(spikes, "shift") == 0)
    biases = [-1.0, -0.375, 0.375, 1.0]
    assert bundle.array(spikes, "bias").flatten().tolist() == [b / unit for b in biases]
    # second layer: 4.0 / 4 of pooling * UNIT a weight; the skip adds whole multiples of it
    (joined,) = [node for node in bundle.nodes if node["kind"] == "sum"]
    assert bundle.array(joined, "factor_0").flatten().tolist() == [1]
    assert bundle.array(joined, "factor_1").flatten().tolist() == [64]  # 1.0 / UNIT
    later = by_module["second"]
    assert np.all(bundle.array(later, "shift") == 1)  # 2.0 / UNIT = 128 units are too few
    assert np.all(bundle.array(later, "threshold") == 256)


def test_stated_bits_hold_for_the_worst_input(grid: sw.SpikingNetwork, tmp_path: Path) -> None:
    bundle = bundled(grid.with_neuron(sw.IntegrateFire()), tmp_path)
    first = bundle.nodes[0]
    weight = bundle.array(first, "weight").astype(np.int64)
    worst = int(np.abs(weight).reshape(len(weight), -1).sum(1).max()) << 15
    assert first["bits"] == worst.bit_length() + 1
    spikes = bundle.nodes[1]
    within = 4 * (worst + int(np.abs(bundle.array(spikes, "bias")).max()))
    within += int(np.abs(bundle.array(spikes, "initial")).max())
    assert spikes["membrane_bits"] == within.bit_length() + 1
    assert bundle.nodes[-1]["sum_bits"] > bundle.nodes[-1]["bits"] - 1


def test_the_description_names_every_array(grid: sw.SpikingNetwork, tmp_path: Path) -> None:
    bundle = bundled(grid, tmp_path, source_sha256="ab" * 32)
    document = bundle.document
    told = {k: document[k] for k in ("steps", "phases", "neuron", "reset", "latency_steps")}
    assert told == {
        "steps": 4,
        "phases": 2,
        "neuron": "nearest",
        "reset": "subtract",
        "latency_steps": 12,
    }
    assert document["source_sha256"] == "ab" * 32
    assert document["spikewright"] == sw.__version__
    assert document["input"]["dtype"] == "int16"
    for name, array in bundle.arrays.items():
        entry = {"dtype": str(array.dtype), "shape": list(array.shape)}
        assert document["arrays"][name] == entry
        assert name.rpartition(".")[2].rstrip("_0123456789") in document["meanings"]
    known = {document["input"]["name"]}
    for node in bundle.nodes:
        assert set(node["inputs"]) <= known
        known.add(node["name"])
    assert str(Path(__file__).parents[2]) not in (tmp_path / "bundle/network.json").read_text()


def test_thresholds_are_never_zero(tmp_path: Path) -> None:
    # weights so large beside the thresholds that those would round to 0 in the weights' unit
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2)
    ).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[512.0, -512.0], [1.0, 1.0]]))
        model[0].bias.zero_()
    x = torch.tensor([[0.500, 0.499], [0.25, 0.25], [0.75, 0.7495]], dtype=torch.float64)
    network = sw.convert(model.eval(), x, threshold=sw.Maximum("channel"), steps=4)
    bundle = bundled(network, tmp_path, input_format=InputFormat(8, 0), steps=4)
    neurons = bundle.nodes[1]
    unit = 512 / 127  # of a weight times a pixel, and the threshold is 0.512
    assert round(0.512 / unit) == 0
    assert bundle.array(neurons, "shift")[0] == 11
    assert bundle.array(neurons, "threshold")[0] == round(0.512 / unit * 2**11)


def test_whole_numbers_cost_little_on_real_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    from spikewright.data.digits import open_digits
    from spikewright.models import load_model

    data = open_digits()
    x = torch.stack([image for image, _ in data.test])
    labels = torch.tensor([label for _, label in data.test])
    calibration = torch.stack([image for image, _ in data.train])[:64]
    nearest = sw.convert(
        load_model("zoo:digits-qcfs8"),
        calibration,
        threshold=sw.Learned(),
        steps=8,
        bias_correction=False,
    )
    for network in (nearest, nearest.with_neuron(sw.IntegrateFire())):
        bundle = bundled(network, tmp_path, 8)
        found = bundle_accuracy(bundle, network, [(x[:300], labels[:300]), (x[300:], labels[300:])])
        assert found.samples == 450
        assert found.network_right >= 0.97 * 450
        # An answer can change only where the two best logits lie closer than rounding moves them:
        # a weight by half a unit, 1 / 254 of its channel's largest, at random. Measured: 2 of 450.
        assert found.agreeing >= 0.98 * 450
        assert abs(found.loss) <= 1 - found.agreeing / 450
        if network is nearest:
            assert_counts_differ_on_boundaries_alone(network, bundle, x[:50])


def assert_counts_differ_on_boundaries_alone(
    network: sw.SpikingNetwork, bundle: Bundle, x: torch.Tensor
) -> None:
    """Given the same spikes, a charge is off by half a unit for each, and no more."""
    plan = network.plan(8)
    found = run_bundle(bundle, x).counts
    first, second = network.sites[:2]
    conv, neurons = (n for n in bundle.nodes if n["module"] in ("conv2", "act2"))
    pooled = F.avg_pool2d(found[first].double(), 2)
    weight = network.graph.tensors["conv2d_1.weight"].double() * plan.thresholds[first].double()
    bias = network.graph.tensors["conv2d_1.bias"].double()
    theta = plan.thresholds[second].double()
    charge = (F.conv2d(pooled, weight, padding=1) + 8 * bias.reshape(-1, 1, 1)) / theta
    unit = torch.from_numpy(bundle.array(conv, "scale")) * 4  # of a weight, before pooling
    moved = F.conv2d(pooled, torch.ones_like(weight) / 2, padding=1) * unit / theta
    rounded = torch.from_numpy(bundle.array(neurons, "scale")) / theta
    moved = moved + (1 + 8 / 2) * rounded  # initial potential, and 8 times the threshold
    lower, upper = ((charge + by + 0.5).floor().clamp(0, 8) for by in (-moved, moved))
    assert bool(((lower <= found[second]) & (found[second] <= upper)).all())
    assert float((upper - lower).double().mean()) < 0.5  # a bound that tells something


class TestInput:
    """Images become whole numbers, and those that do not fit are refused."""

    def test_rounding(self, grid: sw.SpikingNetwork, tmp_path: Path) -> None:
        bundle = bundled(grid, tmp_path, input_format=InputFormat(8, 6))
        x = torch.zeros(1, 2, 8, 8)
        x[0, 0, 0, :4] = torch.tensor([1.0, -2.0, 0.5 / 64, 1.5 / 64])
        assert as_integers(bundle, x)[0, 0, 0, :4].tolist() == [64, -128, 0, 2]

    def test_range_and_shape(self, grid: sw.SpikingNetwork, tmp_path: Path) -> None:
        bundle = bundled(grid, tmp_path, input_format=InputFormat(8, 6))
        with pytest.raises(sw.InterchangeError, match=r"reach from .* to 2; .* holds -2 \.\. 1.98"):
            run_bundle(bundle, torch.full((1, 2, 8, 8), 2.0))
        with pytest.raises(sw.InterchangeError, match=r"takes batches of shape \[B, 2, 8, 8\]"):
            run_bundle(bundle, torch.zeros(1, 2, 8, 9))

    @pytest.mark.parametrize(("bits", "fraction"), [(12, 3), (8, -1), (16, 16)])
    def test_formats(self, bits: int, fraction: int) -> None:
        with pytest.raises(ValueError, match="must"):
            InputFormat(bits, fraction)


class TestFolder:
    """A bundle is there as a whole or not at all, and nothing else is ever harmed."""

    def test_nothing_but_the_two_files(self, grid: sw.SpikingNetwork, tmp_path: Path) -> None:
        told = export_hardware(grid, tmp_path / "bundle", 4)
        assert f"{tmp_path / 'bundle'}: hardware bundle, T = 4, nearest" in told
        assert "on 4 made-up samples" in told
        names = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
        assert names == ["bundle", "bundle/network.json", "bundle/weights.npz"]

    def test_one_network_makes_one_bundle(self, grid: sw.SpikingNetwork, tmp_path: Path) -> None:
        for name in ("a", "b", "b"):  # the third replaces the second
            export_hardware(grid, tmp_path / name, 4)
        for file in ("network.json", "weights.npz"):
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]

    def test_what_is_no_bundle_is_not_replaced(
        self, grid: sw.SpikingNetwork, tmp_path: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("years of work")
        with pytest.raises(sw.InterchangeError, match=r"is no hardware bundle .*thesis\.tex"):
            export_hardware(grid, tmp_path / "mine", 4)
        with pytest.raises(sw.InterchangeError, match="a file of that name"):
            export_hardware(grid, tmp_path / "mine" / "thesis.tex", 4)
        assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"

    @pytest.mark.parametrize("failing", ["fsync", "rename", "rename again"])
    def test_a_failure_leaves_the_older_one(
        self,
        grid: sw.SpikingNetwork,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        failing: str,
    ) -> None:
        export_hardware(grid, tmp_path / "bundle", 4)
        before = (tmp_path / "bundle" / "network.json").read_bytes()
        calls: list[Any] = []

        def full(*_: Any) -> None:
            calls.append(1)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")

        rename = Path.rename

        def refused(self: Path, target: Path) -> Any:
            if self.name.endswith("new" if failing == "rename again" else "bundle"):
                raise OSError(13, "Permission denied")
            return rename(self, target)

        if failing == "fsync":
            monkeypatch.setattr(bundle_module.os, "fsync", full)
        else:
            monkeypatch.setattr(Path, "rename", refused)
        with pytest.raises(sw.InterchangeError, match=r"cannot write .*(No space|Permission)"):
            export_hardware(grid, tmp_path / "bundle", 3)
        assert (tmp_path / "bundle" / "network.json").read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["bundle"]

    def test_damage_is_told(self, grid: sw.SpikingNetwork, tmp_path: Path) -> None:
        folder = tmp_path / "bundle"
        export_hardware(grid, folder, 4)
        with pytest.raises(sw.InterchangeError, match="holds no hardware bundle"):
            read_bundle(tmp_path)
        weights = (folder / "weights.npz").read_bytes()
        (folder / "weights.npz").write_bytes(weights[:-1])
        with pytest.raises(sw.InterchangeError, match=r"SHA-256 of weights\.npz is not the one"):
            read_bundle(folder)
        (folder / "weights.npz").write_bytes(weights)
        document = json.loads((folder / "network.json").read_text())
        document["nodes"][0]["arrays"]["weight"] = "elsewhere"
        (folder / "network.json").write_text(json.dumps(document))
        with pytest.raises(sw.InterchangeError, match=r"array 'elsewhere' is not in weights\.npz"):
            read_bundle(folder)
        (folder / "network.json").write_text(json.dumps({**document, "version": 2}))
        with pytest.raises(sw.InterchangeError, match="of version 1: install"):
            read_bundle(folder)
