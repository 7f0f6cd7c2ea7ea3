"""Sites chosen by name or shell pattern."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from spikewright.errors import ConversionError


def matching(sites: Sequence[str], patterns: Sequence[str] | str | None) -> set[str]:
    """The sites that patterns such as "layer1.*" choose.

    Args:
        sites: every name.
        patterns: one or several; all sites when None.

    Raises:
        ConversionError: when a pattern matches no site, or there is no pattern.
    """
    if patterns is None:
        return set(sites)
    chosen = [patterns] if isinstance(patterns, str) else list(patterns)
    known = f"this network's sites are {', '.join(sites)}"
    if not chosen:
        raise ConversionError(f"sites=[] chooses no site; leave it out to choose all: {known}")
    for pattern in chosen:
        if not fnmatch.filter(sites, pattern):
            raise ConversionError(f"no site matches '{pattern}'; {known}")
    return {name for pattern in chosen for name in fnmatch.filter(sites, pattern)}
