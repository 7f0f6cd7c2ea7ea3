"""The NIR file: which nodes stand for what, and that it is written as a whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright import files
from spikewright.export.nir import CONTRACT, export_nir
from tests.export.nir_networks import STEPS, grid_network, small
from tests.export.nir_readers import naive, nir, run


def kinds(graph) -> list[str]:
    """The primitives in the order in which they run, which is that of their names."""
    return [type(node).__name__ for _, node in sorted(graph.nodes.items())]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nir") / "grid.nir"
    export_nir(grid_network(), path, STEPS)
    return path


def test_nodes_and_edges(path: Path) -> None:
    graph = nir.read(path)
    assert list(graph.nodes) == [
        "00_input",
        "01_a",
        "02_q1",
        "03_p",
        "04_b",
        "05_q2",
        "06_c",
        "07_p_scaled",
        "08_q3",
        "09_flatten",
        "10_l",
        "11_output",
    ]
    short = {name: name.partition("_")[2] for name in graph.nodes}
    assert {(short[a], short[b]) for a, b in graph.edges} == {
        ("input", "a"),
        ("a", "q1"),
        ("q1", "p"),
        ("p", "b"),
        ("b", "q2"),
        ("q2", "c"),
        ("c", "q3"),
        ("p", "p_scaled"),
        ("p_scaled", "q3"),  # the residual addition: two edges into one layer
        ("q3", "flatten"),
        ("flatten", "l"),
        ("l", "output"),
    }


def test_neurons_say_what_nir_cannot(path: Path) -> None:
    layer = nir.read(path).nodes["08_q3"]
    assert layer.metadata["site"] == "q3"
    assert layer.metadata["reset"] == "subtract"
    assert layer.metadata["reset_by"].shape == (4, 4, 4)
    np.testing.assert_array_equal(layer.metadata["reset_by"], np.float32(2))
    np.testing.assert_array_equal(layer.metadata["v_init"], np.float32(1))
    np.testing.assert_array_equal(layer.v_threshold, np.nextafter(np.float32(2), np.float32(0)))
    np.testing.assert_array_equal(layer.r, np.float32(1))


def test_the_graph_says_how_to_run_it(path: Path) -> None:
    graph = nir.read(path)
    assert graph.metadata["steps"] == STEPS
    assert graph.metadata["dt"] == 1
    assert graph.metadata["writer"] == f"spikewright {sw.__version__}"
    assert {name: graph.metadata[name] for name in CONTRACT} == CONTRACT


def test_the_residual_scale_is_the_threshold_of_its_spikes(path: Path) -> None:
    scale = nir.read(path).nodes["07_p_scaled"].scale
    np.testing.assert_array_equal(scale, np.ones((4, 4, 4), np.float32))
    np.testing.assert_array_equal(nir.read(path).nodes["06_c"].bias, np.zeros(4, np.float32))


def test_readers_of_1_0_4_find_no_field_that_they_do_not_know(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        assert sorted(file["node/nodes/08_q3"]) == ["metadata", "r", "type", "v_threshold"]


def test_one_network_makes_one_file(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.nir"
    export_nir(grid_network(), str(again), STEPS)
    assert again.read_bytes() == path.read_bytes()
    export_nir(sw.load(saved(grid_network(), tmp_path)), again, STEPS)
    assert again.read_bytes() == path.read_bytes()


def saved(network: sw.SpikingNetwork, folder: Path) -> Path:
    network.save(folder / "network.safetensors")
    return folder / "network.safetensors"


def test_an_interrupted_write_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "network.nir"
    path.write_bytes(b"older")

    def fail(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        export_nir(grid_network(), path, STEPS)
    assert path.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["network.nir"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(sw.InterchangeError, match="cannot write"):
        export_nir(grid_network(), tmp_path / "nowhere" / "network.nir", STEPS)


def test_the_package_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(sw.MissingExtra, match=r"exporting to NIR.*spikewright\[nir\]"):
        export_nir(grid_network(), tmp_path / "network.nir", STEPS)


def test_what_is_told(tmp_path: Path) -> None:
    told = export_nir(grid_network(), tmp_path / "network.nir", STEPS)
    assert f"NIR graph at T = {STEPS}, 12 nodes" in told
    assert "3 Conv2d, 1 Flatten, 3 IF" in told
    assert "12 edges, 384 neurons" in told
    for words in ("a current, not spikes", "the logits are the mean over the steps", "v_reset"):
        assert words in told


class Block(nn.Module):
    """A residual block whose shortcut keeps every second pixel and pads zero channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.n = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.n(self.a(x)))
        return F.relu(self.b(y) + F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)))


SHIFT = torch.tensor([0.5, -0.25, 1.0], dtype=torch.float64)
SCALE = torch.tensor([0.75, 1.5, -0.5], dtype=torch.float64)
NETS = {
    "subsampled shortcut": (
        lambda m, x: m.l(m.block(x).mean((2, 3))),
        lambda: {"block": Block(), "l": nn.Linear(6, 3)},
        "Input Conv2d IF Conv2d Conv2d Conv2d Conv2d Scale IF AvgPool2d Flatten Affine Output",
    ),
    "grouped, dilated": (
        lambda m, x: m.l(F.relu(m.b(F.relu(m.a(x)))).flatten(1)),
        lambda: {
            "a": nn.Conv2d(3, 4, 3, padding="same", dilation=2),
            "b": nn.Conv2d(4, 4, 3, groups=2, stride=2),
            "l": nn.Linear(16, 3),
        },
        "Input Conv2d IF Conv2d IF Flatten Affine Output",
    ),
    "batch norm before a convolution": (
        lambda m, x: m.l(F.adaptive_avg_pool2d(F.relu(m.b(m.n(F.relu(m.a(x))))), 2).flatten(1)),
        lambda: {
            "a": nn.Conv2d(3, 4, 1),
            "n": nn.BatchNorm2d(4),
            "b": nn.Conv2d(4, 4, 1),
            "l": nn.Linear(16, 3),
        },
        "Input Conv2d IF Conv2d Conv2d IF AvgPool2d Flatten Affine Output",
    ),
    "a late layer": (
        lambda m, x: F.relu(m.l(x.flatten(1))) * 3,
        lambda: {"l": nn.Linear(108, 3)},
        "Input Flatten Affine IF Scale Scale Output",
    ),
    "a shifted product, three times": (
        lambda m, x: torch.addcmul(SHIFT, F.relu(m.l(x.flatten(1))), SCALE, value=3),
        lambda: {"l": nn.Linear(108, 3)},
        "Input Flatten Affine IF Affine Output",
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_every_construction(name: str, tmp_path: Path) -> None:
    wire, modules, expected = NETS[name]
    check_same(wire, modules, expected, (3, 6, 6), tmp_path)


def test_one_dimension(tmp_path: Path) -> None:
    modules = {
        "a": nn.Conv1d(3, 4, 3, padding=1),
        "b": nn.Conv1d(4, 2, 5, stride=3, dilation=2),
        "l": nn.Linear(8, 3),
    }
    wire = lambda m, x: m.l(F.relu(m.b(F.relu(m.a(x)))).flatten(1))  # noqa: E731
    expected = "Input Conv1d IF Conv1d IF Flatten Affine Output"
    check_same(wire, lambda: modules, expected, (3, 18), tmp_path)


def test_a_quotient_that_names_no_rounding(tmp_path: Path) -> None:
    check_same(
        lambda m, x: m.l(F.relu(m.a(torch.div(x, 4.0, rounding_mode=None)))),
        lambda: {"a": nn.Linear(5, 6), "l": nn.Linear(6, 3)},
        "Input Scale Affine IF Affine Output",
        (5,),
        tmp_path,
    )
    nodes = nir.read(tmp_path / "network.nir").nodes
    assert nodes["1_div"].scale.tolist() == [0.25] * 5


def test_zeros_beside_a_vector(tmp_path: Path) -> None:
    check_same(
        lambda m, x: m.l(F.pad(F.relu(m.a(x)), (2, 1))),
        lambda: {"a": nn.Linear(5, 6), "l": nn.Linear(9, 3)},
        "Input Affine IF Affine Affine Output",
        (5,),
        tmp_path,
    )


def test_a_current_for_neurons_whose_input_another_layer_reads(tmp_path: Path) -> None:
    """It has no bias to go into, and gets a layer of its own; so has a vector."""
    shifted = sw.IntegrateFire(v0=0.0, shift=0.5)
    check_same(
        lambda m, x: m.l((F.relu(y := m.a(x)) + m.b(F.relu(-y))).flatten(1)),
        lambda: {"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(4, 4, 1), "l": nn.Linear(64, 3)},
        "Input Conv2d Conv2d IF Scale Conv2d IF Conv2d Scale Flatten Affine Output",
        (3, 6, 6),
        tmp_path,
        shifted,
    )
    check_same(
        lambda m, x: F.relu(y := m.l(x)) + y,
        lambda: {"l": nn.Linear(5, 3)},
        "Input Affine Affine IF Scale Output",
        (5,),
        tmp_path,
        shifted,
    )


def check_same(
    wire,
    modules,
    expected: str,
    shape: tuple[int, ...],
    folder: Path,
    neuron: sw.IntegrateFire | None = None,
) -> None:
    """The naive reader sends the spikes that the step engine sends."""
    torch.manual_seed(0)
    network, images = small(wire, shape, neuron, **modules())
    path = folder / "network.nir"
    export_nir(network, path, 4)
    assert " ".join(kinds(nir.read(path))) == expected
    counts, output = run(path, images, 4, naive)
    for site, count in network.counts(images, engine="steps").items():
        assert torch.equal(counts[site], count), site
    torch.testing.assert_close(output, network(images, engine="steps"), rtol=0, atol=1e-12)
