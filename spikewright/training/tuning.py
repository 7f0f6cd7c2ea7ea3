"""The epochs of fine-tuning: batches in, a changed network and its metrics out; no files."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.devices import cpu_by_default
from spikewright.errors import ConversionError, DataError, ModelError
from spikewright.finetuning import Answer, Spikes, Target, TrainableNetwork, ann_answer
from spikewright.graph import Graph
from spikewright.measure.accuracy import predictions
from spikewright.methods.finetune import FineTuning, Stage
from spikewright.network import SpikingNetwork
from spikewright.runs.metrics import EpochMetrics
from spikewright.training.checkpoint import TrainingState
from spikewright.training.evaluate import EVALUATION_BATCH
from spikewright.training.optimisation import averaged
from spikewright.training.trainer import Progress, epoch_order
from spikewright.training.tuning_data import Augmentation, TuningData

MEASURED = 512
"""Images held out that a method measures on before every epoch, at most."""


@dataclass(frozen=True)
class FineTuned:
    """A network that was fine-tuned.

    Attributes:
        network: with the parameters of the best epoch.
        best: the metrics of that epoch. It was chosen for being good on the images held out, which
            flatters: quote the accuracy on a test split.
        history: the metrics of every epoch, in order; epoch 0 is the network as it came, with the
            loss and accuracy of some training images. Accuracies are agreement with the ANN where
            there are no labels.
    """

    network: SpikingNetwork
    best: EpochMetrics
    history: tuple[EpochMetrics, ...]


class Tuner:
    """A network being fine-tuned.

    Args:
        network: what to start from; it is left as it is.
        method: how.
        data: the images.
        steps: T; the design point when None.
        seed: of the order of images and of stochastic neurons.
        progress: called as training goes on.

    Attributes:
        state: everything that changes.

    Raises:
        ConversionError: see `TrainableNetwork`; and for a network that does not answer logits.
        DataError: for fewer images than a batch, or labels of classes that the network lacks.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        method: FineTuning,
        data: TuningData,
        *,
        steps: int | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        count, size = len(data.train), method.batch_size
        if count < size:
            raise DataError(f"{count} images are less than one batch of {size}; lower batch_size")
        _require_classes(network.graph, data.labels)
        self._method = method
        self._data = data.on(network.graph.like.device)
        self._seed = seed
        self._progress = progress
        self._ann = network.ann()
        model = TrainableNetwork(network, steps, method.surrogate)
        self._came = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._least = {
            site: method.least_threshold * theta.detach().clone()
            for site, theta in model.part("threshold").items()
        }
        average = None if method.ema is None else averaged(model, method.ema)
        self.state = TrainingState(model, method.optimizer(model), average, rank=self._rank)

    @property
    def network(self) -> TrainableNetwork:
        """The parameters that are trained."""
        model = self.state.model
        assert isinstance(model, TrainableNetwork)
        return model

    def epochs(self) -> Iterator[EpochMetrics]:
        """Train the epochs that are left; after each one the state is complete.

        Epoch 0 trains nothing: it is the network as it came, which is kept if none is better.

        Raises:
            ModelError: if the loss stops being finite.
        """
        for epoch in range(len(self.state.history), self._method.epochs + 1):
            started = time.perf_counter()
            training, rate = self._judged_first() if epoch == 0 else self._trained(epoch)
            metrics = self._metrics(epoch, training, rate, started)
            self.state.finish_epoch(metrics)
            yield metrics
            if self._progress is not None:
                self._progress(epoch, self._method.epochs, 1, 1, metrics)

    def best(self) -> FineTuned:
        """The network of the best epoch, and of epoch 0 where none of the last stage is better."""
        history, best, chosen = tuple(self.state.history), self.state.best_epoch, self.state.best
        if self._score(history[0]) >= self._score(best):
            best, chosen = history[0], self._came
        self.network.load_state_dict(chosen)
        return FineTuned(self.network.network(), best, history)

    def _stages(self) -> tuple[Stage, ...]:
        """The stage of every epoch from the first to the next one."""
        accuracies = [metrics.validation_accuracy for metrics in self.state.history[1:]]
        return self._method.stages(accuracies, len(self.network.graph.sites))

    def _rank(self, metrics: EpochMetrics) -> tuple[float, ...]:
        """Later stages come before better epochs, as their networks are nearer to the last one."""
        stage = self._stages()[max(0, metrics.epoch - 1)]
        return stage.spiking, self._score(metrics)

    def _score(self, metrics: EpochMetrics) -> float:
        """What an epoch is worth, by the images held out."""
        by_loss = self._method.selects_by_loss
        return -metrics.validation_loss if by_loss else metrics.validation_accuracy

    def _begin(self) -> None:
        """Bring the network into the stage of an epoch; a new stage starts from the best so far."""
        *earlier, stage = self._stages()
        if not earlier or stage != earlier[-1]:
            if earlier:
                self.network.load_state_dict(self.state.best)
            images, _ = self._data.batch(self._some(self._data.train, EVALUATION_BATCH), None)
            self._method.enter(self.network, stage, images)
            self.state.optimizer = self._method.optimizer(self.network)
            if self.state.average is not None and self._method.ema is not None:
                self.state.average = averaged(self.network, self._method.ema)
        self.network.spiking = stage.spiking
        self.network.freeze(stage.frozen)

    def _some(self, which: Tensor, most: int) -> Tensor:
        """At most so many of the images, in their order, drawn by the seed.

        They may be stored class by class.
        """
        return which[epoch_order(len(which), self._seed, 0)[:most].sort().values]

    def _judged_first(self) -> tuple[Tensor, float]:
        """What some training images come to before the first step, as `_trained`, and rate 0."""
        return self._validated(self._some(self._data.train, EVALUATION_BATCH)), 0.0

    @torch.enable_grad()
    def _trained(self, epoch: int) -> tuple[Tensor, float]:
        """Train an epoch: what it came to, as `_validated`, and the last learning rate."""
        self._begin()
        method, train = self._method, self._data.train
        stage, size = self._stages()[-1], method.batch_size
        order = train[epoch_order(len(train), self._seed, epoch)]
        batches = order[: len(order) - len(order) % size].view(-1, size)
        held_out = self._some(self._data.validation, MEASURED).split(EVALUATION_BATCH)
        shown = (self._data.batch(numbers, None)[0] for numbers in held_out)
        measured = method.measured(self.network, shown)
        sums, rate = torch.zeros(3, dtype=torch.float64), 0.0
        for number, numbers in enumerate(batches):
            rate = method.rate((epoch - 1 + number / len(batches)) / method.epochs, stage)
            x, labels = self._data.batch(numbers, epoch)
            spikes = method.loss.needs_spikes
            answer = method.trained(self.network, x, epoch, measured, spikes=spikes)
            loss, judged = self._judged(answer, x, labels)
            self._step(loss, rate)
            sums += judged
            if self._progress is not None:
                self._progress(epoch, method.epochs, number + 1, len(batches), None)
        return sums / batches.numel(), rate

    def _metrics(self, epoch: int, training: Tensor, rate: float, started: float) -> EpochMetrics:
        """What an epoch came to, after a look at the images held out.

        Raises:
            ModelError: if a loss is not finite.
        """
        validation = self._validated(self._data.validation)
        for loss in (float(training[0]), float(validation[0])):
            if not math.isfinite(loss):
                way_out = f"lower learning_rate={self._method.learning_rate:g}"
                if epoch == 0:
                    way_out = "nothing was trained yet, so look at the images, at mean and std"
                raise ModelError(f"the loss of epoch {epoch} is {loss}: {way_out}")
        thresholds = torch.cat([t.detach() for t in self.network.part("threshold").values()])
        return EpochMetrics(
            epoch=epoch,
            training_loss=float(training[0]),
            training_accuracy=float(training[1]),
            validation_accuracy=float(validation[1]),
            validation_loss=float(validation[0]),
            learning_rate=rate,
            thresholds=(float(thresholds.min()), float(thresholds.max())),
            seconds=time.perf_counter() - started,
            spikes=float(training[2]) if self._method.loss.needs_spikes else None,
        )

    def _judged(self, answer: Answer, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean loss of a batch, and what a batch adds to the sums of an epoch, float64 `[3]`.

        The sums are of the loss, of the answers that are the label, or else the ANN's, and of the
        spikes of the mean neuron, 0 where the loss does not ask for them.
        """
        loss = self._method.loss
        ann = ann_answer(self._ann.graph, x) if loss.needs_ann or labels is None else None
        wanted = labels
        if wanted is None:
            assert ann is not None
            wanted = predictions(ann.logits)
        right = (predictions(answer.logits.detach()) == wanted).sum()
        sent = Spikes()(answer, Target()) if loss.needs_spikes else torch.zeros_like(right)
        mean = loss(answer, Target(labels, ann))
        summed = (mean.detach() * len(wanted), right, sent.detach() * len(wanted))
        return mean, torch.stack([one.double() for one in summed]).cpu()

    def _step(self, loss: Tensor, rate: float) -> None:
        """One step down the gradient; thresholds stay above their bounds."""
        optimizer = self.state.optimizer
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        optimizer.step()
        with torch.no_grad():
            for site, theta in self.network.part("threshold").items():
                theta.clamp_(min=self._least[site])
        if self.state.average is not None:
            self.state.average.update_parameters(self.network)

    @torch.no_grad()
    def _validated(self, which: Tensor) -> Tensor:
        """Loss, accuracy, and spikes of the mean neuron, or 0, on images, float64 `[3]`.

        Of the average, where one is kept.
        """
        network = self.network if self.state.average is None else self.state.average.module
        assert isinstance(network, TrainableNetwork)
        network.spiking = self.network.spiking
        sums = torch.zeros(3, dtype=torch.float64)
        for numbers in which.split(EVALUATION_BATCH):
            x, labels = self._data.batch(numbers, None)
            spikes = self._method.loss.needs_spikes
            _, judged = self._judged(network.observe(x, self._seed, spikes=spikes), x, labels)
            sums += judged
        return sums / len(which)


def _require_classes(graph: Graph, labels: Tensor | None) -> None:
    """See that right answers can be counted: by logits `[B, classes]`, and labels of their classes.

    Raises:
        ConversionError: for a network that answers something else.
        DataError: for other labels.
    """
    number = graph.structure.logits
    if number is None:
        return  # `Answer.logits` tells
    shape = graph.shapes[graph.outputs[number]]
    if len(shape) != 1:
        raise ConversionError(
            f"fine-tuning counts right answers by logits [B, classes], and the network answers "
            f"[B{''.join(f', {size}' for size in shape)}]: train it in a loop of your own, by "
            "finetuning.TrainableNetwork and a loss of your own"
        )
    if labels is not None and len(labels):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= shape[0]:
            raise DataError(
                f"the network knows the classes 0 to {shape[0] - 1}, the labels run from {low} to "
                f"{high}: this data belongs to another network, or its labels need mapping"
            )


@cpu_by_default()
def finetune_in_memory(
    network: SpikingNetwork,
    method: FineTuning,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    augmented: Augmentation | None = None,
    progress: Progress | None = None,
) -> FineTuned:
    """Train a converted network further, in memory; every fourth image chooses the best epoch.

    Args:
        network: what to start from, at its T; it is left as it is.
        method: how, such as `methods.finetune.DSR()`.
        images: input `[N, *S]`, none of the test set; batches are moved to the network's device.
        labels: class numbers, integers `[N]`; None with a method that compares with the ANN alone.
        steps: T; the design point when None.
        seed: of the order of images and of stochastic neurons.
        augmented: changes training images, given with their numbers `[B]` and the epoch; a
            function of these alone, so that the run repeats.
        progress: called after steps and epochs, see `spikewright.training.trainer.Progress`.

    Returns:
        The network of the best epoch, with weights, thresholds and corrections of its own at T.

    Raises:
        ConversionError: for a network in 16 or 8 bits, one of several inputs or that answers no
            logits `[B, classes]`, or labels missing.
        DataError: for too few images, another number of labels, or classes that it does not know.
        AnalysisError: for labels that are no class numbers.
        ModelError: if the loss stops being finite.

    Example:
        >>> import torch, spikewright as sw
        >>> from spikewright.methods.finetune import Distil
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> x = torch.rand(64, 4)
        >>> snn = sw.convert(model, x, steps=4)
        >>> tuned = finetune_in_memory(snn, Distil(epochs=2), x)
        >>> len(tuned.history), tuned.network
        (3, SpikingNetwork(1 sites of nearest, T = 4))
    """
    if method.loss.needs_labels and labels is None:
        raise ConversionError(
            f"'{method.name}' compares with labels: give them, or fine-tune with a method that "
            "needs none, such as Distil()"
        )
    data = TuningData.of(images, labels, augmented)
    tuner = Tuner(network, method, data, steps=steps, seed=seed, progress=progress)
    for _ in tuner.epochs():
        pass
    return tuner.best()
