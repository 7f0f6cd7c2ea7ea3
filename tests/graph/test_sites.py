"""Every spelling of an activation makes a site with its name, and keeps its bounds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright.graph.evaluate import apply
from tests.builders import SideBySide, captured, images, wired

FAR = 1e9
SPELLINGS = {
    "F.relu": (lambda m, x: F.relu(m.c(x)), "relu", FAR),
    "F.relu, in place": (lambda m, x: F.relu(m.c(x), inplace=True), "relu", FAR),
    "torch.relu": (lambda m, x: torch.relu(m.c(x)), "relu", FAR),
    "method": (lambda m, x: m.c(x).relu(), "relu", FAR),
    "method, in place": (lambda m, x: m.c(x).relu_(), "relu", FAR),
    "F.relu6": (lambda m, x: F.relu6(m.c(x)), "relu6", 6),
    "F.hardtanh": (lambda m, x: F.hardtanh(m.c(x), 0, 2.5), "hardtanh", 2.5),
    "clamp(0, c)": (lambda m, x: m.c(x).clamp(0, 3), "clamp", 3),
    "clamp(min=0, max=c)": (lambda m, x: torch.clamp(m.c(x), min=0.0, max=3), "clamp", 3),
    "clamp(min=0)": (lambda m, x: m.c(x).clamp(min=0), "clamp", FAR),
    "clamp_(min=0)": (lambda m, x: m.c(x).clamp_(min=0), "clamp", FAR),
    "clamp_min": (lambda m, x: m.c(x).clamp_min(0), "clamp_min", FAR),
}
MODULES = {
    "ReLU": (nn.ReLU(), FAR),
    "ReLU, in place": (nn.ReLU(inplace=True), FAR),
    "ReLU6": (nn.ReLU6(), 6),
    "Hardtanh": (nn.Hardtanh(0.0, 4.0), 4),
    "QCFS": (sw.QCFS(5, 2.0), 2),
    "ClippedReLU": (sw.ClippedReLU(2.0), 2),
}


def test_a_call_is_a_site_named_after_its_module_and_function():
    nets = [wired(wire, c=nn.Conv2d(3, 2, 3)) for wire, _, _ in SPELLINGS.values()]
    names = [f"nets.{i}.{name}" for i, (_, name, _) in enumerate(SPELLINGS.values())]
    assert largest(SideBySide(nets)) == {
        name: upper for name, (_, _, upper) in zip(names, SPELLINGS.values(), strict=True)
    }
    wire, name, upper = SPELLINGS["F.relu6"]
    assert largest(wired(wire, c=nn.Conv2d(3, 2, 3))) == {name: upper}


def test_a_module_is_a_site_named_by_its_path():
    nets = [
        wired(lambda m, x: m.block(m.c(x)), c=nn.Conv2d(3, 2, 3), block=nn.Sequential(activation))
        for activation, _ in MODULES.values()
    ]
    assert largest(SideBySide(nets)) == {
        f"nets.{i}.block.0": upper for i, (_, upper) in enumerate(MODULES.values())
    }


def largest(model):
    """What each activation makes of far too large a current, by its site's name."""
    graph = captured(model, images())
    return {
        op.site.name: apply(op, (torch.full((1, *op.shape), FAR),), graph.tensors).max()
        for op in graph.neurons
    }


def test_qcfs_carries_its_threshold():
    model = wired(lambda m, x: m.act(m.c(x)), c=nn.Conv2d(3, 2, 3), act=sw.QCFS(5, 2.0))
    graph = captured(model, images())
    (site,) = graph.sites
    assert site.threshold == "act.threshold"
    assert graph.tensors[site.threshold] == 2.0


def test_a_reused_module_is_one_site_per_call():
    model = wired(
        lambda m, x: m.act(m.b(m.act(m.a(x))) + m.act(x)),
        a=nn.Conv2d(3, 3, 3, padding=1),
        b=nn.Conv2d(3, 3, 1),
        act=nn.ReLU(),
    )
    assert [s.name for s in captured(model, images()).sites] == ["act", "act:2", "act:3"]


def test_calls_of_one_function_are_numbered_within_their_module():
    model = wired(
        lambda m, x: F.relu(m.b(F.relu(m.a(x)))), a=nn.Conv2d(3, 3, 3), b=nn.Conv2d(3, 3, 1)
    )
    assert [s.name for s in captured(model, images()).sites] == ["relu", "relu:2"]


def test_a_module_and_a_function_of_one_name_stay_apart():
    model = wired(lambda m, x: F.relu(m.relu(m.a(x)) - 1), a=nn.Conv2d(3, 3, 3), relu=nn.ReLU())
    assert [s.name for s in captured(model, images()).sites] == ["relu", "relu:2"]


def test_an_activation_that_the_output_does_not_need_is_no_site():
    def wire(m, x):
        F.relu(m.a(x))
        return F.relu(m.b(x))

    graph = captured(wired(wire, a=nn.Conv2d(3, 3, 3), b=nn.Conv2d(3, 2, 1)), images())
    assert len(graph.sites) == 1
    assert set(graph.tensors) == {"b.weight", "b.bias"}


def test_a_site_tells_whether_it_is_a_rectifier():
    cases = [
        (lambda m, x: m.c(x).clamp(0, 2), True),
        (lambda m, x: m.c(x).clamp_min(0), True),
        (lambda m, x: F.hardtanh(m.c(x)), False),
        (lambda m, x: m.c(x).clamp(min=0.5), False),
        (lambda m, x: m.c(x).clamp(max=1), False),
        (lambda m, x: m.c(x).clamp_min(-1), False),
        (lambda m, x: m.c(x).clamp(0, 0), False),
        (lambda m, x: F.silu(m.c(x)), False),
    ]
    nets = [wired(wire, c=nn.Conv2d(3, 2, 3)) for wire, _ in cases]
    sites = captured(SideBySide(nets), images()).sites
    assert [site.rectifies for site in sites] == [rectifies for _, rectifies in cases]
