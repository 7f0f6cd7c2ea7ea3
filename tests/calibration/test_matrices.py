"""Weighted operations as products of matrices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikewright.graph.ir import Stored
from spikewright.graph.rule import rule_of
from tests.builders import captured

CASES = {
    "linear": (nn.Linear(5, 7), (5,)),
    "linear of a sequence, no bias": (nn.Linear(5, 7, bias=False), (3, 5)),
    "stride and groups": (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 9, 8)),
    "depthwise, same": (
        nn.Conv2d(4, 4, (3, 2), padding="same", dilation=2, groups=4),
        (4, 9, 8),
    ),
    "valid": (nn.Conv2d(3, 5, 3, padding="valid"), (3, 6, 6)),
    "one dimension, dilated": (nn.Conv1d(3, 5, 4, stride=3, dilation=2), (3, 20)),
    "one dimension, same of an even kernel": (nn.Conv1d(4, 4, 4, padding="same"), (4, 9)),
    "three dimensions": (nn.Conv3d(2, 3, (1, 2, 3), padding=(0, 1, 2)), (2, 4, 5, 6)),
    "transposed": (
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (4, 5, 6),
    ),
    "transposed, dilated": (nn.ConvTranspose1d(4, 6, 5, stride=3, padding=1, dilation=2), (4, 5)),
    "transposed, padded more than its kernel": (
        nn.ConvTranspose2d(4, 6, (2, 3), stride=2, padding=(1, 4)),
        (4, 5, 6),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_times_what_each_place_reads_is_the_value(name: str) -> None:
    layer, shape = CASES[name]
    layer = layer.double().eval()
    x = torch.randn(3, *shape, dtype=torch.float64)
    graph = captured(nn.Sequential(layer, nn.ReLU()).eval(), x)
    op = graph.operations[0]
    rule = rule_of(op)
    assert rule.weight_at is not None
    stored = op.args[rule.weight_at]
    assert isinstance(stored, Stored)
    weight = graph.tensors[stored.name]
    view = rule.matrix(op, weight)
    assert view is not None
    read = view.read(x)
    flat = read.flatten(read.ndim - view.window)
    value = torch.einsum("...gk,gok->...go", flat, view.rows).flatten(-2)
    with torch.no_grad():
        expected = (layer(x) - layer(torch.zeros_like(x))).movedim(rule.bias_dim, -1)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(view.stored(view.rows), weight)
