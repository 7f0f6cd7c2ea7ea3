from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikewright as sw
from spikewright.measure import LayerError, decompose, split_error
from spikewright.neurons import Neuron

from .conftest import random_images

NEURONS: list[Neuron] = [
    sw.IntegrateFire(),
    sw.IntegrateFire(v0=0.0),
    sw.IntegrateFire(reset="hard"),
    sw.Shuffled(),
    sw.TPP(),
    sw.TwoPhase("unbiased"),
    sw.TwoPhase("nearest"),
]


def rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


@given(st.sampled_from(NEURONS), st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=60)
def test_the_terms_add_up_neuron_by_neuron(neuron: Neuron, levels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    charge = torch.randn(5, 7, generator=generator, dtype=torch.float64) * levels
    count = torch.randint(0, levels + 1, (5, 7), generator=generator).double()
    activation = torch.randn(5, 7, generator=generator, dtype=torch.float64).relu()
    threshold = torch.rand(1, 7, generator=generator, dtype=torch.float64) + 0.1
    terms = split_error(charge, count, activation, threshold, levels, neuron, torch.relu)
    total = count * threshold / levels - activation
    assert torch.allclose(sum(terms.values(), torch.tensor(0.0)), total, atol=1e-12)
    assert bool((terms["clipping"] <= 0).all())


def test_the_terms_by_hand() -> None:
    """T = 4, theta = 2: one spike is worth 1/2. The charge x is a current of x/2."""
    charge = torch.tensor([[1.4, 6.0, -3.0, 1.6]])
    count = torch.tensor([[2.0, 4.0, 0.0, 2.0]])
    activation = torch.tensor([[0.5, 2.5, 0.0, 0.8]])
    terms = split_error(
        charge, count, activation, torch.tensor([[2.0]]), 4, sw.IntegrateFire(), torch.relu
    )
    expected = {
        "inherited": [0.2, 0.5, 0.0, 0.0],
        "clipping": [0.0, -1.0, 0.0, 0.0],
        "rounding": [-0.2, 0.0, 0.0, 0.2],
        "unevenness": [0.5, 0.0, 0.0, 0.0],
    }
    for name, values in expected.items():
        assert terms[name].tolist() == [pytest.approx(values, abs=1e-6)], name


def test_rounding_is_the_neurons_own() -> None:
    """From potential 0, 1.6 thresholds of charge are one spike, not two."""
    one = torch.tensor([[1.0]])
    terms = split_error(
        1.6 * one, 2 * one, 1.6 * one, 4 * one, 4, sw.IntegrateFire(v0=0.0), torch.relu
    )
    assert [float(terms[name]) for name in ("rounding", "unevenness")] == pytest.approx([-0.6, 1.0])


def test_an_upper_bound_is_the_activations_own_and_no_clipping() -> None:
    charge, one = torch.tensor([[40.0]]), torch.tensor([[1.0]])
    terms = split_error(charge, 4 * one, 6 * one, 6 * one, 4, sw.TwoPhase(), nn.functional.relu6)
    assert [float(term) for term in terms.values()] == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: n.label)
def test_totals_are_those_of_the_network(
    integrate_fire: sw.SpikingNetwork, model: nn.Module, images: Tensor, neuron: Neuron
) -> None:
    network = integrate_fire.with_neuron(neuron)
    found = {error.site: error for error in decompose(network, [images], 5)}
    counts, thresholds = network.counts(images, steps=5), network.plan(5).thresholds
    layers = [*model.children()]
    with torch.no_grad():
        for stop, site in ((2, "1"), (6, "5"), (8, "7")):
            activation = nn.Sequential(*layers[:stop])(images)
            error = counts[site] * thresholds[site] / 5 - activation
            assert found[site].total == pytest.approx(rms(error) / rms(activation))
            assert found[site].bias == pytest.approx(float(error.mean()) / rms(activation))
            assert found[site].activation == pytest.approx(rms(activation))


def test_a_first_layer_without_correction_inherits_nothing(
    model: nn.Module, images: Tensor
) -> None:
    network = sw.convert(
        model, random_images(64, seed=2), sw.IntegrateFire(), steps=4, correction=None
    )
    first, *later = decompose(network, [images], 4)
    assert first.inherited == pytest.approx(0, abs=1e-12)
    assert all(error.inherited > 0.01 for error in later)


def test_only_one_phase_neurons_are_uneven(
    integrate_fire: sw.SpikingNetwork,
    tpp: sw.SpikingNetwork,
    nearest: sw.SpikingNetwork,
    images: Tensor,
) -> None:
    assert all(e.unevenness == 0 for e in decompose(nearest, [images], (2, 5)))
    hard = integrate_fire.with_neuron(sw.IntegrateFire(reset="hard"))
    for network in (integrate_fire, hard):
        one_phase = decompose(network, [images], 5)
        assert one_phase[0].unevenness == 0  # the first layer's input is the same at every step
        assert all(e.unevenness > 0.01 for e in one_phase[1:])
    assert all(e.unevenness > 0.01 for e in decompose(tpp, [images], 5))  # the draw's noise


@pytest.mark.parametrize(
    "neuron", [sw.TwoPhase("nearest", "digits"), sw.FewSpikes()], ids=lambda n: n.label
)
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.SiLU(), nn.Sigmoid()], ids=str)
def test_a_first_layer_errs_by_rounding_alone(neuron: Neuron, activation: nn.Module) -> None:
    """Also of codes with room above the threshold, and of neurons that compute the function."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 9), activation, nn.Linear(9, 2)).double().eval()
    samples = torch.rand(64, 5, dtype=torch.float64)
    network = sw.convert(model, samples, neuron, sw.Maximum(), steps=6, correction=None)
    largest = 1.4 * samples  # beyond what calibration saw
    for shown in (samples, largest):
        (error,) = decompose(network, [shown], 6)
        assert error.unevenness == 0
        assert error.inherited == pytest.approx(0, abs=1e-12)
    if neuron == sw.TwoPhase("nearest", "digits"):
        assert error.clipping == 0


def test_of_frames_the_ann_sees_the_mean(
    integrate_fire: sw.SpikingNetwork, nearest: sw.SpikingNetwork, model: nn.Module, images: Tensor
) -> None:
    frames = torch.zeros(5, *images.shape, dtype=images.dtype)
    frames[-1] = 5 * images  # all of it comes at the last step
    first, *_ = decompose(integrate_fire, [(part, None) for part in frames.split(15, 1)], 5)
    theta = integrate_fire.plan(5).thresholds["1"]
    activation = nn.Sequential(*list(model.children())[:2])(images).detach()
    error = integrate_fire.counts(frames, steps=5)["1"] * theta / 5 - activation
    assert first.total == pytest.approx(rms(error) / rms(activation))
    assert first.unevenness > 0.1  # one spike at most, whatever has come
    for of_frames, still in zip(
        decompose(nearest, [frames], 5), decompose(nearest, [images], 5), strict=True
    ):
        assert of_frames.total == pytest.approx(still.total)
    with pytest.raises(sw.ConversionError, match="got 5 frames for T = 2"):
        decompose(nearest, [frames], (5, 2))


def test_a_qcfs_network_at_its_own_levels_has_no_error() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(6, 9), sw.QCFS(4, 1.0), nn.Linear(9, 9), sw.QCFS(4, 1.0), nn.Linear(9, 2)
    ).double()
    samples = torch.rand(50, 6, dtype=torch.float64)
    network = sw.convert(model.eval(), samples, threshold=sw.Learned(), steps=4, correction=None)
    assert [error.total for error in decompose(network, [samples], 4)] == pytest.approx([0, 0])
    assert all(error.total > 0.01 for error in decompose(network, [samples], 3))


def test_a_silent_layer_divides_by_nothing(model: nn.Module) -> None:
    dark = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)).double().eval()
    network = sw.convert(dark, torch.rand(32, 3, dtype=torch.float64), steps=4)
    (error,) = decompose(network, [torch.zeros(5, 3, dtype=torch.float64)], 4)
    assert error.activation == 0
    assert 0 <= error.total < 10


def test_batches_and_labels_do_not_matter(tpp: sw.SpikingNetwork, images: Tensor) -> None:
    def numbers(error: LayerError) -> list[float]:
        return [v for v in vars(error).values() if isinstance(v, float)]

    whole = decompose(tpp, [images], (2, 5), seed=1)
    split = decompose(tpp, [(part, None) for part in images.split(7)], (2, 5), seed=1)
    assert [(e.steps, e.site) for e in whole] == [(t, s) for t in (2, 5) for s in tpp.sites]
    for a, b in zip(whole, split, strict=True):
        assert numbers(a) == pytest.approx(numbers(b), rel=1e-12, abs=1e-12)


def test_a_batch_may_be_named_as_the_argument(tpp: sw.SpikingNetwork, images: Tensor) -> None:
    whole = decompose(tpp, [images], 2)
    named = {"input": images}
    for batch in (named, (named, None), {**named, "labels": torch.zeros(len(images))}):
        assert decompose(tpp, [batch], 2) == whole
    with pytest.raises(sw.ConversionError, match="other"):
        decompose(tpp, [{"other": images}], 2)


def test_names_and_refusals(tpp: sw.SpikingNetwork, images: Tensor) -> None:
    assert decompose(tpp, [images], 2)[0].network == "TPP"
    assert decompose(tpp, [images], 2, name="mine")[0].network == "mine"
    with pytest.raises(sw.AnalysisError, match="held no sample"):
        decompose(tpp, [], 2)
    with pytest.raises(sw.AnalysisError, match="batch 0 holds of type str"):
        decompose(tpp, ["no"], 2)


def test_a_unit_that_the_ann_rounds_tells_its_levels() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 8), sw.QCFS(3, 0.5), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)
    )
    snn = sw.convert(model.eval(), torch.rand(16, 4), steps=6)
    errors = decompose(snn, [torch.rand(5, 4)], 6)
    assert [error.trained_levels for error in errors] == [3, 0]


@pytest.mark.parametrize(("per", "thresholds"), [("layer", [1, 1]), ("channel", [8, 6])])
def test_a_layer_tells_how_many_thresholds_it_has(per: str, thresholds: list[int]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    snn = sw.convert(model.eval(), torch.rand(64, 4), threshold=sw.MinError(per=per), steps=4)
    errors = decompose(snn, [torch.rand(5, 4)], 4)
    assert [error.thresholds for error in errors] == thresholds
