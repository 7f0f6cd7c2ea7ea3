"""Networks on a GPU convert, answer and are fine-tuned there; these tests skip without one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.methods.finetune import DSR
from spikewright.training import finetune_in_memory

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


def network() -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
        return model.cuda(), torch.rand(64, 8).cuda()


def test_a_network_on_the_gpu_converts_as_on_the_cpu() -> None:
    model, x = network()
    snn = sw.convert(model, x, steps=4)
    assert snn(x).is_cuda
    on_cpu = sw.convert(model.cpu(), x.cpu(), steps=4)
    for name, tensor in snn.design().thresholds.items():
        torch.testing.assert_close(tensor, on_cpu.design().thresholds[name], rtol=1e-4, atol=0)


def test_a_network_on_the_gpu_is_fine_tuned_with_labels() -> None:
    model, x = network()
    snn = sw.convert(model, x, steps=4)
    tuned = finetune_in_memory(snn, DSR(epochs=1), x, torch.arange(64) % 4)
    assert tuned.network(x).is_cuda
