"""Sites chosen by name or shell pattern, and the neurons that stand at them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spikewright.errors import ConversionError
from spikewright.neurons import Neuron


def matching(sites: Sequence[str], patterns: Any) -> set[str]:
    """The sites that names, or patterns such as "layer1.*", choose; a whole name means that site.

    Args:
        sites: every name.
        patterns: one or several; all sites when None.

    Raises:
        ConversionError: when a pattern matches no site or is no text, or there is no pattern.
    """
    if patterns is None:
        return set(sites)
    several = isinstance(patterns, Iterable) and not isinstance(patterns, str)
    chosen: list[Any] = list(patterns) if several else [patterns]
    known = f"this network's sites are {', '.join(sites)}"
    if not all(isinstance(pattern, str) for pattern in chosen):
        raise ConversionError(
            f"sites are chosen by their names or patterns such as 'layer1.*', not by {patterns!r}; "
            f"{known}"
        )
    if not chosen:
        raise ConversionError(f"sites=[] chooses no site; leave it out to choose all: {known}")
    found = {p: [p] if p in sites else fnmatch.filter(sites, p) for p in chosen}
    for pattern, names in found.items():
        if not names:
            raise ConversionError(f"no site matches '{pattern}'; {known}")
    return {name for names in found.values() for name in names}


def with_other(
    neurons: Mapping[str, Neuron], neuron: Any, patterns: Sequence[str] | str | None
) -> dict[str, Neuron]:
    """The neurons of a network with another one at some of its sites.

    Args:
        neurons: by site name.
        neuron: the other one.
        patterns: as for `matching`.

    Raises:
        ConversionError: for what is no neuron, and as `matching` does.
    """
    if not isinstance(neuron, Neuron):
        raise ConversionError(f"expected a neuron such as TPP(), got {neuron!r}")
    return {**neurons, **dict.fromkeys(matching(list(neurons), patterns), neuron)}


def neurons_at(sites: Sequence[str], neurons: Neuron | Mapping[str, Neuron]) -> dict[str, Neuron]:
    """The neuron of every site, by its name.

    Args:
        sites: every name.
        neurons: one for all of them, or a mapping from names or shell patterns, such as
            `{"*": TPP(), "layer1.*": IntegrateFire()}`, of which the last that fits a site counts.

    Raises:
        ConversionError: for a pattern that chooses no site, or whose sites later ones all choose
            again, and a site that none chooses.
    """
    patterns = neurons if isinstance(neurons, Mapping) else {"*": neurons}
    chosen: dict[str, str] = {}
    for pattern in patterns:
        chosen |= dict.fromkeys(matching(sites, [pattern]), pattern)
    left = [site for site in sites if site not in chosen]
    if left:
        raise ConversionError(
            f"no neuron is given for {', '.join(left)}: put one for all others first, under '*'"
        )
    unused = [pattern for pattern in patterns if pattern not in chosen.values()]
    if unused:
        raise ConversionError(
            f"'{unused[0]}' has no effect, as later patterns choose all of its sites: put general "
            "patterns before particular ones, as the last that fits a site counts"
        )
    return {site: patterns[chosen[site]] for site in sites}


def label_of(neurons: Mapping[str, Neuron]) -> str:
    """The labels of neurons by site, each once, in the order of their layers."""
    return ", ".join(dict.fromkeys(neuron.label for neuron in neurons.values()))
