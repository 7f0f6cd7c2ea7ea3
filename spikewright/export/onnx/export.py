"""Export to ONNX: a deterministic two-phase network as one feed-forward graph, checked on the spot.

A two-phase neuron's count depends on its total charge alone, so T time steps are one forward pass
on counts (`network.counts`). With nearest rounding nothing in it is random, and what is left are
convolutions, sums, floors and clips, which any ONNX runtime computes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spikewright.devices import cpu_by_default
from spikewright.errors import InterchangeError, UnsupportedOperation
from spikewright.export.onnx.check import PURPOSE, Agreement, Runner, answered_inputs, compared
from spikewright.export.onnx.graph import COUNTS, OPSET, counting_model, input_names, output_names
from spikewright.export.onnx.integers import in_integers
from spikewright.extras import require_extra
from spikewright.files import AnyPath, write_whole
from spikewright.graph import Graph
from spikewright.graph.inputs import Batch
from spikewright.graph.rule import rule_of
from spikewright.network import Precision, SpikingNetwork
from spikewright.network.plan import Plan
from spikewright.network.site_names import label_of
from spikewright.version import __version__

_BATCHES = (3, 1)
"""Sizes of the random batches that a model is checked on; the first one is traced."""


@cpu_by_default()
def export_onnx(
    network: SpikingNetwork, path: AnyPath, steps: int, source_sha256: str | None = None
) -> str:
    """Write the count engine of a network at one T as an ONNX model.

    The model takes `images` `[batch, *S]`, float32, the batch of any size (several inputs, or token
    ids, by the names that the source model has for them), and gives `logits`
    `[batch, classes]`; where the network has several outputs, each by its place in the answer, such
    as `0` or `boxes.scores` (constants in the answer are left out), with `.out` behind it where an
    input is called so. The counts of every site are the inner values `counts:SITE`. Before anything
    is written, onnxruntime runs it on random inputs: every count must be the count engine's,
    unless its charge lies on a decision boundary, and every output within 1e-4 of the largest.

    Args:
        network: every neuron `TwoPhase("nearest")`, or `SpikeTracer()`, whose settled answer it
            gives; float32, on the CPU, in precision float32 or int8. It stays as it is.
        path: where the file goes; an older file there is replaced in one move.
        steps: T.
        source_sha256: the SHA-256 of the saved network that this one was loaded from, for the
            metadata.

    Returns:
        What was written and how it was checked, in a few lines.

    Raises:
        UnsupportedOperation: for a network that ONNX cannot hold, naming every reason at once.
        InterchangeError: when the exported model disagrees; when the file cannot be written.
        MissingExtra: without the packages of the extra 'onnx'.
    """
    path, reasons = Path(path), objections(network)
    if reasons:
        raise UnsupportedOperation(
            f"ONNX cannot hold this network: {'; '.join(reasons)}. Nothing was written"
        )
    onnx = require_extra("onnx", "onnx", PURPOSE)
    require_extra("onnxscript", "onnx", PURPOSE)
    plan = replace(network.plan(steps), quick=False)
    batches = [answered_inputs(plan, size) for size in _BATCHES]
    model = counting_model(plan, batches[0])
    integers = in_integers(model, plan) if network.precision is Precision.INT8 else 0
    _describe(model, network, plan, source_sha256)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        why = str(error).strip().partition("\n")[0]
        raise InterchangeError(
            f"the exported model is no valid ONNX ({why}); nothing was written, please report this"
        ) from error
    content, agreement = checked(plan, model, batches)
    try:
        write_whole(path, content)
    except OSError as error:
        raise InterchangeError(f"cannot write '{path}' ({error.strerror})") from error
    return _summary(path, content, plan, agreement, integers)


def objections(network: SpikingNetwork) -> list[str]:
    """Why ONNX cannot hold a network; empty if it can."""
    reasons: list[str] = []
    for label in dict.fromkeys(neuron.label for neuron in network.neurons.values()):
        sites = [site for site, neuron in network.neurons.items() if neuron.label == label]
        neuron = network.neurons[sites[0]]
        if not neuron.has_count_law:
            why = (
                "has no count that follows from its total charge alone, and an ONNX graph has no "
                "time steps: export to NIR, or change to"
            )
        elif neuron.stochastic:
            why = "draws random numbers, which no two runtimes draw alike: change to"
        elif neuron.fits_function:
            reasons.append(
                f"'{label}' at {', '.join(sites)} runs the steps of a table, which are not written "
                "to ONNX: convert with spikewright.TwoPhase('nearest', 'binary')"
            )
            continue
        else:
            continue
        exchange = 'network.with_neuron(spikewright.TwoPhase("nearest"))'
        reasons.append(f"'{label}' at {', '.join(sites)} {why} {exchange}")
    tensors = network.graph.tensors.values()
    dtypes = sorted({str(t.dtype) for t in tensors if t.is_floating_point()} - {"torch.float32"})
    if dtypes:
        reasons.append(f"its weights are {', '.join(dtypes)}: call network.float()")
    if any(tensor.device.type != "cpu" for tensor in tensors):
        reasons.append("it is not on the CPU: call network.cpu()")
    if network.precision is Precision.BF16:
        reasons.append(
            f"it computes in {network.precision}: call network.with_precision('float32'), or "
            "'int8', which is exported with integer operators"
        )
    for place, dim in network.graph.structure.moved.items():
        reasons.append(
            f"its answer '{place}' has the batch at dimension {dim}: return it with the batch first"
        )
    return reasons + _dropped_options(network.graph)


def _dropped_options(graph: Graph) -> list[str]:
    """Options that torch's exporter leaves out, so that the model would compute other numbers."""
    reasons: list[str] = []
    for op in graph.operations:
        lost = rule_of(op).lost_in_onnx(op)
        if lost is not None:
            place = f"{op.operator} in '{op.module}' ({op.source})"
            reasons.append(
                f"{place} has {lost}, which torch's exporter to ONNX leaves out: use the plain "
                "average, multiplied by a constant"
            )
    return reasons


def checked(plan: Plan, model: Any, batches: list[Batch]) -> tuple[bytes, Agreement]:
    """The bytes of a model that agrees with the count engine, without its counts as outputs.

    Args:
        plan: what the model was made from.
        model: an `onnx.ModelProto` with all counts as outputs; they are taken off.
        batches: inputs to compare on.

    Raises:
        InterchangeError: when it disagrees.
    """
    whole = Runner(model.SerializeToString(deterministic=True))
    names = output_names(plan.source)
    model.graph.value_info.extend(model.graph.output[len(names) :])
    del model.graph.output[len(names) :]
    content: bytes = model.SerializeToString(deterministic=True)
    last = Runner(content)
    agreements: list[Agreement] = []
    for images in batches:
        values = whole(images)
        outputs = [values.pop(name) for name in names]
        counts = {name.removeprefix(COUNTS): count for name, count in values.items()}
        agreements.append(compared(plan, images, outputs, counts))
        alone = last(images)
        agreements.append(compared(plan, images, [alone[name] for name in names], counts))
    return content, Agreement(
        sum(each.counts for each in agreements[::2]),
        sum(each.flipped for each in agreements[::2]),
        max(each.apart for each in agreements),
    )


def _describe(model: Any, network: SpikingNetwork, plan: Plan, sha256: str | None) -> None:
    """Say in the model's metadata what it is."""
    model.producer_name = "spikewright"
    model.producer_version = __version__
    model.doc_string = (
        f"A spiking network of two-phase neurons at T = {plan.steps}, as one pass on spike "
        "counts. Images are constant in time, or means over T frames; logits are means over time. "
        f"A layer's counts, 0 .. L or -L .. L with L {_reach(plan)}, are the values named "
        f"{COUNTS}SITE."
    )
    facts: dict[str, Any] = {
        "version": __version__,
        "torch": torch.__version__,
        "steps": plan.steps,
        "neuron": label_of(network.neurons),
        "latency_steps": network.latency(plan.steps),
        "input_shape": ", ".join("x".join(map(str, port.shape)) for port in plan.source.inputs),
        "sites": ", ".join(network.sites),
    }
    facts |= {f"output.{name}": place for name, place in _renamed(plan).items()}
    if sha256 is not None:
        facts["source_sha256"] = sha256
    for name, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"spikewright.{name}", str(value)


def _renamed(plan: Plan) -> dict[str, str]:
    """The places in the answer of outputs that are called otherwise, by their names."""
    named = zip(output_names(plan.source), plan.source.structure.names.values(), strict=True)
    return {name: place for name, place in named if name != place}


def _reach(plan: Plan) -> str:
    """The largest count, or that of each site where they differ."""
    if len({*plan.reach.values()}) == 1:
        return str(next(iter(plan.reach.values())))
    return ", ".join(f"{reach} of {site}" for site, reach in plan.reach.items())


def _summary(path: Path, content: bytes, plan: Plan, agreement: Agreement, integers: int) -> str:
    runtime = require_extra("onnxruntime", "onnx", PURPOSE)
    shapes = [", ".join(("batch", *map(str, port.shape))) for port in plan.source.inputs]
    named = zip(input_names(plan.source), shapes, strict=True)
    inputs = ", ".join(f"{name} [{shape}]" for name, shape in named)
    names = ", ".join(output_names(plan.source))
    renamed = "".join(
        f"\n  {name} is the answer's '{place}': that is the name of another value"
        for name, place in _renamed(plan).items()
    )
    eight_bit = f"; {integers} operators in 8-bit integers" if integers else ""
    return (
        f"{path}: ONNX, operators of version {OPSET}, {len(content):,} bytes\n"
        f"  {inputs} to {names}, T = {plan.steps}{eight_bit}{renamed}\n"
        f"  checked in onnxruntime {runtime.__version__} on {sum(_BATCHES)} random samples: "
        f"{agreement.counts - agreement.flipped:,} of {agreement.counts:,} counts equal those of "
        f"the count engine, {agreement.flipped:,} on a decision boundary; {names} within "
        f"{agreement.apart:.1g}"
    )
