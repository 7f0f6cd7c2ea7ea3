"""Spoken words, from a folder of WAV files that the tests write."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import pytest
import torch

from spikewright.errors import DataError
from spikewright.recurrent import (
    SequenceDataRecipe,
    SequenceRecipe,
    Spectrogram,
    SRNNRecipe,
    SRNNRunRecipe,
    load_srnn,
    open_speech_commands,
    train_srnn,
)
from spikewright.recurrent.speech_commands import RATE, read_second


def write(path: Path, hz: float, seconds: float = 1.0, rate: int = RATE, channels: int = 1) -> None:
    """A tone of half the full amplitude."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = torch.arange(round(seconds * rate)) / rate
    sound = (0.5 * 2**15 * (2 * math.pi * hz * time).sin()).to(torch.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.repeat_interleave(channels).numpy().tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for word, hz in (("yes", 500.0), ("no", 2000.0)):
        for number in range(4):
            write(tmp_path / word / f"{number}.wav", hz)
    write(tmp_path / "_background_noise_" / "hum.wav", 50.0)
    (tmp_path / "validation_list.txt").write_text("no/1.wav\nyes/1.wav\n")
    (tmp_path / "testing_list.txt").write_text("no/2.wav\n")
    return tmp_path


def test_the_lists_name_the_splits_and_the_folders_the_words(folder: Path) -> None:
    data = open_speech_commands(folder)
    assert (data.classes, data.steps, data.features) == (("no", "yes"), 101, 40)
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [5, 2, 1]  # type: ignore[arg-type]
    assert [data.train[i][1] for i in range(5)] == [0, 0, 1, 1, 1]
    assert data.train[0][0].shape == (101, 40)


def test_a_tone_is_loudest_in_the_band_around_it(folder: Path) -> None:
    features = Spectrogram()
    filters = features.filters(1 + round(0.03 * RATE) // 2)
    centres = torch.linspace(0, RATE / 2, filters.shape[1])[filters.argmax(1)]
    data = open_speech_commands(folder, features)
    for index, hz in ((0, 2000.0), (3, 500.0)):
        x, _ = data.train[index]
        loudest = x[5:-5].argmax(1).unique()
        assert len(loudest) == 1
        assert float(centres[loudest]) == pytest.approx(hz, rel=0.06)


def test_bands_are_triangles_that_meet(folder: Path) -> None:
    filters = Spectrogram(bands=10).filters(2001)
    assert filters.min() >= 0
    inside = filters.sum(0)[(filters.argmax(1)[0]) : int(filters.argmax(1)[-1])]
    torch.testing.assert_close(inside, torch.ones_like(inside), rtol=0, atol=1e-4)


def test_a_short_recording_ends_in_silence_and_a_long_one_is_cut(tmp_path: Path) -> None:
    write(tmp_path / "short.wav", 500.0, seconds=0.25)
    write(tmp_path / "long.wav", 500.0, seconds=1.5)
    short, long = (read_second(tmp_path / f"{name}.wav") for name in ("short", "long"))
    assert len(short) == len(long) == RATE
    assert not short[RATE // 4 :].any()
    assert float(short.abs().max()) == pytest.approx(0.5, abs=1e-3)
    assert torch.equal(short[: RATE // 4], long[: RATE // 4])


def test_files_and_lists_that_do_not_fit_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        open_speech_commands(folder / "yes" / "0.wav")
    write(folder / "no" / "0.wav", 500.0, rate=8000)
    write(folder / "no" / "3.wav", 500.0, channels=2)
    data = open_speech_commands(folder)
    with pytest.raises(DataError, match="1 channels of 16 bits at 8000 Hz; recordings have 1"):
        data.train[0]
    with pytest.raises(DataError, match="2 channels of 16 bits"):
        data.train[1]
    whole = (folder / "yes" / "0.wav").read_bytes()
    for cut in (1, 2):
        (folder / "no" / "0.wav").write_bytes(whole[:-cut])
        with pytest.raises(DataError, match=r"no/0.wav' ends after .* the file was cut short"):
            data.train[0]
    (folder / "no" / "0.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(DataError, match="is no readable WAV file"):
        data.train[0]
    (folder / "testing_list.txt").write_bytes(b"no/1.wav\n\xf2")
    with pytest.raises(DataError, match=r"testing_list.txt' is no text .* at byte 9\)"):
        open_speech_commands(folder)
    (folder / "testing_list.txt").write_text("no/9.wav\n")
    with pytest.raises(DataError, match="names 1 recordings that are not there, such as 'no/9"):
        open_speech_commands(folder)
    (folder / "testing_list.txt").write_text("")
    with pytest.raises(DataError, match="has no recordings for test"):
        open_speech_commands(folder)
    (folder / "testing_list.txt").unlink()
    with pytest.raises(DataError, match=r"testing_list.txt' is missing"):
        open_speech_commands(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bands": 0},
        {"low_hz": -1.0},
        {"low_hz": 4000.0},
        {"high_hz": 9000.0},
        {"window_seconds": 0.0},
        {"hop_seconds": 2.0},
    ],
)
def test_a_spectrogram_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        Spectrogram(**wrong)


def test_a_run_on_a_folder(folder: Path) -> None:
    recipe = SRNNRunRecipe(
        SequenceDataRecipe(f"speech-commands:{folder}"), SRNNRecipe((4,)), SequenceRecipe(epochs=1)
    )
    card = train_srnn(recipe, folder.with_name("run"))
    assert card.recipe.data.data == "speech-commands"
    assert (card.data.training, card.data.validation, card.data.test) == (5, 2, 1)
    assert load_srnn(folder.with_name("run")).inputs == 40
