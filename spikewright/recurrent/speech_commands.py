"""Google's Speech Commands from their folder: one second of sound as a log-mel spectrogram."""

from __future__ import annotations

import math
import wave
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.words import words_of
from spikewright.errors import DataError
from spikewright.files import AnyPath
from spikewright.recurrent.sequences import SequenceData

RATE = 16_000
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


@dataclass(frozen=True)
class Spectrogram:
    """How sound becomes features: logarithms of the power in bands of the mel scale.

    Args:
        bands: F, at least 1.
        window_seconds: of the Hann window of a frame, above 0.
        hop_seconds: from a frame to the next, above 0 and at most a second.
        low_hz: where the first band begins, at least 0.
        high_hz: where the last band ends, above low_hz and at most 8,000.

    Raises:
        ValueError: for a number out of its range.
    """

    bands: int = 40
    window_seconds: float = 0.03
    hop_seconds: float = 0.01
    low_hz: float = 20.0
    high_hz: float = 4000.0

    def __post_init__(self) -> None:
        if self.bands < 1 or not 0 <= self.low_hz < self.high_hz <= RATE / 2:
            raise ValueError(
                f"bands >= 1 between 0 <= low_hz < high_hz <= {RATE // 2}, got {self.bands} "
                f"between {self.low_hz} and {self.high_hz}"
            )
        if not 2 / RATE <= self.window_seconds <= 1 or not 1 / RATE <= self.hop_seconds <= 1:
            raise ValueError(
                f"window_seconds and hop_seconds lie above 0 and in a second, got "
                f"{self.window_seconds} and {self.hop_seconds}"
            )

    @property
    def steps(self) -> int:
        """T: the frames of one second, the first and the last half outside of it."""
        return RATE // self._hop + 1

    def __call__(self, sound: Tensor) -> Tensor:
        """The features `[T, F]` of one second `[16000]`: log(power + 1e-6)."""
        window = torch.hann_window(round(self.window_seconds * RATE))
        found = torch.stft(
            sound,
            n_fft=len(window),
            hop_length=self._hop,
            window=window,
            pad_mode="constant",
            return_complex=True,
        )
        power = found.abs().square() / len(window)
        return torch.log(self.filters(len(power)) @ power + 1e-6).T

    def filters(self, bins: int) -> Tensor:
        """The triangular bands over frequencies 0 .. 8,000 Hz, `[F, bins]`."""
        low, high = (2595 * math.log10(1 + hz / 700) for hz in (self.low_hz, self.high_hz))
        mels = torch.linspace(low, high, self.bands + 2)
        corners = 700 * (10 ** (mels / 2595) - 1)
        hz = torch.linspace(0, RATE / 2, bins)
        rise = (hz - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
        fall = (corners[2:, None] - hz) / (corners[2:] - corners[1:-1])[:, None]
        return torch.minimum(rise, fall).clamp(min=0)

    @property
    def _hop(self) -> int:
        return round(self.hop_seconds * RATE)


class _Recordings(Dataset[tuple[Tensor, int]]):
    def __init__(self, paths: list[Path], labels: list[int], features: Spectrogram) -> None:
        self._paths, self._labels, self._features = paths, labels, features

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._features(read_second(self._paths[index])), self._labels[index]


def read_second(path: Path) -> Tensor:
    """The first second of a recording, `[16000]` in -1 .. 1; silence follows a shorter one.

    Raises:
        DataError: for a file that is no WAV of one channel of 16 bits at 16 kHz, or cut short.
    """
    try:
        with wave.open(str(path), "rb") as file:
            layout = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            told, data = min(file.getnframes(), RATE), file.readframes(RATE)
    except (wave.Error, EOFError, OSError) as error:
        raise DataError(f"'{path}' is no readable WAV file ({error})") from error
    if layout != (1, 2, RATE):
        raise DataError(
            f"'{path}' has {layout[0]} channels of {8 * layout[1]} bits at {layout[2]} Hz; "
            f"recordings have 1 channel of 16 bits at {RATE} Hz"
        )
    if len(data) != 2 * told:
        raise DataError(
            f"'{path}' ends after {len(data) // 2} of {told} samples: the file was cut short"
        )
    sound = torch.zeros(RATE)
    if data:
        heard = torch.frombuffer(bytearray(data), dtype=torch.int16).float() / 2**15
        sound[: len(heard)] = heard
    return sound


def open_speech_commands(folder: AnyPath, features: Spectrogram | None = None) -> SequenceData:
    """Open a folder of Google's Speech Commands: one folder of WAV files a word.

    The lists `validation_list.txt` and `testing_list.txt` name those splits; all other recordings
    are for training. Folders that begin with an underscore (`_background_noise_`) are no words.

    Args:
        folder: of the data set, unpacked.
        features: how sound becomes features.

    Returns:
        Features `[T, F]` in float32; the classes are the words.

    Raises:
        DataError: if lists, words or recordings are missing, or a list names what is not there.

    Source: Warden, arXiv 1804.03209.
    """
    features = features or Spectrogram()
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"'{folder}' is no folder")
    named = {split: _listed(folder / name) for split, name in LISTS.items()}
    words = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("_"))
    found = {f"{word}/{path.name}" for word in words for path in (folder / word).glob("*.wav")}
    for split, names in named.items():
        missing = sorted(names - found)
        if missing:
            raise DataError(
                f"'{folder / LISTS[split]}' names {len(missing)} recordings that are not there, "
                f"such as '{missing[0]}'"
            )
    splits = {"train": found - named["validation"] - named["test"], **named}
    for split, names in splits.items():
        if not names:
            raise DataError(f"'{folder}' has no recordings for {split}")

    def recordings(split: str) -> _Recordings:
        chosen = sorted(splits[split])
        labels = [words.index(name.partition("/")[0]) for name in chosen]
        return _Recordings([folder / name for name in chosen], labels, features)

    train, validation, test = map(recordings, ("train", "validation", "test"))
    name, size = "speech commands", (features.steps, features.bands)
    return SequenceData(name, train, validation, test, tuple(words), *size)


def _listed(path: Path) -> set[str]:
    if not path.is_file():
        raise DataError(f"'{path}' is missing: it names the recordings of a split, one a line")
    return set(words_of(path))
