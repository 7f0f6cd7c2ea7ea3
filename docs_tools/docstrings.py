"""What the API reference needs to know of this library's docstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe


class SingularExamples(griffe.Extension):
    """Reads a section `Example:` like `Examples:`; the parser takes the first for a remark."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every function, class and module."""
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE
            )
