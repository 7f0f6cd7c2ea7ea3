"""Residual noise: the quantised ANN against QCFS by hand, and the measured size against a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConversionError
from spikewright.finetuning import TrainableNetwork, quantised_answer, residual_noise
from spikewright.methods.finetune import NQ
from spikewright.training import finetune_in_memory

LEVELS, STEPS = 4, 3


def made() -> tuple[nn.Module, Tensor, TrainableNetwork]:
    torch.manual_seed(0)
    parts = (nn.Linear(6, 12), sw.QCFS(LEVELS, 1.5), nn.Linear(12, 12), sw.QCFS(LEVELS, 0.8))
    model, x = nn.Sequential(*parts, nn.Linear(12, 4)).double().eval(), torch.rand(64, 6).double()
    snn = sw.methods.QCFS.convert(model, x, steps=STEPS)
    return model, x, TrainableNetwork(snn)


def quantised(x: Tensor, theta: Tensor) -> Tensor:
    """The paper's activation, its floor passed straight through."""
    scaled = (x / theta).clamp(0, 1) * LEVELS + 0.5
    return theta * (scaled + (scaled.floor() - scaled).detach()) / LEVELS


def test_without_noise_it_is_the_ann_with_its_gradients() -> None:
    model, x, network = made()
    answer = quantised_answer(network, x, LEVELS)
    torch.testing.assert_close(answer.output, model(x))
    answer.output.square().sum().backward()
    hidden = quantised(model[0](x), model[1].threshold)
    output = model[4](quantised(model[2](hidden), model[3].threshold))
    torch.testing.assert_close(output, answer.output)
    output.square().sum().backward()
    weights = network.part("weight")
    for place in (0, 2, 4):
        given, wanted = weights[f"{place}.weight"].grad, model[place].weight.grad
        torch.testing.assert_close(given, wanted)
    for place in (1, 3):
        given, wanted = network.part("threshold")[f"{place}"].grad, model[place].threshold.grad
        assert given is not None
        assert wanted is not None
        torch.testing.assert_close(given[0], wanted)


def simulated(model: nn.Module, x: Tensor) -> list[Tensor]:
    """What each layer of integrate-and-fire neurons sends on average, step by step."""
    potentials = [0.5 * model[place].threshold.detach() for place in (1, 3)]
    sums = [torch.zeros(()) for _ in range(2)]
    for _ in range(STEPS):
        value = x
        for layer, place in enumerate((1, 3)):
            theta = model[place].threshold.detach()
            potentials[layer] = potentials[layer] + model[place - 1](value).detach()
            spikes = (potentials[layer] >= theta).double()
            potentials[layer] = potentials[layer] - spikes * theta
            value = spikes * theta
            sums[layer] = sums[layer] + value
    return [total / STEPS for total in sums]


def test_the_size_of_noise_is_that_of_what_neurons_do_otherwise() -> None:
    model, x, network = made()
    variances: list[list[float]] = [[], []]
    for part in x.split(32):
        hidden = model[1](model[0](part)).detach()
        ann = [hidden, model[3](model[2](hidden)).detach()]
        for layer, sent in enumerate(simulated(model, part)):
            variances[layer].append(float((ann[layer] - sent).var(correction=0)))
    found = residual_noise(network, x.split(32), LEVELS)
    wanted = [(sum(some) / 2) ** 0.5 for some in variances]
    assert list(found) == ["1", "3"]
    assert list(found.values()) == pytest.approx(wanted)
    assert min(wanted) > 0


def test_noise_is_normal_and_of_its_size_and_follows_the_seed() -> None:
    _, _, network = made()
    x = torch.rand(4000, 6, generator=torch.Generator().manual_seed(1)).double()
    clean = quantised_answer(network, x, LEVELS).values["1"].detach()
    answers = [quantised_answer(network, x, LEVELS, {"1": 0.3}, seed) for seed in (1, 1, 2)]
    first, again, other = (answer.values["1"].detach() for answer in answers)
    assert torch.equal(first, again)
    noise = ((clean - first) / 0.3).flatten()
    assert not torch.equal(first, other)
    assert bool(noise.isfinite().all())
    assert float(noise.mean()) == pytest.approx(0, abs=0.03)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert float((noise.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.02)
    change = (clean - other).flatten() / 0.3
    assert abs(float((noise * change).mean())) < 0.03


def test_nothing_is_measured_of_no_images() -> None:
    with pytest.raises(ConversionError, match="give at least one batch"):
        residual_noise(made()[2], [], LEVELS)


@pytest.mark.parametrize("options", [{"levels": 0}, {"levels": 256}, {"noise": -0.1}])
def test_numbers_out_of_range(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        NQ(**options)


def test_levels_of_numpy_are_whole_numbers_and_none_is_refused() -> None:
    assert type(NQ(levels=np.int64(4)).levels) is int  # pyright: ignore[reportArgumentType]
    _, x, network = made()
    with pytest.raises(ValueError, match="levels must be a whole number of at least 1, got 0"):
        quantised_answer(network, x, 0)


def test_the_noise_of_a_run_is_measured_on_images_held_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, x, _ = made()
    snn = sw.methods.QCFS.convert(model, x, steps=STEPS)
    seen: list[Tensor] = []
    whole = NQ.measured

    def watched(self: NQ, network: TrainableNetwork, batches) -> dict[str, float]:
        seen.extend(shown := list(batches))
        return whole(self, network, shown)

    monkeypatch.setattr(NQ, "measured", watched)
    method = NQ(epochs=2, batch_size=16, levels=LEVELS, learning_rate=1e-3)
    tuned = finetune_in_memory(snn, method, x, torch.arange(64) % 4)
    assert len(seen) == method.epochs
    assert all(torch.equal(images, x[::4]) for images in seen)
    plain = finetune_in_memory(snn, NQ(**{**vars(method), "noise": 0.0}), x, torch.arange(64) % 4)
    losses = [[one.training_loss for one in run.history[1:]] for run in (tuned, plain)]
    assert losses[0] != losses[1]
