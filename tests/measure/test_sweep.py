from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler, TensorDataset

import spikewright as sw
from spikewright.measure import Sweep, SweepProgress, answers, wilson_interval

STEPS = (2, 5)
Networks = dict[str, sw.SpikingNetwork]


@pytest.fixture(scope="module")
def networks(
    integrate_fire: sw.SpikingNetwork, tpp: sw.SpikingNetwork, nearest: sw.SpikingNetwork
) -> Networks:
    binary = nearest.with_neuron(sw.TwoPhase("nearest", "binary"))
    return {"IF": integrate_fire, "TPP": tpp, "binary": binary}


@pytest.fixture(scope="module")
def found(networks: Networks, images: Tensor, labels: Tensor, model: nn.Module) -> Sweep:
    return sw.sweep(networks, [(images, labels)], STEPS, 3, model)


def cut(images: Tensor, labels: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(images.split(size), labels.split(size), strict=True))


def timeless(found: Sweep) -> list[Any]:
    return [replace(row, seconds=0.0) for row in found.rows]


@pytest.mark.parametrize("name", ["IF", "TPP", "binary"])
@pytest.mark.parametrize("steps", STEPS)
def test_every_number_is_that_of_a_naive_loop(
    found: Sweep,
    networks: Networks,
    images: Tensor,
    labels: Tensor,
    model: nn.Module,
    name: str,
    steps: int,
) -> None:
    network, row = networks[name], found.row(name, steps)
    seeds = range(3) if name == "TPP" else range(1)
    with torch.no_grad():
        expected = model(images).argmax(1)
    said = [network(images, steps=steps, seed=seed).argmax(1) for seed in seeds]
    accuracies = [float((p == labels).double().mean()) for p in said]
    # TPP's two engines agree in distribution only, so its spikes are those of the count engine.
    recording = network.counts if name == "TPP" else network.record
    trains = [recording(images, steps=steps, seed=seed) for seed in seeds]
    spikes = sum(int(t.sum()) for trace in trains for t in trace.values()) / len(trains)
    assert row.per_seed == pytest.approx(accuracies)
    assert row.accuracy == pytest.approx(sum(accuracies) / len(accuracies))
    assert row.spread == pytest.approx(torch.tensor(accuracies).std().item() if seeds[1:] else 0)
    assert (row.seeds, row.samples) == (len(seeds), 40)
    assert row.agreement == pytest.approx(
        sum(float((p == expected).double().mean()) for p in said) / len(said)
    )
    assert row.only_network == int(((said[0] == labels) & (expected != labels)).sum())
    assert row.only_reference == int(((said[0] != labels) & (expected == labels)).sum())
    pairs = row.only_network + row.only_reference
    p_value = stats.binomtest(row.only_network, pairs).pvalue if pairs else 1.0
    assert row.p_value == pytest.approx(p_value)
    assert row.spikes_per_image == pytest.approx(spikes / 40)
    assert row.spikes_per_neuron == pytest.approx(spikes / 40 / (96 + 12 + 10))
    assert row.latency == network.latency(steps)
    assert (row.low, row.high) == pytest.approx(wilson_interval(row.accuracy * 40, 40))


def test_the_loop_above_can_tell_networks_apart(found: Sweep) -> None:
    assert len({row.accuracy for row in found.rows}) > 3
    assert len({row.spikes_per_image for row in found.rows}) == len(found.rows)
    assert found.row("TPP", 2).spread > 0


def test_the_reference_is_measured_once(found: Sweep) -> None:
    assert found.reference is not None
    assert found.reference.accuracy == pytest.approx(32 / 40)
    assert (found.reference.low, found.reference.high) == pytest.approx(wilson_interval(32, 40))
    assert found.reference.samples == 40


def test_batches_do_not_matter(
    found: Sweep, networks: Networks, images: Tensor, labels: Tensor, model: nn.Module
) -> None:
    others = sw.sweep(networks, iter(cut(images, labels, 7)), STEPS, 3, model)
    assert timeless(others) == timeless(found)


def test_a_loader_that_shuffles_is_read_in_order(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, model: nn.Module
) -> None:
    loader = DataLoader(TensorDataset(images, labels), batch_size=7, shuffle=True)
    found = sw.sweep({"a": nearest}, loader, STEPS, reference=model)
    assert timeless(found) == timeless(
        sw.sweep({"a": nearest}, [(images, labels)], STEPS, reference=model)
    )


def test_a_loader_that_changes_batches_as_it_gives_them_is_followed(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, model: nn.Module
) -> None:
    class Darker(DataLoader[Any]):
        def __iter__(self) -> Any:
            return ((shown / 3, answers) for shown, answers in super().__iter__())

    loader = Darker(TensorDataset(images, labels), batch_size=7)
    found = sw.sweep({"a": nearest}, loader, STEPS, reference=model)
    darker = sw.sweep({"a": nearest}, [(images / 3, labels)], STEPS, reference=model)
    assert timeless(found) == timeless(darker)
    assert timeless(found) != timeless(sw.sweep({"a": nearest}, [(images, labels)], STEPS))


def test_a_reference_that_cannot_answer_is_told(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, model: nn.Module
) -> None:
    half = copy.deepcopy(nearest).half()
    with pytest.raises(sw.AnalysisError, match=r"cannot answer .*torch.float16 .*snn.ann\(\)"):
        sw.sweep({"a": half}, [(images.half(), labels)], 2, reference=model)
    with pytest.raises(sw.AnalysisError, match="the reference cannot answer"):
        sw.sweep({"a": nearest}, [(images[..., :3], labels)], 2, reference=model)


@pytest.mark.parametrize("kind", ["fewer", "other places", "of its own"])
def test_a_sampler_that_picks_samples_is_followed(
    kind: str, nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    class Odd(SequentialSampler):
        def __iter__(self) -> Iterator[int]:
            return iter(range(1, len(labels), 2))

    dataset = TensorDataset(images, labels)
    samplers = {
        "fewer": RandomSampler(dataset, num_samples=10),
        "other places": SequentialSampler(range(10)),
        "of its own": Odd(dataset),
    }
    loader = DataLoader(dataset, batch_size=7, sampler=samplers[kind])
    (row,) = sw.sweep({"a": nearest}, loader, 2).rows
    assert row.samples == (len(labels) // 2 if kind == "of its own" else 10)


def test_without_a_reference_nothing_is_compared(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    found = sw.sweep({"nearest": nearest}, [(images, labels.tolist())], steps=2, seeds=[9])
    row = found.rows[0]
    assert found.reference is None
    assert (row.agreement, row.only_network, row.only_reference, row.p_value) == (None,) * 4
    assert (found.record.seed, found.record.configuration["seeds"]) == (9, [9])


def test_seeds_may_be_named(
    found: Sweep, tpp: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    other = sw.sweep({"TPP": tpp}, [(images, labels)], 5, seeds=(2, 0)).rows[0]
    first, _, third = found.row("TPP", 5).per_seed
    assert other.per_seed == (third, first)


def test_progress_counts_every_cell(
    networks: Networks, images: Tensor, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikewright.measure.batches.BLOCK_SAMPLES", 20)
    told: list[SweepProgress] = []
    sw.sweep(networks, cut(images, labels, 16), STEPS, 3, progress=told.append)
    each = 2 * (1 + 3 + 1)  # T times (IF, TPP with three seeds, binary)
    assert [p.done for p in told] == list(range(1, 3 * each + 1))
    assert {p.total for p in told} == {3 * each}
    assert {(p.network, p.steps, p.seed) for p in told if p.network == "TPP"} == {
        ("TPP", steps, seed) for steps in STEPS for seed in range(3)
    }


def test_progress_of_a_generator_has_no_total(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    told: list[SweepProgress] = []
    sw.sweep({"a": nearest}, iter([(images, labels)]), (2, 5), progress=told.append)
    assert [(p.done, p.total) for p in told] == [(1, None), (2, None)]


def test_the_model_is_left_alone(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, model: nn.Module
) -> None:
    before = {name: t.clone() for name, t in model.state_dict().items()}
    sw.sweep({"a": nearest}, [(images, labels)], 2, reference=model, device="cpu")
    assert not model.training
    assert not any(t.grad is not None for t in model.parameters())
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_what_is_elsewhere_is_copied_not_moved(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor
) -> None:
    elsewhere = nearest.with_neuron(sw.TwoPhase()).to("meta")
    with pytest.raises(NotImplementedError, match="meta"):  # a copy cannot leave the meta device
        sw.sweep({"a": elsewhere}, [(images, labels)], 2, device="cpu")
    assert next(elsewhere.buffers()).is_meta


def test_the_table_shows_the_rows(found: Sweep) -> None:
    lines = str(found).splitlines()
    assert lines[0] == "Accuracy in % on 40 samples; ± standard deviation over 3 seeds"
    assert lines[1].split() == ["ANN", "80.00", "(65.24", "to", "89.50)"]
    assert lines[2].split() == ["T=2", "T=5"]
    assert len({len(line) for line in lines[2:]}) == 1
    for name, line in zip(found.networks, lines[3:], strict=True):
        first, *cells = line.replace(" ±", "±").split()
        rows = [found.row(name, steps) for steps in STEPS]
        assert first == name
        assert [cell.split("±")[0] for cell in cells] == [f"{100 * r.accuracy:.2f}" for r in rows]
        spreads = [f"{100 * row.spread:.2f}" if row.seeds > 1 else "" for row in rows]
        assert [cell.partition("±")[2] for cell in cells] == spreads


def test_csv_and_json_hold_every_row(found: Sweep) -> None:
    read = list(csv.DictReader(io.StringIO(found.to_csv())))
    told = json.loads(json.dumps(found.to_dict()))
    assert len(read) == len(told["rows"]) == len(found.rows) == 6
    for line, entry, row in zip(read, told["rows"], found.rows, strict=True):
        assert (line["network"], int(line["steps"])) == (row.network, row.steps)
        assert float(line["accuracy"]) == entry["accuracy"] == row.accuracy
        assert [float(a) for a in line["per_seed"].split()] == entry["per_seed"]
        assert float(line["reference_accuracy"]) == told["reference"]["accuracy"] == 0.8
    assert told["record"]["configuration"]["networks"]["TPP"]["neurons"] == ["TPP"]


def test_rows_are_found_by_name(found: Sweep) -> None:
    assert found.networks == ("IF", "TPP", "binary")
    assert found.steps == STEPS
    with pytest.raises(sw.AnalysisError, match=r"no row of 'IF' at T = 3; .*IF, TPP, .*2, 5"):
        found.row("IF", 3)


def test_longer_simulation_takes_more_spikes(found: Sweep) -> None:
    for name in ("IF", "TPP"):
        rows = [found.row(name, steps) for steps in STEPS]
        assert all(a.spikes_per_image < b.spikes_per_image for a, b in pairwise(rows))


def empty() -> Iterator[Any]:
    yield from ()


class Unsure(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 4), torch.nan)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"networks": {}}, r"at least one network by name, got \{\}: call sweep"),
        ({"networks": {"model": nn.ReLU()}}, "'model' is a ReLU, not a SpikingNetwork: convert it"),
        ({"data": [(torch.empty(0, 1, 4, 4), torch.empty(0).long())]}, "the data held no sample"),
        ({"data": empty()}, "held no sample; if it is a generator it may already be used up"),
        ({"data": [torch.rand(2, 1, 4, 4)]}, r"batch 0 is one tensor \[2, 1, 4, 4\], so it has no"),
        ({"labels": torch.zeros(40)}, r"labels of batch 0 are torch.float32 \[40\]; give class"),
        ({"labels": torch.zeros(39).long()}, "batch 0 has 40 images and 39 labels"),
        ({"labels": torch.full((40,), 4)}, "'a' at T = 2 knows the classes 0 to 3, the labels run"),
        ({"labels": torch.full((40,), -1)}, "the labels run from -1 to -1"),
        ({"labels": "cat"}, "the labels of batch 0 are of type str"),
        ({"steps": ()}, r"steps must be whole numbers.*got \(\)"),
        ({"steps": (2, 0)}, r"steps must be whole numbers.*got \(2, 0\)"),
        ({"steps": 2.5}, "steps must be whole numbers.*got 2.5"),
        ({"seeds": 0}, "seeds must be a number of seeds, at least 1.*got 0"),
        ({"seeds": (1, 1)}, r"different integers, got \(1, 1\)"),
        ({"seeds": (0.5,)}, r"different integers, got \(0.5,\)"),
        ({"reference": nn.Sequential(nn.Dropout())}, r"training mode \(itself, 0\): call model.ev"),
        ({"reference": nn.Identity().eval()}, r"reference answers \[40, 1, 4, 4\] to 40 samples"),
        (
            {"reference": Unsure().eval()},
            "the reference gave NaN or infinite logits; check its wei",
        ),
        ({"seeds": True}, "seeds must be a number of seeds, at least 1.*got True"),
        (
            {"images": torch.full((40, 1, 4, 4), torch.nan)},
            "batch 0 holds NaN or infinite values; ch",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, changed: dict[str, Any], told: str
) -> None:
    pictures = changed.pop("images", images.float()).double()
    arguments: dict[str, Any] = {
        "networks": {"a": nearest},
        "data": [(pictures, changed.pop("labels", labels))],
        "steps": 2,
        **changed,
    }
    with pytest.raises(sw.AnalysisError, match=told):
        sw.sweep(**arguments)


def test_data_that_is_no_batches_is_refused_with_what_to_give(
    nearest: sw.SpikingNetwork, images: Tensor, labels: Tensor, model: nn.Module
) -> None:
    wrong: list[tuple[Any, str]] = [
        (images, r"one tensor \[40, 1, 4, 4\], not batches: give .*\[\(images, labels\)\]"),
        (
            (images, labels),
            r"one pair .* two batches: give a list of pairs, \[\(images, labels\)\]",
        ),
        (
            TensorDataset(images, labels),
            r"a TensorDataset, .* torch.utils.data.DataLoader\(dataset",
        ),
    ]
    for data, told in wrong:
        for reference in (model, None):
            with pytest.raises(sw.AnalysisError, match=told):
                sw.sweep({"a": nearest}, data, 2, reference=reference)


def test_seconds_are_those_of_simulating_and_not_of_reading(
    networks: Networks, images: Tensor, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0]

    class Slow(TensorDataset):
        def __getitem__(self, index: int) -> tuple[Tensor, ...]:
            clock[0] += 100
            return super().__getitem__(index)

    monkeypatch.setattr(answers, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    data = DataLoader(Slow(images, labels), batch_size=20)
    found = sw.sweep(networks, data, STEPS, seeds=1)
    assert clock[0] > 0
    assert {row.seconds for row in found.rows} == {0}
