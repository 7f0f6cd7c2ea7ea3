"""Checkpoints: everything comes back, and what is damaged or foreign is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import RunError
from spikewright.files import write_json
from spikewright.runs.files import read_json, read_tensors, write_tensors
from spikewright.training.checkpoint import EpochMetrics, TrainingState
from spikewright.training.optimisation import averaged


def state(kind: type[torch.optim.Optimizer], width: int = 3, seed: int = 0) -> TrainingState:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
    return TrainingState(model, kind(model.parameters(), lr=0.1), averaged(model, 0.9))


def stepped(made: TrainingState) -> TrainingState:
    for _ in range(2):
        made.optimizer.zero_grad()
        made.model(torch.randn(4, 2)).square().sum().backward()
        made.optimizer.step()
        assert made.average is not None
        made.average.update_parameters(made.model)
    return made


def metrics(epoch: int, accuracy: float) -> EpochMetrics:
    return EpochMetrics(epoch, 1.5, 0.5, accuracy, 2.0, 0.1, (0.5, 2.5) if epoch > 1 else None, 3.0)


def everything(made: TrainingState) -> dict[str, Tensor]:
    found = dict(made.model.state_dict())
    assert made.average is not None
    found |= {f"average {name}": t for name, t in made.average.state_dict().items()}
    found |= {f"best {name}": t for name, t in made.best.items()}
    for number, entries in made.optimizer.state_dict()["state"].items():
        found |= {f"{number} {key}": value for key, value in entries.items()}
    return found


def momentum(parameters, lr: float) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True)


@pytest.mark.parametrize("kind", [momentum, torch.optim.AdamW])
def test_everything_comes_back(kind, tmp_path: Path) -> None:
    made = stepped(state(kind))
    made.finish_epoch(metrics(1, 0.5))
    made.save(tmp_path / "state")
    other = state(kind, seed=1)
    other.load(tmp_path / "state")
    before, after = everything(made), everything(other)
    assert before.keys() == after.keys()
    assert len(before) > 3 * len(made.model.state_dict())
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name
    assert other.history == made.history
    torch.manual_seed(7)
    one = stepped(made).model.state_dict()
    torch.manual_seed(7)
    two = stepped(other).model.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
@pytest.mark.parametrize("options", [{"fused": True}, {"capturable": True}, {}], ids=str)
def test_the_number_of_steps_stands_where_torch_reads_it(
    options: dict[str, bool], tmp_path: Path
) -> None:
    def adamw(parameters, lr: float) -> torch.optim.AdamW:
        return torch.optim.AdamW(parameters, lr=lr, **options)

    made = state(torch.optim.AdamW)
    stepped(made).save(tmp_path / "state")
    elsewhere = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).to("meta")
    other = TrainingState(elsewhere, adamw(elsewhere.parameters(), lr=0.1), None)
    other.load(tmp_path / "state")
    places = [entries["step"].device.type for entries in other.optimizer.state.values()]
    assert places == ["meta" if options else "cpu"] * 6


def test_the_first_of_the_best_epochs_is_kept(tmp_path: Path) -> None:
    made = state(momentum)
    for epoch, accuracy in enumerate((0.5, 0.8, 0.8, 0.7), 1):
        made.candidate["0.weight"].fill_(epoch)
        made.finish_epoch(metrics(epoch, accuracy))
    assert made.best_epoch.epoch == 2
    assert bool((made.best["0.weight"] == 2).all())
    made.save(tmp_path / "state")
    other = state(momentum)
    other.load(tmp_path / "state")
    assert other.history == made.history


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    stepped(state(momentum)).save(tmp_path / "state")
    with pytest.raises(RunError, match="is not a checkpoint of this network"):
        state(momentum, width=4).load(tmp_path / "state")
    write_tensors(tmp_path / "other", {"weight": torch.zeros(1)})
    with pytest.raises(RunError, match="is not a checkpoint of this network"):
        state(momentum).load(tmp_path / "other")


def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_tensors(tmp_path / "state", {"weight": torch.zeros(100)}, {"answer": 42})
    assert read_tensors(tmp_path / "state")[1] == {"answer": 42}
    whole = (tmp_path / "state").read_bytes()
    (tmp_path / "state").write_bytes(whole[:-10])
    with pytest.raises(RunError, match=r"cannot be read.*remove it to start the run again"):
        read_tensors(tmp_path / "state")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run.json' is not valid JSON"):
        read_json(tmp_path / "run.json")


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "card.json", {"old": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "card.json", {"new": float("nan")})
    assert read_json(tmp_path / "card.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
