"""ONNX: what onnxruntime computes from the file alone is what the count engine computes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import InputMeans
from spikewright.export.onnx import export as exporter
from spikewright.export.onnx import export_onnx
from spikewright.export.onnx.check import compared, trial_inputs
from spikewright.graph.inputs import Input
from tests.builders import SideBySide, images, wired
from tests.cli.products import transformer
from tests.graph.test_inputs import Reader, sentences
from tests.network.nets import converted
from tests.network.test_products import NETS as PRODUCTS
from tests.network.test_products import net as multiplying
from tests.network.test_products import x_of

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")


pytestmark = pytest.mark.usefixtures("listed_once")


def from_file(path: Path, x: Tensor, counts: bool = True) -> dict[str, Tensor]:
    """Logits, and counts by site, as onnxruntime computes them from a file."""
    model = onnx.load(path)
    if counts:
        inner = [v for v in model.graph.value_info if v.name.startswith("counts:")]
        model.graph.output.extend(inner)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    values: list[Any] = session.run(names, {"images": x.numpy()})
    return {
        name.removeprefix("counts:"): torch.from_numpy(value)
        for name, value in zip(names, values, strict=True)
    }


def assert_same(path: Path, network: sw.SpikingNetwork, x: Tensor, steps: int) -> None:
    found = from_file(path, x)
    torch.testing.assert_close(found.pop("logits"), network(x, steps=steps, engine="counts"))
    expected = network.counts(x, steps=steps, engine="counts")
    assert set(found) == set(expected)
    levels = max(network.plan(steps).levels.values())
    assert max(float(count.max()) for count in expected.values()) == levels
    for site, count in expected.items():
        assert torch.equal(found[site], count), site


@pytest.fixture(scope="module")
def residual() -> sw.SpikingNetwork:
    return converted("residual", steps=(4, 3)).float()


def pooled() -> sw.SpikingNetwork:
    """Branches that meet, average and max pooling, padding by itself, and a view by batch size."""

    def wire(m: Any, x: Tensor) -> Tensor:
        y = F.avg_pool2d(F.relu(m.a(x)), 2)
        z = F.relu(m.b(F.pad(y, (1, 1, 1, 1))) + y)
        return m.l(F.max_pool2d(z, 2).view(x.size(0), -1))

    model = wired(
        wire,
        a=nn.Conv2d(3, 4, 3, padding="same"),
        b=nn.Conv2d(4, 4, 3, groups=2),
        l=nn.Linear(16, 5),
    )
    return sw.convert(model, images(8, size=8), steps=6).float()


def test_residuals_and_both_poolings_at_any_batch_size(tmp_path: Path) -> None:
    network, path = pooled(), tmp_path / "network.onnx"
    told = export_onnx(network, str(path), 6)
    assert "images [batch, 3, 8, 8] to logits, T = 6" in told
    assert "on 4 random samples" in told
    for batch in (1, 2, 17):
        assert_same(path, network, images(batch, size=8, seed=batch).float(), 6)


def assert_file_answers(path: Path, network: sw.SpikingNetwork, x: Tensor) -> None:
    """Every answer and every count of a network side by side, as onnxruntime has them."""
    found, answers = from_file(path, x), network(x)
    for name, answer in enumerate(answers):
        torch.testing.assert_close(found.pop(str(name)), answer)
    counts = network.counts(x)
    assert set(found) == set(counts)
    assert all(torch.equal(found[site], count) for site, count in counts.items())


def side_by_side(nets: Iterable[nn.Module], x: Tensor, **options: Any) -> sw.SpikingNetwork:
    """One network of many, as one export takes less time than many."""
    return sw.convert(SideBySide(nets).float(), x.float(), correction=InputMeans(), **options)


def test_functions_of_one_signal(tmp_path: Path) -> None:
    def wire(m: Any, x: Tensor) -> Tensor:
        return m.l(m.act(m.b(F.max_pool2d(m.act(m.a(x)), 2))).flatten(1))

    nets = [
        wired(wire, a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(4, 4, 1), l=nn.Linear(16, 5), act=activation)
        for activation in (nn.SiLU(), nn.GELU(), nn.Tanh(), nn.PReLU(), nn.Hardswish())
    ]
    network, path = side_by_side(nets, images(8), steps=6), tmp_path / "network.onnx"
    export_onnx(network, path, 6)
    x = images(5, seed=3).float()
    counts = network.counts(x)
    for number in range(len(nets)):
        own = [count for site, count in counts.items() if site.startswith(f"nets.{number}.")]
        assert own
        assert min(float(count.min()) for count in own) < 0
    assert_file_answers(path, network, x)


def test_products_of_two_signals(tmp_path: Path) -> None:
    # masks of float64 have no operator, and one head is two heads to ONNX
    names = PRODUCTS.keys() - {"additive mask", "attention of one head"}
    nets = [multiplying(name) for name in sorted(names)]
    neuron = sw.TwoPhase("nearest", "binary")
    network = side_by_side(nets, x_of(32), neuron=neuron, steps=5)
    export_onnx(network, tmp_path / "network.onnx", 5)
    assert_file_answers(tmp_path / "network.onnx", network, x_of(7, seed=1).float())


GROUPS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda y: y.softmax(1),
    "log softmax": lambda y: y.flatten(1).log_softmax(1),
    "layer norm": lambda y: F.layer_norm(y, (4,)),
    "RMS norm": lambda y: F.rms_norm(y, (4,)),
    "group norm": lambda y: F.group_norm(y, 2),
    "instance norm": lambda y: F.instance_norm(y),
    "written out": lambda y: y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-5),
}


def test_functions_of_groups(tmp_path: Path) -> None:
    def net(function: Callable[[Tensor], Tensor]) -> nn.Module:
        return wired(
            lambda m, x: m.l(function(m.a(x).unflatten(1, (6, 4))).flatten(1)),
            a=nn.Linear(12, 24),
            l=nn.Linear(24, 3),
        )

    network = side_by_side(map(net, GROUPS.values()), torch.randn(32, 12), steps=6)
    export_onnx(network, tmp_path / "network.onnx", 6)
    assert_file_answers(tmp_path / "network.onnx", network, torch.randn(5, 12))


def test_transformer_with_several_outputs(tmp_path: Path) -> None:
    """Every output has the name of its place in the answer."""
    body = transformer()

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.other = body, nn.Linear(10, 2)

        def forward(self, x: Tensor) -> dict[str, Any]:
            y = self.body(x)
            return {"logits": y, "boxes": (self.other(y.sigmoid()), y[:, :2])}

    network = sw.convert(Pair().eval(), torch.rand(8, 1, 8, 8), steps=6)
    report = export_onnx(network, tmp_path / "network.onnx", 6)
    assert "to logits, boxes.0, boxes.1, T = 6" in report
    x = torch.rand(5, 1, 8, 8)
    found, answer = from_file(tmp_path / "network.onnx", x), network(x)
    torch.testing.assert_close(found.pop("logits"), answer["logits"])
    for number in (0, 1):
        torch.testing.assert_close(found.pop(f"boxes.{number}"), answer["boxes"][number])
    assert all(torch.equal(found[site], count) for site, count in network.counts(x).items())


@pytest.mark.parametrize("name", ["cat", "late relu"])
def test_constructions(name: str, tmp_path: Path) -> None:
    network, path = converted(name, steps=4).float(), tmp_path / "network.onnx"
    export_onnx(network, path, 4)
    assert_same(path, network, images(5, seed=3).float(), 4)


def test_every_t_is_a_file_of_its_own(residual: sw.SpikingNetwork, tmp_path: Path) -> None:
    binary = residual.with_neuron(sw.TwoPhase("nearest", "binary"))  # 15 and 127 levels
    for steps in (4, 7):  # one that is designed, with its bias correction, and one that is not
        export_onnx(binary, tmp_path / f"{steps}.onnx", steps)
        assert_same(tmp_path / f"{steps}.onnx", binary, images(5).float(), steps)


def test_a_network_of_the_zoo_on_real_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    from spikewright.data.digits import open_digits
    from spikewright.runs import load_model

    data = open_digits()
    x = torch.stack([image for image, _ in data.test])
    calibration = torch.stack([image for image, _ in data.train])[:64]
    model = load_model("zoo:digits-qcfs8")
    network = sw.convert(model, calibration, threshold=sw.Learned(), steps=8, correction=None)
    path = tmp_path / "digits.onnx"
    export_onnx(network, path, 8)
    for part in (x[:1], x[1:8], x[8:]):
        found = from_file(path, part)
        found.pop("logits")
        moved = [found[site] - count for site, count in network.counts(part, steps=8).items()]
        assert max(float(m.abs().max()) for m in moved) <= 1
        # real charges lie on borders of levels: 0 to 8 counts of 1.4 million, by processor
        assert sum(int((m != 0).sum()) for m in moved) <= 1e-4 * sum(m.numel() for m in moved)
    # QCFS, T = L: the file answers as the source network does
    same = from_file(path, x)["logits"].argmax(1) == model(x).argmax(1)
    assert float(same.double().mean()) >= 0.98


def test_metadata_and_names(residual: sw.SpikingNetwork, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    export_onnx(residual, path, 3, source_sha256="ab" * 32)
    again = tmp_path / "again.onnx"
    export_onnx(residual, again, 3, source_sha256="ab" * 32)
    assert path.read_bytes() == again.read_bytes()
    model = onnx.load(path)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "spikewright.version": sw.__version__,
        "spikewright.torch": torch.__version__,
        "spikewright.steps": "3",
        "spikewright.neuron": "nearest",
        "spikewright.latency_steps": "9",  # two layers that wait: (2 + 1) windows of 3
        "spikewright.input_shape": "3x6x6",
        "spikewright.sites": ", ".join(residual.sites),
        "spikewright.source_sha256": "ab" * 32,
    }
    assert [output.name for output in model.graph.output] == ["logits"]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["batch", 3, 6, 6]
    assert {node.domain for node in model.graph.node} == {""}  # standard operators alone
    assert [entry.version for entry in model.opset_import] == [23]
    assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()
    assert b"site-packages" not in path.read_bytes()


def test_what_onnx_cannot_hold_is_told_all_at_once(
    residual: sw.SpikingNetwork, tmp_path: Path
) -> None:
    first, second = residual.sites
    mixed = residual.with_neuron(sw.TPP(), [first]).with_neuron(sw.IntegrateFire(), [second])
    with pytest.raises(sw.UnsupportedOperation) as caught:
        export_onnx(mixed.double().with_precision("bf16"), tmp_path / "x", 4)
    message = str(caught.value)
    assert f"'TPP' at {first} draws random numbers" in message
    assert f"'IF' at {second} has no count that follows from its total charge" in message
    assert 'network.with_neuron(spikewright.TwoPhase("nearest"))' in message
    assert "its weights are torch.float64: call network.float()" in message
    assert "it computes in bf16: call network.with_precision('float32')" in message
    assert not list(tmp_path.iterdir())


def test_int8_is_written_with_integer_operators(tmp_path: Path) -> None:
    """The check against the count engine, which export itself makes, is on rounded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = nn.Sequential(
            *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 6, 3, 2, 1, groups=2), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4)),
        ).eval()
    x = torch.rand(32, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    low = sw.convert(model, x, steps=8).with_precision("int8")
    told = export_onnx(low, tmp_path / "low.onnx", 8)
    assert "3 operators in 8-bit integers" in told
    written = onnx.load(tmp_path / "low.onnx")
    kinds = [node.op_type for node in written.graph.node]
    assert (kinds.count("ConvInteger"), kinds.count("MatMulInteger")) == (1, 2)
    assert kinds.count("Conv") == 1, "what reads the image"
    stored = {tensor.name: tensor for tensor in written.graph.initializer}
    digits = [t for name, t in stored.items() if name.endswith("/digits")]
    assert {t.data_type for t in digits} == {onnx.TensorProto.INT8}
    session = onnxruntime.InferenceSession(tmp_path / "low.onnx")
    for part in (x[:1], x[:7]):
        (logits,) = session.run(["logits"], {"images": part.numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), low(part), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "neuron",
    [
        sw.TwoPhase("nearest", "digits"),
        sw.SpikeTracer(),
        {"*": sw.TwoPhase("nearest", "digits", steps=2), "1": sw.TwoPhase("nearest", "binary")},
    ],
)
def test_digits_the_settled_tracer_and_mixed_codes_are_written(neuron: Any, tmp_path: Path) -> None:
    first, second = nn.Linear(5, 8), nn.Linear(8, 6)
    model = nn.Sequential(first, nn.ReLU6(), second, nn.ReLU(), nn.Linear(6, 3)).eval()
    x = torch.rand(64, 5, generator=torch.Generator().manual_seed(0)) * 4
    snn = sw.convert(model, x, neuron, steps=3)
    export_onnx(snn, tmp_path / "n.onnx", 3)
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx")
    (logits,) = session.run(["logits"], {"images": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), snn(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("pool", "shape"), [(F.avg_pool2d, (3, 4, 4)), (F.avg_pool3d, (3, 4, 4, 4))]
)
def test_an_option_that_the_exporter_leaves_out_is_refused_by_name(
    pool: Any, shape: tuple[int, ...], tmp_path: Path
) -> None:
    model = wired(lambda m, x: pool(torch.relu(x), 2, divisor_override=3).flatten(1))
    network = sw.convert(model, torch.rand(4, *shape), steps=4)
    with pytest.raises(sw.UnsupportedOperation, match=r"has divisor_override=3, .* plain average"):
        export_onnx(network, tmp_path / "x", 4)
    assert not list(tmp_path.iterdir())


def test_an_operation_without_an_onnx_operator_is_refused_by_name(tmp_path: Path) -> None:
    model = wired(lambda m, x: m.p(torch.relu(x)).flatten(1), p=nn.AdaptiveAvgPool3d(2))
    network = sw.convert(model, torch.rand(4, 3, 4, 4, 4), steps=4)
    with pytest.raises(
        sw.UnsupportedOperation, match=r"no ONNX operator for aten\.\w*adaptive_avg_pool3d; nothing"
    ):
        export_onnx(network, tmp_path / "x", 4)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_told(
    residual: sw.SpikingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(sw.MissingExtra, match=r"pip install 'spikewright\[onnx\]'"):
        export_onnx(residual, tmp_path / "x", 4)


def test_a_model_that_disagrees_is_not_written(
    residual: sw.SpikingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = exporter.counting_model

    def wrong(plan: Any, x: Tensor) -> Any:
        model = right(plan, x)
        gain = next(t for t in model.graph.initializer if t.name.startswith("gain:"))
        values = onnx.numpy_helper.to_array(gain) * 1.01
        gain.CopyFrom(onnx.numpy_helper.from_array(values.astype("float32"), gain.name))
        return model

    monkeypatch.setattr(exporter, "counting_model", wrong)
    path = tmp_path / "network.onnx"
    path.write_bytes(b"older")
    with pytest.raises(sw.InterchangeError, match="computes other counts than the count engine"):
        export_onnx(residual, path, 64)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"older"]


def test_a_file_that_cannot_be_written_is_told(residual: sw.SpikingNetwork, tmp_path: Path) -> None:
    with pytest.raises(sw.InterchangeError, match=r"cannot write .*No such file or directory"):
        export_onnx(residual, tmp_path / "missing" / "network.onnx", 4)


class TestComparison:
    """A count may be that on the other side of a decision boundary, and nowhere else."""

    @staticmethod
    def network(neuron: sw.neurons.Neuron | None = None) -> sw.SpikingNetwork:
        first = nn.Linear(2, 2)
        model = nn.Sequential(first, nn.ReLU(), nn.Linear(2, 2)).eval()
        with torch.no_grad():
            first.weight.copy_(torch.eye(2))
            first.bias.zero_()
        options = {"threshold": sw.Maximum(), "steps": 4, "correction": None}
        return sw.convert(model, torch.ones(1, 2), neuron or sw.TwoPhase(), **options)

    def judged(
        self,
        found: list[float],
        charges: tuple[float, float] = (1.5, 1.2),
        neuron: sw.neurons.Neuron | None = None,
    ) -> Any:
        """Charges, and found counts with the logits that follow of them; 1.5 is on a boundary."""
        network = self.network(neuron)
        plan = network.plan(4)
        (site,) = network.sites
        x = torch.tensor([charges]) / plan.levels[site]
        counts = torch.tensor([found], dtype=torch.float32)
        final = plan.count_graph
        weight = next(t for name, t in final.tensors.items() if name.endswith(":folded"))
        bias = final.tensors[next(n for n in final.tensors if "2" in n and n.endswith("bias"))]
        return compared(plan, x, [F.linear(counts, weight, bias)], {site: counts})

    def test_equal(self) -> None:
        assert self.judged([2, 1]).flipped == 0

    def test_flipped_on_the_boundary(self) -> None:
        agreement = self.judged([1, 1])
        assert (agreement.flipped, agreement.counts) == (1, 2)

    @pytest.mark.parametrize("found", [[2.0, 2.0], [3.0, 1.0], [float("nan"), 1.0]])
    def test_anything_else_is_wrong(self, found: list[float]) -> None:
        with pytest.raises(sw.InterchangeError, match="1 of 2 at site"):
            self.judged(found)

    def test_the_digits_code_skips_counts(self) -> None:
        """A charge between 10 and 11 is counted 10 or 12: 11 has too many ones for two steps."""
        digits = {"charges": (10.5, 1.2), "neuron": sw.TwoPhase("nearest", "digits", steps=2)}
        flipped = [self.judged([count, 1], **digits).flipped for count in (10, 12)]
        assert sorted(flipped) == [0, 1]
        with pytest.raises(sw.InterchangeError, match="1 of 2 at site"):
            self.judged([11, 1], **digits)

    def test_wrong_logits(self) -> None:
        network = self.network()
        x = trial_inputs((Input("x", (2,)),), 3)
        (site,) = network.sites
        counts = network.counts(x, steps=4)[site]
        with pytest.raises(sw.InterchangeError, match="other answers than the count engine"):
            compared(network.plan(4), x, [network(x, steps=4) * 1.001], {site: counts})


def test_token_ids_and_masks_are_inputs_of_their_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Reader().eval(), sentences(8)
    snn = sw.convert(model, x, sw.TwoPhase("nearest", "binary"), steps=6)
    message = export_onnx(snn, tmp_path / "reader.onnx", 6)
    assert "input_ids [batch, 9], attention_mask [batch, 9] to logits" in message
    session = onnxruntime.InferenceSession(tmp_path / "reader.onnx")
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in x.items()})
    expected = snn(**x)  # but for counts on decision boundaries, which the export excuses
    assert (torch.from_numpy(found) - expected).norm() < 0.02 * expected.norm()
