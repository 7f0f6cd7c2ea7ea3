# pyright: reportPrivateUsage=false
"""Half of the time of a small capture, saved: what torch makes anew for each is made once.

While `run_decompositions` runs, torch gives each of its 525 composite operators a kernel for each
of 20 dispatch keys, and takes them all away again: 0.1 s, as much as the tracing itself. The
kernels are the same every time, so they are kept and put in place. An operator whose own kernels
have changed since, or that is to be decomposed, goes torch's way.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch._export.utils as listing
import torch.export.exported_program as programs
from torch._subclasses import fake_impls

_overridden = programs._override_composite_implicit_decomp
_preserve = listing._special_op_to_preserve_cia
_kernels: dict[Any, tuple[dict[Any, Any], dict[Any, Any], Any]] = {}
"""By operator: its own kernels, those while it is preserved, and its rule for fake tensors."""


def install() -> None:
    """Make captures of this process quick."""
    # a tenth of every capture: torch lists its own operators anew; no test adds to those of C++
    listing._materialize_cpp_cia_ops = lru_cache(listing._materialize_cpp_cia_ops)
    programs._override_composite_implicit_decomp = _quickly_overridden


@contextmanager
def _quickly_overridden(table: Mapping[Any, Any]) -> Generator[None]:
    rules = fake_impls.op_implementations_dict
    plain = [op for op, kernel in table.items() if kernel is _preserve and op not in rules]
    kept = {op for op in plain if op in _kernels and op.py_kernels == _kernels[op][0]}
    before = {op: op.py_kernels.copy() for op in plain if op not in kept}
    with _overridden({op: kernel for op, kernel in table.items() if op not in kept}):
        _kernels.update({op: (own, op.py_kernels.copy(), rules[op]) for op, own in before.items()})
        for op in kept:
            _, preserved, rule = _kernels[op]
            _put(op, preserved)
            fake_impls.register_op_impl(op)(rule)
        try:
            yield
        finally:
            for op in kept:
                _put(op, _kernels[op][0])
                fake_impls._deregister_op_impl(op)


def _put(op: Any, kernels: dict[Any, Any]) -> None:
    op.py_kernels.clear()
    op.py_kernels.update(kernels)
    op._dispatch_cache.clear()
