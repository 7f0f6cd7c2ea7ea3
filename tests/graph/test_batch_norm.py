"""Batch norm folds away without changing the function."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spikewright.graph import evaluate, fold_batch_norm, survey
from tests.builders import captured, images, wired

MODELS = {
    "after a convolution": lambda: wired(
        lambda m, x: F.relu(m.n(m.c(x))), c=nn.Conv2d(3, 4, 3), n=nn.BatchNorm2d(4)
    ),
    "after a convolution without bias": lambda: wired(
        lambda m, x: F.relu(m.n(m.c(x))), c=nn.Conv2d(3, 4, 3, bias=False), n=nn.BatchNorm2d(4)
    ),
    "after a grouped, padded convolution": lambda: wired(
        lambda m, x: F.relu(m.n(m.c(x))),
        c=nn.Conv2d(3, 6, 3, groups=3, padding="same"),
        n=nn.BatchNorm2d(6),
    ),
    "without affine": lambda: wired(
        lambda m, x: F.relu(m.n(m.c(x))), c=nn.Conv2d(3, 4, 3), n=nn.BatchNorm2d(4, affine=False)
    ),
    "after linear": lambda: wired(
        lambda m, x: F.relu(m.n(m.l(x.flatten(1)))), l=nn.Linear(108, 5), n=nn.BatchNorm1d(5)
    ),
    "after a 1-d convolution": lambda: wired(
        lambda m, x: F.relu(m.n(m.c(x.flatten(2)))), c=nn.Conv1d(3, 4, 3), n=nn.BatchNorm1d(4)
    ),
    "as the output": lambda: wired(
        lambda m, x: m.n(m.l(F.relu(x).flatten(1))), l=nn.Linear(108, 5), n=nn.BatchNorm1d(5)
    ),
}
STANDING = {
    "after another norm": lambda: wired(
        lambda m, x: F.relu(m.b(m.n(m.c(x)))),
        c=nn.Conv2d(3, 4, 3),
        n=nn.BatchNorm2d(4),
        b=nn.BatchNorm2d(4),
    ),
    "on the input": lambda: wired(lambda m, x: F.relu(m.n(x)), n=nn.BatchNorm2d(3)),
    "after an activation": lambda: wired(
        lambda m, x: m.n(F.relu(m.c(x))), c=nn.Conv2d(3, 4, 3), n=nn.BatchNorm2d(4)
    ),
    "after a pooling": lambda: wired(
        lambda m, x: F.relu(m.n(F.max_pool2d(m.c(x), 2))), c=nn.Conv2d(3, 4, 3), n=nn.BatchNorm2d(4)
    ),
    "after a transposed convolution": lambda: wired(
        lambda m, x: F.relu(m.n(m.c(x))), c=nn.ConvTranspose2d(3, 4, 3), n=nn.BatchNorm2d(4)
    ),
    "where the convolution is read twice": lambda: wired(
        lambda m, x: F.relu(m.n(y := m.c(x)) + y), c=nn.Conv2d(3, 4, 3), n=nn.BatchNorm2d(4)
    ),
    "where the convolution is also the output": lambda: wired(
        lambda m, x: (y := m.c(x)) + F.relu(m.n(y)), c=nn.Conv2d(3, 4, 3), n=nn.BatchNorm2d(4)
    ),
    "after linear on a sequence": lambda: wired(
        lambda m, x: F.relu(m.n(m.l(x.flatten(2)))), l=nn.Linear(36, 5), n=nn.BatchNorm1d(3)
    ),
    "after linear on a sequence as long as it is wide": lambda: wired(
        lambda m, x: F.relu(m.n(m.l(x.flatten(2)))), l=nn.Linear(36, 3), n=nn.BatchNorm1d(3)
    ),
}


def operators(graph):
    return [op.operator for op in graph.operations]


def assert_exact(graph, model, x):
    """In float64, and folded in float32, to the rounding of each."""
    answer = model(x).detach()
    folded = fold_batch_norm(graph)
    torch.testing.assert_close(evaluate(folded, x)[0], answer, rtol=1e-9, atol=1e-9)
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in graph.tensors.items()
    }
    single = fold_batch_norm(replace(graph, tensors=tensors))
    torch.testing.assert_close(evaluate(single, x.float())[0], answer.float(), rtol=1e-5, atol=1e-5)
    return operators(folded)


@pytest.mark.parametrize("case", MODELS)
def test_a_norm_after_a_weighted_layer_moves_into_its_weights(case):
    model, x = MODELS[case](), images()
    left = assert_exact(survey(model, x).require_convertible(), model, x)
    assert not [name for name in left if "batch_norm" in name or "addcmul" in name]


@pytest.mark.parametrize("case", STANDING)
def test_a_norm_that_stands_alone_becomes_an_exact_affine(case):
    model, x = STANDING[case](), images()
    left = assert_exact(survey(model, x).require_convertible(), model, x)
    assert left.count("aten.addcmul") == 1


def test_a_shared_convolution_normed_differently_keeps_its_own_weights():
    model = wired(
        lambda m, x: F.relu(m.a(m.c(x))) + F.relu(m.b(m.c(x + 1))),
        c=nn.Conv2d(3, 4, 3),
        a=nn.BatchNorm2d(4),
        b=nn.BatchNorm2d(4, affine=False),
    )
    x = images()
    torch.testing.assert_close(evaluate(captured(model, x), x)[0], model(x).detach())


def test_the_models_own_weights_stay():
    model, x = MODELS["after a convolution"](), images()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    captured(model, x)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


NAMED_AS_CALLS = {
    "linear": (
        lambda: wired(
            lambda m, x: m.linear(F.relu(m.n(m.first(x)))),
            first=nn.Linear(6, 6),
            n=nn.BatchNorm1d(6),
            linear=nn.Linear(6, 6),
        ),
        lambda: images()[:, 0, 0],
    ),
    "conv2d": (
        lambda: wired(
            lambda m, x: m.conv2d(F.relu(m.n(m.first(x)))),
            first=nn.Conv2d(3, 3, 3),
            n=nn.BatchNorm2d(3),
            conv2d=nn.Conv2d(3, 3, 3),
        ),
        images,
    ),
}


@pytest.mark.parametrize("name", NAMED_AS_CALLS)
def test_a_layer_named_as_the_call_of_another_keeps_its_weights(name):
    make, data = NAMED_AS_CALLS[name]
    model, x = make(), data()
    assert_exact(survey(model, x).require_convertible(), model, x)
