"""What random command lines are made of: lines that work, values of every option, and nonsense.

Files and folders are named from the folder that `command_places` makes. A test holds this against
the command line: it names every command and option that is missing here.
"""

from __future__ import annotations

from collections.abc import Mapping

DIGITS = "spikewright.models:digits_cnn"
NETWORK = "saved/network.safetensors"
"""Two-phase; the network of `BINARY` is one-phase, as NIR wants it."""
BINARY = "binary/network.safetensors"
FRESH = "fresh"
"""Stands, also within a word, for a name that is not there yet."""

_FEW = "--data digits --calibration-samples 8 --steps 1"
_FOUR = f"{_FEW} --limit 4 --seeds 1"
_PICTURES = (
    "torchvision:squeezenet1_1 --model-argument num_classes=10 --data imagefolder:pictures "
    "--size 32 --calibration-samples 4 --steps 1"
)
_EVENTS = "run:watched --data cifar10dvs:events --size 32 --calibration-samples 4 --steps 1"
_PAPER = (
    "--data digits --images 4 --one-phase-images 2 --energy-images 1 --calibration-samples 8 "
    f"--seeds 1 --steps 1 --out {FRESH}"
)

SOUND: Mapping[str, tuple[str, ...]] = {
    "check": (
        f"{DIGITS} --input-shape 1,8,8",
        "zoo:digits-qcfs8 --input-shape 1,8,8 --json",
        "program.pt2",
        "torchvision:squeezenet1_1 --input-shape 3,32,32",
    ),
    "convert": (
        f"{DIGITS} {_FEW} --output {FRESH}",
        "run:trained --data digits --calibration-samples 8 --steps 2 --method qcfs",
        f"{_PICTURES} --neuron if",
        f"{DIGITS} {_FEW} --longer-layers 1 --longer-by 2 --latency 8 --output {FRESH}",
        f"{_EVENTS} --json",
    ),
    "sweep": (
        f"{DIGITS} {_FOUR} --output {FRESH}",
        f"{DIGITS} {_FOUR} --weights weights.safetensors --neuron own --json",
        f"zoo:digits-qcfs8 {_FOUR} --threshold learned --correction none --neuron nearest",
        f"{DIGITS} {_FOUR} --neuron nearest,if --compile",
        f"{_PICTURES} --limit 2 --seeds 1 --neuron tpp",
        f"{_EVENTS} --limit 2 --seeds 1 --neuron if,nearest --frames",
    ),
    "energy": (
        f"{DIGITS} {_FEW} --limit 4 --output {FRESH}",
        f"{_PICTURES} --limit 2 --neuron nearest:binary --json",
    ),
    "misalignment": (
        f"{DIGITS} {_FOUR} --output {FRESH}",
        f"run:trained {_FOUR} --orders late --no-layerwise",
    ),
    "report": (
        f"swept --output {FRESH}.html",
        f"swept counted --output {FRESH}.html",
        f"misaligned counted swept --output {FRESH}/{FRESH}.html",
    ),
    "rerun": ("swept", "counted", "evaluated", "misaligned", f"saved --output {FRESH}"),
    "train": (
        f"--data digits --model digits_cnn --levels 2 --epochs 1 --output {FRESH}",
        f"--data digits --model digits_cnn --levels 2 --epochs 1 --compile --output {FRESH}",
        f"--data digits --model digits_cnn --activation relu --epochs 2 --output {FRESH} --json",
        "--data imagefolder:clean --size 16 --model resnet20 --levels 2 --epochs 1 "
        f"--batch-size 2 --output {FRESH}",
        "--data cifar10dvs:events --size 16 --model events_cnn --activation clipped --epochs 1 "
        f"--batch-size 2 --output {FRESH}",
        "--data digits --model digits_cnn --levels 1 --start-from run:trained --epochs 1 "
        f"--output {FRESH}",
        "--resume stopped",
        "--resume trained --device cpu",
    ),
    "train-sequences": (
        f"--data digits-rows --units 4 --epochs 1 --batch-size 256 --output {FRESH}",
        f"--data recall:3 --units 4,3 --beta 0 --epochs 1 --batch-size 256 --output {FRESH} --json",
        "--resume interrupted",
        "--resume recalled --device cpu",
    ),
    "finetune": (
        f"{NETWORK} --data digits --method distil --samples 40 --epochs 1 --output {FRESH}",
        f"{BINARY} --data digits --method dsr --samples 64 --epochs 1 --output {FRESH} --json",
        f"{BINARY} --data digits --method tandem --samples 64 --epochs 2 --joint-epochs 1 "
        f"--output {FRESH}",
        f"{BINARY} --data digits --method nq --samples 64 --epochs 1 --output {FRESH}",
    ),
    "demo": (f"--output {FRESH}", "--json"),
    "paper simulate-events": (
        f"--data digits --output {FRESH} --per-class 1 --loops 1",
        f"--data imagefolder:pictures --output {FRESH} --per-class 1 --loops 1 --json",
    ),
    "inspect": (NETWORK, f"{NETWORK} --json"),
    "export": (
        f"{BINARY} --to nir --output {FRESH}.nir",
        f"{NETWORK} --to onnx --output {FRESH}.onnx",
    ),
    "evaluate": (
        f"{NETWORK} --data digits --limit 4 --steps 1,2 --seeds 1 --output {FRESH}",
        f"{BINARY} --data digits --limit 4 --seeds 1 --json",
        f"{NETWORK} --data digits --limit 4 --seeds 1 --compile",
    ),
    "zoo": ("", "--json", f"--add trained --name {FRESH}"),
    "paper tables": (
        f"trained {_PAPER}",
        f"described.json {_PAPER} --rows rts-if,minerror-nearest",
        f"trained described.json {_PAPER} --share 1/5",
        f"trained {_PAPER} --rows nearest --compile",
    ),
    "paper page": (f"--out records --page {FRESH}.md --steps 1,2",),
    "paper compared": (f"--out records --page {FRESH}.md --steps 1,2",),
    "paper published": (f"--page {FRESH}.md",),
    "paper imagenet-dry-run": (f"--out {FRESH} --models squeezenet1_1 --images 1 --size 32",),
}
"""Of every command, words that work and are small."""

RARE: Mapping[str, float] = {"demo": 0.05, "paper imagenet-dry-run": 0.05}
"""How often these are chosen beside 1 of the others: a minute each that works."""
KEPT = frozenset(
    {"limit", "calibration_samples", "seeds", "steps", "epochs", "images", "per_class", "loops"}
    | {"models", "size", "samples"}
)
"""Parameters that are never dropped: without them a sound line takes its time."""
ENDLESS: Mapping[str, tuple[str, ...]] = {
    "train": ("--epochs",),
    "train-sequences": ("--epochs",),
    "finetune": ("--epochs",),
    "paper simulate-events": ("--loops",),
    "paper imagenet-dry-run": ("--images",),
}
"""Options whose large values are honest requests for as much work: they stay small."""

_PLACES = (
    *(
        NETWORK,
        BINARY,
        "damaged.safetensors",
        "empty",
        "saved",
        "swept",
        "evaluated",
        "counted",
        "misaligned",
    ),
    *("trained", "stopped", "watched", "recalled", "interrupted", "records", "events", "pictures"),
    "described.json",
    *("program.pt2", "weights.safetensors", "odd0", "odd1", "odd2", "odd3", "odd4", "odd5", "loop"),
)
"""What is there: of every kind, right and damaged."""
_NO_PLACES = (
    *("absent", "absent/below/it", "/dev/null", "/proc/nothing", "/proc", "/proc/self", "."),
    *("..", "n" * 300, f"{NETWORK}/below", "new folder", "ünï/✓", "out", "out/deeper", "~", "run:"),
    *("a.html", "out/a.json", "[red]", "-.md", ".hidden", " /x", "a\nb", "\udcff.html"),
)
_OUTPUTS = (*[FRESH] * 4, "out", "out/deeper", *_PLACES)
_MODELS = (
    *(DIGITS, DIGITS, "zoo:digits-qcfs8", "run:trained", "run:watched", "run:stopped", "run:odd1"),
    *("torchvision:squeezenet1_1", "torchvision:alexnet", "program.pt2", "damaged.pt2", "empty"),
    *("spikewright.models:events_cnn", "spikewright.models:resnet20", "digits_cnn"),
)
_DATA = (
    *("digits", "digits", "imagefolder:clean", "imagefolder:pictures", "imagefolder:empty"),
    *(
        "imagefolder:events",
        "cifar10dvs:events",
        "cifar10dvs:pictures",
        "cifar10:pictures",
        "cifar100:absent",
    ),
)
_NUMBERS = (
    "0",
    "1",
    "-1",
    "0.5",
    "1e-3",
    "100",
    "nan",
    "inf",
    "-inf",
    "1e-300",
    "1e300",
    "-0.0",
    "1e38",
)
_RUNS = (
    *("swept", "evaluated", "counted", "misaligned", "saved", "trained", "records"),
    "odd0",
    "odd2",
    "out",
)

VALUES: Mapping[str, tuple[str, ...]] = {
    "model": _MODELS,
    "train model": ("digits_cnn", "digits_cnn", "events_cnn", "resnet20", DIGITS, "vgg16"),
    "weights": ("weights.safetensors", NETWORK, "damaged.safetensors", "absent", "trained"),
    "model_argument": (
        "num_classes=10",
        "num_classes=3",
        "x=[1]",
        "num_classes=null",
        "weights=DEFAULT",
    ),
    "check input": ("x=float:1,8,8", "x=ids:8", "input=1,8,8", "x=text:8", "x"),
    "function_pj": ("silu=5", "silu=5,softmax=20", "silu", "silu=-1", "silu=nan"),
    "units": ("group", "elementary", "x"),
    "agreement": ("0.9", "1", "0", "2", "x"),
    "codes": ("binary,first-spike", "binary", "digits", "x", "binary,,"),
    "latency": ("30", "1", "0", "x"),
    "longer_layers": ("1", "2", "0", "x"),
    "longer_by": ("1", "4", "0", "65536", "x"),
    "trajectory": ("4", "0", "two"),
    "metric": ("torch:dist", "absent:metric", "torch", "torch:absent", ":"),
    "input_shape": ("1,8,8", "3,32,32", "8", "1,1,1", "2,32,32", "3,0,3"),
    "data": _DATA,
    "paper tables data": ("digits", "digits", "imagefolder:pictures", "cifar10:absent"),
    "mean": ("0.5", "0,0,0", "0.1,0.2", "1e38"),
    "std": ("0.5", "1,1,1", "0", "1e-38,1"),
    "size": ("1", "8", "16", "32", "64"),
    "paper imagenet-dry-run size": ("32", "33", "48"),
    "batch_size": ("1", "2", "4", "1000"),
    "calibration_samples": ("1", "2", "8"),
    "limit": ("1", "3", "8"),
    "seeds": ("1", "2"),
    "steps": ("1", "2", "1,2", "3,3"),
    "seed": ("0", "7", "4294967295"),
    "neuron": (
        *("if", "nearest", "tpp", "if,unbiased", "nearest:binary", "own", "srp:2", "shuffled"),
        *("if-hard", "nearest:first-spike,nearest:late", "early,late,reversed,shared", "srp"),
        *("srp:1000000000000", "cos", "cos:2", "few-spikes"),
    ),
    "orders": ("late", "independent,early", "shared,reversed"),
    "method": (
        *("qcfs", "rts", "snnc", "ltb", "srp", "cos", "bits", "ttfs", "few-spikes", "minerror"),
        "auto",
    ),
    "finetune method": ("distil", "dsr", "tandem", "bits", "nq", "qcfs"),
    "finetune levels": ("1", "8", "0", "256"),
    "finetune noise": ("0", "1", "101", *_NUMBERS),
    "finetune steps": ("1", "2", "x"),
    "network": (NETWORK, BINARY, "damaged.safetensors", "weights.safetensors", "empty", "odd0"),
    "samples": ("32", "64", "8", "5000"),
    "correction": ("auto", "bias", "refit", "none", "both"),
    "threshold": (
        *("minerror", "maximum:channel", "percentile:99", "percentile:99.9:layer", "learned"),
        *("learned:minerror", "minerror:layer", "localbalance", "4"),
    ),
    "train-sequences data": (
        *("digits-rows", "recall:3", "recall:3", "recall:0", "recall:x", "digits"),
        *("heidelberg:events", "speech-commands:pictures", "heidelberg:"),
    ),
    "train-sequences noise": ("0", "0.5", "1.5", *_NUMBERS),
    "train-sequences units": ("4", "4,3", "0", "1000000", "4,"),
    "train-sequences batch_size": ("64", "256", "4096"),
    "train-sequences threshold": ("0.1", "0", *_NUMBERS),
    "beta": ("0", "0.5", *_NUMBERS),
    "time_constant": ("20,5", "1,0", "20", "0,1", "1e300,1"),
    "adaptation_time_constant": ("150,10", "2,0", "1,2,3", "nan,1"),
    "input_gain": ("1", "10", *_NUMBERS),
    "answer_steps": ("1", "8", "0", "100"),
    "rate_steps": ("1", "10", "0"),
    "train-sequences resume": ("interrupted", "recalled", "trained", "swept", "odd1", "absent"),
    "train threshold": ("4", "0.01", "1e30", *_NUMBERS),
    "paper simulate-events threshold": ("0.14", "0.5", "0.01", *_NUMBERS),
    "precision": ("float32", "bf16", "int8", "float64"),
    "device": ("cpu", "cpu", "cpu:0", "cuda:99", "mps", "meta"),
    "output": _OUTPUTS,
    "out": _OUTPUTS,
    "report output": (f"{FRESH}.html", "out/a.html", "records/a.HTM", *_PLACES),
    "paper page out": ("records", "records", *_PLACES),
    "paper compared out": ("records", "records", *_PLACES),
    "page": (f"{FRESH}.md", "out/page.md", "README", *_PLACES),
    "runs": _RUNS,
    "run": _RUNS,
    "networks": (
        "trained",
        "described.json",
        "watched",
        "odd0.json",
        "wrong-name.json",
        "wrong-data.json",
        "wrong-mean.json",
        *_RUNS,
    ),
    "file": (NETWORK, BINARY, "damaged.safetensors", "weights.safetensors", "empty", "odd0"),
    "to": ("nir", "onnx"),
    "add": ("trained", "trained", "watched", "stopped", "swept", "odd1", "absent"),
    "name": (FRESH, FRESH, "a-name", "digits-qcfs8", "UPPER", "a/b", "..", "٣"),
    "levels": ("1", "2", "8", "100"),
    "shift_steps": ("1", "8"),
    "start_from": (
        *("run:trained", "zoo:digits-qcfs8", "weights.safetensors", "run:watched", "run:stopped"),
        *("trained/weights.safetensors", "trained/card.json", "damaged.safetensors", "absent"),
        NETWORK,
    ),
    "validation": ("1", "5", "100"),
    "augment": ("none", "crop", "flip,cutout", "autoaugment", "crop,crop"),
    "epochs": ("1", "2"),
    "learning_rate": ("0.1", "0.001", *_NUMBERS),
    "momentum": ("0", "0.9", *_NUMBERS),
    "weight_decay": ("0", "1e-4", *_NUMBERS),
    "warmup_epochs": ("0", "0.5", "1", *_NUMBERS),
    "label_smoothing": ("0", "0.1", *_NUMBERS),
    "ema": ("0.9", "0.999", *_NUMBERS),
    "clip_gradient": ("1", "0.1", *_NUMBERS),
    "sparsity": ("0.1", "0", *_NUMBERS),
    "joint_epochs": ("0", "1", "2"),
    "resume": ("stopped", "trained", "watched", "swept", "odd1", "absent"),
    "per_class": ("1", "2"),
    "mismatch": ("0.1", "1", *_NUMBERS),
    "loops": ("1", "2"),
    "rows": ("if", "nearest", "rts-if,rts-tpp", "srp", "cos", "ann"),
    "images": ("1", "4"),
    "one_phase_images": ("1", "8"),
    "energy_images": ("0", "2"),
    "share": ("0/1", "1/2", "2/2", "0/0", "0/1000000000000", "1", "-1/3"),
    "models": ("squeezenet1_1", "squeezenet1_1,squeezenet1_1", "shufflenet_v2_x0_5", "alexnet"),
}
"""Values of every parameter that takes one and is no choice: by its name, or by command and name.

Right ones, and some that are wrong for a reason of their own.
"""

NONSENSE = (
    *("", " ", "x", "-", "--", "-1", "0", "1", "nan", "inf", "1e400", "1.5", "1,,2", ",", "None"),
    *("999999999999999999999", "18446744073709551616", "-9223372036854775809", "0x10", "٣", "1_0"),
    *("-inf", "1e-320", "-0", "+2", "1e3", "NaN", "1,1,1,1", "1/0", "true", "null", "[]"),
    *("9" * 5000, "[" * 50_000, "x=" + "[" * 50_000, "a" * 5000, "💥" * 40, "ünï ✓", "\x1b[31m"),
    *("\n\t", "../..", "%s%n", "{}", "[bold]x[/]", "'; --", "\udcff", "\u202e", "*", "1,"),
    *("json:loads", "sys:exit", "os:getcwd", "absent.pt2", "pictures", "x=y", "=", ":", "::"),
    *("a:b", "a:", ":b", "digits:", "zoo:", "run:", "snn:", "torchvision:"),
)
"""What any value may become; the last ones look like specs."""
LARGE = ("65537", "1000000000000", "4294967296", "2147483648", "9223372036854775807")
"""Whole numbers that are beyond every use."""
HOSTILE = (NONSENSE, LARGE, _NUMBERS, (*_PLACES, *_NO_PLACES))
"""What a value is replaced by, of each kind as often."""
