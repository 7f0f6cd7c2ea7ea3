"""What does not convert is refused, all of it at once, by a message that helps."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import spikewright as sw
from spikewright.graph import survey
from tests.builders import images, wired


def conv():
    return nn.Conv2d(3, 3, 3, padding=1)


def refusal(model, x=None, error=sw.UnsupportedOperation) -> str:
    x = images() if x is None else x
    with pytest.raises(error) as caught:
        sw.convert(model, x)
    assert type(caught.value) is error
    return str(caught.value)


class Cumulated(nn.Module):
    """An operation without a rule."""

    def forward(self, x):
        return x.logcumsumexp(1)


class Several(nn.Module):
    """Five operations of four kinds that do not convert, in three places."""

    def __init__(self):
        super().__init__()
        norm = nn.BatchNorm2d(3, track_running_stats=False)
        self.first = nn.Sequential(nn.Conv2d(3, 3, 3), norm, nn.Conv2d(3, 3, 1))
        self.act = Cumulated()
        self.gate = nn.Linear(3, 3)

    def forward(self, x):
        x = self.act(self.first(x)) + self.act(x[:, :, 1:-1, 1:-1])
        gate = self.gate(F.relu(x).median(2).values.mean(2))
        return torch.einsum("bchw,dc->dhw", x, gate)


def test_all_offenders_are_listed_at_once():
    message = refusal(Several().double().eval())
    assert message.startswith("5 operations of this model cannot be converted:")
    lines = message.splitlines()
    assert sum(line.startswith("- aten.") for line in lines) == 4
    assert "- aten.logcumsumexp, 2 times: no rule for this operation." in message
    for where in ("in first.1 (", "in act (", "in the model ("):
        assert where in message
    assert message.count("test_refusals.py:") == 5
    for advice in (
        "use running statistics",
        "write it with torch.cumsum",
        "order and places of values",
    ):
        assert advice in message
    assert "aten.einsum, 1 times: the batch is not the first dimension" in message


def test_the_source_line_is_that_of_the_offending_call():
    found = survey(Several().double().eval(), images()).offenders
    (product,) = [o for o in found if o.operator == "aten.einsum"]
    file, line = product.source.rsplit(":", 1)
    with open(file, encoding="utf-8") as text:
        assert "return torch.einsum" in text.readlines()[int(line) - 1]


OPERATIONS = {
    "power of a signal": (lambda m, x: x ** m.c(x), "aten.pow", "a function of two signals"),
    "rounded quotient": (
        lambda m, x: torch.div(F.relu(x), m.c(x), rounding_mode="floor"),
        "aten.div",
        "rounds is not linear|no rule",
    ),
    "rounding": (
        lambda m, x: torch.div(m.c(x), 2, rounding_mode="floor"),
        "aten.div",
        "not linear|no rule",
    ),
    "softmax of the batch": (lambda m, x: m.c(x).softmax(0), "softmax", "mixes samples"),
    "a norm that counts": (
        lambda m, x: torch.linalg.vector_norm(m.c(x), 0, dim=(1, 2, 3)),
        "aten.linalg_vector_norm",
        "counts the values other than 0",
    ),
    "a distance that counts": (
        lambda m, x: torch.cdist(m.c(x), F.relu(m.c(x)), p=0.0),
        "aten.cdist",
        "counts the values other than 0",
    ),
    "dropout": (lambda m, x: F.dropout(m.c(x), 0.5, True), "dropout", "stays on in eval mode"),
    "maximum of the batch": (lambda m, x: m.c(x).amax((0, 2)), "aten.amax", "mixes samples"),
    "adaptive max": (
        lambda m, x: F.adaptive_max_pool2d(m.c(x), 4),
        "max_pool2d",
        "choose an output size that does",
    ),
    "half precision": (lambda m, x: m.c(x).half().double(), "aten._to_copy", "model.float"),
    "whole numbers": (lambda m, x: m.c(x).long() * m.c(x), "aten._to_copy", "drops its fraction"),
    "sums of whole numbers": (
        lambda m, x: m.c(x).sum(2, dtype=torch.int64) * 0.5,
        "aten.sum.dim_IntList",
        "(?s)drops its fraction.*leave dtype out",
    ),
    "sums of true and false": (
        lambda m, x: m.c(x).sum(2, dtype=torch.bool) * 0.5,
        "aten.sum.dim_IntList",
        "converts a signal to torch.bool",
    ),
    "whole numbers so far": (
        lambda m, x: m.c(x).cumsum(2, dtype=torch.int64) * 0.5,
        "aten.cumsum",
        "(?s)drops its fraction.*leave dtype out",
    ),
    "products of whole numbers": (
        lambda m, x: m.c(x).prod(2, dtype=torch.int64) * 0.5,
        "aten._to_copy",
        "drops its fraction",
    ),
    "sums in half precision": (
        lambda m, x: m.c(x).sum(2, dtype=torch.float16) * 0.5,
        "aten.sum.dim_IntList",
        "leave dtype out",
    ),
    "means in half precision": (
        lambda m, x: m.c(x).mean(2, dtype=torch.bfloat16) * 0.5,
        "aten.mean.dim",
        "leave dtype out",
    ),
    "order": (lambda m, x: m.c(x).sort(1).values, "aten.sort", "outside the model"),
    "a number": (
        lambda m, x: m.c(x) * m.c(x).abs().mean((1, 2, 3))[:1].sum().item(),
        "aten.mul",
        r"taken out of a tensor \(\.item\(\)",
    ),
    "chance": (lambda m, x: x + torch.randn_like(m.c(x)), "aten.randn_like", "give the draw"),
    "a choice": (
        lambda m, x: torch.where(m.c(x) > 0, x, 0),
        "aten.gt",
        "no function of the same signal",
    ),
    "as many as are positive": (
        lambda m, x: m.c(x)[x > 0].sum(),
        "aten.index",
        "follows from the values themselves",
    ),
    "batch mean": (lambda m, x: x - m.c(x).mean(0), "aten.mean.dim", "mixes samples"),
    "batch flip": (lambda m, x: x + m.c(x).flip(0), "aten.flip", "mixes samples"),
    "batch cat": (lambda m, x: torch.cat([x, m.c(x)]), "aten.cat", "batch is merged"),
    "batch slice": (lambda m, x: m.c(x)[:1], "aten.slice", "drops samples"),
    "batch select": (lambda m, x: m.c(x)[0], "aten.select", "mixes samples"),
    "whole mean": (lambda m, x: x - m.c(x).mean(), "aten.mean", "no rule"),
    "batch folded": (
        lambda m, x: m.c(x).view(x.size(0) * 3, 36),
        "aten.view",
        "batch is merged",
    ),
    "batch as divisor": (lambda m, x: m.c(x) / x.size(0), "aten.div.Tensor", "batch size enters"),
    "batch as summand": (lambda m, x: m.c(x) + x.size(0), "aten.add.Tensor", "batch size enters"),
    "batch halved": (lambda m, x: m.c(x) + x.size(0) // 2, "aten.add.Tensor", "batch size enters"),
    "computed weights": (
        lambda m, x: F.conv2d(x, m.c(x)),
        "aten.conv2d",
        "product of two signals",
    ),
    "statistics": (
        lambda m, x: F.batch_norm(m.c(x), None, None, training=True),
        "aten.batch_norm",
        "use running statistics",
    ),
}


@lru_cache
def surveyed(case):
    """A case behind a ReLU, captured once for all tests."""
    wire, _, _ = OPERATIONS[case]
    return survey(wired(lambda m, x: wire(m, F.relu(x)), c=conv()), images())


@pytest.mark.parametrize("case", OPERATIONS)
def test_an_operation_outside_the_table_is_refused(case):
    _, operator, reason = OPERATIONS[case]
    with pytest.raises(sw.UnsupportedOperation) as caught:
        surveyed(case).require_convertible()
    message = str(caught.value)
    assert re.search(operator, message)
    assert re.search(reason, message)
    assert "builders.py:" in message  # where the module's forward called it


def test_one_cause_is_one_offender():
    """Values behind a moved batch are not reported again."""
    model = wired(lambda m, x: F.relu(m.c(x).transpose(0, 1) + 1).mean(1).transpose(0, 1), c=conv())
    assert len(survey(model, images()).offenders) == 1


def test_values_put_back_to_the_places_of_maxima_are_one_offender():
    places = nn.MaxPool2d(2, return_indices=True)
    model = wired(
        lambda m, x: m.c(m.u(*m.p(F.relu(m.c(x))))), c=conv(), p=places, u=nn.MaxUnpool2d(2)
    )
    (offender,) = survey(model, images()).offenders
    assert "the places of the largest or smallest values" in offender.reason
    assert "F.interpolate (nearest) can stand for nn.MaxUnpool" in offender.remedy


def test_stacking_behind_the_last_dimension_is_not_stacking_batches():
    model = wired(lambda m, x: torch.stack([F.relu(x), m.c(x)], 4), c=conv())
    assert not survey(model, images()).offenders


def branches(m, x):
    return m.c(x) if x.sum() > 0 else F.relu(x)


MODELS = {
    "data-dependent control flow": (branches, "control flow depends on the values of its input"),
    "fixed batch size": (lambda m, x: F.relu(m.c(x)).view(2, -1), "fixes its batch size.*flatten"),
    "batch as float": (lambda m, x: F.relu(m.c(x)) * float(x.size(0)), "fixes its batch size"),
    "no activation": (lambda m, x: m.c(x), "no activation that could become spiking neurons"),
    "no dependence": (lambda m, x: m.c.bias.relu(), "does not depend on its input"),
    "input written to": (lambda m, x: m.c(F.relu_(x)), "writes into its own input"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_is_no_fixed_graph_is_refused(case):
    wire, reason = MODELS[case]
    assert re.search(reason, refusal(wired(wire, c=conv()), error=sw.ConversionError))


@pytest.mark.parametrize("choice", [branches, lambda m, x: branches(m, F.relu(m.c(x)))])
def test_a_choice_by_data_is_named_by_the_line_that_makes_it(choice):
    message = refusal(wired(choice, c=conv()), error=sw.ConversionError)
    line = branches.__code__.co_firstlineno + 1
    assert f"test_refusals.py:{line} in branches)" in message


def test_train_mode_is_refused_by_module():
    model = wired(lambda m, x: F.relu(m.c(x)), c=conv())
    model.c.train()
    message = refusal(model, error=sw.ConversionError)
    assert "1 modules are in training mode (c); call model.eval() first" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value):
    model = wired(lambda m, x: F.relu(m.n(m.c(x))), c=conv(), n=nn.BatchNorm2d(3))
    with torch.no_grad():
        model.c.weight[0, 0, 0, 0] = value
        model.n.running_var[1] = value
    message = refusal(model, error=sw.ConversionError)
    named = "2 of the model's weights: c.weight, n.running_var"
    if value == float("inf"):  # a buffer may be a mask
        named = "1 of the model's weights: c.weight;"
    assert f"NaN or infinite values in {named}" in message


def test_a_model_without_numbers_is_refused():
    message = refusal(
        wired(lambda m, x: F.relu(m.c(x)), c=conv()).to("meta"), error=sw.ConversionError
    )
    assert "2 of the model's weights are on the meta device" in message
    assert "(c.weight, c.bias); call model.to_empty(device='cpu'), and load" in message


def test_weights_without_a_shape_are_refused_by_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lazy modules are young to torch
        model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(3)).eval()
    message = refusal(model, torch.rand(8, 5), error=sw.ConversionError)
    assert "4 of the model's weights have no shape yet (0.weight, 0.bias, 2.weight, ...)" in message
    assert "run the model once on a batch, train it, then convert" in message


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return F.relu(x) * self.calls


def test_a_model_that_writes_its_buffers_is_refused_by_name():
    message = refusal(Counting().eval(), error=sw.ConversionError)
    assert "changes its own buffers when it runs (calls)" in message


@pytest.mark.parametrize("thing", [3, "resnet18", nn.Conv2d])
def test_something_else_than_a_model_is_refused(thing):
    assert "expected a torch.nn.Module or an ExportedProgram" in refusal(
        thing, error=sw.ConversionError
    )


def test_an_exported_program_converts_as_its_model_does():
    model, x = wired(lambda m, x: F.relu(m.c(x)).flatten(1), c=conv()), images()
    program = torch.export.export(
        model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False
    )
    assert torch.equal(sw.convert(program, x, steps=4)(x), sw.convert(model, x, steps=4)(x))


class Clips(nn.Module):
    """A model that writes into its own parameter."""

    def __init__(self):
        super().__init__()
        self.c = conv()

    def forward(self, x):
        with torch.no_grad():
            self.c.weight.clamp_(-1, 1)
        return self.c(x).relu()


def test_a_model_that_changes_its_parameters_is_told_so():
    message = refusal(Clips().double().eval(), error=sw.ConversionError)
    assert "changes its own parameters when it runs (c.weight)" in message


class Bounded(nn.Module):
    """Masks and bounds that are infinite."""

    def __init__(self):
        super().__init__()
        self.c = nn.Linear(4, 4)
        self.register_buffer("low", torch.tensor(-torch.inf))
        self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))

    def forward(self, x):
        return (self.c(x).clamp(self.low, -self.low) + self.mask).softmax(-1)


def test_masks_and_bounds_may_be_infinite():
    model = Bounded().double().eval()
    x = torch.randn(8, 4, 4, dtype=torch.float64)
    snn = sw.convert(model, x, neuron=sw.TwoPhase("nearest", "binary"), steps=12)
    assert [op.function for op in snn.graph.neurons] == ["softmax"]
    with torch.no_grad():
        torch.testing.assert_close(snn(x), model(x), rtol=0, atol=1e-3)


class Anchored(nn.Module):
    """A detector that keeps its anchors for the shape that it last ran on, batch included."""

    shape = None
    anchors = torch.empty(0)

    def __init__(self):
        super().__init__()
        self.c = conv()

    def forward(self, x):
        if self.shape != x.shape:
            self.shape, self.anchors = x.shape, torch.arange(float(x.shape[-1])).type_as(x)
        return self.c(x).relu() + self.anchors


def test_what_a_model_keeps_of_its_last_batch_fixes_nothing():
    model = Anchored().double().eval()
    with torch.no_grad():
        model(images()[:2])
    assert not survey(model, images()).offenders


@pytest.mark.parametrize("case", OPERATIONS)
def test_every_refusal_names_a_way_out(case):
    offenders = surveyed(case).offenders
    assert offenders
    for offender in offenders:
        assert offender.remedy not in (
            "",
            "write it another way (docs/support.md has what converts)",
        )


class Drawing(nn.Module):
    """Keeps places that it draws, as masked autoencoders do."""

    def forward(self, x):
        places = torch.rand(x.shape[0], 6, dtype=x.dtype).argsort(1)
        kept = torch.gather(x.mean((1, 2)), 1, places[:, :3])
        return F.relu(kept)


def test_what_follows_from_a_draw_is_refused_with_it():
    message = refusal(Drawing().eval())
    assert "1 operation of this model" in message
    assert "- aten.rand, 1 times: it draws random numbers." in message
    assert "give the draw as an input" in message


class Routed(nn.Module):
    """Sends rows to experts by the places of the largest values, as sparse mixtures do."""

    def __init__(self):
        super().__init__()
        self.gate, self.weight = nn.Linear(3, 4), nn.Parameter(torch.randn(4, 3, 3))

    def forward(self, x):
        x = x.mean((2, 3))
        places = self.gate(x).topk(2).indices
        order = places.flatten().argsort()
        return F.relu(torch.einsum("bi,bkij->bj", x, self.weight[places + 0 * order.sum()]))


def test_places_that_follow_from_a_choice_are_refused_with_it():
    message = refusal(Routed().double().eval())
    assert "1 operation of this model" in message
    assert "- aten.topk, 1 times: no rule for this operation." in message
    assert "zeros.scatter(-1, places, values)" in message


class Traced(nn.Module):
    """Goes another way while it is traced, and draws random numbers."""

    def __init__(self, draws):
        super().__init__()
        self.draws = draws

    def forward(self, x):
        if torch.compiler.is_compiling():
            return x.view(x.shape[0], 7)
        return F.relu(x) + (torch.rand(1).item() if self.draws else 0)


def test_a_model_that_goes_another_way_while_it_is_traced_is_told_of():
    message = refusal(Traced(draws=False).eval(), error=sw.ConversionError)
    assert "could not trace the model, which runs on this input itself" in message
    message = refusal(Traced(draws=True).eval(), error=sw.ConversionError)
    assert "draws random numbers when it runs (aten.rand at " in message
    assert "test_refusals.py:" in message
