"""Wrong usage: one clear message on stderr, nothing on stdout, the documented exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.cli.failures import EXIT_CODES, ExitCode, exit_code_of
from spikewright.errors import (
    AnalysisError,
    CalibrationError,
    ConversionError,
    DataError,
    MissingExtra,
    ModelError,
    UnsupportedOperation,
)

from .conftest import DIGITS, Run

SWEEP = ["sweep", DIGITS, "--data", "digits"]
CONVERT = ["convert", DIGITS, "--data", "digits"]
SEQUENCES = ["train-sequences", "--data", "digits-rows", "--output", "x"]

WRONG = [
    (["nonsense"], "No such command"),
    (["check", "foo"], "unknown model 'foo'"),
    (["energy", "out/network.safetensors", "--data", "digits"], "taken by spikewright inspect"),
    (["check", "torchvision:resnet99"], "did you mean resnet"),
    (["check", DIGITS, "--weights", "none.safetensors"], "no weight file"),
    (["check", DIGITS, "--input-shape", "1,x"], "not a whole number"),
    (["check", DIGITS, "--model-argument", "zzz"], "KEY=VALUE"),
    (["check", DIGITS, "--model-argument", "zzz=1"], "unexpected keyword"),
    (["check", DIGITS, "--model-argument", f"zzz={'[' * 50_000}"], "unexpected keyword"),
    (["check", DIGITS, "--model-argument", "weights=DEFAULT"], "are given as --weights FILE"),
    (["sweep", DIGITS], "--data"),
    (["sweep", DIGITS, "--data", "zzz"], "unknown data set"),
    (["sweep", DIGITS, "--data", "cifar10:none"], "there is no folder"),
    (["convert", "zoo:digits-qcfs8", "--data", "imagefolder:none"], "there is no folder 'none'"),
    ([*SWEEP, "--neuron", "zzz"], "give one of if, if-hard"),
    ([*SWEEP, "--neuron", "if:binary"], "nothing may follow this name"),
    ([*SWEEP, "--neuron", "nearest:zzz"], "first-spike"),
    ([*SWEEP, "--neuron", "tpp,bernoulli"], "named twice"),
    ([*SWEEP, "--neuron", "if,,tpp"], "single commas"),
    ([*SWEEP, "--threshold", "percentile"], "percentile:99.9"),
    ([*SWEEP, "--threshold", "percentile:101"], "at most at 100"),
    ([*SWEEP, "--threshold", "localbalance:10"], ":layer or :channel"),
    ([*SWEEP, "--threshold", "maximum:row"], ":layer or :channel"),
    ([*SWEEP, "--neuron", "srp:0"], "srp:TAU with 1 to 65,536"),
    ([*SWEEP, "--neuron", "srp:65537"], "srp:TAU with 1 to 65,536"),
    ([*SWEEP, "--neuron", "cos:0"], "cos:RHO with 1 to 65,536"),
    ([*SWEEP, "--neuron", "own:burst"], "nothing may follow this name"),
    ([*SWEEP, "--method", "tma"], "give one of qcfs, rts, snnc, ltb, srp, cos, bits"),
    ([*SWEEP, "--method", "rts", "--threshold", "maximum"], "leave --threshold out"),
    ([*SWEEP, "--method", "snnc", "--correction", "none"], "leave --correction out"),
    ([*SWEEP, "--correction", "snnc"], "give one of auto, bias, refit, none"),
    ([*SWEEP, "--method", "rts", "--neuron", "own,if"], "named twice"),
    ([*SWEEP, "--steps", "0"], "at least 1"),
    ([*SWEEP, "--steps", "1,two"], "not a whole number"),
    ([*SWEEP, "--seeds", "0"], "--seeds"),
    ([*SWEEP, "--seed", "-1"], "--seed"),
    ([*SWEEP, "--limit", "451"], "holds 450 images"),
    ([*SWEEP, "--calibration-samples", "1079"], "holds 1078 images"),
    ([*SWEEP, "--split", "train"], "--split"),
    ([*SWEEP, "--device", "potato"], "--device potato"),
    ([*SWEEP, "--mean", "0.5"], "give both or neither"),
    ([*SWEEP, "--size", "8"], "no effect on 'digits'"),
    ([*SWEEP, "--model-argument", "num_classes=12"], "12 outputs"),
    (["sweep", "torchvision:resnet18", "--data", "digits"], "does not take the images"),
    (["misalignment", DIGITS, "--data", "digits", "--neuron", "tpp"], "starts from 'if'"),
    (["misalignment", DIGITS, "--data", "digits", "--orders", "up"], "independent, shared"),
    (["misalignment", DIGITS, "--data", "digits", "--orders", "none"], "name at least one order"),
    (["convert", DIGITS, "--data", "digits", "--neuron", "if,tpp"], "give one of"),
    (["train", "--model", "srnn", "--data", "digits", "--output", "x"], "spikewright train-sequ"),
    (["train-sequences", "--data", "digits", "--output", "x"], "unknown sequences 'digits'"),
    ([*SEQUENCES, "--noise", "0.1"], "takes no noise; only recall does"),
    ([*SEQUENCES, "--beta", "0", "--adaptation-time-constant", "9,1"], "has no effect with beta=0"),
    ([*SEQUENCES, "--time-constant", "9"], "a mean above 0 and a standard deviation"),
    ([*SEQUENCES, "--units", "0"], "1 to 16,384 neurons"),
    ([*SEQUENCES, "--learning-rate", "inf"], "learning_rate must be above 0"),
    ([*SEQUENCES, "--seed", "-1"], "seed must be 0 to"),
    ([*CONVERT, "--codes", "binary,morse"], "give one of binary, digits, first-spike"),
    ([*CONVERT, "--latency", "12"], "--longer-layers or --codes chooses: give one of them"),
    ([*CONVERT, "--codes", "binary", "--steps", "3,7"], "give one number of --steps"),
    ([*CONVERT, "--longer-layers", "0"], "--longer-layers"),
    ([*CONVERT, "--longer-layers", "1", "--longer-by", "65537"], "--longer-by"),
    ([*CONVERT, "--longer-by", "2"], "--longer-by is for the windows of --longer-layers"),
    ([*CONVERT, "--longer-layers", "1", "--steps", "3,7"], "--longer-layers chooses for one T"),
    ([*CONVERT, "--longer-layers", "1", "--agreement", "0.9"], "finds one for all layers"),
    ([*CONVERT, "--longer-layers", "1", "--codes", "binary"], "both choose the windows"),
    ([*CONVERT, "--longer-layers", "1", "--neuron", "if"], "'IF' has no window of its own"),
    ([*CONVERT, "--longer-layers", "1", "--neuron", "tracer"], "such as --neuron nearest:binary"),
    ([*CONVERT, "--longer-layers", "1", "--method", "few-spikes"], "no window of its own"),
]


@pytest.mark.parametrize(
    ("words", "told"), WRONG, ids=[" ".join(words[2:])[:80] for words, _ in WRONG]
)
def test_wrong_usage(run: Run, words: list[str], told: str) -> None:
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    assert told in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_an_output_that_is_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = run(*SWEEP, "--output", str(tmp_path / "file"))
    assert code == 2
    assert "cannot write there" in err


@pytest.mark.parametrize(
    "words",
    [
        [*CONVERT, "--output", ""],
        [*SWEEP, "--output="],
        ["rerun", "run", "--output", ""],
        ["train", "--data", "digits", "--levels", "4", "--output", ""],
        ["train", "--resume", ""],
        ["finetune", "network.safetensors", "--data", "digits", "--output", ""],
        ["report", "run", "--output", ""],
        ["inspect", ""],
        ["report", ""],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    told = " ".join(err.replace("│", " ").split())
    option = words[-1].rstrip("=") or words[-2]
    named = {"inspect": "FILE", "report": "RUN..."}.get(option, option)
    assert f"Invalid value for {named}: it is empty, as where" in told.replace("'", "")
    assert not list(tmp_path.iterdir())


def test_the_current_folder_can_be_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*CONVERT, "--calibration-samples", "4", "--steps", "2", "--output", ".")
    assert code == 0, err
    assert (tmp_path / "network.safetensors").is_file()


def test_calibration_trouble_is_4(run: Run) -> None:
    code, out, err = run("convert", DIGITS, "--data", "digits", "--threshold", "learned")
    assert (code, out) == (4, "")
    assert "no learned threshold" in err


@pytest.mark.parametrize("method", ["qcfs", "srp", "cos"])
def test_a_method_for_qcfs_on_another_network_is_4(run: Run, method: str) -> None:
    code, out, err = run("convert", DIGITS, "--data", "digits", "--method", method)
    assert (code, out) == (4, "")
    assert "not a QCFS activation" in err


def test_a_damaged_picture_is_4_where_none_may_be_left_out(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = pytest.importorskip("PIL.Image")
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                path = tmp_path / split / name / f"{number}.png"
                image.new("RGB", (4, 4)).save(path)
    (tmp_path / "train" / "b" / "1.png").write_bytes(b"no picture")
    (tmp_path / "flat_model.py").write_text(
        "from torch import nn\n"
        "def flat():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["convert", "flat_model:flat", "--data", f"imagefolder:{tmp_path}"]
    code, _, err = run(*words, "--strict")
    assert code == 4
    assert "cannot be read as a picture" in err


def test_an_unforeseen_error_is_1_and_hides_its_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bolt came loose")

    monkeypatch.setattr("spikewright.cli.commands.check.surveyed", broken)
    code, _, err = run("check", DIGITS)
    assert code == 1
    assert "a bolt came loose" in err
    assert "Traceback" not in err
    code, _, err = run("--debug", "check", DIGITS)
    assert code == 1
    assert "Traceback" in err


def test_an_interrupt_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spikewright.cli.commands.check.surveyed", interrupted)
    assert run("check", DIGITS)[0] == 130


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnsupportedOperation, 3),
        (ConversionError, 3),
        (CalibrationError, 4),
        (DataError, 4),
        (AnalysisError, 4),
        (ModelError, 2),
        (MissingExtra, 2),
    ],
)
def test_every_error_has_its_exit_code(error: type[Exception], code: int) -> None:
    assert exit_code_of(error("text")) == code  # type: ignore[arg-type]


def test_every_exit_code_is_documented(run: Run) -> None:
    import spikewright.cli

    _, out, _ = run("--help")
    for code in ExitCode:
        assert str(int(code)) in EXIT_CODES
        assert str(int(code)) in (spikewright.cli.__doc__ or "")
    assert "Exit codes" in out


def test_without_the_extra_main_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from spikewright.cli import main

    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert "pip install 'spikewright[cli]'" in capsys.readouterr().err
