"""The images of a run, and which of them it holds out: the same ones from one try to the next.

An image is known by its content, so that what was held out is recognised in any layout of the
files. `held_out.safetensors` in the folder of a run lists these images, and goes with its weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from spikewright.data import ImageData, open_dataset
from spikewright.data.in_memory import InMemory, in_memory
from spikewright.data.splits import stratified
from spikewright.errors import RecipeError
from spikewright.fingerprint import fingerprint
from spikewright.runs.files import write_tensors
from spikewright.runs.recipe import DataRecipe
from spikewright.runs.run_folder import RecordedFolder
from spikewright.training.never_seen import NeverSeen, not_known, read_held_out

KEY_BYTES = 8
HELD_OUT_SEED = 20251121


@dataclass(frozen=True)
class Splits:
    """The images that weights are trained on, and those that choose the best epoch.

    Attributes:
        images: all of them, in the order of the data set's training and validation split.
        keys: int64 [N], see `image_keys`.
        held_out: bool [N], True for the images that choose the best epoch.
    """

    images: InMemory
    keys: Tensor
    held_out: Tensor

    @classmethod
    def read(cls, data: ImageData) -> Splits:
        """Read both splits of a data set that was opened without normalisation.

        Raises:
            DataError: if images cannot be read, or do not fit into memory.
        """
        images = in_memory(data.train, data.validation, bounded=data.bounded)
        held_out = torch.arange(len(images)) >= images.sizes[0]
        return cls(images, image_keys(images.images, bounded=data.bounded), held_out)

    @property
    def train(self) -> Tensor:
        """The indices of the images that are trained on, int64."""
        return (~self.held_out).nonzero().flatten()

    @property
    def validation(self) -> Tensor:
        """The indices of the images that choose the best epoch, int64."""
        return self.held_out.nonzero().flatten()

    def holding_out(self, held_out: Tensor) -> Splits:
        """The same images, of which others are held out: bool [N]."""
        return replace(self, held_out=held_out)

    @property
    def sha256(self) -> str:
        """SHA-256 of all images in their order, with their labels and their split."""
        labels = self.images.labels
        return fingerprint(
            {
                "train": self.keys[self.train],
                "train labels": labels[self.train],
                "validation": self.keys[self.validation],
                "validation labels": labels[self.validation],
            }
        )

    def write_held_out(self, path: Path, never_seen: NeverSeen | None = None) -> None:
        """Write which images the weights never see: held out here, or by what they start from."""
        keys = self.keys[self.validation]
        if never_seen is not None:
            earlier = never_seen.keys
            keys = torch.cat([keys, earlier[~torch.isin(earlier, self.keys)]])
        write_tensors(path, {"held_out": keys}, {"images_sha256": self.sha256})


def image_keys(images: Tensor, *, bounded: bool) -> Tensor:
    """64 bits of BLAKE2b of every image: equal images have equal keys, others have others.

    Args:
        images: [N, C, H, W], uint8, or float32 on the CPU.
        bounded: whether float32 values lie in 0 .. 1, and are taken as the nearest of 256.

    Returns:
        int64 [N].
    """
    if bounded and images.dtype != torch.uint8:
        images = (images * 255).round().to(torch.uint8)
    pixels = images.contiguous().numpy()
    digests = b"".join(
        hashlib.blake2b(image.tobytes(), digest_size=KEY_BYTES).digest() for image in pixels
    )
    return torch.frombuffer(bytearray(digests), dtype=torch.int64)


def as_begun(splits: Splits, run: RecordedFolder[Any], data: str) -> Splits:
    """The images as the run in a folder holds them out.

    Args:
        splits: the images as the data set gives them now.
        run: its folder, with the list of what it held out.
        data: what the recipe that is to go on calls the data set.

    Raises:
        RecipeError: if they are not the images that the run was begun on.
        RunError: if the file is damaged.
    """
    keys, sha256 = read_held_out(run.held_out)
    for begun in (splits, splits.holding_out(torch.isin(splits.keys, keys))):
        if begun.sha256 == sha256:
            return begun
    raise RecipeError(
        f"'{run.path}' holds a run on other images than '{data}' has now, or on "
        f"the same in another order; give those that '{run.read_recipe().data.data}' held when "
        "it was begun, or name another folder"
    )


def require_same_images(
    run: RecordedFolder[Any], data: str, open_images: Callable[[], ImageData]
) -> None:
    """See that data from another place are those of a finished run; the same place is believed.

    Args:
        run: its folder.
        data: what the recipe that is asked for calls the data set.
        open_images: opens it as the recipe says, without normalisation.

    Raises:
        RecipeError, RunError: see `as_begun`.
    """
    if data != run.read_recipe().data.data and run.held_out.is_file():
        as_begun(Splits.read(open_images()), run, data)


def keeping_apart(
    splits: Splits, data: ImageData, recipe: DataRecipe, never_seen: NeverSeen | None
) -> Splits:
    """The images, with none to choose the best epoch that the start was trained on.

    Images that a start held out are held out again, whatever the layout of the files. If the data
    set holds none of them, it is taken for another one; if it holds few, it is refused.

    Args:
        splits: the images as the data set gives them.
        data: the data set.
        recipe: how many images to hold out, and the size that they are brought to.
        never_seen: by what training starts from; None where that is not known.

    Raises:
        RecipeError: if this cannot be.
    """
    if never_seen is None:
        return splits
    apart = torch.isin(splits.keys, never_seen.keys)
    if bool(apart[splits.validation].all()):
        return splits
    count, asked = int(apart.sum()), recipe.validation
    if count == 0:
        if never_seen.data == data.name and never_seen.size != recipe.size:
            raise not_known(never_seen.weights, "its images were brought to another size")
        return splits
    if 2 * count < min(never_seen.chose, len(splits.validation)):
        overlap = f"{count:,} of those that it held out are here, so the two sets overlap"
        raise not_known(never_seen.weights, overlap)
    given_apart = not isinstance(data.validation, Subset)
    if given_apart or (asked is not None and asked > count):
        raise RecipeError(
            f"'{never_seen.weights}' may have been trained on some of the "
            f"{len(splits.validation):,} images that would choose the best epoch; hold out at most "
            f"the {count:,} that it held out (of CIFAR: validation={count}), or give its file of "
            "weights instead and keep them apart yourself"
        )
    if asked is None or asked == count:
        return splits.holding_out(apart)
    candidates = apart.nonzero().flatten()
    labels: list[int] = splits.images.labels[candidates].tolist()
    _, chosen = stratified(labels, asked, HELD_OUT_SEED, data.name)
    return splits.holding_out(torch.isin(splits.keys, splits.keys[candidates[chosen]]))


def with_unseen_validation(data: ImageData, spec: str, never_seen: NeverSeen) -> ImageData:
    """A data set whose validation split is what trained weights never saw of it.

    A run may hold out more, fewer or other images than the data set does by itself: then it was
    trained on some of those.

    Args:
        data: as `open_dataset` opened it, normalised or not, of any size.
        spec: the name that it was opened by.
        never_seen: by the weights.

    Returns:
        `data` itself where its validation split is of such images alone, or of another data set
        than the weights know.

    Raises:
        RecipeError: if no such split can be made; see `keeping_apart`.
        DataError: see `Splits.read`.
    """
    plain = open_dataset(spec, size=never_seen.size)
    splits = Splits.read(plain)
    apart = keeping_apart(splits, plain, DataRecipe(spec, size=never_seen.size), never_seen)
    if apart is splits:
        return data
    images = ConcatDataset([data.train, data.validation])
    return replace(
        data,
        train=Subset(images, apart.train.tolist()),
        validation=Subset(images, apart.validation.tolist()),
    )
