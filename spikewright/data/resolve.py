"""`open_dataset`: from the name of a data set, as a user writes it, to its three splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikewright.data.cifar import open_cifar
from spikewright.data.digits import open_digits
from spikewright.data.events import Framing, open_event_data
from spikewright.data.image_data import ImageData
from spikewright.data.image_folder import open_image_folder
from spikewright.data.pictures import OnDamaged
from spikewright.data.preprocessing import FilePreprocessing, Resize, normalisation
from spikewright.errors import DataError

FORMS = ("digits", "cifar10:DIR", "cifar100:DIR", "imagefolder:DIR", "cifar10dvs:DIR")


def open_dataset(
    spec: str,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
    resize: Resize | None = None,
    validation: int | None = None,
    on_damaged: OnDamaged | None = None,
) -> ImageData:
    """Open a data set by name; nothing is ever downloaded.

    =================  ===========================================================  ===========
    spec               what it is                                                   needs extra
    =================  ===========================================================  ===========
    `digits`           1,797 handwritten digits, 1 x 8 x 8, fixed stratified split  `digits`
    `cifar10:DIR`      class folders, or the published files, binary or python;     `vision`
    `cifar100:DIR`     see `spikewright.data.cifar`
    `imagefolder:DIR`  DIR/train and DIR/test or DIR/val, one folder a class        `vision`
    `cifar10dvs:DIR`   event recordings as images 2 x H x W, the mean of 10 frames
    =================  ===========================================================  ===========

    An image of an event recording holds events a frame, OFF and ON, and `size` is a divisor of 128;
    `spikewright.data.events` opens recordings as frames.

    Pixels are float32 in 0 .. 1 before normalisation. Of grey pictures of 16 bits 8 are kept, and
    one of floating-point numbers, or of 32 bits that hold no more than 8, whose white is not
    known, cannot be read. Where a data set has no validation split of its own, a tenth of its
    training set is kept apart for it, always the same: for CIFAR the same share of every class, for
    other folders the end of a fixed permutation.

    Args:
        spec: one of the forms above.
        mean: the mean of each channel, subtracted from pixels in 0 .. 1; goes with `std`.
        std: the standard deviation of each channel, which divides what is left; above 0.
        size: the side in pixels. A picture that is not `size` x `size` already is resized until its
            shorter side is `size * 256 / 224`, and its centre is cropped, as torchvision's
            first classification presets do.
        resize: another side or interpolation for the resizing before the crop; goes with `size`.
        validation: the number of images held out of CIFAR's training set, instead of a tenth.
        on_damaged: called with the name of every picture of a class folder that cannot be read;
            batches leave it out. None refuses such a picture where it is read.

    Returns:
        The data set with its three splits.

    Raises:
        DataError: for an unknown spec, missing or damaged files, an empty class folder, or a
            `mean`, `std`, `size`, `resize` or `validation` that does not fit.
        MissingExtra: if the extra that the data set needs is not installed.

    Example:
        >>> open_dataset("digits").image_shape
        (1, 8, 8)
    """
    name, _, folder = spec.partition(":")
    if validation is not None and name not in {"cifar10", "cifar100"}:
        raise DataError(
            f"validation={validation} has no effect on '{spec}', whose splits are fixed; "
            "leave it out"
        )
    if resize is not None and name in {"digits", "cifar10dvs"}:
        raise DataError(f"resize has no effect on '{spec}', which holds no pictures; leave it out")
    if spec == "digits":
        if size is not None:
            raise DataError("size has no effect on 'digits', whose images are 8 x 8; leave it out")
        return open_digits(normalisation(mean, std, channels=1))
    if name not in {"cifar10", "cifar100", "imagefolder", "cifar10dvs"} or not folder:
        raise DataError(f"unknown data set '{spec}'; give one of: {', '.join(FORMS)}")
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError(f"{name}: there is no folder '{path}'")
    if name == "cifar10dvs":
        framing = Framing() if size is None else Framing(size=size)
        normalise = normalisation(mean, std, channels=2)
        return open_event_data(path, framing).mean_images(normalise)
    preprocess = FilePreprocessing(size, normalisation(mean, std, channels=3), resize)
    if name == "imagefolder":
        return open_image_folder(path, preprocess, on_damaged)
    return open_cifar(name, path, preprocess, validation, on_damaged)
