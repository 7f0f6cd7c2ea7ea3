"""Which models are captured, and what the others are told."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
import torch.ao.nn.quantized
import torch.ao.quantization as quantization
import torch.nn.functional as F
from torch import nn
from torch.export import Dim, export

import spikewright as sw
from spikewright.graph import InputRefused, survey

BATCH = {0: Dim.DYNAMIC}


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()


def x(batch: int = 8, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, *(shape or (6,)), generator=generator)


class Answering(nn.Module):
    """Returns what `shape` makes of its logits and its input."""

    def __init__(self, shape):
        super().__init__()
        self.inner, self.shape = net(), shape

    def forward(self, x):
        return self.shape(F.relu(self.inner(x)), x)


class Any(nn.Module):
    """Hands its arguments on, as wrappers do."""

    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


class WithGradients(Any):
    """Computes all with gradients, as models of energies and forces do."""

    forward = torch.enable_grad()(Any.forward)


class ByKeyword(nn.Module):
    def forward(self, *, x):
        return F.relu(x)


class Two(nn.Module):
    def forward(self, image1, image2):
        return F.relu(image1 - image2)


def parallel():
    return nn.DataParallel(net()).eval()


def averaged():
    return torch.optim.swa_utils.AveragedModel(net()).eval()


def compiled():
    return torch.compile(net())


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.trace(net(), x())


def scripted_part():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.Linear(6, 6), torch.jit.script(net())).eval()


def prepared_for_quantisation():
    model = nn.Sequential(quantization.QuantStub(), *net(), quantization.DeQuantStub()).train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.qconfig = quantization.get_default_qat_qconfig("x86")
        return quantization.prepare_qat(model).eval()


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantization.quantize_dynamic(net(), {nn.Linear})


def program(shapes, args=None, kwargs=None, model=None):
    return export(model or net(), args or (), kwargs or {}, dynamic_shapes=shapes)


MODELS = {
    "DataParallel": (parallel, "wrapped in DataParallel; give the model inside: model.module"),
    "AveragedModel": (averaged, "wrapped in AveragedModel; give the model inside: model.module"),
    "torch.compile": (compiled, r"result of torch.compile; .* model\._orig_mod"),
    "traced": (traced, "the model is TorchScript, .* give the nn.Module it was made from"),
    "scripted part": (scripted_part, "^1 is TorchScript"),
    "quantisation prepared": (
        prepared_for_quantisation,
        "prepared for it by torch.ao .*1: Linear.* give the float model",
    ),
    "quantised": (quantised, r"quantised or .* \(0: Linear, .* give the float model"),
    "several inputs": (lambda: Two().eval(), r"takes \(image1, image2\).* 'image2'; give dicts"),
    "keyword input": (lambda: ByKeyword().eval(), r"takes \(x\): too many .*; give dicts"),
    "program of one batch": (
        lambda: program(None, (x(),)),
        "exported for one batch size; export it again with dynamic_shapes",
    ),
    "program of bounded batches": (
        lambda: program(({0: Dim("batch", min=1, max=16)},), (x(4),)),
        "exported for batches of 1 to 16; export it again",
    ),
    "program of large batches": (
        lambda: program(({0: Dim("batch", min=4)},), (x(),)),
        "exported for batches of 4 or more; export it again",
    ),
    "program of any size of images": (
        lambda: program(
            ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC},),
            (x(4, 3, 8),),
            model=nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool1d(1)).eval(),
        ),
        r"leaves other dimensions of its input open than the batch \(\[2\]\)",
    ),
    "program with keyword input": (
        lambda: program({"input": BATCH}, kwargs={"input": x()}),
        r"takes \(input\): too many positional arguments; give dicts",
    ),
    "program of two inputs": (
        lambda: program((BATCH, BATCH), (x(), x()), model=Two().eval()),
        r"takes \(image1, image2\).* 'image2'; give dicts",
    ),
    "no tensor": (lambda: Answering(lambda y, x: None).eval(), "returns no tensor"),
    "not finite": (
        lambda: Answering(lambda y, x: F.relu(y / torch.zeros(()))).eval(),
        "answer to this input holds NaN or infinite values",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_is_not_captured_is_told_the_way_out(case):
    make, reason = MODELS[case]
    model = make()
    for call in (survey, sw.convert):  # `spikewright check`, and the conversion itself
        with pytest.raises(sw.ConversionError) as caught:
            call(model, x(4, 3, 8) if "images" in case else x())
        assert re.search(reason, str(caught.value)), caught.value


def made_in_inference_mode():
    with torch.inference_mode():
        return net()


def layer_at_two_places():
    model = Any()
    model.first = model.inner[0]
    return model.eval()


class Clashing(nn.Module):
    """Its modules and tensors are named like attributes of torch's modules of programs."""

    def __init__(self):
        super().__init__()
        self.graph, self.meta = nn.Linear(6, 5), nn.Linear(5, 3)
        self.register_buffer("code", torch.rand(5))

    def forward(self, x):
        return self.meta(torch.hstack([F.relu(self.graph(x)) * self.code]))


def test_a_program_whose_names_clash_is_told_the_way_out():
    exported = torch.export.export(Clashing().eval(), (x(),), dynamic_shapes=(BATCH,))
    with pytest.raises(sw.ConversionError, match=r"keeps for itself \(graph.weight, graph.bias"):
        sw.convert(exported, x())


TAKEN = {
    "names that programs have too": lambda: Clashing().eval(),
    "forward(*args)": lambda: Any().eval(),
    "with gradients": lambda: WithGradients().eval(),
    "stubs of quantisation": lambda: nn.Sequential(
        quantization.QuantStub(), *net(), quantization.DeQuantStub()
    ).eval(),
    "weights made in inference mode": made_in_inference_mode,
    "program of any batch": lambda: program(({0: Dim("batch")},), (x(),)),
    "a program's module": lambda: program((BATCH,), (x(),)).module(),
    "bfloat16": lambda: net().bfloat16(),
    "float16": lambda: net().half(),
    "a layer at two places": layer_at_two_places,
    "a wrapped part": lambda: nn.Sequential(nn.DataParallel(net())).eval(),
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_model_of_another_form_converts(case):
    model = TAKEN[case]()
    dtype = next(iter(model.state_dict.values() if "batch" in case else model.parameters())).dtype
    batch = x(32).to(dtype)
    with torch.inference_mode("inference" in case), torch.no_grad():
        expected = (model.module() if "batch" in case else model)(batch).detach()
    answer = sw.convert(model, batch, threshold=sw.Maximum(), steps=256)(batch)
    error = (answer - expected).abs().max() / expected.abs().max()
    assert float(error) < 0.05


def test_a_programs_module_may_take_several_inputs():
    model = program((BATCH, BATCH), (x(), x()), model=Two().eval()).module()
    pair = x(32), x(32).flip(0)
    answer = sw.convert(model, [pair], threshold=sw.Maximum(), steps=256)(*pair)
    torch.testing.assert_close(answer, model(*pair), rtol=0, atol=0.05)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x, factor=2.0):
        return F.relu(self.inner(x)) * factor


def test_a_program_keeps_the_numbers_that_it_was_exported_for():
    exported = program({"x": BATCH, "factor": None}, (x(),), {"factor": 3.0}, Scaled().eval())
    batch = {"x": x(32), "factor": 3.0}
    snn = sw.convert(exported, [batch], threshold=sw.Maximum(), steps=256)
    torch.testing.assert_close(snn(x(32)), exported.module()(x(32), factor=3.0), rtol=0, atol=0.05)
    with pytest.raises(sw.ConversionError, match="factor == 3"):
        sw.convert(exported, [{"x": x(32), "factor": 2.0}])


def test_a_programs_module_may_be_a_part():
    """It has no mode, and raises an error when it is told one."""
    model = nn.Sequential(nn.Linear(6, 6), program((BATCH,), (x(),)).module())
    with pytest.raises(sw.ConversionError, match=r"2 .* in training mode \(the model, 0\); set"):
        sw.convert(model, x(32))
    model.training = model[0].training = False
    answer = sw.convert(model, x(32), threshold=sw.Maximum(), steps=256)(x(32))
    torch.testing.assert_close(answer, model(x(32)).detach(), rtol=0, atol=0.05)


class Regression(nn.Module):
    """Answers one number a sample that is never negative, `[B]`."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 1)

    def forward(self, x):
        return F.relu(self.b(F.relu(self.a(x))).squeeze(1) + 1)


@pytest.mark.parametrize("neuron", [sw.TwoPhase(), sw.IntegrateFire()])
@pytest.mark.parametrize("per", ["layer", "channel"])
def test_an_activation_of_one_number_a_sample_has_one_channel(neuron, per, tmp_path):
    model = Regression().eval()
    snn = sw.convert(model, x(64), neuron=neuron, threshold=sw.Maximum(per=per), steps=256)
    with torch.no_grad():
        expected = model(x(64))
    assert snn(x(64)).shape == (64,)
    torch.testing.assert_close(snn(x(64)), expected, rtol=0, atol=0.03)
    assert snn.counts(x(4))["relu:2"].shape == (4, 1)
    snn.save(tmp_path / "net.safetensors")
    assert torch.equal(sw.load(tmp_path / "net.safetensors")(x(64)), snn(x(64)))


@pytest.mark.parametrize("batch", [x(8, 3, 5), x(8).double(), x(8, 5)])
def test_input_that_the_model_refuses_is_told_in_the_models_words(batch):
    model = net()
    with pytest.raises(InputRefused) as caught:
        survey(model, batch)
    assert f"does not take a batch of shape {list(batch.shape)}" in str(caught.value)
    assert "It raises RuntimeError" in str(caught.value)
    other = "its weights are torch.float32, the input torch.float64"
    assert (other in str(caught.value)) == (batch.dtype is torch.float64)


def test_a_view_of_another_batch_size_is_told_how_to_keep_the_batch():
    model = Answering(lambda y, x: y.view(32, -1)).eval()
    with pytest.raises(InputRefused, match=r"'\[32, -1\]' is invalid .*x.flatten\(1\)"):
        survey(model, x())


class Loud(nn.Module):
    """Chooses by its data, which torch.export tells with the whole graph on stderr."""

    def forward(self, x):
        kept = x[x[:, 0] > 0]
        return F.relu(kept) if kept.numel() > 3 else F.relu(x)


def test_capture_writes_nothing(capfd):
    with pytest.raises(sw.ConversionError, match="control flow"):
        survey(Loud().eval(), x())
    assert capfd.readouterr() == ("", "")


class Floating(nn.Module):
    """A block of torchvision's networks for quantisation, before any."""

    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 3, 3, padding=1)
        self.add_relu = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x):
        return self.add_relu.add_relu(self.c(x), x)


def test_a_network_that_is_made_for_quantisation_converts_before_it():
    assert not survey(Floating().eval(), torch.rand(4, 3, 5, 5)).offenders


class OneDimension(nn.Module):
    """Sound as images of width 1: of a view with gaps, torch.export cannot trace the padding."""

    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(1, 2, (5, 1))

    def forward(self, x):
        return F.relu(self.c(F.pad(x[:, None, :, None], (0, 0, 0, 0)))).flatten(1)


def test_a_view_with_gaps_is_as_good_as_a_copy():
    assert not survey(OneDimension().eval(), torch.rand(8, 16)[::2]).offenders
