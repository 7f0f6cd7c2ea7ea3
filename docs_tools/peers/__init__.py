"""The claims of docs/comparison.md that can be run: `python -m docs_tools peers`."""

from importlib.util import find_spec

from docs_tools.peers import sinabs, snntorch, spikingjelly
from docs_tools.peers.claim import Claim, Finding

CLAIMS = (*spikingjelly.CLAIMS, *sinabs.CLAIMS, *snntorch.CLAIMS)
"""Every claim."""


def missing_package(claim: Claim) -> str | None:
    """The package that a claim needs and that is not installed."""
    return None if find_spec(claim.package) else claim.package


__all__ = ["CLAIMS", "Claim", "Finding", "missing_package"]
