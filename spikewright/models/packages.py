"""Networks of timm, transformers and ultralytics, by name; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from spikewright.errors import ModelError
from spikewright.extras import require_extra, require_package
from spikewright.models.published import suggestion

AGPL = (
    " (its licence is the AGPL-3.0, so it is no extra of this library: "
    "installing it is your own choice)"
)


def timm_factory(name: str) -> Callable[..., Any]:
    """What makes `timm:NAME`: an architecture of timm with random weights.

    Raises:
        ModelError: for an architecture that timm does not have, or a name with its weights' tag.
        MissingExtra: without timm.
    """
    timm = require_extra("timm", "timm", f"the model 'timm:{name}'")
    architecture, dot, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ModelError(
            f"timm has no architecture '{architecture}'"
            f"{suggestion(architecture, timm.list_models())}; timm.list_models() lists them"
        )
    if dot:
        raise ModelError(
            f"'timm:{name}' names published weights ('{tag}'), and nothing is downloaded: give "
            f"timm:{architecture}, and the weights as a safetensors file with --weights"
        )

    def make(**arguments: Any) -> nn.Module:
        for argument in ("pretrained", "checkpoint_path"):
            if argument in arguments:
                raise ModelError(
                    f"'{argument}' is not taken: weights are a safetensors file, --weights FILE"
                )
        return timm.create_model(architecture, pretrained=False, **arguments)

    return make


def hugging_face_factory(name: str) -> Callable[..., Any]:
    """What makes `hf:NAME`; the factory's arguments replace fields of the configuration.

    Args:
        name: a folder with `config.json` (and `*.safetensors`: its weights), the JSON file of a
            configuration, a type of configuration (`bert`) or a class (`BertForMaskedLM`), the last
            two with its default configuration. Without weight files the weights are random.

    Raises:
        ModelError: for a name that is none of these.
        MissingExtra: without transformers.
    """
    library = require_extra("transformers", "hf", f"the model 'hf:{name}'")
    path = Path(name).expanduser()
    if path.is_dir() or path.suffix == ".json":
        return lambda **fields: _saved(library, path, fields)
    if name in library.CONFIG_MAPPING:
        factory, configuration = library.AutoModel.from_config, library.CONFIG_MAPPING[name]
        return lambda **fields: factory(_configuration(configuration, fields))
    factory = getattr(library, name, None) if name.isidentifier() else None
    configuration = getattr(factory, "config_class", None)
    if factory is None or configuration is None:
        raise ModelError(
            f"'hf:{name}' is no folder with a config.json, no JSON file, and transformers has no "
            f"model type or class of this name{suggestion(name, list(library.CONFIG_MAPPING))}; "
            "nothing is downloaded: fetch a model of the hub into a folder first"
        )
    return lambda **fields: factory(_configuration(configuration, fields))


def ultralytics_factory(name: str) -> Callable[..., Any]:
    """What makes `ultralytics:FILE`: the network of a yaml file, its own or one of the package's.

    ultralytics evaluates parts of that file: **trust it as you would a Python program.**

    Raises:
        ModelError: for a checkpoint, which ultralytics would unpickle, or an address.
        MissingExtra: without ultralytics.
    """
    if "://" in name:
        raise ModelError(f"'{name}' is an address, and nothing is downloaded: give a yaml file")
    if Path(name).suffix not in {".yaml", ".yml"}:
        raise ModelError(
            f"'{name}' is no yaml file. A checkpoint of ultralytics is a pickle, which can run any "
            "code when it is read, so this library reads none: give the network's yaml with "
            "--weights FILE.safetensors, or a program saved by torch.export as FILE.pt2; in "
            "Python, YOLO(FILE).model is a network like any other"
        )
    purpose = f"the model 'ultralytics:{name}'"
    library = require_package("ultralytics", "ultralytics", purpose, AGPL)

    def make(**arguments: Any) -> Any:
        return library.YOLO(name, **arguments).model

    return make


def _saved(library: Any, path: Path, fields: dict[str, Any]) -> nn.Module:
    """The network of a configuration's file or folder, with the folder's weights."""
    read = partial(library.AutoConfig.from_pretrained, local_files_only=True)
    config = _configuration(partial(read, str(path), trust_remote_code=False), fields)
    wanted = (config.architectures or ["AutoModel"])[0]
    factory = getattr(library, wanted, None)
    if factory is None:
        raise ModelError(
            f"transformers has no class '{wanted}', which '{path}' names (code that comes beside "
            "a configuration is not run)"
        )
    if any(path.glob("*.safetensors")):
        model, report = factory.from_pretrained(
            str(path),
            config=config,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
        missing = sorted(report["missing_keys"])
        if missing:
            raise ModelError(f"the weights in '{path}' lack {', '.join(missing)}")
        return model.float()
    if any(file for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in path.glob(pattern)):
        raise ModelError(
            f"the weights in '{path}' are pickles, which can run any code when they are read: "
            "save them as safetensors (model.save_pretrained does)"
        )
    return library.AutoModel.from_config(config) if wanted == "AutoModel" else factory(config)


def _configuration(make: Callable[..., Any], fields: dict[str, Any]) -> Any:
    """The configuration with other values in some of its fields; transformers passes typos over."""
    config = make()
    for key in fields:
        if not hasattr(config, key):
            raise ModelError(
                f"{type(config).__name__} has no field '{key}'"
                f"{suggestion(key, list(config.to_dict()))}"
            )
    return make(**fields) if fields else config
