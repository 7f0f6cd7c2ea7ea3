"""The demonstration: a deep small network with QCFS and its ReLU twin, converted and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from spikewright.calibration import Correction, InputMeans, Learned, MinError
from spikewright.calibration.thresholds import Threshold
from spikewright.convert import prepare
from spikewright.data import ImageData, calibration_subset, loader, open_dataset
from spikewright.measure import (
    Misalignment,
    Sweep,
    SweepProgress,
    Trajectories,
    misalignment,
    sweep,
    trajectories,
)
from spikewright.network import SpikingNetwork
from spikewright.neurons import TPP, IntegrateFire, Neuron, Shuffled, SpikeTracer, TwoPhase
from spikewright.training import (
    ActivationKind,
    DataRecipe,
    NetworkRecipe,
    OptimisationRecipe,
    OptimizerKind,
    Recipe,
    ScheduleKind,
    Trained,
    intra_op_threads,
    train_in_memory,
)

STEPS = (1, 2, 4, 8, 16)
LEVELS = 8
"""Levels L of the QCFS network: at T = L, `nearest` gives its own answers."""
THRESHOLD = 3.0
"""What QCFS starts to learn from: 8, as in its own code, is too far for activations this small."""
SEEDS = 2
EPOCHS = 15
BATCH = 64
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
TEST_BATCH = 90
"""Small enough for the processor's caches: a quarter faster than the whole split at once."""
CALIBRATION_SAMPLES = 512
NEURONS: tuple[Neuron, ...] = (
    IntegrateFire(),
    Shuffled(IntegrateFire()),
    TPP(),
    TwoPhase("unbiased"),
    TwoPhase("nearest"),
    SpikeTracer(),
)

Progress = Callable[[int, "int | None", str], None]
"""Called with (done, total if known, what is under way)."""


@dataclass(frozen=True)
class DemoPart:
    """One source network and its conversions.

    Attributes:
        name: the name in titles.
        training: the trained source network, with its history.
        networks: the spiking networks, by the labels of their neurons.
        sweep: the accuracies on the test split.
        misalignment: the experiment on the one-phase network, at `LEVELS` steps and on the same
            images; None where it was not made.
        trajectories: the accuracies after every time step at T = `LEVELS`; None alike.
    """

    name: str
    training: Trained
    networks: Mapping[str, SpikingNetwork]
    sweep: Sweep
    misalignment: Misalignment | None
    trajectories: Trajectories | None


@dataclass(frozen=True)
class DemoResult:
    """Everything the demonstration measured.

    Attributes:
        seed: the seed of everything random.
        data: the digits.
        shown: the images of the test split that were measured.
        qcfs: the network with QCFS activations of `LEVELS` levels.
        relu: its twin with ReLU.
    """

    seed: int
    data: ImageData
    shown: Dataset[tuple[Tensor, int]]
    qcfs: DemoPart
    relu: DemoPart

    @property
    def differing_images(self) -> int:
        """Test images on which the QCFS network and its `nearest` conversion at T = L disagree."""
        row = self.qcfs.sweep.row("nearest", LEVELS)
        assert row.agreement is not None
        return round((1 - row.agreement) * row.samples)


@dataclass(frozen=True)
class _Plan:
    """How one part is made."""

    name: str
    network: NetworkRecipe
    threshold: Threshold
    correction: Correction | None


_QCFS = _Plan(
    "QCFS network",
    NetworkRecipe("digits_resnet", levels=LEVELS, threshold=THRESHOLD),
    Learned(),
    correction=None,
)
_RELU = _Plan(
    "ReLU twin",
    NetworkRecipe("digits_resnet", ActivationKind.RELU),
    MinError(),
    correction=InputMeans(),
)


def run_demo(
    seed: int = 0,
    progress: Progress | None = None,
    *,
    epochs: int = EPOCHS,
    steps: tuple[int, ...] = STEPS,
    images: int | None = None,
) -> DemoResult:
    """Train both networks on the digits, convert them with every neuron, and measure.

    Weights are chosen on the validation split, thresholds on the training split; the test split
    serves for the figures alone. Everything runs on one CPU thread: the tensors are small.

    Args:
        seed: the seed of initial weights, the order of images, calibration images and spikes.
        progress: called with (done, total, what is under way).
        epochs: passes over the training split.
        steps: every T to measure at; `LEVELS` must be one of them.
        images: how many of the test split are measured; all when None.

    Raises:
        MissingExtra: without scikit-learn, which holds the digits.
        ValueError: when `steps` lacks `LEVELS`.
    """
    if LEVELS not in steps:
        raise ValueError(f"steps={steps} must hold {LEVELS}, the levels of the QCFS network")
    data = open_dataset("digits")
    report = progress or _silent
    with intra_op_threads(1):
        shown = data.test if images is None else Subset(data.test, range(images))
        given = (data, shown, seed, report, epochs, steps)
        parts = [_part(plan, *given) for plan in (_QCFS, _RELU)]
    return DemoResult(seed, data, shown, parts[0], parts[1])


def _part(
    plan: _Plan,
    data: ImageData,
    shown: Dataset[tuple[Tensor, int]],
    seed: int,
    report: Progress,
    epochs: int,
    steps: tuple[int, ...],
) -> DemoPart:
    def step(epoch: int, epochs: int, *_: object) -> None:
        report(epoch, epochs, f"training the {plan.name}")

    optimisation = OptimisationRecipe(
        epochs,
        BATCH,
        OptimizerKind.ADAMW,
        LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        schedule=ScheduleKind.ONE_CYCLE,
    )
    recipe = Recipe(DataRecipe("digits", augment=()), plan.network, optimisation, seed=seed)
    training = train_in_memory(recipe, data, progress=step)
    model = training.model
    networks = _converted(plan, model, data, seed, report, steps)
    test = loader(shown, batch_size=TEST_BATCH)
    best = training.best
    configuration = {
        "source": plan.name,
        "epochs": epochs,
        "training": {
            "best_epoch": best.epoch,
            "validation_accuracy": best.validation_accuracy,
        },
    }
    accuracies = sweep(
        networks,
        test,
        steps,
        tuple(range(seed, seed + SEEDS)),
        model,
        progress=_reporting(report, f"measuring the {plan.name}"),
        configuration=configuration,
    )
    experiment = over_time = None
    if plan is _QCFS:
        experiment = _experiment(networks["IF"], test, model, seed)
        report(0, None, f"measuring the {plan.name} step by step")
        over_time = trajectories(networks, test, LEVELS, model, seed=seed)
    return DemoPart(plan.name, training, networks, accuracies, experiment, over_time)


def _converted(
    plan: _Plan,
    model: nn.Module,
    data: ImageData,
    seed: int,
    report: Progress,
    steps: tuple[int, ...],
) -> dict[str, SpikingNetwork]:
    chosen = calibration_subset(data.train, CALIBRATION_SAMPLES, seed)
    calibration = [images for images, _ in loader(chosen, batch_size=CALIBRATION_SAMPLES)]
    prepared = prepare(model, calibration)
    networks: dict[str, SpikingNetwork] = {}
    for number, neuron in enumerate(NEURONS):
        report(number, len(NEURONS), f"converting the {plan.name} to {neuron.label}")
        networks[neuron.label] = prepared.convert(
            neuron=neuron,
            threshold=plan.threshold,
            steps=steps,
            correction=plan.correction,
            seed=seed,
        )
    return networks


def _experiment(
    network: SpikingNetwork, test: DataLoader[tuple[Tensor, int]], model: nn.Module, seed: int
) -> Misalignment:
    return misalignment(
        network, test, LEVELS, (seed,), model, orders=("independent",), layerwise=False
    )


def _reporting(report: Progress, what: str) -> Callable[[SweepProgress], None]:
    return lambda p: report(p.done, p.total, f"{what}: {p.network}, T = {p.steps}")


def _silent(done: int, total: int | None, what: str) -> None:
    """Report to nobody."""
