"""Optional dependencies, imported where they are used and missed with a helpful message."""

from __future__ import annotations

import importlib
from types import ModuleType

from spikewright.errors import MissingExtra


def require_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: the dotted name to import, e.g. `"torchvision.datasets"`.
        extra: the extra of this package that installs it, e.g. `"vision"`.
        purpose: what needs it, as the subject of a sentence, e.g. `"the data set 'cifar10'"`.

    Returns:
        The imported module.

    Raises:
        MissingExtra: if the package is not installed. An error *inside* an installed package
            is passed on as it is.

    Example:
        >>> require_extra("torch.nn", "vision", "this example").__name__
        'torch.nn'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtra(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install 'spikewright[{extra}]'"
        ) from error
