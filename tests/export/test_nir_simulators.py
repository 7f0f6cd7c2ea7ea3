"""Exported networks in independent simulators: the same spikes, neuron by neuron."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.export.nir import export_nir
from tests.builders import wired
from tests.export.nir_networks import (
    STEPS,
    converted_on_grid,
    digits,
    grid_network,
    qcfs,
    trained_network,
)
from tests.export.nir_readers import READERS, Neurons, by_fields, naive, nir, run


def exported(network: sw.SpikingNetwork, folder: Path, steps: int = STEPS) -> Path:
    path = folder / "network.nir"
    export_nir(network, path, steps)
    return path


def differing(left: dict[str, Tensor], right: dict[str, Tensor]) -> dict[str, int]:
    """By site, how many neurons sent another number of spikes."""
    assert left.keys() == right.keys()
    return {site: int((left[site] != right[site]).sum()) for site in left}


def none_of(network: sw.SpikingNetwork) -> dict[str, int]:
    return dict.fromkeys(network.sites, 0)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_sums_are_exact_every_reader_sends_the_same_spikes(
    reader, dtype: torch.dtype, tmp_path: Path
) -> None:
    network, images = grid_network(dtype), digits().to(dtype)
    counts, output = run(exported(network, tmp_path), images, STEPS, reader)
    expected = network.counts(images, steps=STEPS, engine="steps")
    assert all(bool(count.any()) for count in expected.values())
    assert differing(counts, expected) == none_of(network)
    assert torch.equal(output, network(images, steps=STEPS, engine="steps"))


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_trained_network_sends_the_same_spikes_on_digits(reader, tmp_path: Path) -> None:
    network, images = deepcopy(trained_network()).double(), digits().double()
    counts, output = run(exported(network, tmp_path), images, STEPS, reader)
    expected = network.counts(images, steps=STEPS, engine="steps")
    assert differing(counts, expected) == none_of(network)
    torch.testing.assert_close(output, network(images, engine="steps"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_in_float32_rounding_changes_next_to_nothing(reader, tmp_path: Path) -> None:
    """Sums in another order may move a potential over its threshold: here, none of 122,880."""
    network, images = trained_network(), digits()
    counts, _ = run(exported(network, tmp_path), images, STEPS, reader)
    moved = differing(counts, network.counts(images, steps=STEPS, engine="steps"))
    assert sum(moved.values()) <= 1e-4 * sum(count.numel() for count in counts.values())


def test_neurons_at_their_threshold_are_common_on_the_grid_and_fire(tmp_path: Path) -> None:
    """What `v_threshold` just below theta is for: at theta itself, `>` sends other spikes."""
    network, images = grid_network(), digits()
    path = exported(network, tmp_path)
    ties = 0

    def strict(node, like: Tensor) -> Neurons:
        theta = torch.from_numpy(node.metadata["reset_by"])
        v = torch.from_numpy(node.metadata["v_init"]).expand_as(like)

        def advance(current: Tensor) -> Tensor:
            nonlocal v, ties
            v = v + current
            ties += int((v == theta).sum())
            spikes = (v > theta).to(v.dtype)
            v = v - theta * spikes
            return spikes

        return advance

    expected = network.counts(images, steps=STEPS, engine="steps")
    assert sum(differing(run(path, images, STEPS, strict)[0], expected).values()) > 100
    assert ties > 100
    assert differing(run(path, images, STEPS, by_fields)[0], expected) == none_of(network)


@pytest.mark.parametrize(
    ("steps", "neuron"), [(4, sw.IntegrateFire(v0=0.0, shift=0.5)), (5, None), (1, None)]
)
def test_another_t_and_shifted_neurons(steps: int, neuron, tmp_path: Path) -> None:
    network, images = grid_network(torch.float64), digits(10).double()
    network = network if neuron is None else network.with_neuron(neuron)
    counts, _ = run(exported(network, tmp_path, steps), images, steps, naive)
    assert differing(counts, network.counts(images, steps=steps)) == none_of(network)


def test_a_hard_reset_would_be_another_network(tmp_path: Path) -> None:
    """What a reader does that goes by `v_reset` and not by the metadata."""
    network, images = grid_network(), digits()

    def hard(node, like: Tensor) -> Neurons:
        assert not getattr(node, "v_reset", torch.zeros(1)).any()  # nir 1.0.4 has no such field
        v = torch.from_numpy(node.metadata["v_init"]).expand_as(like)

        def advance(current: Tensor) -> Tensor:
            nonlocal v
            v = v + current
            spikes = (v > torch.from_numpy(node.v_threshold)).to(v.dtype)
            v = v * (1 - spikes)
            return spikes

        return advance

    counts, _ = run(exported(network, tmp_path), images, STEPS, hard)
    assert sum(differing(counts, network.counts(images, steps=STEPS)).values()) > 100


def charged(reset_delay: bool) -> list[float]:
    """The train of one snnTorch neuron that gets 3 thresholds at once, then nothing."""
    snntorch = pytest.importorskip("snntorch", reason="snntorch is not installed")
    leaky = snntorch.Leaky(beta=1.0, threshold=1.0, reset_delay=reset_delay)
    v, train = torch.zeros(1), []
    for current in (3.5, 0.0, 0.0, 0.0):
        with torch.no_grad():
            spikes, v = leaky(torch.tensor([current]), v)
        train.append(float(spikes))
    return train


def test_snntorch_reads_one_threshold_a_layer_and_no_other(tmp_path: Path) -> None:
    """docs/nir.md says so, and which thresholds to convert with."""
    importer = pytest.importorskip("snntorch.import_nir", reason="snntorch is not installed")
    torch.manual_seed(0)
    x = torch.rand(16, 12)
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    by_channel = sw.convert(model, x, sw.IntegrateFire(), steps=4)
    with pytest.raises(AssertionError, match="v_threshold must be same for all neurons"):
        importer.import_from_nir(nir.read(exported(by_channel, tmp_path, 4)))
    for threshold in (sw.MinError(per="layer"), sw.Maximum(per="layer")):
        by_layer = sw.convert(model, x, sw.IntegrateFire(), threshold, steps=4)
        importer.import_from_nir(nir.read(exported(by_layer, tmp_path, 4)))


def test_snntorch_needs_its_reset_delay() -> None:
    """Without it, charge is left that is never sent; docs/nir.md says so."""
    assert charged(reset_delay=True) == [1, 1, 1, 0]
    assert charged(reset_delay=False) == [1, 1, 0, 0]


def plain_network() -> sw.SpikingNetwork:
    """Without a pool and a residual addition, which the simulators' own importers do not read."""
    model = wired(
        lambda m, x: m.l(m.q2(m.b(m.q1(m.a(x)))).flatten(1)),
        a=nn.Conv2d(1, 4, 3, padding=1),
        q1=qcfs(1.0),
        b=nn.Conv2d(4, 4, 3, stride=2, padding=1),
        q2=qcfs(2.0),
        l=nn.Linear(64, 10),
    )
    return converted_on_grid(model)


def neurons_in(model: nn.Module, path: Path) -> dict[str, tuple[nn.Module, Any]]:
    """The neurons of an imported model by site, each with the node that it was made of."""
    modules = dict(model.named_modules())
    nodes = nir.read(path).nodes.items()
    return {n.metadata["site"]: (modules[name], n) for name, n in nodes if isinstance(n, nir.IF)}


def started(node: Any, batch: int) -> Tensor:
    v_init = torch.from_numpy(node.metadata["v_init"])
    return v_init.expand(batch, *v_init.shape).clone()


def test_snntorch_imports_it_with_its_neurons_set_right(tmp_path: Path) -> None:
    importer = pytest.importorskip("snntorch.import_nir", reason="snntorch is not installed")
    network, images = plain_network(), digits()
    path = exported(network, tmp_path)
    model = importer.import_from_nir(nir.read(path))
    for leaky, node in neurons_in(model, path).values():
        leaky.beta, leaky.reset_delay, leaky.init_hidden = torch.tensor(1.0), True, True
        leaky.threshold = torch.from_numpy(node.v_threshold)
        leaky.mem = started(node, len(images))
    with torch.no_grad():
        output = sum(model(images)[0] for _ in range(STEPS)) / STEPS
    assert torch.equal(output, network(images))


@pytest.mark.filterwarnings("ignore:nirtorch.load is being deprecated:DeprecationWarning")
def test_sinabs_imports_it_with_its_neurons_set_right(tmp_path: Path) -> None:
    importer = pytest.importorskip("sinabs.nir", reason="sinabs is not installed")
    if tuple(map(int, str(nir.version).split(".")[:3])) > (1, 0, 4):
        pytest.skip("sinabs.from_nir does not work with nir above 1.0.4")
    activation = pytest.importorskip("sinabs.activation")
    network, images = plain_network(), digits()
    path = exported(network, tmp_path)
    model = importer.from_nir(nir.read(path), batch_size=len(images))
    for iaf, node in neurons_in(model, path).values():
        iaf.spike_fn, iaf.min_v_mem = activation.SingleSpike, None
        theta = torch.from_numpy(node.metadata["reset_by"])
        iaf.spike_threshold = nn.Parameter(theta, requires_grad=False)
        iaf.v_mem = started(node, len(images))
    with torch.no_grad():
        output, _ = model(images.repeat_interleave(STEPS, 0))
    assert torch.equal(output.unflatten(0, (len(images), STEPS)).mean(1), network(images))


def test_identical_arrays_come_back(tmp_path: Path) -> None:
    """Weights against those that the step engine runs on, folded biases against their parts."""
    network = trained_network()
    plan, graph = network.plan(STEPS), nir.read(exported(network, tmp_path))
    convolutions = [op for op in plan.graph.operations if op.operator == "aten.conv2d"]
    nodes = [node for _, node in sorted(graph.nodes.items()) if isinstance(node, nir.Conv2d)]
    assert len(nodes) == len(convolutions) == 3
    for op, node, site in zip(convolutions, nodes, network.sites, strict=True):
        weight, bias = (plan.graph.tensors[op.args[i].name] for i in (1, 2))
        assert torch.equal(torch.from_numpy(node.weight), weight)
        correction = plan.corrections[site].flatten().double()
        assert torch.equal(torch.from_numpy(node.bias), (bias.double() + correction).float())
