"""The fingerprint of tensors."""

from __future__ import annotations

import torch

from spikewright.fingerprint import fingerprint


def test_a_fingerprint_tells_tensors_apart() -> None:
    state = {"a": torch.zeros(2), "b": torch.ones(())}
    assert fingerprint(state) == fingerprint(dict(reversed(list(state.items()))))
    assert fingerprint(state) == fingerprint({**state, "a": torch.zeros(4)[::2]})
    for other in (
        {**state, "a": torch.tensor([0.0, 1e-30])},
        {**state, "a": torch.zeros(1, 2)},
        {**state, "a": torch.zeros(2, dtype=torch.int32)},
        {"a": state["a"], "c": state["b"]},
    ):
        assert fingerprint(state) != fingerprint(other)
