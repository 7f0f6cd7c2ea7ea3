"""The census: its list, one architecture tried, and its page from made-up records."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from docs_tools.census.building import called
from docs_tools.census.entries import PACKAGES, Entry, entries
from docs_tools.census.examine import difference, examine
from docs_tools.census.page import PAGE, most_wanted, page, summary
from docs_tools.census.plain import PLAIN
from docs_tools.census.record import (
    Reason,
    Record,
    path_of,
    read,
    read_all,
    read_kept,
    write,
    write_kept,
)
from docs_tools.census.run import How, run

MADE_UP = [
    Record(
        "timm",
        "resnet",
        "done",
        "converts",
        units={"aten.relu": 17, "aten.gelu": 2, "spikewright.relay": 3},
        values=1000,
        twin=0.0,
        steps=2e-16,
        error=2e-5,
        audit=[],
        library={"torch": "2.14", "commit": "abc"},
    ),
    Record(
        "timm",
        "loose",
        "done",
        "converts",
        units={"aten.silu": 3},
        twin=1e-3,
        error=0.02,
        finer=3e-6,
    ),
    Record(
        "timm",
        "sorter",
        "survey",
        "refused",
        "2 operations have no spiking form",
        [Reason("aten.sort.default", "it sorts | a signal", "leave it out", 2)],
    ),
    Record("hf", "bert", "convert", "failed", "ValueError: <no>"),
    Record("others", "huge", "survey", "stopped", "stopped after too much time"),
]


def test_there_are_290_architectures_with_files_of_their_own() -> None:
    listed = {source: entries(source) for source in PACKAGES}
    assert {k: len(v) for k, v in listed.items()} == {
        "timm": 98,
        "torchvision": 50,
        "hf": 53,
        "others": 89,
    }
    files = {path_of(Path(), e.source, e.name) for found in listed.values() for e in found}
    assert len(files) == 290


def test_timm_has_every_architecture() -> None:
    timm = pytest.importorskip("timm", reason="needs timm")
    assert [e.name for e in entries("timm") if not timm.is_model(e.name)] == []


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # EEGNet's own
@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_network_takes_its_inputs(name: str) -> None:
    if name == "mel spectrogram, CNN":
        pytest.importorskip("torchaudio", reason="needs torchaudio")
    model, inputs = PLAIN[name]()
    with torch.no_grad():
        answer = called(model.eval(), inputs)
    assert isinstance(answer, torch.Tensor | tuple | dict)


def examined(entry: Entry) -> Record:
    records: list[Record] = []
    examine(entry, records.append)
    return records[-1]


def test_a_network_that_converts_is_measured() -> None:
    record = examined(Entry("others", "MLP", PLAIN["MLP"]))
    assert (record.verdict, record.stage, record.message) == ("converts", "done", "")
    assert record.units == {"aten.relu": 2}
    assert record.error is not None
    assert record.error < 1e-3
    assert record.steps is not None
    assert record.steps < 1e-12
    assert torch.get_default_dtype() is torch.float32


def test_an_error_that_more_steps_mend_is_told_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("others", "MLP", PLAIN["MLP"])
    assert examined(entry).finer is None
    monkeypatch.setattr("docs_tools.census.examine.LARGEST_ERROR", 1e-9)
    record = examined(entry)
    assert record.error is not None
    assert record.finer is not None
    assert 0 < record.finer < record.error / 16


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you")]
)
def test_a_run_out_of_memory_is_no_fault(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("docs_tools.census.examine.sw.convert", no_memory)
    record = examined(Entry("others", "MLP", PLAIN["MLP"]))
    assert (record.verdict, record.message) == ("stopped", "out of memory in stage 'convert'")


def test_a_survey_stops_before_the_conversion() -> None:
    records: list[Record] = []
    examine(Entry("others", "MLP", PLAIN["MLP"]), records.append, survey_only=True)
    assert (records[-1].verdict, records[-1].stage) == ("converts", "survey")
    assert records[-1].error is None


def test_parameters_that_begin_as_zeros_silence_nothing() -> None:
    def silent() -> tuple[nn.Module, tuple[torch.Tensor]]:
        first = nn.Linear(4, 6)
        nn.init.zeros_(first.weight)
        nn.init.zeros_(first.bias)
        return nn.Sequential(first, nn.ReLU(), nn.Linear(6, 2)), (torch.randn(2, 4),)

    assert examined(Entry("others", "silent", silent)).stage == "done"


def test_a_network_with_a_dead_layer_is_drawn_again() -> None:
    drawn: list[float] = []

    def unlucky() -> tuple[nn.Module, tuple[torch.Tensor]]:
        drawn.append(float(torch.rand(())))
        first = nn.Linear(4, 6)
        if len(drawn) == 1:
            nn.init.constant_(first.bias, -100.0)
        return nn.Sequential(first, nn.ReLU(), nn.Linear(6, 2)), (torch.randn(2, 4),)

    assert examined(Entry("others", "unlucky", unlucky)).stage == "done"
    assert len(drawn) == len(set(drawn)) == 2


def test_what_refuses_most_is_listed_first() -> None:
    assert most_wanted([*MADE_UP, MADE_UP[2]])[0] == "2 sort: it sorts | a signal (sorter, sorter)"


def test_a_refusal_is_kept_with_every_reason() -> None:
    def sorts() -> tuple[nn.Module, tuple[torch.Tensor]]:
        class Sorts(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.sort(x.relu(), 1)[0].relu()

        return Sorts(), (torch.randn(2, 4),)

    record = examined(Entry("others", "sorts", sorts))
    assert (record.verdict, record.stage) == ("refused", "survey")
    assert [reason.operator for reason in record.reasons] == ["aten.sort"]


def test_what_cannot_be_built_is_told_apart() -> None:
    def broken() -> tuple[nn.Module, tuple[torch.Tensor]]:
        return nn.Linear(3, 2), (torch.randn(2, 4),)

    record = examined(Entry("others", "broken", broken))
    assert record.verdict == "not built"
    assert record.message.startswith("RuntimeError: mat1 and mat2")


def test_answers_are_compared_in_their_own_structure() -> None:
    one, two = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5])
    assert difference({"a": one, "b": (two, None)}, {"a": one, "b": (one, None)}) == 0.1
    assert difference([two], [one], largest=True) == 0.125
    masked = torch.tensor([float("-inf"), 1.0])
    assert difference(masked, masked.clone()) == 0
    with pytest.raises(ValueError, match="zip"):
        difference([one], [one, two])


def test_records_come_back_and_gaps_are_named(tmp_path: Path) -> None:
    write(MADE_UP[2], tmp_path)
    assert read(path_of(tmp_path, "timm", "sorter")) == MADE_UP[2]
    found, missing = read_all(
        tmp_path, [("timm", "sorter"), ("hf", "bert")], tmp_path / "none.json"
    )
    assert (found, missing) == ([MADE_UP[2]], ["hf bert"])


def test_the_page_shows_every_record() -> None:
    text = page(MADE_UP)
    assert "| timm | 3 | 2 | 1 | 0 | 0 | 0 | 67% |" in text
    assert "| all | 5 | 2 | 1 | 1 | 0 | 1 | 40% |" in text
    assert "| resnet | relu 17, gelu 2, relay 3 | 2.0e-05 | 0 | 2.0e-16 | clean |" in text
    assert r"| sorter | refused | `sort` 2: it sorts \| a signal |" in text
    assert "| bert | failed | ValueError: &lt;no> |" in text
    assert "- twin: 1 of 2 equal; others: loose by 1.0e-03." in text
    assert (
        "- error below 0.001: 1 of 2; above, and in brackets with 24 steps: loose (3.0e-06)."
        in text
    )
    assert "Versions: torch 2.14; commits abc and earlier ones," in text
    assert [row[0] for row in summary(MADE_UP)] == [
        "source",
        "timm",
        "transformers",
        "others",
        "all",
    ]


def test_the_page_tells_surveys_and_what_was_not_tried() -> None:
    surveyed = Record("timm", "seen", "survey", "converts", units={"aten.relu": 1})
    text = page([*MADE_UP, surveyed], ["hf gpt"])
    assert "**1 of those that convert were surveyed only**" in text
    assert "1 of the list were not tried in this run: hf gpt." in text
    assert "commits abc and earlier ones," in text
    assert "surveyed only" not in page(MADE_UP)


def test_one_that_takes_too_long_is_stopped_and_says_where(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    chosen = [e for e in entries("torchvision") if e.name == "densenet121"]  # takes ten seconds
    (record,) = run(chosen, tmp_path, How(seconds=1, kept=tmp_path / "none.json"))
    assert record.verdict == "stopped"
    assert record.message.startswith("stopped after too ")  # of the processor, or on the clock
    assert list(run(chosen, tmp_path)) == []  # it has a record


def test_the_page_is_of_the_kept_records() -> None:
    keys = [(e.source, e.name) for source in PACKAGES for e in entries(source)]
    records, missing = read_all(Path("nowhere"), keys)
    assert page(records, missing) == PAGE.read_text(encoding="utf-8")


def test_what_is_tried_here_stands_before_what_was_kept(tmp_path: Path) -> None:
    kept, keys = tmp_path / "kept.json", [("timm", "sorter"), ("hf", "bert")]
    write_kept(MADE_UP, kept)
    assert read_kept(kept) == MADE_UP
    newer = Record("hf", "bert", "done", "converts")
    write(newer, tmp_path)
    assert read_all(tmp_path, keys, kept) == ([MADE_UP[2], newer], [])
