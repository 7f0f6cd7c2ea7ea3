"""The images of a run, and which of them it holds out: the same ones from one try to the next.

An image is known by its content, so that what was held out is found again in any layout of the
files. It stands in the folder of a run, and goes with its weights.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Subset

from spikewright.data import ImageData
from spikewright.data.image_data import dataset_length
from spikewright.data.in_memory import InMemory, in_memory, require_memory
from spikewright.data.splits import stratified
from spikewright.errors import RecipeError, RunError
from spikewright.fingerprint import fingerprint
from spikewright.runs.card import read_card
from spikewright.runs.files import read_tensors, write_tensors
from spikewright.runs.names import trained_folder
from spikewright.runs.recipe import Recipe, StartRecipe
from spikewright.runs.run_folder import RunFolder

KEY_BYTES = 8
HELD_OUT_SEED = 20251121


@dataclass(frozen=True)
class Splits:
    """The images that weights are trained on, and those that choose the best epoch.

    Attributes:
        train: in the order that `epoch_order` permutes.
        validation: none of them is trained on.
        train_keys: int64 [N], see `image_keys`.
        validation_keys: int64 [V], the same.
    """

    train: InMemory
    validation: InMemory
    train_keys: Tensor
    validation_keys: Tensor

    @classmethod
    def read(cls, data: ImageData) -> Splits:
        """Read both splits of a data set that was opened without normalisation.

        Raises:
            DataError: if images cannot be read.
        """
        parts = (data.train, data.validation)
        stored = torch.uint8 if data.bounded else torch.float32
        require_memory(sum(map(dataset_length, parts)), data.image_shape, stored)
        train, validation = (in_memory(part, bounded=data.bounded) for part in parts)
        keys = (image_keys(part.images, bounded=data.bounded) for part in (train, validation))
        return cls(train, validation, *keys)

    def holding_out(self, keys: Tensor) -> Splits:
        """The same images, of which those with one of these keys are held out and no others."""
        apart = [torch.isin(part, keys) for part in (self.train_keys, self.validation_keys)]

        def chosen(train: Tensor, validation: Tensor, *, held: bool) -> Tensor:
            parts = zip((train, validation), apart, strict=True)
            return torch.cat([part[where == held] for part, where in parts])

        def images(*, held: bool) -> InMemory:
            return InMemory(
                chosen(self.train.images, self.validation.images, held=held),
                chosen(self.train.labels, self.validation.labels, held=held),
            )

        split_keys = (
            chosen(self.train_keys, self.validation_keys, held=held) for held in (False, True)
        )
        return Splits(images(held=False), images(held=True), *split_keys)

    @property
    def keys(self) -> Tensor:
        """Of all images, int64 [N + V]."""
        return torch.cat([self.train_keys, self.validation_keys])

    @property
    def sha256(self) -> str:
        """Of all images in their order, with their labels."""
        return fingerprint(
            {
                "train": self.train_keys,
                "train labels": self.train.labels,
                "validation": self.validation_keys,
                "validation labels": self.validation.labels,
            }
        )

    def write_held_out(self, path: Path, start: StartRecipe | None = None) -> None:
        """Write which images the weights never see: held out here, or by what they start from."""
        keys = self.validation_keys
        folder = None if start is None else trained_folder(start.weights)
        if folder is not None and RunFolder(folder).held_out.is_file():
            earlier, _ = _read(RunFolder(folder).held_out)
            keys = torch.cat([keys, earlier[~torch.isin(earlier, self.keys)]])
        write_tensors(path, {"held_out": keys}, {"images_sha256": self.sha256})


def image_keys(images: Tensor, *, bounded: bool) -> Tensor:
    """64 bits of BLAKE2b of every image: of equal images the same, of others others.

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


def as_begun(splits: Splits, run: RunFolder, recipe: Recipe) -> Splits:
    """The images as the run in a folder holds them out.

    Args:
        splits: as the data set gives them now.
        run: its folder, which tells.
        recipe: that is to go on.

    Raises:
        RecipeError: if they are not the images that the run was begun on.
        RunError: if the file is damaged.
    """
    keys, sha256 = _read(run.held_out)
    if splits.sha256 == sha256:
        return splits
    again = splits.holding_out(keys)
    if again.sha256 != sha256:
        raise RecipeError(
            f"'{run.path}' holds a run on other images than '{recipe.data.data}' has now, or on "
            f"the same in another order; give those that '{run.read_recipe().data.data}' held when "
            "it was begun, or name another folder"
        )
    return again


def keeping_apart(splits: Splits, data: ImageData, recipe: Recipe) -> Splits:
    """The images, with none to choose the best epoch that the start was trained on.

    Images that a start held out are held out again, whatever the layout of the files. If the data
    set holds none of them, it is taken for another one; if it holds few, it is refused.

    Args:
        splits: as the data set gives them.
        data: the data set.
        recipe: what to start from, and how many images to hold out. Of a file of weights nothing
            is known; of `run:` and `zoo:` the folder tells.

    Raises:
        RecipeError: if this cannot be.
    """
    folder = None if recipe.start is None else trained_folder(recipe.start.weights)
    if recipe.start is None or folder is None:
        return splits
    card, path = read_card(folder), RunFolder(folder).held_out
    same_name = card.data.name == data.name
    if not path.is_file():
        if same_name:
            raise _cannot_tell(recipe.start, f"there is no '{path}', which a finished run has")
        return splits
    never_seen, _ = _read(path)
    if bool(torch.isin(splits.validation_keys, never_seen).all()):
        return splits
    count, asked = int(torch.isin(splits.keys, never_seen).sum()), recipe.data.validation
    if count == 0:
        if same_name and card.recipe.data.size != recipe.data.size:
            raise _cannot_tell(recipe.start, "its images were brought to another size")
        return splits
    if 2 * count < min(card.validation.images, len(splits.validation)):
        raise _cannot_tell(
            recipe.start, f"{count:,} of those that it held out are here, so the two sets overlap"
        )
    if not _one_source(data) or (asked is not None and asked > count):
        raise RecipeError(
            f"'{recipe.start.weights}' may have been trained on some of the "
            f"{len(splits.validation):,} images that would choose the best epoch; hold out at most "
            f"the {count:,} that it held out (of CIFAR: validation={count}), or start from its "
            "file of weights and keep them apart yourself"
        )
    again = splits.holding_out(never_seen)
    if asked is None or asked == count:
        return again
    labels: list[int] = again.validation.labels.tolist()
    _, chosen = stratified(labels, asked, HELD_OUT_SEED, data.name)
    return splits.holding_out(again.validation_keys[chosen])


def _cannot_tell(start: StartRecipe, why: str) -> RecipeError:
    return RecipeError(
        f"which images '{start.weights}' was trained on cannot be told: {why}; start from its file "
        "of weights, and keep what chooses the best epoch apart yourself"
    )


def _one_source(data: ImageData) -> bool:
    """Whether the validation images were held out of the training set, and not given apart."""
    parts = (data.train, data.validation)
    sources = {id(part.dataset) for part in parts if isinstance(part, Subset)}
    return all(isinstance(part, Subset) for part in parts) and len(sources) == 1


def _read(path: Path) -> tuple[Tensor, str]:
    tensors, document = read_tensors(path)
    try:
        return tensors["held_out"], document["images_sha256"]
    except KeyError as error:
        raise RunError(
            f"'{path}' does not tell which images were held out ({error} is missing): put the file "
            "back that the run has written"
        ) from error
