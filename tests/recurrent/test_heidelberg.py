"""Spiking speech, from files in its layout that the tests write."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.errors import DataError, MissingExtra
from spikewright.recurrent import (
    SequenceDataRecipe,
    SequenceRecipe,
    SRNNRecipe,
    SRNNRunRecipe,
    load_srnn,
    open_heidelberg,
    train_srnn,
)

h5py = pytest.importorskip("h5py", reason="needs the extra 'hdf5'")

KEYS = ("zero", "one")


def write(
    path: Path,
    samples: list[tuple[list[float], list[int], int]],
    keys: tuple[str, ...] | None = KEYS,
) -> None:
    """Samples as (seconds, units, label)."""
    with h5py.File(path, "w") as file:
        for name, kind, column in (("times", np.float16, 0), ("units", np.uint16, 1)):
            made = file.create_dataset(
                f"spikes/{name}", (len(samples),), dtype=h5py.vlen_dtype(np.dtype(kind))
            )
            for number, sample in enumerate(samples):
                made[number] = np.array(sample[column], dtype=kind)
        file["labels"] = np.array([label for _, _, label in samples], dtype=np.uint16)
        if keys is not None:
            file["extra/keys"] = np.array([key.encode() for key in keys])


SAMPLE = ([0.0, 0.25, 0.25, 0.75, 1.5], [3, 699, 699, 0, 5], 1)


def digits(folder: Path, count: int = 20) -> None:
    """The files of the Spiking Heidelberg Digits: one recording in three forms."""
    write(folder / "shd_train.h5", [([0.125 * (n % 8)], [n], n % 2) for n in range(count)])
    write(folder / "shd_test.h5", [SAMPLE, ([], [], 0)])


def test_spikes_are_counted_by_step_and_unit(tmp_path: Path) -> None:
    digits(tmp_path)
    data = open_heidelberg(tmp_path, steps=4, step_seconds=0.25)
    assert (data.name, data.classes, data.steps, data.features) == ("shd", KEYS, 4, 700)
    x, label = data.test[0]
    assert label == 1
    wanted = torch.zeros(4, 700)
    wanted[0, 3], wanted[1, 699], wanted[3, 0] = 1, 2, 1  # what came after a second is left out
    assert torch.equal(x, wanted)
    silent, label = data.test[1]
    assert label == 0
    assert not silent.any()


def test_files_of_other_classes_are_refused(tmp_path: Path) -> None:
    digits(tmp_path)
    write(tmp_path / "shd_test.h5", [SAMPLE, ([], [], 0)], keys=("one", "zero"))
    with pytest.raises(DataError, match=r"classes of '.*shd_test.h5' are not those of 'shd_train"):
        open_heidelberg(tmp_path)


def test_a_tenth_of_the_digits_is_held_out_of_every_class(tmp_path: Path) -> None:
    digits(tmp_path)
    data = open_heidelberg(tmp_path, steps=4, step_seconds=0.25)
    kept = [label for _, label in (data.train[i] for i in range(18))]
    assert sorted(label for _, label in (data.validation[i] for i in range(2))) == [0, 1]
    assert kept.count(0) == kept.count(1) == 9
    units = {int(data.train[i][0].sum(0).argmax()) for i in range(18)}
    held = {int(data.validation[i][0].sum(0).argmax()) for i in range(2)}
    assert units | held == set(range(20))


def test_commands_have_a_validation_file_of_their_own(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        write(tmp_path / f"ssc_{split}.h5", [SAMPLE] * count)
    data = open_heidelberg(tmp_path)
    lengths = [len(split) for split in (data.train, data.validation, data.test)]  # type: ignore[arg-type]
    assert (data.name, data.steps, lengths) == ("ssc", 250, [3, 2, 1])
    assert data.test[0][0].sum() == 4


def test_without_h5py_the_way_to_install_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'h5py'.*'spikewright\[hdf5\]'"):
        open_heidelberg(tmp_path)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds neither shd_train.h5 nor ssc_train.h5"):
        open_heidelberg(tmp_path)
    digits(tmp_path)
    with pytest.raises(DataError, match="steps must be at least 1 and step_seconds above 0"):
        open_heidelberg(tmp_path, steps=0)
    for samples, keys, message in (
        ([([0.1], [700], 0)], KEYS, r"sample 0: .* a unit in 0 .. 699"),
        ([([0.1, 0.2], [1], 0)], KEYS, "sample 0: every spike has a time"),
        ([([-0.1], [1], 0)], KEYS, "a time of at least 0 s"),
        ([([0.1], [1], 2)], KEYS, r"labels must lie in 0 .. 1"),
        ([([0.1], [1], 0)], None, r"it needs spikes/times, spikes/units, labels and extra/keys"),
    ):
        write(tmp_path / "shd_test.h5", samples, keys)
        with pytest.raises(DataError, match=message):
            open_heidelberg(tmp_path)
    (tmp_path / "shd_test.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="is no file of spikes"):
        open_heidelberg(tmp_path)
    (tmp_path / "shd_test.h5").unlink()
    with pytest.raises(DataError, match=r"shd_test.h5' is missing"):
        open_heidelberg(tmp_path)


def test_a_run_on_a_folder_goes_on_where_the_folder_has_moved(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    digits(tmp_path / "here")
    recipe, moved = (
        SRNNRunRecipe(
            SequenceDataRecipe(f"heidelberg:{tmp_path / place}"),
            SRNNRecipe((4,)),
            SequenceRecipe(epochs=1),
        )
        for place in ("here", "there")
    )
    card = train_srnn(recipe, str(tmp_path / "run"))
    assert card.recipe.data.data == "heidelberg"
    assert card.data.classes == KEYS
    assert str(tmp_path) not in (tmp_path / "run" / "card.json").read_text()
    (tmp_path / "here").rename(tmp_path / "there")
    assert train_srnn(moved, tmp_path / "run") == card
    assert load_srnn(tmp_path / "run").inputs == 700
