"""What to do about operations that have no rule, by a part of their names."""

from __future__ import annotations

from spikewright.graph.rule import register_remedies

_QCFS = (
    "a quantised clipped ReLU written out by hand, such as "
    "floor(clamp(x / up, 0, 1) * L + 0.5) / L * up, is spikewright.QCFS(L, up): put that module in "
    "its place; otherwise take the rounding out"
)
_CHOICE = (
    "a choice by the sign of x is F.relu(x), between bounds x.clamp(0, c); compare nothing else "
    "that depends on the input"
)
_MAXIMUM = "use max pooling (nn.MaxPool2d), which has a rule"

register_remedies(
    {
        "native_dropout": "dropout that stays on in eval mode; pass training=self.training",
        "bernoulli": "random operations inside the model; call model.eval() and remove them",
        "adaptive_max_pool2d": "use max_pool2d with an explicit kernel",
        "floor": _QCFS,
        "round": _QCFS,
        "ceil": _QCFS,
        "trunc": _QCFS,
        "gt": _CHOICE,
        "ge": _CHOICE,
        "lt": _CHOICE,
        "le": _CHOICE,
        "eq": _CHOICE,
        "sign": _CHOICE,
        "max": _MAXIMUM,
        "amax": _MAXIMUM,
    }
)
