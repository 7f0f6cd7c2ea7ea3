"""Models of several inputs, of token ids and masks: how they are called, and what is a signal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, export

import spikewright as sw
from spikewright.graph import evaluate, survey
from spikewright.graph.inputs import batch_of
from spikewright.graph.ir import Kind
from spikewright.measure import decompose

FINE = sw.TwoPhase("nearest", "binary")
IDS, PLACES, WIDTH = 20, 9, 16


class Pair(nn.Module):
    """Two signals, an option and a constant tensor; a dict as its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(
        self, image: Tensor, other: Tensor, *, twice: bool = True, scale: Tensor | None = None
    ) -> dict[str, Tensor]:
        h = torch.relu(self.a(image) + self.b(other))
        h = h * 2 if twice else h
        return {"logits": self.c(h if scale is None else h * scale), "hidden": h}


class Reader(nn.Module):
    """A sentence's class: embeddings, an encoder with a padding mask, the mean of real tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(IDS, WIDTH), nn.Embedding(PLACES, WIDTH)
        self.encoder = nn.TransformerEncoderLayer(
            WIDTH, 4, 32, dropout=0.0, activation="gelu", batch_first=True
        )
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        x = self.encoder(x, src_key_padding_mask=attention_mask == 0)
        shown = attention_mask.unsqueeze(-1).to(x.dtype)
        return self.head((x * shown).sum(1) / shown.sum(1))


def pair(batch: int, **more: Any) -> dict[str, Any]:
    g = torch.Generator().manual_seed(batch)
    image = torch.rand(batch, 4, generator=g, dtype=torch.float64)
    return {"image": image, "other": image.new_ones(batch, 5) * image[:, :1], **more}


def sentences(batch: int, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    length = torch.randint(3, PLACES + 1, (batch, 1), generator=g)
    ids = torch.randint(0, IDS, (batch, PLACES), generator=g)
    return {"input_ids": ids, "attention_mask": (torch.arange(PLACES) < length).long()}


def converted(model: nn.Module, data: Any, **options: Any) -> sw.SpikingNetwork:
    return sw.convert(model, data, FINE, steps=12, **options)


@pytest.fixture(scope="module")
def reader() -> tuple[nn.Module, sw.SpikingNetwork]:
    torch.manual_seed(0)
    model = Reader().double().eval()
    return model, converted(model, [sentences(96, seed) for seed in (1, 2)])


@pytest.fixture(scope="module")
def both() -> tuple[nn.Module, sw.SpikingNetwork]:
    torch.manual_seed(0)
    model = Pair().double().eval()
    data = [pair(n, twice=False, scale=torch.tensor(0.5).double()) for n in (31, 64)]
    return model, converted(model, data)


def test_a_network_is_called_as_its_model(both: tuple[nn.Module, sw.SpikingNetwork]):
    model, snn = both
    x = pair(3)
    expected = model(**x, twice=False, scale=torch.tensor(0.5).double())
    for answer in (
        snn(**x),
        snn(x["image"], x["other"]),
        snn(x["image"], other=x["other"], twice=False),
        snn(**x, scale=torch.tensor(0.5)),
        snn.ann()(**x),
    ):
        assert answer.keys() == expected.keys()
        torch.testing.assert_close(answer["logits"], expected["logits"], atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    {
        "one missing": (lambda snn, x: snn(x["image"]), "takes image, other; 'other' is missing"),
        "steps by place": (lambda snn, x: snn(x["image"], x["other"], 8), "steps, .* are named"),
        "another constant": (
            lambda snn, x: snn(**x, twice=True),
            "'twice' is a constant .* captured as False, got True: convert again",
        ),
        "another tensor": (
            lambda snn, x: snn(**x, scale=torch.ones(2)),
            r"'scale' is a constant .* got a tensor \[2\]",
        ),
        "unknown": (lambda snn, x: snn(**x, third=1), "unexpected keyword argument 'third'"),
        "twice": (lambda snn, x: snn(x["image"], **x), "multiple values for argument 'image'"),
        "precision": (
            lambda snn, x: snn(x["image"], x["other"].float()),
            "'other': this network is torch.float64 .* the input is torch.float32",
        ),
        "size": (lambda snn, x: snn(x["image"], x["image"]), r"'other': .* shape \[B, 5\]"),
        "fewer": (lambda snn, x: snn(x["image"][:1], x["other"]), "'other': got 3 samples, and 1"),
        "integers": (lambda snn, x: snn(x["image"].long(), x["other"]), "'image': .* floating"),
    }.values(),
)
def test_another_call_is_refused_by_name(
    both: tuple[nn.Module, sw.SpikingNetwork], call: Callable[..., Any], message: str
):
    with pytest.raises(sw.ConversionError, match=message):
        call(both[1], pair(3))


def test_a_constant_of_another_dtype_leaves_the_network_its_own(tmp_path: Path):
    model, scale = Pair().eval(), torch.tensor(0.5).double()
    x = {name: tensor.float() for name, tensor in pair(40).items()}
    snn = converted(model, {**x, "scale": scale}, threshold=sw.Maximum())
    assert snn.dtype is torch.float32
    expected = model(**x, scale=scale)["logits"]
    for engine in ("counts", "steps"):
        answer = snn(**x, engine=engine)["logits"]
        torch.testing.assert_close(answer, expected, atol=5e-3, rtol=0)
    snn.save(tmp_path / "pair.safetensors")
    loaded = sw.load(tmp_path / "pair.safetensors")
    assert torch.equal(loaded(**x)["logits"], snn(**x)["logits"])


def test_a_single_number_of_another_dtype_leaves_the_network_its_own():
    class Scales(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", torch.tensor(8.0, dtype=torch.float64))
            self.a, self.n = nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.n(self.a(x))) / self.factor

    x = torch.rand(6, 4)
    snn = sw.convert(Scales().eval(), x, steps=4)
    assert snn.dtype is torch.float32
    assert snn(x).dtype is torch.float32


class TimeSteps(nn.Module):
    """Sines of whole times, computed in float64, beside a signal."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        rates = torch.exp(-torch.arange(4, dtype=torch.float64))
        angles = t[:, None].double() * rates
        times = torch.cat([angles.sin(), angles.cos()], -1).float()
        return self.c(F.relu(self.a(times) + self.b(x)))


class Bytes(nn.Module):
    """Images of whole numbers, brought between 0 and 1 in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a((x.double() / 255).float())).mean((2, 3)))


@pytest.mark.parametrize("model", [TimeSteps(), Bytes()], ids=["times", "bytes"])
def test_constants_in_float64_meet_the_weights_in_their_dtype(model: nn.Module):
    given: dict[str, Tensor] = {"x": torch.randint(0, 255, (4, 3, 6, 6), dtype=torch.uint8)}
    if isinstance(model, TimeSteps):
        given = {"x": torch.rand(6, 5), "t": torch.arange(6)}
    graph = survey(model.eval(), given).require_convertible()
    (answer,) = evaluate(graph, batch_of(list(given.values())))
    torch.testing.assert_close(answer, model(**given).detach(), atol=1e-5, rtol=1e-5)


def test_a_whole_constant_is_no_fraction_near_it():
    model = Pair().double().eval()
    x = pair(40)
    snn = converted(model, {**x, "scale": torch.tensor(3)}, threshold=sw.Maximum())
    for same in (torch.tensor(3), torch.tensor(3.0), torch.tensor(3, dtype=torch.int32)):
        assert torch.equal(snn(**x, scale=same)["logits"], snn(**x)["logits"])
    with pytest.raises(sw.ConversionError, match=r"captured as tensor\(3\), got tensor\(3\.9"):
        snn(**x, scale=torch.tensor(3.9))


def test_a_model_of_nothing_but_whole_numbers_is_refused():
    class Counts(nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            return F.relu(ids.float().double() - 1)

    with pytest.raises(sw.ConversionError, match="no activation"):
        survey(Counts().eval(), torch.randint(0, 5, (8, 4))).require_convertible()


def test_data_of_several_inputs_comes_as_dicts_tuples_or_pairs_with_labels():
    model = Pair().double().eval()
    x = pair(40)
    forms: list[Any] = [
        x,
        [{**x, "labels": torch.zeros(40)}],
        [(x["image"], x["other"])],
        [((x["image"], x["other"]), torch.zeros(40))],
        [(x, torch.zeros(40))],
        [(x["image"], x["other"], torch.zeros(40))],
        [{name: x[name][part] for name in x} for part in (slice(10), slice(10, None))],
    ]
    answers = [converted(model, form)(**x)["logits"] for form in forms]
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], atol=1e-3, rtol=0)


class Joined(nn.Module):
    """Two signals, and any number more."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, first: Tensor, second: Tensor, *more: Tensor) -> Tensor:
        return self.linear(torch.relu(sum(more, first - second)))


def test_a_model_of_any_number_of_inputs_takes_all_that_it_is_given():
    model = Joined().double().eval()
    batch = tuple(pair(40)["image"] * scale for scale in (1, -2, 3, -1.5))
    snn = converted(model, [batch], threshold=sw.Maximum())
    assert [port.shape for port in snn.graph.inputs] == [(4,)] * 4
    torch.testing.assert_close(snn(*batch), model(*batch), atol=1e-2, rtol=0)
    with pytest.raises(sw.ConversionError, match=r"takes first, second, more\.0, more\.1"):
        snn(*batch[:3])


class Twins(nn.Module):
    """Two images through one network, as one batch of twice the size."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        one, other = torch.relu(self.linear(torch.cat([first, second]))).chunk(2)
        return one - other


def test_inputs_may_be_joined_to_one_batch_and_cut_again():
    model = Twins().double().eval()
    x = pair(40)["image"]
    snn = converted(model, [(x, -x)], threshold=sw.Maximum())
    torch.testing.assert_close(snn(x, -x), model(x, -x), atol=2e-3, rtol=0)


@pytest.mark.parametrize("engine", ["counts", "steps"])
def test_ids_and_masks_reach_the_answer_of_the_model(
    reader: tuple[nn.Module, sw.SpikingNetwork], engine: str
):
    model, snn = reader
    x = sentences(96, 1)  # seen by calibration: nothing is clipped
    expected = model(**x)
    error = (snn(**x, engine=engine) - expected).norm() / expected.norm()
    assert error < 1e-3
    torch.testing.assert_close(snn(**x, engine=engine), snn(**x), rtol=0, atol=1e-10)


def test_what_is_made_of_ids_and_masks_is_constant_until_weights_meet_it(
    reader: tuple[nn.Module, sw.SpikingNetwork],
):
    graph = reader[1].graph
    kinds = {op.function: op.kind for op in graph.operations if op.inputs}
    assert kinds["eq"] is Kind.CONSTANT
    assert kinds["embedding"] is Kind.LINEAR
    assert [port.dtype for port in graph.inputs] == [torch.int64, torch.int64]
    relays = [op for op in graph.neurons if op.function == "relay"]
    assert len(relays) == 3  # q, k and v; the mask that multiplies is no factor of spikes


def test_a_padded_token_changes_nothing(reader: tuple[nn.Module, sw.SpikingNetwork]):
    _, snn = reader
    x = sentences(8, 5)
    hidden = x["attention_mask"] == 0
    other = torch.where(hidden, (x["input_ids"] + 7) % IDS, x["input_ids"])
    torch.testing.assert_close(snn(**x), snn(other, x["attention_mask"]))


def test_the_correction_sees_means_over_samples_of_what_masks_leave(
    reader: tuple[nn.Module, sw.SpikingNetwork],
):
    """A mean of masked values is not the masked mean: the correction must average real currents."""
    model, _ = reader
    data = sentences(96, 1)
    coarse = sw.TwoPhase("nearest")
    plain, corrected = (
        sw.convert(model, data, coarse, steps=4, correction=on)(**data)
        for on in (None, sw.calibration.InputMeans())
    )
    mean = model(**data).mean(0)
    assert (corrected.mean(0) - mean).norm() < (plain.mean(0) - mean).norm()


def test_draws_are_keyed_by_all_inputs(reader: tuple[nn.Module, sw.SpikingNetwork]):
    snn = reader[1].with_neuron(sw.TPP())
    x = sentences(6, 3)
    twice = {name: torch.cat([t, t.flip(0)]) for name, t in x.items()}
    answer = snn(**twice, steps=4)
    torch.testing.assert_close(answer[:6], answer[6:].flip(0))
    counts = snn.counts({"input_ids": x["input_ids"], "attention_mask": x["attention_mask"]})
    assert all(count.shape[0] == 6 for count in counts.values())


def test_a_network_of_ids_is_saved_and_read(
    reader: tuple[nn.Module, sw.SpikingNetwork], tmp_path: Path
):
    _, snn = reader
    snn.save(tmp_path / "reader.safetensors")
    x = sentences(5)
    loaded = sw.load(tmp_path / "reader.safetensors")
    assert torch.equal(loaded(**x), snn(**x))
    with pytest.raises(sw.ConversionError, match="'attention_mask' is missing"):
        loaded(x["input_ids"])


class Stereo(NamedTuple):
    left: Tensor
    right: Tensor


class Seeing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 8)

    def forward(self, views: Stereo) -> Tensor:
        return torch.relu(self.a(views.left) - views.right)


def test_a_saved_network_takes_named_tuples_as_its_model(tmp_path: Path):
    views = Stereo(torch.rand(16, 4), torch.rand(16, 8))
    snn = sw.convert(Seeing().eval(), [{"views": views}], threshold=sw.Maximum())
    snn.save(tmp_path / "network.safetensors")
    for network in (snn, sw.load(tmp_path / "network.safetensors")):
        assert torch.equal(network(views=views), snn(views))
        assert torch.equal(network(views=tuple(views)), snn(views))


def test_ids_alone_are_one_input():
    model = nn.Sequential(nn.Embedding(IDS, 8), nn.Flatten(), nn.Linear(8 * PLACES, 6), nn.ReLU())
    model = model.append(nn.Linear(6, 2)).double().eval()
    ids = sentences(64)["input_ids"]
    snn = converted(model, ids)
    torch.testing.assert_close(snn(ids), model(ids).detach(), atol=2e-3, rtol=0)
    with pytest.raises(
        sw.ConversionError, match=r"is torch.int64 on cpu, the input is torch.int32"
    ):
        snn(ids.int())


def test_ids_may_be_one_a_sample():
    model = nn.Sequential(nn.Embedding(IDS, 8), nn.ReLU(), nn.Linear(8, 3)).double().eval()
    ids = sentences(64)["input_ids"][:, 0]
    for given in (ids, {"input": ids}):
        snn = converted(model, given, threshold=sw.Maximum())
        torch.testing.assert_close(snn(ids), model(ids).detach(), atol=2e-3, rtol=0)


def test_indices_from_a_signal_are_refused():
    class Chooses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.table(x.argmax(1)) + F.relu(x[:, :3])

    found = survey(Chooses().eval(), torch.rand(4, 5)).offenders
    assert {o.operator for o in found} >= {"aten.argmax"}


def test_a_model_that_mixes_samples_by_their_ids_is_refused():
    class Mixes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(IDS, 8), nn.Linear(8, 3)

        def forward(self, ids: Tensor) -> Tensor:
            shifted = torch.where(ids > 3, ids, ids.flip(0))
            return self.head(F.relu(self.table(shifted).sum(1)))

    with pytest.raises(sw.ConversionError, match="mixes samples"):
        sw.convert(Mixes().eval(), sentences(12)["input_ids"])


def test_programs_of_several_inputs_convert():
    torch.manual_seed(0)
    model = Reader().double().eval()
    x, batch = sentences(16, 4), Dim("batch")
    shapes = {name: {0: batch} for name in x}
    with torch.no_grad():
        by_place = export(model, tuple(x.values()), dynamic_shapes=shapes)
        by_name = export(model, (), kwargs=x, dynamic_shapes=shapes)
    for program in (by_place, by_name):
        snn = converted(program, x)
        torch.testing.assert_close(snn(**x), model(**x).detach(), atol=5e-3, rtol=0)


class Towers(nn.Module):
    """Two inputs that meet in weights alone."""

    def __init__(self, answer: Callable[[Any, Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.line = nn.Linear(4, 4)
        self.answer = answer

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.answer(self, x, y)


@pytest.mark.parametrize(
    "answer",
    [
        lambda m, x, y: F.relu(m.line(y)),
        lambda m, x, y: (F.relu(m.line(x)), F.relu(m.line(y))),
        lambda m, x, y: (m.line(x), F.relu(m.line(y.flatten(0, 1))).unflatten(0, (-1, 3))),
        lambda m, x, y: F.relu(m.line(y)) + torch.ones(y.shape[0], 3, 4, dtype=y.dtype),
    ],
)
def test_programs_may_leave_the_batches_of_their_inputs_apart(answer: Any):
    """Where nothing joins two inputs, torch.export gives each a symbol for its batch."""
    torch.manual_seed(0)
    model = Towers(answer).double().eval()
    sample = torch.randn(8, 4).double(), torch.randn(8, 3, 4).double()
    free = {0: Dim.DYNAMIC}
    program = export(model, sample, dynamic_shapes=(free, free))
    snn = sw.convert(program, [sample], steps=4, correction=None)
    torch.testing.assert_close(snn.ann()(*sample), model(*sample))


def test_what_takes_images_alone_says_so(reader: tuple[nn.Module, sw.SpikingNetwork]):
    with pytest.raises(sw.SpikewrightError, match="takes input_ids, attention_mask"):
        decompose(reader[1], [torch.rand(8, PLACES)], steps=4)


class LastToken(nn.Module):
    """As causal models classify: masks by index, attention with them, the last real token."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.qkv = nn.Embedding(IDS, WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.up, self.head = nn.Linear(WIDTH, 24), nn.Linear(24, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        rows, columns = torch.arange(input_ids.shape[0]), torch.arange(PLACES)
        shown = attention_mask.bool()[rows[:, None, None, None], columns[None, None, None]]
        causal = columns[:, None] >= columns
        qkv = self.qkv(self.words(input_ids)).unflatten(2, (3, 4, WIDTH // 4))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=shown & causal)
        x = F.gelu(self.up(x.transpose(1, 2).flatten(2)))
        return self.head(x)[rows, (columns * attention_mask).argmax(1)]


def test_masks_by_index_and_the_last_token(tmp_path: Path):
    torch.manual_seed(0)
    model, x = LastToken().double().eval(), sentences(64)
    snn = converted(model, x)
    expected = model(**x).detach()
    assert (snn(**x) - expected).norm() < 1e-3 * expected.norm()
    torch.testing.assert_close(snn(**x, engine="steps"), snn(**x), rtol=0, atol=1e-10)
    torch.testing.assert_close(snn.twin()(**x), snn(**x), rtol=0, atol=1e-10)
    assert snn.audit(x, steps=4).objections == ()
    snn.save(tmp_path / "last.safetensors")
    assert torch.equal(sw.load(tmp_path / "last.safetensors")(**x), snn(**x))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_table_is_read_by_ids_that_have_the_batch_behind(axis: int):
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(IDS, 4).movedim(0, axis))

        def forward(self, ids: Tensor) -> Tensor:
            if axis:
                return F.relu(self.table[:, ids]).mean((0, 2))
            return F.relu(self.table[ids.T]).mean(0)

    model, ids = Table().double().eval(), sentences(7)["input_ids"]
    found = survey(model, ids)
    if axis:
        assert "behind its first dimension" in found.offenders[0].reason
    else:
        graph = found.require_convertible()
        torch.testing.assert_close(evaluate(graph, ids)[0], model(ids).detach())


def test_fewer_places_than_there_are_may_be_gathered_by_each_sample():
    class Gathers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv1d(2, 5, 1), nn.Conv1d(3, 4, 1)

        def forward(self, x: Tensor, places: Tensor) -> Tensor:
            return self.b(F.relu(self.a(x)).gather(2, places)).flatten(1)

    torch.manual_seed(0)
    model = Gathers().double().eval()
    x = {"x": torch.rand(40, 2, 7).double(), "places": torch.randint(0, 7, (40, 3, 2))}
    snn = converted(model, x, threshold=sw.Maximum())
    error = (snn(**x) - model(**x)).norm() / model(**x).norm()
    assert float(error.detach()) < 1e-2
