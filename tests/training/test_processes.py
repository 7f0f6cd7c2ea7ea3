"""Several processes: every image once, one writer, the same data order, a network that holds."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spikewright.data import open_dataset
from spikewright.errors import MissingExtra, RecipeError
from spikewright.processes import Processes
from spikewright.runs import load_model
from spikewright.training import DataRecipe, NetworkRecipe, Recipe, RunFolder
from tests.builders import accuracy
from tests.processes import Ended, ended, ranks, together

CPU = torch.device("cpu")
TRAIN = (
    *("-m", "spikewright", "train", "--model", "digits_cnn", "--levels", "4", "--data", "digits"),
    *("--augment", "none", "--batch-size", "64", "--learning-rate", "0.02", "--json"),
)


def test_shares_are_apart_and_make_the_whole() -> None:
    whole = torch.arange(11)
    for count in (1, 2, 3):
        shares = [Processes(rank, count, CPU).share(whole) for rank in range(count)]
        assert torch.equal(torch.cat(shares).sort().values, whole)


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    Processes(0, 2, CPU).check(64)
    for size in (63, 2):
        with pytest.raises(RecipeError, match=f"batch_size={size} cannot be shared evenly by 2"):
            Processes(0, 2, CPU).check(size)


def test_several_processes_need_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtra, match=r"several processes .*'spikewright\[train\]'"):
        Processes.join()


def two_processes(*words: str) -> Ended:
    """Run a module or script in two processes on the CPU, as Accelerate launches them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    (done,) = ended([*launch, "--main_process_port", port, *words], [os.environ | paths])
    assert done.code == 0, done.err
    return done


PLAIN = """
import sys
from pathlib import Path
import torch
from torch import nn
from spikewright.models import ARCHITECTURES
from spikewright.training import DataRecipe, NetworkRecipe, OptimisationRecipe, Recipe, train

def plain(num_classes, activation):  # no batch norm, which sees each process's share alone
    first, last = nn.Linear(64, 32), nn.Linear(32, num_classes)
    return nn.Sequential(nn.Flatten(), first, activation(), last)

def run(folder):
    torch.set_num_threads(1)
    ARCHITECTURES["plain"] = plain
    recipe = Recipe(
        DataRecipe("digits"),
        NetworkRecipe("plain", levels=8, threshold=4.0),
        OptimisationRecipe(epochs=2, batch_size=64, ema=0.9),
    )
    return train(recipe, Path(folder))

if __name__ == "__main__":
    run(sys.argv[1])
"""


def test_the_weights_do_not_depend_on_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate", reason="needs the extra 'train'")
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    script = tmp_path / "plain_network.py"
    script.write_text(PLAIN)
    together(str(script), str(tmp_path / "two"))
    names: dict[str, Any] = {"__name__": "plain_network"}
    exec(PLAIN, names)
    monkeypatch.setitem(names["ARCHITECTURES"], "plain", names["plain"])
    names["run"](tmp_path / "one")
    assert json.loads((tmp_path / "two" / "card.json").read_text())["processes"] == 2
    one, two = (load_file(tmp_path / run / "weights.safetensors") for run in ("one", "two"))
    for name, tensor in one.items():  # sums in another order, and nothing else
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)


def test_every_process_says_why_a_folder_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="needs the extra 'train'")
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    recipe = Recipe(DataRecipe("digits"), NetworkRecipe("digits_cnn", levels=8))
    RunFolder(tmp_path).prepare(recipe)
    for process in ended([*TRAIN, "--device", "cpu", "--output", str(tmp_path)], ranks()):
        assert "holds a run of another recipe" in process.err
        assert "network.levels: 8 recorded, 4 asked for" in process.err
        assert "internal error" not in process.err
        assert process.code == 2


def test_what_the_main_process_raises_is_raised() -> None:
    done: list[str] = []
    Processes(0, 1, CPU).by_main(lambda: done.append("here"))
    assert done == ["here"]
    with pytest.raises(ZeroDivisionError):
        Processes(0, 1, CPU).by_main(lambda: done.append(str(1 // 0)))


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="needs the extra 'train'")
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")

    first = two_processes(*TRAIN, "--epochs", "4", "--output", str(tmp_path / "run"))
    card = json.loads(first.out)  # printed by one process alone
    assert card["processes"] == 2
    data, model = open_dataset("digits"), load_model(f"run:{tmp_path / 'run'}")
    for split, images in (("validation", data.validation), ("test", data.test)):
        assert card[split]["images"] == len(images)  # no image twice, none lost
        assert card[split]["accuracy"] == accuracy(model, images)
    assert card["test"]["accuracy"] > 0.8
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    assert first.err.count("epoch 4/4") == 1
