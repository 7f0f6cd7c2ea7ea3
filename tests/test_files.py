"""Files and folders that are there whole or not at all, and what killed processes leave."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from spikewright.files import appearing_whole, sweep_leftovers, write_whole


def test_what_a_killed_process_left_is_swept_away_and_nothing_else(tmp_path: Path):
    kept = [tmp_path / ".mine.partial", tmp_path / "results.json"]
    for file in kept:
        file.write_text("mine")
    left = [tmp_path / f".results.json.{'0' * 32}.partial", tmp_path / f".{'a' * 32}.partial"]
    for file in left:
        file.write_text("half a fi")
    folder = tmp_path / f".set.{'1' * 32}.partial"
    folder.mkdir()
    (folder / "recording").write_text("half a")
    for path in (*kept, *left, folder):
        os.utime(path, (0, 0))
    sweep_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_what_another_process_may_be_writing_is_not_swept_away(tmp_path: Path):
    file = tmp_path / f".results.json.{'0' * 32}.partial"
    file.write_text("half a fi")
    folder = tmp_path / f".set.{'1' * 32}.partial"
    folder.mkdir()
    lately = time.time() - 3000
    os.utime(folder, (lately, lately))
    sweep_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([file, folder])
    sweep_leftovers(tmp_path, unchanged_for=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("letter", ["a", "é", "語"])
def test_every_name_that_a_file_can_have_is_written(letter: str, tmp_path: Path):
    name = letter * (255 // len(os.fsencode(letter)))
    write_whole(tmp_path / name, b"text")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with appearing_whole(tmp_path / name[:-1]) as partial:
        os.utime(partial, (0, 0))
        sweep_leftovers(tmp_path)
        assert not partial.exists()
        partial.mkdir()
    assert (tmp_path / name[:-1]).is_dir()


def test_sweeping_a_folder_that_is_not_there_does_nothing(tmp_path: Path):
    sweep_leftovers(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "set"

    def fail() -> None:
        with appearing_whole(target) as partial:
            (partial / "one").touch()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert not list(tmp_path.iterdir())
    with appearing_whole(target) as partial:
        (partial / "one").touch()
        assert not target.exists()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["set", "one"]


def test_a_folder_that_holds_something_is_not_replaced(tmp_path: Path):
    target = tmp_path / "set"
    target.mkdir()
    (target / "mine").touch()
    with pytest.raises(OSError, match="not empty"), appearing_whole(target) as partial:
        (partial / "one").touch()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["set", "mine"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in the file system")
def test_what_is_no_file_is_not_replaced(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is a device or a pipe"):
        write_whole(pipe, b"text")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="is no name that a file or folder can take"):
        write_whole(Path(name), b"text")
    with (
        pytest.raises(OSError, match="is no name that a file or folder can take"),
        appearing_whole(Path(name)),
    ):
        pass
    assert not list(tmp_path.iterdir())
