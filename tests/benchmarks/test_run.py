"""One round of the tiny workload, and what is refused."""

from __future__ import annotations

import json
import shlex
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.cli import _parser, _settings, main
from benchmarks.contenders import Contender, Unavailable, contenders, selected
from benchmarks.contenders import spikingjelly as peers
from benchmarks.contenders.traceable import traceable
from benchmarks.measure import Lane, measure, without_paths
from benchmarks.memory import peak_of
from benchmarks.run import run
from benchmarks.settings import BenchmarkError, Settings
from benchmarks.workloads import Subject, open_subject
from spikewright.models import resnet20

ROOT = Path(__file__).parents[2]
TINY = Settings("tiny", threads=1, batch=4, images=8, rounds=1, calibration_images=16, memory=False)


@pytest.fixture
def no_spikingjelly(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(peers, "version", missing)


def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)


@pytest.mark.usefixtures("no_spikingjelly")
def test_everybody_else_runs_without_spikingjelly(monkeypatch: pytest.MonkeyPatch) -> None:
    _uncompiled(monkeypatch)
    record = run(TINY, lambda line: None)
    assert json.loads(json.dumps(record)) == record
    for each in record["contenders"]:
        if each["name"].startswith("spikingjelly-"):
            assert "not installed" in each["reason"]
        else:
            assert "reason" not in each, each
            assert len(each["round_seconds"]) == 1
            assert each["accuracy"] is None  # of random weights
    assert record["config"]["data"] == record["config"]["weights"] == "random"


class _Fixed(Contender):
    """Answers class 0, and notes when."""

    def __init__(self, name: str, log: list[str], fails_at: int = 99) -> None:
        super().__init__(name, None, "")
        self.log, self.fails_at = log, fails_at

    def prepare(self, subject: Subject) -> None:
        pass

    def run(self, batch: Tensor) -> Tensor:
        self.log.append(self.name)
        if self.log.count(self.name) >= self.fails_at:
            raise RuntimeError("cannot read /" + "home/somebody/file: no")
        return torch.tensor([[1.0, 0.0]]).expand(len(batch), 2)


class _Slow(_Fixed):
    """Takes 50 ms to prepare."""

    def prepare(self, subject: Subject) -> None:
        time.sleep(0.05)


def _subject() -> Subject:
    labels = [torch.tensor([0, 1]), torch.tensor([0, 0])]
    return Subject(nn.Identity(), [], [torch.zeros(2, 1)] * 2, labels, torch.device("cpu"))


def test_rounds_are_interleaved_and_every_image_counts_once() -> None:
    log: list[str] = []
    records = measure([Lane(_Fixed(n, log)) for n in "AB"], _subject(), 3, lambda line: None)
    assert "".join(log) == "AB" + "AB" * 3  # first calls, then rounds; none is left for the rest
    assert [each["accuracy"] for each in records] == [0.75, 0.75]


def test_a_failure_in_a_round_is_listed_and_the_rest_goes_on() -> None:
    log: list[str] = []
    lanes = [Lane(_Fixed("A", log, fails_at=2)), Lane(_Fixed("B", log))]
    failed, fine = measure(lanes, _subject(), 1, lambda line: None)
    assert failed["reason"] == "RuntimeError: cannot read <path>: no"
    assert "".join(log) == "ABABB"  # B answers the batch that no round had
    assert fine["accuracy"] == 0.75


def test_when_time_is_over_nobody_is_set_up_and_no_round_begins() -> None:
    log: list[str] = []
    lanes = [Lane(_Fixed(name, log)) for name in "AB"]
    lanes[1].reason = "it was ended"
    lanes += [Lane(_Slow("C", log)), Lane(_Fixed("D", log))]
    fine, ended, slow, late = measure(lanes, _subject(), 9, lambda line: None, seconds=0.05)
    assert len(fine["round_seconds"]) == len(slow["round_seconds"]) == 1
    assert ended["reason"] == "it was ended"
    assert late["reason"] == "there was no time left for it in 0.05 s"


def test_a_gpu_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`make bench-gpu` word for word: its workloads and contenders are known, its GPU is not."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nbench-gpu:")[1]
    words = shlex.split(recipe.split("-m benchmarks ")[1].split("\n\n")[0].replace("\\\n", ""))
    assert main([*words, "--output", str(tmp_path), "--page", str(tmp_path / "page.md")]) == 2
    assert "torch finds no CUDA GPU on this machine" in capsys.readouterr().err
    settings = [_settings(name, _parser().parse_args(words), 2) for name in words[1:3]]
    assert sum(each.seconds or 0 for each in settings) == 450
    assert [each.images // each.batch for each in settings] == [4, 4]
    assert len(selected(settings[0].contenders)) == len(settings[0].contenders) + 1


def test_a_recipe_for_transformers_is_not_tried_on_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "version", lambda _: "2.0.0")
    (contender,) = [each for each in contenders() if each.name == "spikingjelly-multi-sta-32"]
    with pytest.raises(Unavailable, match="for networks with MultiheadAttention"):
        contender.prepare(_subject())


def test_reasons_keep_words_and_lose_places() -> None:
    assert without_paths("\nImportError: /a/b/c.so: T / 32\nmore") == "ImportError: <path>: T / 32"


def test_names_are_unique_and_the_reference_always_takes_part() -> None:
    names = [each.name for each in contenders()]
    assert len(names) == len(set(names))
    names = [e.name for e in selected(["steps-*"])]
    assert names == [
        "ann-compiled",
        "steps-if-bf16-32",
        "steps-if-int8-32",
        "steps-if-32",
        "steps-tracer-8",
    ]
    with pytest.raises(BenchmarkError, match="no contender matches 'x'; there are ann-eager"):
        selected(["x"])


def test_settings_are_checked_and_hold_no_folder_in_results() -> None:
    with pytest.raises(BenchmarkError, match="no multiple of batch=3"):
        Settings("tiny", threads=1, batch=3, images=8)
    with pytest.raises(BenchmarkError, match="measured on random images"):
        Settings("vgg16-32", threads=1, data=Path("somewhere"))
    full = Settings(
        "resnet20", 1, weights=Path("far/w.safetensors"), data=Path("far/d"), dataset="CIFAR-10"
    )
    assert Settings.from_json(full.to_json()) == full
    assert "far" not in json.dumps(full.recorded())
    assert full.recorded()["data"] == "CIFAR-10"


def test_the_copy_of_resnet20_pads_nothing_and_answers_the_same() -> None:
    model = resnet20().eval()
    copy = traceable(model, torch.randn(2, 3, 32, 32))  # compares bit for bit
    assert isinstance(copy, torch.fx.GraphModule)
    assert "pad" not in copy.code


def test_padding_of_pixels_is_refused() -> None:
    class Padded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.pad(x, (1, 1, 0, 0, 0, 0))

    with pytest.raises(Unavailable, match="not channels with zeros"):
        traceable(Padded(), torch.zeros(1, 1, 2, 2))


def test_peak_memory_sees_what_is_already_freed() -> None:
    def job() -> None:
        torch.ones(16 << 20)  # of 4 bytes

    peak = peak_of(job, torch.device("cpu"))
    if peak is None:
        pytest.skip("peak memory is known on Linux alone")
    assert 60 << 20 < peak < 80 << 20


def test_the_same_seed_opens_the_same_subject() -> None:
    first, second = open_subject(TINY), open_subject(TINY)
    assert torch.equal(first.batches[0], second.batches[0])
    answers = [each.model(first.batches[0]) for each in (first, second)]
    assert torch.equal(*answers)
