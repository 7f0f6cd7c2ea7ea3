"""Everybody who takes part; a new contender is one line here."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

import spikewright as sw
from benchmarks.contenders.ann import Ann, Form
from benchmarks.contenders.base import Contender, Unavailable
from benchmarks.contenders.spikewright import COUNT_STEPS, Spiking
from benchmarks.contenders.spikingjelly import SpikingJelly
from benchmarks.settings import BenchmarkError
from spikewright.neurons import Neuron

__all__ = ["REFERENCE", "Contender", "Unavailable", "contenders", "selected"]

REFERENCE = "ann-compiled"
"""The contender that ratios are to."""

STEPS = 32
"""T of the step engine and of its peers."""

BALANCING_PASSES = 24
"""Local threshold balancing raises thresholds from 0, batch by batch: 24 passes over 16 batches
make about as many updates as its own example does (50,000 images in batches of 128)."""


def contenders() -> list[Contender]:
    """Every contender, in the order in which a round goes through them."""
    return [
        Ann("ann-eager", None, "the network as it is, eager"),
        Ann(REFERENCE, None, "torch.compile, channels-last", Form.COMPILED),
        Ann("ann-folded", None, "the same, batch norm folded beforehand", Form.FOLDED),
        Ann(
            f"{REFERENCE}-bf16",
            None,
            "torch.compile, channels-last, bfloat16",
            Form.COMPILED,
            torch.bfloat16,
        ),
        *_counts("nearest", sw.TwoPhase("nearest")),
        *_counts("unbiased", sw.TwoPhase("unbiased")),
        *_counts("tpp", sw.TPP()),
        *_narrow(),
        Spiking(
            "counts-nearest-eager-16",
            16,
            "count engine, nearest, eager",
            neuron=sw.TwoPhase("nearest"),
            designed=(16,),
            engine="counts",
            compiled=False,
        ),
        Spiking(
            f"steps-if-{STEPS}",
            STEPS,
            "step engine, integrate-and-fire, snn.compile()",
            neuron=sw.IntegrateFire(),
            designed=(STEPS,),
            engine="steps",
            compiled=True,
        ),
        Spiking(
            "steps-tracer-8",
            8,
            "step engine, spike tracer until it has settled, snn.compile()",
            neuron=sw.SpikeTracer(),
            designed=(8,),
            engine="steps",
            compiled=True,
        ),
        *_peers(),
    ]


def selected(patterns: Sequence[str]) -> list[Contender]:
    """The contenders whose names match a pattern; the one that ratios are to, always.

    Raises:
        BenchmarkError: naming a pattern that matches nobody.
    """
    everybody = contenders()
    for pattern in patterns:
        if not any(fnmatchcase(each.name, pattern) for each in everybody):
            names = ", ".join(each.name for each in everybody)
            raise BenchmarkError(f"no contender matches '{pattern}'; there are {names}")
    wanted = (REFERENCE, *patterns)
    return [e for e in everybody if any(fnmatchcase(e.name, pattern) for pattern in wanted)]


def _counts(label: str, neuron: Neuron) -> list[Contender]:
    return [
        Spiking(
            f"counts-{label}-{steps}",
            steps,
            f"count engine, {label}, snn.compile()",
            neuron=neuron,
            designed=COUNT_STEPS,
            engine="counts",
            compiled=True,
        )
        for steps in COUNT_STEPS
    ]


def _narrow() -> list[Contender]:
    """Weights in fewer bits."""
    count, step = sw.TwoPhase("nearest"), sw.IntegrateFire()
    return [
        Spiking(
            f"{engine}-{label}-{precision}-{steps}",
            steps,
            f"{engine.removesuffix('s')} engine, {neuron.label}, {precision}, snn.compile()",
            neuron=neuron,
            designed=designed,
            engine=engine,
            compiled=True,
            precision=precision,
        )
        for precision in ("bf16", "int8")
        for engine, label, neuron, steps, designed in (
            ("counts", "nearest", count, 16, COUNT_STEPS),
            ("steps", "if", step, STEPS, (STEPS,)),
        )
    ]


def _peers() -> list[Contender]:
    """SpikingJelly's recipes in multi-step mode; single-step too, where it may be the faster."""
    rate, balancing = "RateCodingRecipe", "LocalThresholdBalancingRecipe"
    modes = {"max": "Max", "99.9": "99.9%"}
    multi = [
        SpikingJelly(
            f"spikingjelly-multi-{label}-{STEPS}",
            STEPS,
            f'SpikingJelly, {rate}(mode="{mode}"), multi-step',
            recipe=rate,
            options={"mode": mode},
        )
        for label, mode in modes.items()
    ]
    return [
        *multi,
        SpikingJelly(
            f"spikingjelly-multi-ltb-{STEPS}",
            STEPS,
            f"SpikingJelly, {balancing} after {BALANCING_PASSES} passes, multi-step",
            recipe=balancing,
            passes=BALANCING_PASSES,
        ),
        SpikingJelly(
            f"spikingjelly-multi-sta-{STEPS}",
            STEPS,
            "SpikingJelly, STATransformerRecipe, spiking encoders, multi-step",
            recipe="STATransformerRecipe",
            options={"time_steps": STEPS, "mode": "spiking_encoder"},
            only=nn.MultiheadAttention,
        ),
        SpikingJelly(
            f"spikingjelly-single-99.9-{STEPS}",
            STEPS,
            f'SpikingJelly, {rate}(mode="99.9%"), single-step: T calls',
            recipe=rate,
            options={"mode": modes["99.9"]},
            multi_step=False,
        ),
    ]
