"""One process and two find the same: networks to the bit, and every number of a sweep."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import spikewright as sw
from spikewright.calibration import OutputMeans
from spikewright.calibration.design import Design
from spikewright.calibration.shared import deal_work
from spikewright.errors import ProcessError
from spikewright.measure.cells import Cells
from spikewright.processes import ALONE, Processes, launched
from tests.processes import together

STEPS = (2, 3, 4)
IMAGES = 23
"""Neither of these batches, nor of so many images, can two processes share evenly."""


def model_of(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(54, 12), nn.ReLU(), nn.Linear(12, 5),
    ).eval()  # fmt: skip


def samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    images = torch.rand(IMAGES, 1, 8, 8, generator=generator)
    return images, torch.arange(IMAGES) % 5


def found(processes: Processes) -> dict[str, Any]:
    """Everything that one process or several come to, as plain JSON values."""
    model, (images, labels) = model_of(0), samples()
    batches = list(images[:17].split(5))
    networks = {
        "TPP": sw.convert(model, batches, sw.TPP(), steps=STEPS, processes=processes),
        "IF": sw.convert(
            model, batches, sw.IntegrateFire(), steps=STEPS,
            correction=OutputMeans(), processes=processes,
        ),
    }  # fmt: skip
    signed = sw.convert(
        nn.Sequential(*model[:2], nn.SiLU(), *model[3:6], nn.Tanh(), model[7]).eval(),
        batches, steps=STEPS, correction=OutputMeans(), processes=processes,
    )  # fmt: skip
    single = {"TPP": sw.convert(model, images, sw.TPP(), steps=2, processes=processes)}
    pairs = list(zip(images.split(4), labels.split(4), strict=True))
    loader = DataLoader(TensorDataset(images, labels), batch_size=6, shuffle=True)
    frames = {t: [(images.expand(t, *images.shape), labels)] for t in STEPS}

    def cells() -> Cells:
        return Cells(processes=processes)

    sweeps = {
        "list": sw.sweep(networks, pairs, STEPS, 2, model, cells=cells()),
        "stream": sw.sweep(networks, iter(pairs), STEPS, 2, model, cells=cells()),
        "loader": sw.sweep(networks, loader, STEPS, 2, model, cells=cells()),
        "one batch": sw.sweep(networks, [(images, labels)], STEPS, 2, cells=cells()),
        "frames": sw.sweep(networks, frames.__getitem__, STEPS, 2, model, cells=cells()),
    }
    return {
        "networks": {name: exact(network) for name, network in networks.items()},
        "single": exact(single["TPP"]),
        "signed": [*sorted(signed.calibration.signed), exact(signed)],
        "sweeps": {
            name: [asdict(row) | {"seconds": 0.0} for row in sweep.rows]
            for name, sweep in sweeps.items()
        },
        "reference": [getattr(sweep.reference, "accuracy", None) for sweep in sweeps.values()],
        "samples": [sweep.record.samples for sweep in sweeps.values()],
    }


def exact(network: sw.SpikingNetwork) -> dict[str, list[str]]:
    """Every bit of what calibration decided."""
    statistics = network.calibration.statistics
    told = {
        f"{t} {name}": [x.hex() for x in tensor.flatten().tolist()]
        for t in network.designed_steps
        for name, tensor in network.design(t).tensors().items()
    }
    for site, kept in statistics.items():
        told[f"{site} sum"] = [x.hex() for x in kept.input_sum.tolist()]
        told[f"{site} histogram"] = [str(x) for x in kept.histogram.flatten().tolist()]
    return told


def main() -> None:
    """What each of several processes does."""
    processes = Processes.join()
    told = [found(processes), refused(processes), running_mean(processes)]
    sys.stdout.write(json.dumps(told))
    processes.leave()


def running_mean(processes: Processes) -> float:
    """That of a batch norm which every process has shown its own rank twenty times."""
    norm = nn.BatchNorm1d(1)
    model = processes.parallel(norm)
    for _ in range(20):
        model(torch.full((4, 1), float(processes.rank))).sum().backward()
    processes.agree(norm.buffers())
    return float(norm.get_buffer("running_mean"))


def refused(processes: Processes) -> list[str]:
    """What several processes refuse, each with weights of its own."""
    messages: list[str] = []
    for work in (
        lambda: sw.convert(model_of(processes.rank), samples()[0], processes=processes),
        lambda: sw.sweep(
            {"a": sw.convert(model_of(0), samples()[0])}, [], cells=Cells(processes=processes)
        ),
    ):
        try:
            work()
        except sw.SpikewrightError as error:
            messages.append(str(error))
    return messages


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads as each of the two processes has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_find_what_one_finds() -> None:
    pytest.importorskip("accelerate", reason="needs the extra 'train'")
    told = [json.loads(out) for out in together("-m", "tests.test_processes")]
    alone = json.loads(json.dumps(found(ALONE)))
    assert alone["signed"][:2] == ["2", "6"]
    for rank, (together_found, messages, mean) in enumerate(told):
        assert mean == pytest.approx((1 - 0.9**20) / 2)  # of 0 in the one, of 1 in the other
        assert together_found == alone, f"rank {rank}"
        assert "2 processes do not hold the same weights and calibration data" in messages[0]
        assert "held no sample" in messages[1]
    assert alone["samples"] == [IMAGES] * 5


class Gated(nn.Module):
    """Its gates run once a step of the sequence, and share their thresholds."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]


@pytest.mark.parametrize(
    ("model", "shape"),
    [(Gated(), (8, 2, 3)), (nn.Sequential(sw.QCFS(levels=4), nn.Linear(3, 4)), (8, 3))],
    ids=["gates", "learned"],
)
def test_thresholds_that_share_memory_are_sent(model: nn.Module, shape: tuple[int, ...]) -> None:
    x = 8 * torch.rand(*shape, dtype=torch.float64)
    network = sw.convert(model.double().eval(), x, sw.TwoPhase(), correction=None)
    designs = {t: Design(network.calibration.thresholds_at(t)).tensors() for t in (2, 4)}
    sent = deal_work((2, 4), designs.__getitem__, ALONE)
    assert sent.keys() == designs.keys()
    for t, tensors in designs.items():
        assert sent[t].keys() == tensors.keys()
        assert all(torch.equal(tensor, sent[t][name]) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, (0, 1)), ({"RANK": "1", "WORLD_SIZE": "3"}, (1, 3)), ({"MASTER_ADDR": "x"}, (0, 1))],
)
def test_the_launcher_is_believed(
    environment: dict[str, str], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() == expected


def test_one_process_where_several_were_asked_for_is_refused(tmp_path: Path) -> None:
    launch = pytest.importorskip("accelerate.commands.launch", reason="needs the extra 'train'")
    script = tmp_path / "script.py"
    script.write_text("from spikewright.processes import launched\nlaunched()\n")
    words = ["--cpu", "--num_processes", "2", "--quiet", str(script)]
    arguments = launch.launch_command_parser().parse_args(words)
    arguments, _, _ = launch._validate_launch_command(arguments)
    command, environment = launch.prepare_simple_launcher_cmd_env(arguments)
    assert command[-1] == str(script)  # what Accelerate would run, and in which environment
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(ProcessError, match=r"started one.*torchrun --nproc-per-node 2"):
            launched()


if __name__ == "__main__":
    main()
