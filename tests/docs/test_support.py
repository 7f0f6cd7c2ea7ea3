"""docs/support.md is what trying every call gives today."""

from __future__ import annotations

import pytest
import torch

from docs_tools.support import page

pytest.importorskip("torchvision")


def test_the_part_on_operations_is_up_to_date() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    version = torch.__version__.partition("+")[0]
    if f"torch {version}:" not in text:
        pytest.skip(f"the page was made with another torch than {version}")
    expected = page.operations_part()
    assert text[: text.index(page.MODELS)] == expected, f"run `{page.COMMAND} --operations-only`"


def test_every_family_of_torchvision_is_tried_and_told() -> None:
    from docs_tools.support.models import FAMILIES, uncovered

    assert not uncovered(), "a new family of torchvision: add a member of it to FAMILIES"
    text = page.kept_models_part()
    missing = [name for name in FAMILIES.values() if f"| {name} |" not in text]
    assert not missing, f"run `{page.COMMAND}`"
