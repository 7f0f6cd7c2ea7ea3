"""The files and folders that random command lines name: of every kind, whole and damaged."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

from typer.testing import CliRunner

from docs_tools.cli_reference import PROGRAMS
from tests.robustness.command_lines import program_of
from tests.robustness.command_values import DIGITS, NETWORK

_SMALL = f"{DIGITS} --data digits --calibration-samples 8"
_FOUR = f"{_SMALL} --limit 4 --steps 1"
MADE_BY = (
    f"convert {_SMALL} --steps 2 --output saved",
    f"convert {_SMALL} --steps 2 --neuron if --output binary",
    f"sweep {_FOUR} --neuron nearest --output swept",
    f"evaluate {NETWORK} --data digits --limit 4 --output evaluated",
    f"energy {_FOUR} --neuron nearest --output counted",
    f"misalignment {_FOUR} --orders late --no-layerwise --output misaligned",
    "train --data digits --model digits_cnn --levels 2 --threshold 2 --epochs 2 --optimizer adamw "
    "--learning-rate 0.01 --augment none --output trained",
    "paper tables trained --data digits --images 4 --steps 1,2 --seeds 1 --energy-images 1 "
    "--calibration-samples 8 --rows if,nearest --out records",
    "paper simulate-events --data digits --per-class 3 --loops 1 --threshold 0.5 --output events",
    "train --data cifar10dvs:events --size 32 --model events_cnn --levels 2 --threshold 2 "
    "--epochs 1 --batch-size 2 --augment none --output watched",
    "train-sequences --data recall:3 --units 4 --epochs 2 --batch-size 256 --output recalled",
)
"""Commands that leave what others read."""
ODD_DOCUMENTS = (
    "[" * 50_000,
    [1, "two", None],
    {},
    {"command": "sweep", "recipe": 1, "data": 2, "name": 3, "model": 4, "format": "2"},
    {"command": "energy", "recipe": {"data": []}, "data": {"mean": 0}, "name": "x", "model": None},
    {
        "command": ["sweep"],
        "rows": {"a": None},
        "page": {"studies": 1},
        "cell": 1,
        "num_classes": "x",
    },
)
"""JSON that cannot be read, or is of the wrong form; each fills a folder under known names."""
NAMES = (
    *("config.json", "results.json", "timing.json", "run.json"),
    *("card.json", "network.json", "ann.json", "dataset-card.json", "if-t1-s0.json"),
)


def make_places(folder: Path) -> None:
    """Fill an empty folder, which must be the current one.

    Raises:
        RuntimeError: when a command of `MADE_BY` fails.
    """
    _make_pictures(folder / "clean")
    shutil.copytree(folder / "clean", folder / "pictures")
    (folder / "pictures" / "test" / "class3" / "0.png").write_bytes(b"no picture")
    for line in MADE_BY:
        program, words = program_of(shlex.split(line))
        result = CliRunner().invoke(PROGRAMS[program], words)
        if result.exit_code:
            raise RuntimeError(f"{line} ended with {result.exit_code}: {result.stderr}")
    for finished, begun in (("trained", "stopped"), ("recalled", "interrupted")):
        shutil.copytree(folder / finished, folder / begun)
        for name in ("card.json", "weights.safetensors"):
            (folder / begun / name).unlink()
    _make_models(folder)
    _make_odd(folder)


def _make_pictures(folder: Path) -> None:
    """Ten classes, three training pictures each."""
    from PIL import Image

    for split, count in (("train", 3), ("test", 1)):
        for label in range(10):
            for number in range(count):
                path = folder / split / f"class{label}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = Image.linear_gradient("L").resize((8, 8)).rotate(90 * number)
                picture = picture.point(lambda v: 255 * (v // 40 % 2))  # stripes
                Image.merge("RGB", [picture, picture.point(lambda v: v // 2), picture]).save(path)


def _make_models(folder: Path) -> None:
    """Weights, an exported program, a description, each a damaged twin."""
    import torch
    from safetensors.torch import save_file

    from spikewright.models import digits_cnn

    model = digits_cnn().eval()
    save_file(model.state_dict(), folder / "weights.safetensors")
    batch = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(model, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=batch)
    torch.export.save(program, folder / "program.pt2")
    (folder / "damaged.pt2").write_bytes((folder / "program.pt2").read_bytes()[:3000])
    (folder / "damaged.safetensors").write_bytes((folder / NETWORK).read_bytes()[:5000])
    described = {"name": "described", "model": DIGITS, "data": "digits"}
    for name, wrong in (("name", 3), ("data", ["digits"]), ("mean", 0.5)):
        (folder / f"wrong-{name}.json").write_text(json.dumps({**described, name: wrong}))
    text = json.dumps({**described, "weights": "weights.safetensors"})
    (folder / "described.json").write_text(text)


def _make_odd(folder: Path) -> None:
    for number, document in enumerate(ODD_DOCUMENTS):
        odd = folder / f"odd{number}"
        (odd / "inner").mkdir(parents=True)
        text = document if isinstance(document, str) else json.dumps(document)
        for name in NAMES:
            (odd / name).write_text(text)
            (odd / "inner" / name).write_text(text)
        folder.joinpath(f"odd{number}.json").write_text(text)
    (folder / "empty").touch()
    (folder / "loop").symlink_to("loop")
