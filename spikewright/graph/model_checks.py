"""What a model must be before torch.export sees it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from spikewright.devices import has_float64
from spikewright.errors import ConversionError
from spikewright.graph.given import Given
from spikewright.graph.programs import inputs_of

_INFINITE = 2**31
"""Batches at least this large are unbounded for every use."""

_QUANTISED = (
    "torch.ao.nn.qat",
    "torch.ao.nn.quantized",
    "torch.ao.nn.intrinsic.qat",
    "torch.ao.nn.intrinsic.quantized",
    "torch.ao.quantization.fake_quantize",
    "torch.ao.quantization.observer",
)
"""The places of torch.ao's modules that quantise or observe; its stubs and fusions are not, nor is
`FloatFunctional`, which adds as floats do."""


def check_model(model: nn.Module | ExportedProgram) -> None:
    """Refuse what cannot be captured, with the way out; nothing is run.

    Args:
        model: what the user gave.

    Raises:
        ConversionError: for something else than a model; a wrapper, TorchScript or a quantised
            model; training mode; weights without shape or numbers, or not finite; a program of a
            fixed or bounded batch.
    """
    if isinstance(model, ExportedProgram):
        check_program(model)
    elif isinstance(model, nn.Module):
        _check_kind(model)
        _check_mode(model)
    else:
        raise ConversionError(
            f"expected a torch.nn.Module or an ExportedProgram, got {type(model).__name__}"
        )
    require_numbers(model)
    with torch.no_grad():  # tensors made in inference mode allow it in no other
        floating = {n: t for n, t in state_of(model).items() if t.is_floating_point()}
        broken = [name for name, tensor in floating.items() if _broken(tensor)]
    if broken:
        raise ConversionError(
            f"NaN or infinite values in {len(broken)} of the model's weights: {_few(broken)}; "
            "convert a checkpoint from before training diverged"
        )


def require_numbers(model: nn.Module | ExportedProgram) -> None:
    """Refuse weights that have no shape yet, and those on the meta device.

    Raises:
        ConversionError: naming them, and what gives them numbers.
    """
    shapeless = [name for name, t in state_of(model).items() if nn.parameter.is_lazy(t)]
    if shapeless:
        raise ConversionError(
            f"{len(shapeless)} of the model's weights have no shape yet ({_few(shapeless)}): run "
            "the model once on a batch, train it, then convert"
        )
    without = [name for name, tensor in state_of(model).items() if tensor.is_meta]
    if without:
        raise ConversionError(
            f"{len(without)} of the model's weights are on the meta device, which holds no numbers "
            f"({_few(without)}); call model.to_empty(device='cpu'), and load the trained weights"
        )


def calibration_device(model: nn.Module | ExportedProgram) -> torch.device:
    """Where a model's weights are, and its calibration data go; the CPU without any.

    Raises:
        ConversionError: for a device without float64.
    """
    device = next((t.device for t in state_of(model).values()), torch.device("cpu"))
    if not has_float64(device.type):
        raise ConversionError(
            f"the model is on {device}, which has no float64 to calibrate in: convert it on the "
            f"CPU, model.cpu(), and move the network, snn.to('{device.type}')"
        )
    return device


def _broken(tensor: Tensor) -> bool:
    """Whether a tensor is no weight: masks and bounds may be infinite, in buffers, nothing NaN."""
    finite = tensor.isfinite()
    if bool(finite.all()):
        return False
    return isinstance(tensor, nn.Parameter) or bool(tensor.isnan().any())


def recurrent_advice(model: nn.Module, message: str) -> str | None:
    """Why a model with recurrent layers was not captured, or None where they are not the reason.

    Args:
        model: that torch.export refused.
        message: its reason.
    """
    layers = [(path or "the model", m) for path, m in model.named_modules()]
    recurrent = [(path, m) for path, m in layers if isinstance(m, nn.RNNBase)]
    if not recurrent:
        return None
    if "must be tuple of ints" in message:  # the sizes of a packed sequence's steps are a tensor
        return (
            f"the recurrent layers ({_few([path for path, _ in recurrent])}) read packed "
            "sequences, each of which has a length of its own; pass padded ones, all of one length"
        )
    if "onstraint" in message and "size()[0]" in message:
        taken = [f"{path} takes {_LAYOUTS[m.batch_first]}" for path, m in recurrent]
        return (
            "the model fixes its batch size, as when a recurrent layer reads the batch as time: "
            f"{_few(taken)}; a layer made with batch_first=True takes [B, L, F]. Other reasons are "
            "x.view(32, -1), or len(x), which is a plain number"
        )
    return None


_LAYOUTS = {True: "[B, L, F]", False: "[L, B, F]"}


def state_of(model: nn.Module | ExportedProgram) -> Mapping[str, Tensor]:
    """The parameters and buffers of a model, by name."""
    if isinstance(model, ExportedProgram):
        return model.state_dict
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def clashing_names(model: nn.Module | ExportedProgram) -> list[str]:
    """The parameters and buffers whose names are torch's own in the modules it makes of programs.

    Such as "code", or "graph.weight" of a module that is named so.
    """
    program = fx.GraphModule(nn.Module(), fx.Graph())
    return [name for name in state_of(model) if hasattr(program, name.partition(".")[0])]


def takes(model: nn.Module | ExportedProgram, batch: Given) -> bool:
    """Whether a model runs on a batch without an error."""
    try:
        with torch.no_grad():
            batch.answered_by(model)
    except Exception:  # the question was whether it does
        return False
    return True


def check_program(program: ExportedProgram) -> None:
    """Refuse an exported program that cannot be rewritten, or does not take batches of any size.

    Raises:
        ConversionError: naming what it holds or takes, and how to export it.
    """
    if clashing := clashing_names(program):
        raise ConversionError(
            f"this program has tensors whose names torch keeps for itself ({_few(clashing)}): give "
            "the module that it was exported from, or rename them there and export it again"
        )
    again = "export it again with dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)"
    names = inputs_of(program)
    several = len(names) > 1
    if several:
        again = "export it again with dynamic_shapes that give every input {0: Dim('batch')}"
    for node in program.graph.nodes:
        if node.name in names:
            _check_input(node, program, f" in '{node.name}'" if several else "", again)


def _check_input(node: fx.Node, program: ExportedProgram, where: str, again: str) -> None:
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.ndim == 0:
        raise ConversionError(f"this program takes {node.name}, which is no batch; {again}")
    batch, *sample = value.shape
    if isinstance(batch, int):
        raise ConversionError(f"this program was exported for one batch size{where}; {again}")
    bounds = program.range_constraints.get(batch.node.expr)
    if bounds is not None and (bounds.lower > 2 or bounds.upper < _INFINITE):
        most = f" to {bounds.upper}" if bounds.upper < _INFINITE else " or more"
        raise ConversionError(
            f"this program was exported for batches of {bounds.lower}{most}{where}; {again}"
        )
    free = [d for d, size in enumerate(sample, start=1) if not isinstance(size, int)]
    if free:
        raise ConversionError(
            f"this program leaves other dimensions of its input open than the batch ({free})"
            f"{where}; {again}"
        )


def _check_kind(model: nn.Module) -> None:
    """Refuse what stands around a network, or instead of it."""
    name = type(model).__name__
    if hasattr(model, "_orig_mod"):
        raise ConversionError(
            "the model is the result of torch.compile; give the model that was compiled: "
            "model._orig_mod"
        )
    if isinstance(
        model,
        nn.DataParallel | nn.parallel.DistributedDataParallel | torch.optim.swa_utils.AveragedModel,
    ):
        raise ConversionError(
            f"the model is wrapped in {name}; give the model inside: model.module"
        )
    scripted = [path for path, m in model.named_modules() if isinstance(m, torch.jit.ScriptModule)]
    if scripted:
        raise ConversionError(
            f"{scripted[0] or 'the model'} is TorchScript, which cannot be captured; give the "
            "nn.Module it was made from, or a program of torch.export.export"
        )
    quantised = [
        f"{path or 'the model'}: {type(m).__name__}"
        for path, m in model.named_modules()
        if type(m).__module__.startswith(_QUANTISED) and type(m).__name__ != "FloatFunctional"
    ]
    if quantised:
        raise ConversionError(
            f"the model is quantised or prepared for it by torch.ao ({_few(quantised)}); give the "
            "float model it was made from"
        )


def _check_mode(model: nn.Module) -> None:
    """Refuse training mode.

    What `ExportedProgram.module()` gives has none: its `train` is one of its own, and raises.
    """
    modules = dict(model.named_modules())
    programs = [path for path, module in modules.items() if "train" in vars(module)]
    within = tuple(f"{path}." if path else "" for path in programs)
    others = [path for path in modules if not f"{path}.".startswith(within)]
    training = [path or "the model" for path in others if modules[path].training]
    if training:
        way = "set module.training = False for each" if programs else "call model.eval() first"
        raise ConversionError(
            f"{len(training)} modules are in training mode ({_few(training)}); {way}"
        )


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
