"""Claims about snnTorch."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import torch

import spikewright as sw
from docs_tools.peers.claim import Finding, claims, samples, two_layers


def converts_no_trained_network() -> Finding:
    """No public function of the package turns a trained network into a spiking one."""
    import snntorch

    names = {
        name
        for module in ("snntorch", *(f"snntorch.{m}" for m in _modules(snntorch)))
        for name, value in inspect.getmembers(importlib.import_module(module))
        if callable(value) and str(getattr(value, "__module__", "")).startswith("snntorch")
    }
    found = sorted(n for n in names if "convert" in n.lower() or "from_torch" in n.lower())
    return Finding(not found and len(names) > 20, f"{len(names)} names, of conversion: {found}")


def _modules(package: object) -> list[str]:
    known = {"functional", "utils", "surrogate", "backprop"}  # spikegen converts targets
    return [m.name for m in pkgutil.iter_modules(package.__path__) if m.name in known]


def other_batch_sizes_begin_anew() -> Finding:
    """A `Leaky` layer called with another shape starts from zero without a word."""
    import snntorch

    layer = snntorch.Leaky(beta=1.0, init_hidden=True, reset_mechanism="subtract")
    current = torch.full((4, 3), 0.4)
    layer(current)
    layer(current)  # 0.8: one more step and it fires
    layer(current[:2])
    after = float(layer.mem.max())
    model, x = two_layers(), samples()
    snn = sw.convert(model, x, neuron=sw.IntegrateFire(), steps=8)
    ours = torch.equal(snn(x)[:5], snn(x[:5]))
    return Finding(
        abs(after - 0.4) < 1e-6 and ours,
        f"potential after a third step on half the batch: {after:.1f} in place of 1.2; here the "
        f"batch size changes {'nothing' if ours else 'the answer'}",
    )


def fires_above_the_threshold() -> Finding:
    """Fires where the potential is above the threshold; here where it reaches it."""
    import snntorch

    layer = snntorch.Leaky(beta=1.0, init_hidden=True, threshold=1.0)
    theirs = float(layer(torch.ones(1, 1)).sum())
    from spikewright.neurons.integrate_fire import Reset, integrate_fire_step

    zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    ours = float(integrate_fire_step(zero, one, one, Reset.SOFT)[0].sum())
    return Finding(theirs == 0 and ours == 1, f"spikes at v = theta: {theirs:g}; here {ours:g}")


CLAIMS = claims(
    "snntorch",
    converts_no_trained_network,
    other_batch_sizes_begin_anew,
    fires_above_the_threshold,
)
