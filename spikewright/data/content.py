"""What images are made of, hashed as it is stored: to tell other images from the same ones."""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol, runtime_checkable

from torch.utils.data import Subset

from spikewright.data.image_data import ImageDataset, dataset_length
from spikewright.fingerprint import fingerprint


@runtime_checkable
class Stored(Protocol):
    """A data set that can give an image as it is stored, such as the bytes of a picture's file."""

    def stored(self, index: int) -> tuple[bytes, int]:
        """The bytes and the label of an image.

        Raises:
            DataError: if they cannot be read.
        """
        ...


def content_hash(dataset: ImageDataset) -> str:
    """SHA-256 of every image and label of a data set, in order.

    Files are hashed as they are, which takes far less time than decoding them: their names do not
    count, damaged ones do. Images that are not files of their own are hashed by their values.

    Raises:
        DataError: if a file cannot be read.
    """
    digest = sha256()
    for index in range(dataset_length(dataset)):
        content, label = _stored(dataset, index)
        digest.update(f"{label} {sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def _stored(dataset: ImageDataset, index: int) -> tuple[bytes, int]:
    if isinstance(dataset, Subset):
        return _stored(dataset.dataset, dataset.indices[index])
    if isinstance(dataset, Stored):
        return dataset.stored(index)
    image, label = dataset[index]
    return fingerprint({"": image}).encode(), int(label)
