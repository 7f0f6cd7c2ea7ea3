"""`load_model`: from the name of a model, as a user writes it, to a network in eval mode."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from spikewright.errors import ModelError, raised_at
from spikewright.files import AnyPath
from spikewright.models.exported import load_exported
from spikewright.models.packages import hugging_face_factory, timm_factory, ultralytics_factory
from spikewright.models.published import preset_of, suggestion, torchvision_factory
from spikewright.models.weights import load_weights
from spikewright.runs.trained import load_trained
from spikewright.runs.zoo import zoo_folder
from spikewright.seeding import seeded

FORMS = (
    "torchvision:NAME, torchvision:NAME@WEIGHTS, timm:NAME, hf:PATH_OR_NAME, "
    "ultralytics:FILE.yaml, run:DIR, zoo:NAME, package.module:factory, or a path ending in .pt2"
)
PACKAGES: dict[str, Callable[[str], Callable[..., Any]]] = {
    "torchvision": torchvision_factory,
    "timm": timm_factory,
    "hf": hugging_face_factory,
    "ultralytics": ultralytics_factory,
}
"""What stands before the colon of a model of one of these packages."""
INITIALISATION_SEED = 0


def load_model(spec: str, weights: AnyPath | None = None, **factory_arguments: Any) -> nn.Module:
    """Make a network by name, load its weights, and put it in eval mode.

    =========================  ==================================================================
    spec                       what it is
    =========================  ==================================================================
    `torchvision:resnet18`     a classifier of torchvision, with random weights; needs extra
                               `vision`
    `torchvision:resnet18@W`   the same with the weights that torchvision publishes as W, such as
                               `DEFAULT` or `IMAGENET1K_V1`; they are downloaded once
    `timm:resnet18`            an architecture of timm, with random weights; needs extra `timm`
    `hf:bert`                  a model of transformers: a folder with `config.json`, a JSON file,
                               a model type or a class; needs extra `hf`. See
                               `spikewright.models.packages.hugging_face_factory`
    `ultralytics:yolov8n.yaml` a network of ultralytics, from a yaml file; needs that package
    `run:DIR`                  what `spikewright train` left in DIR: the network of `card.json`
                               with its weights, which must be those that the card was made for
    `zoo:NAME`                 the same, shipped with the package: see `spikewright.runs.zoo`
    `package.module:factory`   a function or class in an importable module; the current
                               directory is on the path. **Importing it runs it.**
    `folder/model.pt2`         a program saved by `torch.export.save`. **Trust it as you would
                               a Python program**: see `spikewright.models.exported`
    =========================  ==================================================================

    It takes images as they were prepared for its training: mean and standard deviation of a `run:`
    or `zoo:` stand in its card, `read_card(folder).data`.

    Without `weights`, the model keeps the weights that it is made with: random ones, drawn
    from a fixed seed (the caller's random state is left alone), unless a factory loads its own.

    Args:
        spec: one of the forms above.
        weights: a safetensors file that fits the model exactly; see `load_weights`. A `run:` or
            `zoo:` has its own and takes no others.
        **factory_arguments: passed to the factory, e.g. `num_classes=10`.

    Returns:
        The network, in eval mode, on the CPU unless its factory put it elsewhere.

    Raises:
        ModelError: if the model cannot be found or made, or the weights do not fit it.
        MissingExtra: for a model of a package that is not installed.

    Example:
        >>> load_model("spikewright.models:resnet20", num_classes=100).linear.out_features
        100
    """
    weights = None if weights is None else Path(weights)
    if spec.endswith(".pt2"):
        return _exported(Path(spec).expanduser(), weights, factory_arguments)
    if spec.endswith(".safetensors"):
        raise ModelError(
            f"'{spec}' holds tensors, and no model: weights stand beside the model that they fit "
            "(--weights); a converted network is taken by spikewright inspect, evaluate, export "
            "and finetune"
        )
    source, colon, name = spec.partition(":")
    if not colon or not source or not name:
        raise ModelError(f"unknown model '{spec}'; give {FORMS}")
    folder = trained_folder(spec)
    if folder is not None:
        _refuse_own(spec, weights, factory_arguments)
        return load_trained(folder)
    if weights is not None and preset_of(spec) is not None:
        raise ModelError(f"'{spec}' names its weights: leave '{weights}' out, or what follows @")
    factory = PACKAGES[source](name) if source in PACKAGES else _factory(source, name)
    model = _make(spec, factory, factory_arguments)
    if weights is not None:
        load_weights(model, weights)
    return model.eval()


def trained_folder(spec: str) -> Path | None:
    """The folder of a network that this library trained; None if `spec` names another model.

    Raises:
        ModelError: for a `zoo:` that is not there.
    """
    source, _, name = spec.partition(":")
    if source == "run":
        return Path(name).expanduser()
    return zoo_folder(name) if source == "zoo" else None


def _exported(path: Path, weights: Path | None, factory_arguments: dict[str, Any]) -> nn.Module:
    if factory_arguments:
        raise ModelError(
            f"'{path}' is an exported program and takes no arguments, "
            f"got: {', '.join(factory_arguments)}"
        )
    model = load_exported(path)
    if weights is not None:
        load_weights(model, weights)
    return model


def _refuse_own(spec: str, weights: Path | None, factory_arguments: dict[str, Any]) -> None:
    """A trained network is complete: nothing can be given besides."""
    superfluous = ([] if weights is None else [f"weights '{weights}'"]) + list(factory_arguments)
    if superfluous:
        raise ModelError(
            f"'{spec}' is a network with its own weights and arguments; leave out: "
            f"{', '.join(superfluous)}, or name the factory, e.g. spikewright.models:resnet20"
        )


def imported(module_name: str, name: str) -> Any:
    """What an importable module calls so; the current directory is on the path.

    Raises:
        ModelError: when the module cannot be imported, or has nothing of that name.
    """
    try:
        with current_directory_on_path():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ModelError(
                f"importing '{module_name}' failed: {error}; install what it needs"
            ) from error
        raise ModelError(
            f"there is no module '{module_name}'; run from the folder that holds it, "
            "or install the package it is in"
        ) from error
    except (Exception, SystemExit) as error:  # a user's module can raise anything, and exit
        raise ModelError(
            f"importing '{module_name}' failed: {type(error).__name__}: {error}{raised_at(error)}"
        ) from error
    value = getattr(module, name, None)
    if value is None:
        public = [entry for entry in vars(module) if not entry.startswith("_")]
        file = getattr(module, "__file__", None)
        raise ModelError(
            f"module '{module_name}' has no '{name}'{suggestion(name, public)}"
            + f"; it is the file {file}" * (file is not None)
        )
    return value


def _factory(module_name: str, name: str) -> Callable[..., Any]:
    factory = imported(module_name, name)
    if isinstance(factory, nn.Module) or not callable(factory):
        raise ModelError(
            f"'{module_name}:{name}' is a {type(factory).__name__}; "
            "name a function or class that returns the network"
        )
    return factory


def _make(spec: str, factory: Callable[..., Any], arguments: dict[str, Any]) -> nn.Module:
    try:
        with seeded(INITIALISATION_SEED), current_directory_on_path():
            model = factory(**arguments)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # a user's factory can raise anything, and exit
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        lacks = isinstance(error, TypeError) and "missing" in str(error)
        raise ModelError(
            f"calling {spec}({shown}) failed: {type(error).__name__}: {error}{raised_at(error)}"
            + "; give it as --model-argument NAME=VALUE (in Python: load_model(..., NAME=VALUE))"
            * lacks
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"{spec} returned a {type(model).__name__}; it must return a nn.Module")
    return model


@contextmanager
def current_directory_on_path() -> Generator[None]:
    """A user's own modules are found in the current directory, also by what imports them late."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before
