"""The rules of the library, one file a family of operations; importing this room registers them."""

import importlib
import pkgutil

for _file in pkgutil.iter_modules(__path__):
    if not _file.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_file.name}")
