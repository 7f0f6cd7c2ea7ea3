"""What every network of the suite must show: it computes what its model does, in both engines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

import spikewright as sw
from docs_tools.census.examine import difference

FINE, COARSE = 16, 4
"""Binary steps of 65,535 levels, and of so few that ties are likely."""


def assert_faithful(model: nn.Module, *inputs: Any, within: float = 1e-3) -> sw.SpikingNetwork:
    """Convert a model on its inputs, and compare.

    Args:
        model: float64, in eval mode.
        inputs: batches; the calibration data too, so that nothing is clipped.
        within: of the answer's norm, by which the network may differ at `FINE` steps.
    """
    data = inputs[0] if len(inputs) == 1 else inputs
    neuron = sw.TwoPhase("nearest", "binary")
    snn = sw.convert(
        model, [data], neuron=neuron, threshold=sw.Maximum(), steps=FINE, correction=None
    )
    with torch.no_grad():
        assert difference(snn(*inputs), model(*inputs)) < within
        assert difference(snn(*inputs), snn.twin()(*inputs), largest=True) < 1e-12
        counts, steps = (snn(*inputs, steps=COARSE, engine=e) for e in ("counts", "steps"))
        assert difference(steps, counts, largest=True) < 1e-12
        with TemporaryDirectory() as folder:
            snn.save(Path(folder) / "network.pt")
            again = sw.load(Path(folder) / "network.pt")
        assert difference(again(*inputs), snn(*inputs), largest=True) == 0
    assert not snn.audit(data, steps=COARSE).objections
    return snn
