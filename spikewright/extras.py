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
    return require_package(module, f"'spikewright[{extra}]'", purpose)


def require_package(module: str, installs: str, purpose: str, remark: str = "") -> ModuleType:
    """Import a package that is no dependency; `require_extra` for one that no extra brings.

    Args:
        module: the dotted name to import.
        installs: what `pip install` is given for it.
        purpose: what needs it, as the subject of a sentence.
        remark: what follows the line that installs it.

    Returns:
        The imported module.

    Raises:
        MissingExtra: if the package is not installed. An error *inside* an installed package
            is passed on as it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtra(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install {installs}{remark}"
        ) from error
