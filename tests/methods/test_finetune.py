"""Methods of fine-tuning: they learn, repeat, keep their best epoch and follow their schedules."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import AnalysisError, ConversionError, DataError, ModelError
from spikewright.finetuning import Target, TrainableNetwork, ann_answer
from spikewright.methods.finetune import (
    DSR,
    FINE_TUNINGS,
    Bits,
    Distil,
    FineTuning,
    Stage,
    Tandem,
    named,
)
from spikewright.training.tuning import FineTuned, finetune_in_memory


@lru_cache(maxsize=1)
def task() -> tuple[nn.Module, Tensor, Tensor]:
    """A trained ReLU network of three hidden layers, samples and their classes."""
    torch.manual_seed(0)
    x = torch.rand(768, 8) * 2 - 1
    labels = (x[:, :3] > 0).long() @ torch.tensor([4, 2, 1])
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(16 if layers else 8, 16), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(16, 8))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels, label_smoothing=0.1).backward()
        optimizer.step()
    return model.eval(), x, labels


@lru_cache(maxsize=4)
def network(neuron: Any) -> sw.SpikingNetwork:
    """The network with thresholds that are much too low."""
    model, x, _ = task()
    low = sw.Percentile(40, per="channel")
    return sw.convert(model, x, neuron, threshold=low, steps=4, correction=None)


def accuracy(snn: sw.SpikingNetwork) -> float:
    _, x, labels = task()
    return float((snn(x).argmax(1) == labels).float().mean())


def tuned(neuron: Any, method: FineTuning, **options: Any) -> FineTuned:
    _, x, labels = task()
    return finetune_in_memory(network(neuron), method, x, labels, **options)


METHODS = {
    "dsr": (sw.IntegrateFire(), DSR(epochs=3, batch_size=32, learning_rate=3e-3)),
    "tandem": (sw.IntegrateFire(), Tandem(epochs=6, batch_size=32, learning_rate=3e-3)),
    "distil": (sw.TwoPhase(), Distil(epochs=4, batch_size=32, learning_rate=1e-3)),
}


@pytest.mark.parametrize(("neuron", "method"), METHODS.values(), ids=METHODS)
def test_it_learns(neuron: Any, method: FineTuning) -> None:
    before = accuracy(network(neuron))
    found = tuned(neuron, method)
    assert accuracy(network(neuron)) == before  # what it started from is left as it was
    assert accuracy(found.network) > before + 0.1
    assert [metrics.epoch for metrics in found.history] == list(range(method.epochs + 1))
    assert found.history[-1].thresholds is not None


def test_bits_sends_fewer_spikes_than_the_same_training_without_their_loss() -> None:
    model, x, labels = task()
    snn = sw.convert(model, x, sw.TwoPhase("nearest", "binary"), steps=4, correction=None)
    sent: dict[float, float] = {}
    for sparsity in (0.0, 0.3):
        method = Bits(epochs=4, batch_size=32, learning_rate=3e-3, sparsity=sparsity)
        found = finetune_in_memory(snn, method, x, labels)
        tuned, told = found.network, [metrics.spikes for metrics in found.history]
        if sparsity:
            first = sw.operations(snn, [x]).total.spikes / (3 * 16)
            assert told[0] == pytest.approx(first, rel=0.1)  # of the samples trained on
            assert told[-1] < 0.95 * told[0]
        else:
            assert told == [None] * 5
        sent[sparsity] = sw.operations(tuned, [x]).total.spikes
        assert accuracy(tuned) > accuracy(snn) - 0.05
    assert sent[0.3] < 0.9 * sent[0.0]  # 0.75 and 0.81 with two seeds


def test_distil_comes_nearer_to_the_ann_without_labels() -> None:
    model, x, _ = task()
    snn = network(sw.TwoPhase())
    found = finetune_in_memory(snn, Distil(epochs=4, batch_size=32, learning_rate=1e-3), x)

    def error(one: sw.SpikingNetwork) -> float:
        return float((one(x) - model(x)).detach().square().sum())

    assert error(found.network) < 0.5 * error(snn)
    losses = [metrics.validation_loss for metrics in found.history]
    assert found.best.validation_loss == min(losses)


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("kind", [DSR, Distil, Tandem])
def test_what_is_validated_is_the_network_that_comes_out(
    kind: type[FineTuning], ema: float | None
) -> None:
    method = kind(epochs=3, batch_size=64, learning_rate=1e-3, ema=ema)
    found = tuned(sw.IntegrateFire(), method)
    _, x, labels = task()
    x, labels = x[::4], labels[::4]  # the samples held out
    snn = found.network
    target = Target(labels, ann_answer(snn.graph, x))
    with torch.no_grad():
        loss = method.loss(TrainableNetwork(snn).observe(x), target)
    assert found.best.validation_loss == pytest.approx(float(loss), rel=1e-4)


def test_a_run_repeats_to_the_bit_and_reads_no_other_generator() -> None:
    method = DSR(epochs=2, batch_size=32)
    first = tuned(sw.IntegrateFire(), method, seed=3)
    torch.rand(5)
    before = torch.get_rng_state()
    with torch.no_grad():  # as around a conversion: training asks for gradients itself
        second = tuned(sw.IntegrateFire(), method, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    _, x, _ = task()
    assert torch.equal(first.network(x), second.network(x))
    other = tuned(sw.IntegrateFire(), method, seed=4)
    assert not torch.equal(first.network(x), other.network(x))


def test_thresholds_stay_above_their_bound() -> None:
    model, x, _ = task()
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=2, correction=None)
    before = snn.design().thresholds

    def least_share(bound: float) -> float:
        method = Distil(epochs=1, batch_size=32, learning_rate=1e-3, least_threshold=bound)
        after = finetune_in_memory(snn, method, x).network.design().thresholds
        return min(float((after[site] / theta).min()) for site, theta in before.items())

    assert least_share(0.01) < 0.95
    assert least_share(0.95) == pytest.approx(0.95, rel=1e-5)


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    _, x, _ = task()
    snn, method = network(sw.TwoPhase()), Distil(epochs=1)
    late, early = x.clone(), x.clone()
    late[767] = early[1] = 1e38  # both are trained on; the first 250 are looked at before
    told = r"the loss of epoch 1 is (nan|inf): lower learning_rate=1e-05"
    with pytest.raises(ModelError, match=told):
        finetune_in_memory(snn, method, late)
    with pytest.raises(
        ModelError, match=r"the loss of epoch 0 is (nan|inf): nothing was trained yet"
    ):
        finetune_in_memory(snn, method, early)


def test_tandem_layers_take_their_turns_and_freeze() -> None:
    method = Tandem(epochs=6, patience=2)
    # sites, accuracies so far -> (spiking, frozen) of every epoch and of the next one
    rising = method.stages([0.1, 0.2, 0.3, 0.4, 0.5], 3)
    assert [(s.spiking, s.frozen) for s in rising] == [
        (1, 0),
        (1, 0),
        (2, 1),
        (2, 1),
        (3, 2),
        (3, 2),
    ]
    assert [stage.last for stage in rising] == [False] * 4 + [True] * 2
    long = Tandem(epochs=30, patience=2)
    stuck = long.stages([0.5, 0.5, 0.4, 0.6, 0.6, 0.6], 3)
    assert [s.spiking for s in stuck] == [1, 1, 1, 2, 2, 2, 3]
    assert method.stages([], 3) == (Stage(1, 0, False),)
    crowded = Tandem(epochs=2).stages([0.5], 5)
    assert [(s.spiking, s.frozen) for s in crowded] == [(3, 0), (5, 3)]


def test_tandem_sets_the_threshold_of_a_layer_as_it_becomes_spiking() -> None:
    _, x, _ = task()
    trainable = TrainableNetwork(network(sw.IntegrateFire()), surrogate="activation")
    before = {site: t.detach().clone() for site, t in trainable.part("threshold").items()}
    Tandem(percentile=90).enter(trainable, Stage(2, 1, False), x)
    first, second, third = trainable.part("threshold").values()
    assert torch.equal(first, before["1"])
    assert torch.equal(third, before["5"])
    trainable.spiking = 1
    activations = trainable.observe(x).values["3"].detach()
    ranked = activations.sort(0).values[691]  # of 768 values, 692 are 90 % and more
    expected = torch.where(ranked > 0, ranked, before["3"])
    assert torch.equal(second.detach(), expected)


def test_tandem_ends_with_epochs_of_all_layers_together() -> None:
    method = Tandem(epochs=5, joint_epochs=2, learning_rate=1.0)
    stages = method.stages([0.1, 0.2, 0.3, 0.4], 3)
    turns = [(1, 0, False), (2, 1, False), (3, 2, True)]
    assert [(s.spiking, s.frozen, s.last) for s in stages] == [*turns, *[(3, 0, True)] * 2]
    rates = [method.rate(done / 5, stages[int(done)]) for done in (0, 2, 3, 4, 4.5)]
    assert rates == pytest.approx([1.0, 0.1, 1.0, 0.5, 0.5 - 0.5**1.5])
    alone = Tandem(epochs=2, joint_epochs=2)
    assert alone.stages([0.1], 3) == (Stage(3), Stage(3))


def test_joint_epochs_of_tandem_keep_thresholds_and_train_every_layer() -> None:
    _, x, labels = task()
    snn = network(sw.IntegrateFire())
    method = Tandem(epochs=3, joint_epochs=3, batch_size=32, learning_rate=3e-3)
    tuned = finetune_in_memory(snn, method, x, labels)
    assert tuned.best.epoch > 0
    before, after = TrainableNetwork(snn), TrainableNetwork(tuned.network)
    for site, theta in before.part("threshold").items():
        assert torch.equal(after.part("threshold")[site], theta)
    for name, weight in before.part("weight").items():
        assert not torch.equal(after.part("weight")[name], weight)
    assert accuracy(tuned.network) > accuracy(snn) + 0.1


def test_tandem_that_only_harms_leaves_the_network_as_it_came() -> None:
    _, x, _ = task()
    found = tuned(sw.IntegrateFire(), Tandem(epochs=3, batch_size=64, learning_rate=1.0))
    assert max(m.validation_accuracy for m in found.history) == found.best.validation_accuracy
    assert found.best.epoch == 0
    assert torch.equal(found.network(x), network(sw.IntegrateFire())(x))


def test_the_best_network_of_tandem_is_spiking_throughout() -> None:
    found = tuned(sw.IntegrateFire(), Tandem(epochs=3, batch_size=64))
    assert found.best.epoch == 3  # the only one in which all three layers were spiking


def test_where_nothing_is_better_the_network_is_kept() -> None:
    snn = network(sw.IntegrateFire())
    found = tuned(sw.IntegrateFire(), DSR(epochs=2, batch_size=32, learning_rate=10.0))
    assert found.best.epoch == 0
    _, x, labels = task()
    assert torch.equal(found.network(x), snn(x))
    right = (snn(x[::4]).argmax(1) == labels[::4]).float().mean()
    assert found.best.validation_accuracy == pytest.approx(float(right))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DSR(epochs=0), "epochs must be at least 1, got 0"),
        (lambda: DSR(learning_rate=0.0), "learning_rate must be above 0"),
        (lambda: DSR(learning_rate=1e7), "at most 1e6, got 10000000.0"),
        (lambda: DSR(least_threshold=0.0), "least_threshold lies in 0 .. 1"),
        (lambda: DSR(ema=1.0), "ema lies between 0 and 1"),
        (lambda: Distil(threshold_scale=0.0), "threshold_scale must be above 0"),
        (lambda: Tandem(joint_epochs=31), "joint_epochs lies in 0 .. 30, which are all"),
        (lambda: Tandem(patience=0), "patience must be at least 1"),
        (lambda: Tandem(percentile=101.0), "percentile lies in 0 .. 100"),
        (lambda: Tandem(weight_decay=-1.0), "weight_decay lies in 0 .. 1e6"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_does_not_fit_is_refused() -> None:
    _, x, labels = task()
    snn = network(sw.IntegrateFire())
    with pytest.raises(ConversionError, match="'dsr' compares with labels"):
        finetune_in_memory(snn, DSR(), x)
    with pytest.raises(DataError, match="768 images and 3 labels"):
        finetune_in_memory(snn, DSR(), x, labels[:3])
    for wrong in (labels[:, None], labels.float(), "labels"):
        with pytest.raises(AnalysisError, match=r"the labels are .* give"):
            finetune_in_memory(snn, DSR(), x, wrong)
    for shifted in (labels + 1, labels - 1, torch.where(labels == 0, -100, labels)):
        with pytest.raises(DataError, match="knows the classes 0 to 7, the labels run from"):
            finetune_in_memory(snn, DSR(), x, shifted)
    with pytest.raises(DataError, match="a tuple of 2; give one tensor"):
        finetune_in_memory(snn, Distil(), (x, x))
    with pytest.raises(DataError, match="needs at least 8, got 4"):
        finetune_in_memory(snn, DSR(), x[:4], labels[:4])
    with pytest.raises(DataError, match="576 images are less than one batch of 600"):
        finetune_in_memory(snn, DSR(batch_size=600), x, labels)
    with pytest.raises(
        ConversionError, match="no fine-tuning 'x'; give one of distil, dsr, tandem"
    ):
        named("x")
    assert {name: named(name) for name in FINE_TUNINGS} == FINE_TUNINGS


def test_labels_are_integers_of_any_size() -> None:
    _, x, labels = task()
    method = DSR(epochs=1, batch_size=32)
    found = [tuned(sw.IntegrateFire(), method).network(x)]
    for dtype in (torch.int32, torch.uint8):
        snn = network(sw.IntegrateFire())
        found.append(finetune_in_memory(snn, method, x, labels.to(dtype)).network(x))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("answers", ["maps", "a number", "two tensors"])
def test_networks_that_answer_no_classes_are_refused(answers: str) -> None:
    class Answering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3)

        def forward(self, x: Tensor) -> Any:
            maps = self.last(nn.functional.relu(self.first(x)))
            told = {"maps": maps, "a number": maps.mean((1, 2, 3))}
            return told.get(answers, {"a": maps.mean((2, 3)), "b": maps.mean((1, 2))})

    x = torch.rand(16, 2, 8, 8)
    snn = sw.convert(Answering().eval(), x, steps=4)
    with pytest.raises(ConversionError, match="right answers"):
        finetune_in_memory(snn, Distil(epochs=1, batch_size=8), x)
