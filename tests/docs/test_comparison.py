"""Claims about other libraries hold with the versions installed, and the page cites them all."""

from __future__ import annotations

import re

import pytest

from docs_tools.peers import CLAIMS, Claim, missing_package

from .pages import text_of

THEIRS = "ignore::"
"""Peers warn of their own accord; what is tested is what they do."""


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_claim_holds(claim: Claim) -> None:
    package = missing_package(claim)
    if package:
        pytest.skip(f"{package} is not installed")
    finding = claim.run()
    assert finding.holds, finding.told


def test_the_page_cites_every_claim_and_no_other() -> None:
    cited = re.findall(
        r"`((?:spikingjelly|sinabs|snntorch)-[a-z-]+)`", text_of("docs/comparison.md")
    )
    assert sorted(set(cited)) == sorted(claim.name for claim in CLAIMS)
