"""Converts every documented call on a GPU: `python -m tests.robustness.other_device [DEVICE]`.

Without a GPU on the device that stands for one, see `stand_in_device`. A call must convert, answer
in both engines, be recorded, audited, saved, loaded and priced there, and answer as on the CPU.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

import torch
from torch import Tensor, nn

import spikewright as sw
from docs_tools.support import cases
from docs_tools.support.cases import Case
from docs_tools.support.tried import Tried
from tests.robustness import stand_in_device

CASES: tuple[Case, ...] = (
    *cases.ACTIVATIONS, *cases.WRITTEN_OUT, *cases.GROUPS, *cases.WEIGHTED, *cases.POOLING,
    *cases.ARITHMETIC, *cases.PRODUCTS, *cases.RECURRENT, *cases.MOVES,
)  # fmt: skip
CPU_ALONE, SILENT, SAME = "takes tensors of the CPU", "sends nothing", "as on the CPU"


class Weighted(nn.Module):
    """A case behind a weight for each value, which says where the network is."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(case.shape))
        self.case = Tried(case)

    def forward(self, x: Tensor) -> Tensor:
        """The case's answer."""
        return self.case(self.weight * x)


def tried(case: Case, device: str, folder: Path) -> str:
    """What became of a case on a device: one of the words above, or the error it raised."""
    torch.manual_seed(0)
    model, x = Weighted(case).eval(), torch.randn(9, *case.shape)
    try:
        expected = sw.convert(model, x, steps=3, correction=None)(x)
    except sw.CalibrationError:
        return SILENT
    model, x = model.to(device), x.to(device)
    try:
        model(x)
    except RuntimeError:  # the case itself makes tensors on the CPU
        return CPU_ALONE
    try:
        difference = float((_answer(model, x, folder).cpu() - expected).abs().max())
    except Exception:  # every one is a finding
        return traceback.format_exc()
    return SAME if difference <= 1e-3 * float(expected.abs().max()) else f"{difference:.3g} apart"


def _answer(model: nn.Module, x: Tensor, folder: Path) -> Tensor:
    """The answer of a saved network, after all else was asked of it before."""
    network = sw.convert(model, x, steps=3, correction=None)
    network(x, engine="steps")
    network.record(x)
    network.audit(x)
    network.twin()(x)
    try:
        sw.operations(network, [x], 3)
    except sw.AnalysisError as error:
        if "no price" not in str(error):
            raise
    network.save(folder / "network.safetensors")
    return sw.load(folder / "network.safetensors").to(x.device)(x)


def main() -> None:
    """Try every case on the named device."""
    named = sys.argv[1:] or ["cuda"] * torch.cuda.is_available() or [stand_in_device.install()]
    outcomes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            outcomes[case.call] = tried(case, named[0], Path(folder))
    for word in (SAME, SILENT, CPU_ALONE):
        count = sum(found == word for found in outcomes.values())
        sys.stdout.write(f"{count} of {len(outcomes)} calls on {named[0]}: {word}\n")
    faults = {c: f for c, f in outcomes.items() if f not in (SAME, SILENT, CPU_ALONE)}
    for call, found in faults.items():
        sys.stdout.write(f"\n{call}: {found}\n")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
