"""One architecture: does it convert, and is what comes out what it should be?"""

from __future__ import annotations

import resource
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import spikewright as sw
from docs_tools.census.building import Inputs, called
from docs_tools.census.entries import PACKAGES, Entry
from docs_tools.census.record import Reason, Record
from spikewright.graph import survey

FINE_STEPS = 16
"""Of the binary code: 65,535 levels, so that what is left is no rounding of counts."""
LARGEST_ERROR = 1e-3
"""Of the answer at `FINE_STEPS`; where it is more, more steps must tell why."""
FINER_STEPS = 24
"""For functions of such a range, reciprocals above all, that a sixteenth bit is not the last."""
COARSE_STEPS = 4
"""At which the engines are compared with each other: few levels make every tie likely."""
SMALL = 200_000
"""Units of a network that is run step by step as well."""
SEED = 0
DRAWS = 3
"""Of a network's random weights and inputs, where a layer of it is dead by chance."""
STIRRED = 0.1
"""Standard deviation of the parameters that begin as zeros."""


def examine(entry: Entry, save: Callable[[Record], None], survey_only: bool = False) -> None:
    """Try one architecture; `save` is given the record whenever there is more to it.

    Args:
        entry: the architecture.
        save: keeps a record.
        survey_only: whether to stop before the conversion; what converts has stage "survey".
    """
    precision = torch.get_default_dtype()
    for draw in range(DRAWS):
        record = Record(entry.source, entry.name, library=_versions(entry.source))
        torch.manual_seed(SEED + draw)
        try:
            _examine(entry, record, save, survey_only)
        finally:
            torch.set_default_dtype(precision)
        if "never gave an activation" not in record.message:
            return


def _examine(
    entry: Entry, record: Record, save: Callable[[Record], None], survey_only: bool
) -> None:
    try:
        with _stage(record, "build", save):
            model, inputs = entry.build()
            _stir(model.eval())
            _answer(model, inputs)
    except Exception as error:  # a package's own
        record.verdict, record.message = "not built", _told(error)
        return save(record)
    try:
        with _stage(record, "survey", save):
            _survey(model, inputs, record)
        if record.verdict == "refused":
            return save(record)
        record.verdict = "converts"
        if survey_only:
            return save(record)
        record.verdict = "stopped"
        _measure(model, inputs, record, save)
        record.verdict, record.stage = "converts", "done"
    except sw.SpikewrightError as error:
        refused = record.stage == "survey"
        record.verdict, record.message = "refused" if refused else "failed", str(error)
    except Exception as error:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            record.verdict = "stopped"  # at the limit of this run
            record.message = f"out of memory in stage '{record.stage}'"
        else:  # a fault of the library
            record.verdict, record.message = "failed", _told(error)
    save(record)


def _stir(model: nn.Module) -> None:
    """Draw the parameters that begin as zeros, behind which a network's branches are silent."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and not parameter.any():
                parameter.normal_(std=STIRRED)


def _survey(model: nn.Module, inputs: Inputs, record: Record) -> None:
    found = survey(model, as_given(inputs))
    if found.offenders:
        grouped = Counter((o.operator, o.reason, o.remedy) for o in found.offenders)
        record.reasons = [Reason(*key, times) for key, times in grouped.most_common()]
        record.verdict = "refused"
        record.message = f"{len(found.offenders)} operations have no spiking form"
        return
    graph = found.require_convertible()
    record.units = dict(Counter(op.operator for op in graph.neurons))
    record.values = sum(torch.Size(op.shape).numel() for op in graph.neurons)


def _measure(
    model: nn.Module, inputs: Inputs, record: Record, save: Callable[[Record], None]
) -> None:
    with _stage(record, "convert", save):
        model, inputs = _in_double(model, inputs, record)
        expected = _answer(model, inputs)
        snn = _network(model, inputs, FINE_STEPS)

    def answer(snn: sw.SpikingNetwork, steps: int, engine: Any = "counts") -> Any:
        given = {"steps": steps, "engine": engine}
        with torch.no_grad():
            return snn(**inputs, **given) if isinstance(inputs, dict) else snn(*inputs, **given)

    with _stage(record, "counts", save):
        found = answer(snn, FINE_STEPS)
        record.error = difference(found, expected)
        record.twin = difference(found, _answer(snn.twin(), inputs), largest=True)
        if record.error >= LARGEST_ERROR:
            finer = _network(model, inputs, FINER_STEPS)
            record.finer = difference(answer(finer, FINER_STEPS), expected)
    if record.values <= SMALL:
        with _stage(record, "steps", save):
            counts = answer(snn, COARSE_STEPS)
            record.steps = difference(answer(snn, COARSE_STEPS, "steps"), counts, largest=True)
    with _stage(record, "audit", save):
        audit = snn.audit(as_given(inputs), steps=COARSE_STEPS)
        record.audit = list(audit.objections)


def _network(model: nn.Module, inputs: Inputs, steps: int) -> sw.SpikingNetwork:
    settings = (sw.TwoPhase("nearest", "binary"), sw.Maximum(), steps, None)
    return sw.convert(model, [as_given(inputs)], *settings)


def as_given(inputs: Inputs) -> Any:
    """One batch of calibration data: a single tensor as it is, several as they are called."""
    return inputs[0] if isinstance(inputs, tuple) and len(inputs) == 1 else inputs


def _in_double(model: nn.Module, inputs: Inputs, record: Record) -> tuple[nn.Module, Inputs]:
    """The model in float64, unless its own code mixes precisions there."""

    def double(value: Any) -> Any:
        floating = isinstance(value, Tensor) and value.is_floating_point()
        return value.double() if floating else value

    given = pytree.tree_map(double, inputs)
    torch.set_default_dtype(torch.float64)
    try:
        model.double()
        _answer(model, given)
    except Exception:  # the model's own, such as a float32 constant in a product
        torch.set_default_dtype(torch.float32)
        record.precision = "float32"
        return model.float(), inputs
    return model, given


def _answer(model: nn.Module, inputs: Inputs) -> Any:
    with torch.no_grad():
        return called(model, inputs)


def difference(found: Any, expected: Any, largest: bool = False) -> float:
    """The distance of two answers of one structure, relative to the expected one.

    Of several tensors the worst counts. `largest`: the largest difference of a value, relative to
    the largest value, in place of the norms.
    """
    worst = 0.0
    for a, b in zip(tensors(found), tensors(expected), strict=True):
        finite = torch.isfinite(b)
        a, b = a[finite].double(), b[finite].double()
        if not b.numel():
            continue
        gap = (a - b).abs().max() if largest else (a - b).norm()
        size = b.abs().max() if largest else b.norm()
        worst = max(worst, float(gap / size) if size > 0 else float(gap))
    return worst


def tensors(answer: Any) -> Iterator[Tensor]:
    """Yield every floating-point tensor of an answer, in order."""
    if isinstance(answer, Tensor):
        if answer.is_floating_point():
            yield answer
    elif isinstance(answer, dict):
        for value in answer.values():
            yield from tensors(value)
    elif isinstance(answer, list | tuple):
        for value in answer:
            yield from tensors(value)
    elif is_dataclass(answer):
        for field in fields(answer):
            yield from tensors(getattr(answer, field.name))


@contextmanager
def _stage(
    record: Record, name: str, save: Callable[[Record], None]
) -> Generator[None, None, None]:
    record.stage = name
    save(record)
    before = time.process_time()
    try:
        yield
    finally:
        record.seconds[name] = round(time.process_time() - before, 2)
        record.memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _versions(source: str) -> dict[str, str]:
    found = {"spikewright": sw.__version__, "torch": torch.__version__.partition("+")[0]}
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(
        asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    if commit.returncode == 0:
        found["commit"] = commit.stdout.strip()
    for package in PACKAGES[source]:
        try:
            found[package] = version(package.replace("_", "-"))
        except PackageNotFoundError:
            continue
    return found
