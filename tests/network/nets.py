"""Random small networks for the tests of the engines."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.export import ExportedProgram

import spikewright as sw
from tests.builders import exported, images, wired

NETS = {
    "plain": lambda: wired(
        lambda m, x: m.l(F.relu(m.b(F.relu(m.n(m.a(x))))).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        n=nn.BatchNorm2d(4),
        b=nn.Conv2d(4, 5, 3),
        l=nn.Linear(20, 3),
    ),
    "residual": lambda: wired(
        lambda m, x: m.l(F.relu(m.b(y := F.relu(m.a(x))) + y).mean((2, 3))),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 4, 3, padding=1),
        l=nn.Linear(4, 3),
    ),
    "cat": lambda: wired(
        lambda m, x: m.l(F.relu(m.c(torch.cat([F.relu(m.a(x)), m.b(x), x], 1))).flatten(1)),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(3, 2, 3, padding=1),
        c=nn.Conv2d(9, 3, 3, stride=2),
        l=nn.Linear(12, 3),
    ),
    "max pool": lambda: wired(
        lambda m, x: m.l(F.relu(m.b(F.max_pool2d(F.relu(m.a(x)), 3, 2, 1))).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 3, 2),
        l=nn.Linear(3, 3),
    ),
    "avg pool, relu6": lambda: wired(
        lambda m, x: m.l(F.relu6(m.b(F.avg_pool2d(F.relu6(8 * m.a(x)), 2))).flatten(1)),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 3, 2),
        l=nn.Linear(3, 3),
    ),
    "late relu": lambda: wired(
        lambda m, x: F.relu(m.l(F.max_pool2d(m.n(F.relu(m.a(x))), 2).flatten(1))),
        a=nn.Conv2d(3, 4, 3),
        n=nn.BatchNorm2d(4),
        l=nn.Linear(16, 3),
    ),
    "unequal depths": lambda: wired(
        lambda m, x: m.l(
            F.relu(m.c(F.relu(m.b(y := F.relu(m.a(x)))))).flatten(1) + y[:, :3].flatten(1)
        ),
        a=nn.Conv2d(3, 4, 3),
        b=nn.Conv2d(4, 4, 1),
        c=nn.Conv2d(4, 3, 1),
        l=nn.Linear(48, 3),
    ),
}
"""Every construction that an engine treats in a way of its own."""

THRESHOLDS = (
    sw.MinError(),
    sw.MinError(per="layer"),
    sw.Maximum(per="channel"),
    sw.Percentile(95),
)


def net(name: str, seed: int = 0) -> nn.Module:
    """A network of `NETS` with its own random weights."""
    torch.manual_seed(seed)
    return NETS[name]()


@lru_cache(maxsize=64)
def program(name: str, seed: int = 0) -> ExportedProgram:
    """The same network, exported once."""
    return exported(net(name, seed), images(2))


def converted(name: str, seed: int = 0, **options) -> sw.SpikingNetwork:
    """A network of `NETS`, exported once (capture is what takes time) and converted."""
    return sw.convert(program(name, seed), images(6, seed=seed), **options)


names = st.sampled_from(sorted(NETS))


def assert_equals_its_twin(snn: sw.SpikingNetwork, x: Tensor) -> None:
    """The count engine and the fake-quantised ANN: count for count, and one answer."""
    twin, counts = snn.twin(), snn.counts(x, engine="counts")
    rounded = twin.counts(x)
    assert all(torch.equal(counts[site], rounded[site]) for site in snn.sites)
    torch.testing.assert_close(twin(x), snn(x, engine="counts"), rtol=1e-11, atol=1e-11)


def assert_audit_is_clean(snn: sw.SpikingNetwork, x: Tensor) -> None:
    """Spikes or held counts at every product and maximum, and no floats at weights."""
    audit = snn.audit(x)
    assert not audit.objections, str(audit)
    assert not audit.carrying("floats")
