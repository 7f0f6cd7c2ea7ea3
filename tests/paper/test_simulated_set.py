"""A data set made of pictures: labelled, whole, repeatable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from paper.event_camera import Simulation, write_simulated_set
from spikewright.data import ImageData
from spikewright.data.events import open_event_data, read_aedat
from spikewright.data.events.aedat import read_header
from spikewright.errors import DataError

QUICK = Simulation(loops=1, diagonal_us=1000, steps=4)


def pictures(per_class: int = 4, scale: float = 1.0) -> ImageData:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2 * per_class, 3, 16, 16), generator=draw) / 255 * scale
    split = TensorDataset(images, torch.arange(2 * per_class) % 2)
    made = [(image, int(label)) for image, label in split]
    return ImageData("made", made, made, made, ("cat", "dog"), (3, 16, 16))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_set_is_written_with_its_card_and_opens_as_simulated(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    steps: list[tuple[int, int | None, str]] = []
    card = write_simulated_set(
        pictures(), folder, 3, QUICK, seed=5, progress=lambda *step: steps.append(step)
    )
    assert sorted(contents(folder)) == sorted(
        ["dataset-card.json"]
        + [f"{name}/made_{name}_{i}.aedat" for name in ("cat", "dog") for i in range(3)]
    )
    assert json.loads((folder / "dataset-card.json").read_text()) == card
    assert card["simulated"] is True
    assert card["description"].startswith("SIMULATED")
    assert card["source"] == {"data": "made", "split": "train", "per_class": 3}
    assert (card["seed"], card["recordings"], card["simulation"]["loops"]) == (5, 6, 1)
    assert [done for done, _, _ in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[-1][1] == 6
    found = [len(read_aedat(path)) for path in folder.glob("*/*.aedat")]
    assert card["mean_events_per_recording"] == sum(found) / 6
    assert card["share_of_on_events"] == 0.5  # the path is closed
    data = open_event_data(folder)
    assert data.simulated
    assert data.description.startswith("SIMULATED")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_recordings_are_labelled_without_their_card(tmp_path: Path) -> None:
    write_simulated_set(pictures(), tmp_path / "out", 3, QUICK)
    (tmp_path / "out" / "dataset-card.json").unlink()
    assert open_event_data(tmp_path / "out").simulated
    header = read_header(tmp_path / "out" / "cat" / "made_cat_0.aedat")
    assert header[-2].startswith("# SIMULATED by spikewright")
    assert header[-1].startswith("# source: training picture ")


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_simulated_set(pictures(), tmp_path / name, 2, QUICK, seed)
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    assert first != other


def test_more_pictures_than_there_are_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"5 recordings a class .* holds 4 pictures of 'cat'"):
        write_simulated_set(pictures(4), tmp_path / "out", 5, QUICK)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_simulated_set(pictures(), tmp_path / "out", 2, QUICK, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_another_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_simulated_set(pictures(), tmp_path / "out", 1, QUICK)
    before = contents(tmp_path / "out")
    with pytest.raises(DataError, match=r"out' is there already; give a new or an empty folder"):
        write_simulated_set(pictures(), tmp_path / "out", 1, QUICK)
    assert contents(tmp_path / "out") == before


def test_pictures_that_cannot_be_recorded_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not in 0 \.\. 1; open them without mean and std"):
        write_simulated_set(pictures(scale=2.0), tmp_path / "out", 1, QUICK)
    with pytest.raises(DataError, match=r"training picture \d+ of made, seed 0 is so even"):
        write_simulated_set(pictures(scale=0.0), tmp_path / "out", 1, QUICK)
    with pytest.raises(DataError, match="per_class=0; ask for at least 1"):
        write_simulated_set(pictures(), tmp_path / "out", 0, QUICK)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"'.*inside' cannot be written: Not a directory"):
        write_simulated_set(pictures(), tmp_path / "file" / "inside", 1, QUICK)
