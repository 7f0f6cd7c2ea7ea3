"""The detector and the segmenter of digits: canvases, overlaps, decoding, record and picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from docs_tools.dense.canvases import SIDE, boxes_iou, drawn, masks_iou
from docs_tools.dense.measure import PICTURED, RECORD, measured, read, write
from docs_tools.dense.networks import boxes_of, targets
from docs_tools.dense.picture import picture

from .pages import DOCS

SVG = "{http://www.w3.org/2000/svg}"

pytest.importorskip("sklearn", reason="needs the extra 'digits'")


def test_boxes_bound_the_masks_of_their_digits() -> None:
    canvases = drawn(20, "train", seed=3)
    assert canvases.images.shape == (20, 1, SIDE, SIDE)
    for boxes, mask in zip(canvases.boxes, canvases.masks, strict=True):
        assert {box[4] + 1 for box in boxes} == set(mask.unique().tolist()) - {0}
        within = torch.zeros_like(mask)
        for left, top, right, bottom, digit in boxes:
            part = mask[int(top) : int(bottom), int(left) : int(right)]
            edges = (part[0], part[-1], part[:, 0], part[:, -1])
            assert all(bool((edge == digit + 1).any()) for edge in edges)
            within[int(top) : int(bottom), int(left) : int(right)] = 1
        assert not bool(mask[within == 0].any())
    again = drawn(20, "train", seed=3)
    assert torch.equal(again.images, canvases.images)
    assert again.boxes == canvases.boxes


def test_overlaps_by_hand() -> None:
    one, half, other = (0.0, 0.0, 4.0, 4.0, 1), (0.0, 0.0, 4.0, 2.0, 1), (0.0, 0.0, 4.0, 4.0, 2)
    assert boxes_iou([one], [half]) == 0.5
    assert boxes_iou([one, other], [half]) == 0.25  # the second has no partner
    assert boxes_iou([one], [other]) == 0
    assert boxes_iou([one], [half, one]) == 0.5  # the likest first; the other is one too many
    assert boxes_iou([], []) == 1
    mask = torch.tensor([[0, 1, 1, 2]])
    assert masks_iou(mask, torch.tensor([[0, 1, 0, 2]])) == (0.5 + 1) / 2
    assert masks_iou(mask, torch.tensor([[3, 1, 1, 2]])) == pytest.approx(2 / 3)
    assert masks_iou(0 * mask, 0 * mask) == 1


def test_boxes_are_decoded_as_they_were_encoded() -> None:
    truth = drawn(20, "test", seed=0).boxes
    heat, box, _ = targets(truth)
    centres = torch.where(heat == 1, 5.0, -5.0)
    decoded = list(boxes_of({"heat": centres, "box": box}))
    assert min(map(boxes_iou, decoded, truth)) > 0.999
    doubled = torch.where(heat > 0.3, 5 * heat, -5.0)  # neighbours say boxes too
    kept = list(boxes_of({"heat": doubled, "box": box.amax((2, 3), keepdim=True).expand_as(box)}))
    assert all(len(some) < int((d > 0).sum()) for some, d in zip(kept, doubled, strict=True))


def test_a_measurement_is_a_record(tmp_path: Path) -> None:
    record = measured(train=32, epochs=1, tested=3, compared=[("nearest:binary", 8)])
    networks = [("ANN", 0), ("nearest:binary", 8)]
    assert [(row.task, row.neuron, row.steps) for row in record.rows] == [
        (task, *network) for task in ("boxes", "masks") for network in networks
    ]
    for row in record.rows:
        assert (row.latency is None) == (row.neuron == "ANN")
        if row.neuron == "ANN":
            assert (row.ann.mean, row.ann.half) == (1, 0)
    assert set(record.shown.boxes) == set(record.shown.masks) == {"ANN", "8"}
    assert read(write(record, tmp_path / "record.json")) == record


def test_the_picture_is_that_of_the_record() -> None:
    record = read(DOCS / "results" / RECORD.name)
    kept = (DOCS / "results" / record.picture).read_text(encoding="utf-8")
    for text in (kept, picture(record)):
        told = {element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")}
        for row in record.rows:
            if row.neuron in PICTURED:
                assert f"mean IoU {row.truth.mean:.3f}" in told
                assert row.neuron == "ANN" or f"{row.ann.mean:.3f} with the ANN's" in told
        assert {f"{box[4]}" for boxes in record.shown.boxes.values() for box in boxes} <= told
