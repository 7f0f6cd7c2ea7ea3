"""Measures of any answer: relative error, cosine, and a metric of the user's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.measure import Metric, Sweep
from spikewright.measure.cells import Cells
from spikewright.measure.likeness import Likeness

from .conftest import random_images, small_model

STEPS = (2, 5)


@dataclass
class Found:
    boxes: Tensor
    scores: tuple[Tensor, Tensor]


class Boxes(nn.Module):
    """Answers boxes and scores, and anchors that depend on no input."""

    def __init__(self, plain: Callable[..., Any] = lambda b, s, a: Found(b, (s, a))) -> None:
        super().__init__()
        self.body = small_model()
        self.box = nn.Linear(4, 6).double()
        self.register_buffer("anchors", torch.ones(3, 2).double())
        self.plain = plain

    def forward(self, x: Tensor) -> Any:
        y = self.body(x)
        return self.plain(self.box(y.relu()).reshape(-1, 3, 2), y, self.anchors)


@pytest.fixture(scope="module")
def boxes() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Boxes().eval()


@pytest.fixture(scope="module")
def detector(boxes: nn.Module) -> sw.SpikingNetwork:
    return sw.convert(boxes, random_images(64, seed=2), steps=STEPS)


def iou_like(output: Any, targets: dict[str, Tensor]) -> Tensor:
    """One number a sample, of a structure and of labels that are no class numbers."""
    gap = (output.boxes - targets["boxes"]).abs().mean((1, 2))
    return 1 / (1 + gap) * (targets["weight"] > 0)


def targets_of(boxes: nn.Module, images: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {"boxes": boxes(images).boxes + 0.1, "weight": torch.ones(len(images))}


def error(output: Tensor, labels: Tensor) -> Tensor:
    return 1 - torch.softmax(output, 1).gather(1, labels[:, None])[:, 0]


def cut(images: Tensor, labels: Any, size: int) -> list[tuple[Tensor, Any]]:
    parts = range(0, len(images), size)

    def some(start: int) -> Any:
        if isinstance(labels, dict):
            return {name: t[start : start + size] for name, t in labels.items()}
        return None if labels is None else labels[start : start + size]

    return [(images[start : start + size], some(start)) for start in parts]


def timeless(found: Sweep) -> list[Any]:
    return [replace(row, seconds=0.0) for row in found.rows]


def test_every_number_is_that_of_a_naive_loop(
    tpp: sw.SpikingNetwork, model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    metric = Metric(error, "lost", higher_is_better=False)
    found = sw.sweep({"TPP": tpp}, [(images, labels)], STEPS, 3, model, metric=metric)
    with torch.no_grad():
        expected = model(images)
    for steps in STEPS:
        answers = [tpp(images, steps=steps, seed=seed) for seed in range(3)]
        row = found.row("TPP", steps)
        errors = [float((a - expected).norm() / expected.norm()) for a in answers]
        cosines = [float(torch.cosine_similarity(a, expected).mean()) for a in answers]
        lost = [error(a, labels) for a in answers]
        assert row.relative_error == pytest.approx(sum(errors) / 3, rel=1e-5)
        spread = float(torch.tensor(errors, dtype=torch.float64).std())
        assert row.relative_error_spread == pytest.approx(spread, rel=1e-3)
        assert row.cosine == pytest.approx(sum(cosines) / 3, rel=1e-5)
        means = torch.stack([each.mean() for each in lost])
        assert row.metric == pytest.approx(float(means.mean()), rel=1e-5)
        assert row.metric_spread == pytest.approx(float(means.std()), rel=1e-4)
        half = 1.96 * float(torch.stack(lost).flatten().var(correction=0) / 39) ** 0.5
        assert row.metric_low == pytest.approx(float(means.mean()) - half, rel=1e-3)
        assert row.metric_high == pytest.approx(float(means.mean()) + half, rel=1e-3)
        assert row.accuracy == pytest.approx(sum(row.per_seed) / 3)
    assert found.reference is not None
    assert found.reference.metric == pytest.approx(float(error(expected, labels).mean()), rel=1e-5)
    assert (found.metric, found.higher_is_better) == ("lost", False)
    assert found.score.name == "lost"
    assert not found.score.higher_is_better


class WithGradients(nn.Sequential):
    forward = torch.enable_grad()(nn.Sequential.forward)


def test_a_metric_gets_answers_without_gradients(
    nearest: sw.SpikingNetwork, model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    def largest(output: Tensor, labels: Tensor) -> Tensor:
        return torch.from_numpy(output.numpy().max(1))  # numpy() refuses tensors with gradients

    enabling = WithGradients(model).eval()
    found = sw.sweep({"a": nearest}, [(images, labels)], (2,), reference=enabling, metric=largest)
    expected = sw.sweep({"a": nearest}, [(images, labels)], (2,), reference=model, metric=largest)
    assert found.reference == replace(expected.reference, seconds=found.reference.seconds)


def test_measures_beside_accuracy_change_no_accuracy(
    nearest: sw.SpikingNetwork, model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    plain = sw.sweep({"a": nearest}, [(images, labels)], STEPS, reference=model)
    more = sw.sweep({"a": nearest}, [(images, labels)], STEPS, reference=model, metric=error)
    alone = sw.sweep({"a": nearest}, [(images, labels)], STEPS)
    for one, two, three in zip(plain.rows, more.rows, alone.rows, strict=True):
        assert (one.accuracy, one.agreement, one.cosine) == (
            two.accuracy,
            two.agreement,
            two.cosine,
        )
        assert (one.accuracy, three.relative_error, three.cosine) == (three.accuracy, None, None)
        assert (one.metric, one.metric_low) == (None, None)
    assert plain.score.name == alone.score.name == "accuracy"


def test_classes_in_a_list_are_classes(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    def lost(output: Tensor, labels: Any) -> Tensor:
        return error(output, torch.as_tensor(labels))

    tensor = sw.sweep({"a": nearest}, [(images, labels)], 5, metric=lost)
    for same in (labels.tolist(), tuple(labels.tolist()), list(labels), labels.int()):
        found = sw.sweep({"a": nearest}, [(images, same)], 5, metric=lost)
        assert timeless(found) == timeless(tensor)
    assert tensor.rows[0].accuracy is not None
    words = [str(label) for label in labels.tolist()]
    named = sw.sweep({"a": nearest}, [(images, words)], 5, metric=lambda output, _: output[:, 0])
    assert named.rows[0].accuracy is None
    with pytest.raises(sw.AnalysisError, match="labels of batch 0 are a list of 40 that is no"):
        sw.sweep({"a": nearest}, [(images, words)], 5)


def test_a_metric_is_given_answers_and_labels_of_any_structure(
    detector: sw.SpikingNetwork, boxes: nn.Module, images: Tensor
) -> None:
    targets = targets_of(boxes, images)
    arguments: dict[str, Any] = {"steps": STEPS, "reference": boxes, "metric": iou_like}
    found = sw.sweep({"a": detector}, [(images, targets)], **arguments)
    row = found.row("a", 5)
    assert row.accuracy is None
    assert (row.agreement, row.per_seed, row.p_value) == (None, (), None)
    answer = detector(images, steps=5)
    assert row.metric == pytest.approx(float(iou_like(answer, targets).mean()), rel=1e-5)
    with torch.no_grad():
        expected = boxes(images)
    a, b = (torch.cat([f.boxes.flatten(1), f.scores[0]], 1) for f in (answer, expected))
    assert row.relative_error == pytest.approx(float((a - b).norm() / b.norm()), rel=1e-5)
    assert row.cosine == pytest.approx(float(torch.cosine_similarity(a, b).mean()), rel=1e-5)
    assert found.reference is not None
    assert found.reference.metric == pytest.approx(1 / 1.1, rel=1e-5)
    assert found.reference.accuracy is None
    for size in (7, 40):
        assert timeless(sw.sweep({"a": detector}, cut(images, targets, size), **arguments)) == (
            timeless(found)
        )
    loaded = io.StringIO(found.to_csv())
    (first, _) = csv.DictReader(loaded)
    assert (first["accuracy"], first["per_seed"]) == ("", "")
    assert float(first["metric"]) == found.row("a", 2).metric


def test_without_labels_answers_are_compared_with_the_reference(
    detector: sw.SpikingNetwork, boxes: nn.Module, images: Tensor
) -> None:
    found = sw.sweep({"a": detector}, list(images.split(16)), STEPS, reference=boxes)
    assert found.score.name == "relative error"
    coarse, fine = (found.row("a", steps) for steps in STEPS)
    assert coarse.relative_error is not None
    assert fine.relative_error is not None
    assert 0 < fine.relative_error < coarse.relative_error
    assert 0.9 < (fine.cosine or 0) < 1
    assert found.record.samples == 40
    text = str(found).splitlines()
    assert text[0] == "Relative error in % on 40 samples"
    assert text[2].split() == ["a", *(f"{100 * r.relative_error:.2f}" for r in (coarse, fine))]  # type: ignore[operator]
    nothing = sw.sweep({"a": detector}, [(images, None)], STEPS, reference=boxes)
    assert timeless(nothing) == timeless(found)


def test_a_network_beside_itself_errs_nowhere(nearest: sw.SpikingNetwork, images: Tensor) -> None:
    class Same(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nearest(x, steps=5)

    row = sw.sweep({"a": nearest}, [images], 5, reference=Same().eval()).rows[0]
    assert (row.relative_error, row.cosine) == (0.0, 1.0)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_number_for_a_batch_counts_as_often_as_it_has_samples(
    shape: tuple[int, ...], nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    def largest(output: Tensor, labels: Tensor) -> Tensor:
        return torch.tensor(float(len(labels))).reshape(shape)

    found = sw.sweep({"a": nearest}, cut(images, labels, 15), 2, metric=largest)
    row = found.rows[0]
    assert row.metric == pytest.approx((15 * 15 * 2 + 10 * 10) / 40)
    assert (row.metric_low, row.metric_high) == (None, None)
    assert found.metric == "largest"
    assert str(found).startswith("Largest on 40 samples\n")


def test_a_metric_may_change_its_labels(
    nearest: sw.SpikingNetwork, model: nn.Module, images: Tensor
) -> None:
    """Those of every network are the caller's, which stay what they are."""
    with torch.no_grad():
        labels = model(images).argmax(1) + 1

    def right(output: Tensor, numbers: Tensor) -> Tensor:
        numbers -= 1
        return (output.argmax(1) == numbers).double()

    def as_right(output: Tensor, numbers: Tensor) -> Tensor:
        return (output.argmax(1) == numbers - 1).double()

    kept = labels.clone()
    changing, plain = (
        sw.sweep({"a": nearest}, [(images, labels)], STEPS, reference=model, metric=metric)
        for metric in (right, as_right)
    )
    assert torch.equal(labels, kept)
    assert changing.reference is not None
    assert changing.reference.metric == 1
    assert [row.metric for row in changing.rows] == [row.metric for row in plain.rows]


@pytest.mark.parametrize("lazy", [False, True])
def test_labels_for_a_metric_need_not_be_one_a_sample(
    lazy: bool, nearest: sw.SpikingNetwork, images: Tensor
) -> None:
    """Such as the boxes of all images, each with the number of its image."""
    targets = torch.rand(100, 6)

    def found(output: Tensor, boxes: Tensor) -> float:
        assert boxes.shape == (100, 6)
        return 0.5

    data = [(images, targets)]
    row = sw.sweep({"a": nearest}, iter(data) if lazy else data, 5, metric=found).rows[0]
    assert (row.samples, row.metric) == (len(images), 0.5)


def test_labels_may_be_missing_for_a_metric_that_needs_none(
    nearest: sw.SpikingNetwork, images: Tensor
) -> None:
    def sure(output: Tensor, labels: None) -> Tensor:
        assert labels is None
        return output.softmax(1).amax(1)

    row = sw.sweep({"a": nearest}, [images], 5, metric=sure).rows[0]
    expected = sure(nearest(images, steps=5), None).mean()
    assert row.metric == pytest.approx(float(expected), rel=1e-5)
    assert row.accuracy is None


def test_frames_are_measured_too(model: nn.Module, integrate_fire: sw.SpikingNetwork) -> None:
    frames = torch.stack([random_images(12, seed=seed) for seed in range(2)])
    row = sw.sweep({"a": integrate_fire}, [frames], 2, reference=model).rows[0]
    with torch.no_grad():
        expected = model(frames.mean(0))
    answer = integrate_fire(frames, steps=2)
    assert row.samples == 12
    assert row.relative_error == pytest.approx(
        float((answer - expected).norm() / expected.norm()), rel=1e-5
    )


def test_batches_that_do_not_fit_are_cut_with_their_labels(
    detector: sw.SpikingNetwork,
    boxes: nn.Module,
    images: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    targets = targets_of(boxes, images)
    whole = sw.sweep({"a": detector}, [(images, targets)], 5, metric=iou_like)
    observe = sw.SpikingNetwork.observe

    def small(self: Any, shown: Tensor, *rest: Any, **options: Any) -> Any:
        if len(shown) > 8:
            raise MemoryError
        return observe(self, shown, *rest, **options)

    monkeypatch.setattr(sw.SpikingNetwork, "observe", small)
    with pytest.warns(RuntimeWarning, match="does not fit into memory"):
        found = sw.sweep({"a": detector}, [(images, targets)], 5, metric=iou_like)
    assert timeless(found) == timeless(whole)


def test_finished_cells_are_read_again(
    detector: sw.SpikingNetwork, boxes: nn.Module, images: Tensor, tmp_path: Path
) -> None:
    targets = targets_of(boxes, images)
    data = [(images, targets)]
    first, again = (
        sw.sweep({"a": detector}, data, STEPS, reference=boxes, metric=m, cells=Cells(tmp_path))
        for m in (iou_like, lambda output, labels: pytest.fail("it was measured twice"))
    )
    assert timeless(first) == timeless(again)


INFINITE = Metric(lambda output, labels: float("inf"), "endless")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metric": 3}, r"a metric is a function of \(output, labels\), got 3"),
        ({"metric": lambda o, y: "good"}, r"metric '<lambda>' returns a str for network 'a' at T"),
        ({"metric": lambda o, y: o}, r"returns \[40, 4\] for network 'a' at T = 2 and 40 samples"),
        ({"metric": INFINITE}, "the metric 'endless' gives NaN or infinity for network 'a'"),
        ({"data": "alone"}, "images alone with a reference="),
        ({"labels": torch.zeros(40, 2)}, r"give class numbers, integers of shape \[B\]"),
        ({"labels": torch.zeros(39), "metric": error}, "40 images and 39 labels"),
        (
            {"reference": nn.Flatten().eval(), "data": "alone"},
            r"answers \[4\] numbers a sample, the r",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(
    nearest: sw.SpikingNetwork,
    images: Tensor,
    labels: Tensor,
    changed: dict[str, Any],
    message: str,
) -> None:
    pairs = [(images, changed.pop("labels", labels))]
    data = [images] if changed.pop("data", "") == "alone" else pairs
    with pytest.raises(sw.AnalysisError, match=message):
        sw.sweep({"a": nearest}, data, 2, **changed)


def test_labels_of_classes_need_answers_of_classes_or_a_metric(
    detector: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    with pytest.raises(sw.AnalysisError, match="give a metric of your own, or leave the labels"):
        sw.sweep({"a": detector}, [(images, labels)], 2)


def test_a_reference_of_another_structure_is_refused(
    detector: sw.SpikingNetwork, model: nn.Module, images: Tensor
) -> None:
    with pytest.raises(sw.AnalysisError, match=r"reference answers no tensor 'boxes' \(it has log"):
        sw.sweep({"a": detector}, [images], 2, reference=model)


def test_misalignment_counts_right_answers(
    integrate_fire: sw.SpikingNetwork, model: nn.Module, images: Tensor
) -> None:
    with pytest.raises(sw.AnalysisError, match="so it has no labels to measure accuracy by"):
        sw.misalignment(integrate_fire, [images], STEPS, reference=model)


def test_likeness_leaves_out_what_is_infinite_in_both() -> None:
    a = torch.tensor([[1.0, -torch.inf, 2.0], [0.0, 0.0, 0.0]])
    b = torch.tensor([[1.0, -torch.inf, 0.0], [0.0, 0.0, 0.0]])
    assert Likeness.of(a, b) == Likeness(4.0, 1.0, pytest.approx(1 / 5**0.5 + 1))  # type: ignore[arg-type]
    with pytest.raises(sw.AnalysisError, match="NaN or infinite"):
        Likeness.of(b, a.where(a.isfinite(), 0))


def test_a_function_tells_whether_higher_is_better() -> None:
    def loss(output: Tensor, labels: Tensor) -> Tensor:
        return output[:, 0]

    assert Metric.of(loss).higher_is_better
    loss.higher_is_better = False  # type: ignore[attr-defined]
    assert not Metric.of(loss).higher_is_better
    assert Metric.of(Metric(loss, "l")).name == "l"


class Sentences(nn.Module):
    """Token ids and a mask: the mean of the tokens that the mask keeps, weighed by one another."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.first, self.last = nn.Embedding(9, 6), nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        x = nn.functional.silu(self.first(self.table(input_ids)))
        kept = attention_mask[..., None].to(x.dtype)
        x = x * kept
        x = x @ (x.transpose(1, 2) @ x) / 8
        return {"scores": self.last((x * kept).mean(1))}


def sentences(batch: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    ids = torch.randint(9, (batch, 5), generator=generator)
    return {"input_ids": ids, "attention_mask": (ids > 2).long()}


@pytest.fixture(scope="module")
def reader() -> tuple[nn.Module, sw.SpikingNetwork]:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = Sentences().double().eval()
    return model, sw.convert(model, [sentences(64)], steps=STEPS)


@pytest.mark.parametrize("form", ["dict", "tuple", "with labels"])
def test_networks_of_several_inputs_are_measured(
    reader: tuple[nn.Module, sw.SpikingNetwork], form: str
) -> None:
    model, snn = reader
    shown, labels = sentences(30), torch.arange(30) % 4
    item: Any = {
        "dict": (shown, labels),
        "tuple": (tuple(shown.values()), labels),
        "with labels": {**shown, "labels": labels},
    }[form]
    found = sw.sweep({"a": snn}, [item], 5, reference=model)
    with torch.no_grad():
        expected, answer = model(**shown)["scores"], snn(**shown, steps=5)["scores"]
    row = found.rows[0]
    assert row.samples == 30
    assert row.accuracy == pytest.approx(float((answer.argmax(1) == labels).double().mean()))
    assert row.relative_error == pytest.approx(
        float((answer - expected).norm() / expected.norm()), rel=1e-5
    )
    alone = sw.sweep({"a": snn}, [shown], 5, reference=model).rows[0]
    assert (alone.cosine, alone.accuracy) == (row.cosine, None)


def test_several_inputs_that_do_not_fit_are_cut(
    reader: tuple[nn.Module, sw.SpikingNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, snn = reader
    whole = sw.sweep({"a": snn}, [sentences(30)], 5, reference=model)
    observe = sw.SpikingNetwork.observe

    def small(self: Any, shown: Any, *rest: Any, **options: Any) -> Any:
        if len(shown["input_ids"]) > 8:
            raise MemoryError
        return observe(self, shown, *rest, **options)

    monkeypatch.setattr(sw.SpikingNetwork, "observe", small)
    with pytest.warns(RuntimeWarning, match="does not fit into memory"):
        found = sw.sweep({"a": snn}, [sentences(30)], 5, reference=model)
    assert timeless(found) == timeless(whole)


def test_what_holds_no_inputs_is_refused(reader: tuple[nn.Module, sw.SpikingNetwork]) -> None:
    model, snn = reader
    with pytest.raises(sw.AnalysisError, match="batch 0 holds of type dict; give a tensor"):
        sw.sweep({"a": snn}, [({"input_ids": 3}, torch.zeros(3).long())], 5, reference=model)


def test_masked_values_are_spikes_still(reader: tuple[nn.Module, sw.SpikingNetwork]) -> None:
    _, snn = reader
    audit = snn.audit(sentences(4))
    assert not audit.objections
    assert {str(edge.carries) for edge in audit.edges if edge.role == "product"} == {"spikes"}
    assert str(audit.edges[0]) == "input_ids -> table (embedding)"
    torch.testing.assert_close(snn.twin()(**sentences(4)), snn(**sentences(4)))
