"""`python -m docs_tools COMMAND`: measures and writes what stands on the pages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docs_tools import commands


def main(words: list[str] | None = None) -> int:
    """Run one of the generators; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs_tools", description=__doc__)
    add = parser.add_subparsers(dest="command", required=True).add_parser
    support = add("support", help="write docs/support.md")
    support.set_defaults(run=commands.run_support)
    support.add_argument(
        "--operations-only", action="store_true", help="keep the table of models as it stands"
    )
    census = add("census", help="try 290 architectures; --page writes their page")
    census.set_defaults(run=commands.run_census)
    census.add_argument("--source", choices=("timm", "torchvision", "hf", "others"))
    census.add_argument("--only", default="", metavar="RE", help="names in which this is found")
    census.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time")
    census.add_argument("--survey", action="store_true", help="capture and classify, no conversion")
    census.add_argument("--seconds", type=int, default=900, metavar="S", help="for one, at most")
    census.add_argument("--redo", action="store_true", help="also those with a record")
    census.add_argument("--records", type=Path, default=Path("out/census"), metavar="DIR")
    census.add_argument("--kept", action="store_true", help="try nothing: the records as they are")
    census.add_argument("--page", action="store_true", help="write docs/census.md")
    add("peers", help="run the claims of docs/comparison.md").set_defaults(run=commands.run_peers)
    codes = add("codes", help="measure what codes come to; writes docs/results")
    codes.set_defaults(run=commands.run_codes)
    codes.add_argument("file", type=Path, help="defines NAME, TITLE, model() and inputs(n, start)")
    codes.add_argument("--samples", type=int, default=1000, metavar="N")
    codes.add_argument(
        "--calibration", type=int, default=512, metavar="N", help="samples after them"
    )
    codes.add_argument("--batch", type=int, default=100, metavar="N")
    codes.add_argument(
        "--neurons", default="", metavar="NAME@T,...", help="instead of all compared"
    )
    real = add("real", help="measure real networks; writes docs/real.md")
    real.set_defaults(run=commands.run_real)
    real.add_argument("names", nargs="*", metavar="NAME", help="networks; the page alone without")
    real.add_argument("--samples", type=int, default=200, metavar="N")
    real.add_argument("--calibration", type=int, default=128, metavar="N")
    real.add_argument("--batch", type=int, default=16, metavar="N")
    add("few-spikes", help="measure few-spikes neurons; writes docs/results").set_defaults(
        run=commands.run_few_spikes
    )
    events = add("events", help="show recordings as frames; writes docs/results")
    events.set_defaults(run=commands.run_events)
    events.add_argument("recordings", type=Path, help="their folder")
    events.add_argument("network", help="trained on their mean frames, such as run:DIR")
    add("dense", help="train a detector and a segmenter; writes docs/results").set_defaults(
        run=commands.run_dense
    )
    tandem = add("tandem", help="tandem learning of IF; writes docs/results")
    tandem.set_defaults(run=commands.run_tandem)
    bits = add("bits", help="fine-tune for fewer spikes; writes docs/results")
    bits.set_defaults(run=commands.run_bits)
    nq = add("nq", help="fine-tune with residual noise; writes docs/results")
    nq.set_defaults(run=commands.run_nq)
    dsr = add("dsr", help="fine-tune IF at T = 4; writes docs/results")
    dsr.set_defaults(run=commands.run_gain)
    distil = add("distil", help="tune nearest at T = 4; writes docs/results")
    distil.set_defaults(run=commands.run_gain)
    for command in (tandem, bits, nq, dsr, distil):
        command.add_argument("data", help="CIFAR-10, as --data of spikewright names it")
    for command in (tandem, distil):
        command.add_argument("weights", type=Path, help="of a ReLU ResNet-20, a safetensors file")
    for command in (nq, dsr, distil):
        command.add_argument("--seeds", type=int, default=3, metavar="N")
    demo = add("demo", help="draw docs/demo.svg from a run of spikewright demo")
    demo.set_defaults(run=commands.run_demo)
    demo.add_argument("folder", type=Path, nargs="?", default=Path("out/demo"))
    intrinsic = add("intrinsic", help="measure what docs/intrinsic.md shows")
    intrinsic.set_defaults(run=commands.run_intrinsic)
    intrinsic.add_argument("--redo", action="store_true", help="also what the record has")
    add("mechanistic", help="measure differential equations; writes docs/results").set_defaults(
        run=commands.run_mechanistic
    )
    add("reservoir", help="measure what docs/reservoir.md shows").set_defaults(
        run=commands.run_reservoir
    )
    recurrent = add("recurrent", help="train what docs/recurrent.md shows")
    recurrent.set_defaults(run=commands.run_recurrent)
    recurrent.add_argument("--redo", action="store_true", help="also what the record has")
    search = add("search", help="search and train what docs/search.md shows")
    search.set_defaults(run=commands.run_search)
    search.add_argument("--redo", action="store_true", help="also what the record has")
    given = parser.parse_args(words)
    return given.run(given)


if __name__ == "__main__":
    sys.exit(main())
