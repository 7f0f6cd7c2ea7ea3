"""Small networks and layers that the tests of the core are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from scipy.stats import chisquare
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.utils.data import Dataset, Subset, default_collate

from spikewright.data import ImageData
from spikewright.graph import Graph, fold_batch_norm, survey
from spikewright.neurons import Draws, Layer

FALSE_ALARM = 1e-4
"""Probability that a test of a distribution fails although the law holds; seeds are fixed."""


class Wired(nn.Module):
    """Modules by name, and a function `wire(self, x)` that uses them."""

    def __init__(self, wire: Callable[[Any, Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.wire = wire

    def forward(self, x: Tensor) -> Any:
        return self.wire(self, x)


class SideBySide(nn.Module):
    """Networks that read one input and answer with a list; one capture is faster than many.

    The modules of the i-th lie at `nets.i`.
    """

    def __init__(self, nets: Iterable[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.eval()

    def forward(self, x: Tensor) -> list[Tensor]:
        return [net(x) for net in self.nets]


def wired(wire: Callable[[Any, Tensor], Any], **modules: nn.Module) -> Wired:
    """A float64 model in eval mode, its batch norms set to uneven statistics."""
    model = Wired(wire, **modules).double().eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            settle(module)
    return model


def settle(norm: Any) -> None:
    """Give a batch norm running statistics and an affine that are not the identity."""
    channels = norm.num_features
    with torch.no_grad():
        norm.running_mean.copy_(torch.linspace(-0.3, 0.4, channels))
        norm.running_var.copy_(torch.linspace(0.5, 1.5, channels))
        if norm.affine:
            norm.weight.copy_(torch.linspace(0.7, 1.3, channels))
            norm.bias.copy_(torch.linspace(-0.2, 0.2, channels))


def firing(model: nn.Module) -> nn.Module:
    """The model with no negative parameter: every neuron fires on positive input."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    return model


def images(batch: int = 4, channels: int = 3, size: int = 6, seed: int = 0) -> Tensor:
    """Float64 `[B, C, size, size]`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, size, size, generator=generator, dtype=torch.float64)


def exported(model: nn.Module, x: Tensor) -> ExportedProgram:
    """The model as a program: export is what takes time where one is converted again and again."""
    batch = ({0: Dim.DYNAMIC},)
    program = export(model, (x[:2],), dynamic_shapes=batch, strict=False)
    return program.run_decompositions({})


def captured(model: nn.Module | ExportedProgram, x: Tensor) -> Graph:
    """The graph of a model that converts, batch norm folded."""
    return fold_batch_norm(survey(model, x).require_convertible())


def layer(theta: Tensor | float, steps: int, batch: int = 1, seed: int = 0) -> Layer:
    """A layer of neurons whose samples are numbered."""
    threshold = torch.as_tensor(theta, dtype=torch.float64)
    return Layer(threshold, steps, Draws(seed, "site", torch.arange(batch)))


def assert_distributed(observed: Any, expected: Any) -> None:
    """Chi-square at the fixed false-alarm rate; cells expected below 5 are pooled into one."""
    observed, expected = (torch.as_tensor(v, dtype=torch.float64) for v in (observed, expected))
    assert not bool((observed[expected == 0] > 0).any()), "an impossible outcome was seen"
    rare = expected < 5
    pairs = [(float(o), float(e)) for o, e in zip(observed[~rare], expected[~rare], strict=True)]
    if float(expected[rare].sum()) >= 5:
        pairs.append((float(observed[rare].sum()), float(expected[rare].sum())))
    seen, law = zip(*pairs, strict=True)
    assert len(pairs) > 1, "nothing to compare"
    total = sum(seen) / sum(law)
    result = chisquare(seen, [e * total for e in law])
    assert result.pvalue > FALSE_ALARM, f"p = {result.pvalue:.2g}: {seen} against {law}"


def accuracy(model: nn.Module, dataset: Dataset[Any]) -> float:
    """The fraction of a whole data set that a model answers right, counted the plain way."""
    images, labels = default_collate([dataset[i] for i in range(len(dataset))])  # type: ignore[arg-type]
    with torch.no_grad():
        return float((model.eval()(images).argmax(1) == labels).double().mean())


def in_another_layout(data: ImageData) -> ImageData:
    """The images, of which as many others are held out: the first ones of the training split."""
    assert isinstance(data.train, Subset)
    assert isinstance(data.validation, Subset)
    numbers, held_out = [*data.train.indices, *data.validation.indices], len(data.validation)
    images = data.train.dataset
    kept, first = (Subset(images, part) for part in (numbers[held_out:], numbers[:held_out]))
    return replace(data, train=kept, validation=first)
