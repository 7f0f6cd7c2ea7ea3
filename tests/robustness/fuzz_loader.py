"""Feeds mutated files to the loader: `python -m tests.robustness.fuzz_loader [FILES]`.

Two kinds of mutation: of bytes, which the file's SHA-256 must tell; and of the document or the
tensors under a SHA-256 made anew, as somebody who means harm would. A file must be refused by an
`InterchangeError`, or load to a network that runs.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.artefact import container

REFUSED, SAME, OTHER = "refused", "the same network", "another network, which runs"
_LARGEST_RUN = 64
"""The default T up to which a network is run; a larger one is an honest, but long, simulation."""

Outcome = str
_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 3, 2**63, 10**40, 0.5, 1e308, "", "x", [], {}, [[[[[[0]]]]]]),
    *("aten.relu.default", "aten.split.Tensor", "os.system", {"value": "x"}, "TwoPhase"),
)
"""What any entry of a document may become."""


class Small(nn.Module):
    """Convolution, max pool, cat, residual and linear in one."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 3, 3, padding=1)
        self.b = nn.Conv2d(3, 3, 3, padding=1)
        self.l = nn.Linear(45, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[B, 3]` of images `[B, 2, 6, 6]`."""
        y = torch.relu(self.a(x))
        y = torch.nn.functional.max_pool2d(torch.relu(self.b(y) + y), 2)
        return self.l(torch.cat([y, y[:, :2]], 1).flatten(1))


def example() -> tuple[sw.SpikingNetwork, Tensor]:
    """A network of several constructions, and images for it."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    images = torch.randn(6, 2, 6, 6, generator=generator)
    return sw.convert(Small().eval(), images, steps=(4, 3)), images


def mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    """A file with some of its bytes changed, lost or added."""
    found = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    place = chance.randrange(header if chance.random() < 0.5 else len(found))
    how = chance.randrange(6)
    if how == 0:
        found[place] ^= 1 << chance.randrange(8)
    elif how == 1:
        del found[place:]
    elif how == 2:
        found += chance.randbytes(chance.randrange(1, 64))
    elif how == 3:
        length = chance.randrange(1, 64)
        found[place : place + length] = chance.randbytes(length)
    elif how == 4:
        del found[place : place + chance.randrange(1, 64)]
    else:
        found[:8] = chance.choice((0, 1, 2**63, 2**64 - 1, header, len(found))).to_bytes(
            8, "little"
        )
    return bytes(found)


def resealed(tensors: dict[str, Tensor], document: dict[str, Any], chance: random.Random) -> bytes:
    """A file with a value of its document, or of a tensor, changed, and a SHA-256 that fits."""
    changed: dict[str, Any] = json.loads(json.dumps(document))
    held = dict(tensors)
    if chance.random() < 0.25:
        _mutate_tensors(held, chance)
    else:
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            _mutate_document(changed, chance)
    changed.pop("sha256", None)
    return container.packed(held, changed)


def _mutate_tensors(tensors: dict[str, Tensor], chance: random.Random) -> None:
    name = chance.choice(list(tensors))
    tensor = tensors[name].clone()
    how = chance.randrange(5)
    if how == 0:
        del tensors[name]
    elif how == 1:
        tensors[name] = tensor.reshape(-1)[:-1]
    elif how == 2:
        tensors[name] = tensor.to(chance.choice((torch.float16, torch.int8, torch.float64)))
    else:
        wrong = (0, -1, float("nan"), float("inf"), 1e30) if tensor.is_floating_point() else (-1, 0)
        tensor.reshape(-1)[chance.randrange(tensor.numel())] = chance.choice(wrong)
        tensors[name] = tensor


def _mutate_document(document: Any, chance: random.Random) -> None:
    """Change one entry anywhere."""
    places = list(_places(document))
    holder, key = chance.choice(places)
    how = chance.randrange(4)
    if how == 0:
        del holder[key]
    elif how == 1:
        other, there = chance.choice(places)
        holder[key] = json.loads(json.dumps(other[there]))
    elif how == 2 and isinstance(holder[key], int | float):
        holder[key] = holder[key] + chance.choice((-1, 1, 0.5, 2**31, -(2**63)))
    else:
        holder[key] = chance.choice(_VALUES)


def _places(tree: Any) -> Any:
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(entries):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def judged(path: Path, network: sw.SpikingNetwork, images: Tensor) -> Outcome:
    """What the loader makes of a file; whatever it raises beside its own error goes through."""
    try:
        found = sw.load(path)
    except sw.InterchangeError:
        return REFUSED
    found.summary()
    shape = found.graph.inputs[0].shape
    if shape != tuple(images.shape[1:]):
        images = torch.zeros(2, *shape)
    like = next(t for t in found.graph.tensors.values() if t.is_floating_point())
    answers = found(images.to(like.dtype), steps=min(found.steps, _LARGEST_RUN))
    same = found.steps == network.steps and torch.equal(answers, network(images))
    return SAME if same else OTHER


def fuzzed(
    files: int, seed: int, report: Callable[[int], None] = lambda done: None
) -> Counter[tuple[str, Outcome]]:
    """Mutate one file so many times; count (kind of mutation, what came of it).

    Raises:
        AssertionError: when a file with changed bytes loads as another network.
    """
    network, images = example()
    counts: Counter[tuple[str, Outcome]] = Counter()
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        network.save(path)
        content = path.read_bytes()
        tensors, document = container.unpacked(path)
        for number in range(files):
            kind = "bytes" if number % 2 else "resealed"
            changed = (
                mutated_bytes(content, chance)
                if kind == "bytes"
                else resealed(tensors, document, chance)
            )
            path.write_bytes(changed)
            try:
                outcome = judged(path, network, images)
            except Exception as error:
                raise AssertionError(f"file {number} of seed {seed} ({kind})") from error
            assert kind != "bytes" or outcome != OTHER, f"file {number} of seed {seed} was misread"
            counts[kind, outcome] += 1
            report(number + 1)
    return counts


def main() -> None:
    """Fuzz with as many files as the first argument says, 10,000 without one."""
    torch.set_num_threads(1)
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts = fuzzed(files, seed)
    for (kind, outcome), times in sorted(counts.items()):
        sys.stdout.write(f"{kind:<9} {outcome:<28} {times:>7,}\n")
    sys.stdout.write(f"{'all':<9} {'':<28} {sum(counts.values()):>7,}\n")


if __name__ == "__main__":
    main()
