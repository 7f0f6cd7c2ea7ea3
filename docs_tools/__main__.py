"""`python -m docs_tools COMMAND`: measures and writes what stands on the pages."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from docs_tools import commands


def main(words: list[str] | None = None) -> int:
    """Run one of the generators; returns the exit code."""
    parser = ArgumentParser(prog="python -m docs_tools", description=__doc__)
    parsers = parser.add_subparsers(dest="command", required=True)

    def command(run: Callable[[Namespace], int], name: str, help: str) -> ArgumentParser:
        made = parsers.add_parser(name, help=help)
        made.set_defaults(run=run)
        return made

    support = command(commands.run_support, "support", "write docs/support.md")
    support.add_argument(
        "--operations-only", action="store_true", help="keep the table of models as it stands"
    )
    census = command(
        commands.run_census, "census", "try 290 architectures; --page writes their page"
    )
    census.add_argument("--source", choices=("timm", "torchvision", "hf", "others"))
    census.add_argument("--only", default="", metavar="RE", help="names in which this is found")
    census.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time")
    census.add_argument("--survey", action="store_true", help="capture and classify, no conversion")
    census.add_argument("--seconds", type=int, default=900, metavar="S", help="for one, at most")
    census.add_argument("--redo", action="store_true", help="also those with a record")
    census.add_argument("--records", type=Path, default=Path("out/census"), metavar="DIR")
    census.add_argument("--kept", action="store_true", help="try nothing: the records as they are")
    census.add_argument("--page", action="store_true", help="write docs/census.md")
    command(commands.run_peers, "peers", "run the claims of docs/comparison.md")
    codes = command(commands.run_codes, "codes", "measure what codes come to; writes docs/results")
    codes.add_argument("file", type=Path, help="defines NAME, TITLE, model() and inputs(n, start)")
    codes.add_argument("--samples", type=int, default=1000, metavar="N")
    codes.add_argument(
        "--calibration", type=int, default=512, metavar="N", help="samples after them"
    )
    codes.add_argument("--batch", type=int, default=100, metavar="N")
    codes.add_argument(
        "--neurons", default="", metavar="NAME@T,...", help="instead of all compared"
    )
    real = command(commands.run_real, "real", "measure real networks; writes docs/real.md")
    real.add_argument("names", nargs="*", metavar="NAME", help="networks; the page alone without")
    real.add_argument("--samples", type=int, default=200, metavar="N")
    real.add_argument("--calibration", type=int, default=128, metavar="N")
    real.add_argument("--batch", type=int, default=16, metavar="N")
    command(
        commands.run_few_spikes, "few-spikes", "measure few-spikes neurons; writes docs/results"
    )
    events = command(
        commands.run_events, "events", "show recordings as frames; writes docs/results"
    )
    events.add_argument("recordings", type=Path, help="their folder")
    events.add_argument("network", help="trained on their mean frames, such as run:DIR")
    command(commands.run_dense, "dense", "train a detector and a segmenter; writes docs/results")
    tandem = command(commands.run_tandem, "tandem", "tandem learning of IF; writes docs/results")
    bits = command(commands.run_bits, "bits", "train for fewer spikes; writes docs/results")
    nq = command(commands.run_nq, "nq", "fine-tune with residual noise; writes docs/results")
    dsr = command(commands.run_gain, "dsr", "fine-tune IF at T = 4; writes docs/results")
    distil = command(commands.run_gain, "distil", "tune nearest at T = 4; writes docs/results")
    for made in (tandem, bits, nq, dsr, distil):
        made.add_argument("data", help="CIFAR-10, as --data of spikewright names it")
    bits.add_argument("folder", type=Path, help="of the trainings; those begun go on")
    for made in (tandem, distil):
        made.add_argument("weights", type=Path, help="of a ReLU ResNet-20, a safetensors file")
    for made in (nq, dsr, distil):
        made.add_argument("--seeds", type=int, default=3, metavar="N")
    demo = command(commands.run_demo, "demo", "draw docs/demo.svg from a run of spikewright demo")
    demo.add_argument("folder", type=Path, nargs="?", default=Path("out/demo"))
    intrinsic = command(commands.run_intrinsic, "intrinsic", "measure what docs/intrinsic.md shows")
    intrinsic.add_argument("--redo", action="store_true", help="also what the record has")
    command(
        commands.run_mechanistic,
        "mechanistic",
        "measure differential equations; writes docs/results",
    )
    command(commands.run_reservoir, "reservoir", "measure what docs/reservoir.md shows")
    recurrent = command(commands.run_recurrent, "recurrent", "train what docs/recurrent.md shows")
    recurrent.add_argument("--redo", action="store_true", help="also what the record has")
    search = command(commands.run_search, "search", "search and train what docs/search.md shows")
    search.add_argument("--redo", action="store_true", help="also what the record has")
    given = parser.parse_args(words)
    return given.run(given)


if __name__ == "__main__":
    sys.exit(main())
