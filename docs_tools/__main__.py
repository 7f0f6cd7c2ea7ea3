"""`python -m docs_tools COMMAND`: measures and writes what stands on the pages."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

_Row = TypeVar("_Row")


def main(words: list[str] | None = None) -> int:
    """Run one of the generators; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs_tools", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    support = commands.add_parser("support", help="write docs/support.md")
    support.add_argument(
        "--operations-only", action="store_true", help="keep the table of models as it stands"
    )
    census = commands.add_parser("census", help="try 290 architectures; --page writes their page")
    census.add_argument("--source", choices=("timm", "torchvision", "hf", "others"))
    census.add_argument("--only", default="", metavar="RE", help="names in which this is found")
    census.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time")
    census.add_argument("--survey", action="store_true", help="capture and classify, no conversion")
    census.add_argument("--seconds", type=int, default=900, metavar="S", help="for one, at most")
    census.add_argument("--redo", action="store_true", help="also those with a record")
    census.add_argument("--records", type=Path, default=Path("out/census"), metavar="DIR")
    census.add_argument("--kept", action="store_true", help="try nothing: the records as they are")
    census.add_argument("--page", action="store_true", help="write docs/census.md")
    commands.add_parser("peers", help="run the claims of docs/comparison.md")
    codes = commands.add_parser("codes", help="measure what codes come to; writes docs/results")
    codes.add_argument("file", type=Path, help="defines NAME, TITLE, model() and inputs(n, start)")
    codes.add_argument("--samples", type=int, default=1000, metavar="N")
    codes.add_argument(
        "--calibration", type=int, default=512, metavar="N", help="samples after them"
    )
    codes.add_argument("--batch", type=int, default=100, metavar="N")
    codes.add_argument(
        "--neurons", default="", metavar="NAME@T,...", help="instead of all compared"
    )
    real = commands.add_parser("real", help="measure real networks; writes docs/real.md")
    real.add_argument("names", nargs="*", metavar="NAME", help="networks; the page alone without")
    real.add_argument("--samples", type=int, default=200, metavar="N")
    real.add_argument("--calibration", type=int, default=128, metavar="N")
    real.add_argument("--batch", type=int, default=16, metavar="N")
    commands.add_parser("few-spikes", help="measure few-spikes neurons; writes docs/results")
    events = commands.add_parser("events", help="show recordings as frames; writes docs/results")
    events.add_argument("recordings", type=Path, help="their folder")
    events.add_argument("network", help="trained on their mean frames, such as run:DIR")
    commands.add_parser("dense", help="train a detector and a segmenter; writes docs/results")
    tandem = commands.add_parser("tandem", help="tandem learning of IF; writes docs/results")
    bits = commands.add_parser("bits", help="fine-tune for fewer spikes; writes docs/results")
    nq = commands.add_parser("nq", help="fine-tune with residual noise; writes docs/results")
    dsr = commands.add_parser("dsr", help="fine-tune IF at T = 4; writes docs/results")
    distil = commands.add_parser("distil", help="tune nearest at T = 4; writes docs/results")
    for command in (tandem, bits, nq, dsr, distil):
        command.add_argument("data", help="CIFAR-10, as --data of spikewright names it")
    for command in (tandem, distil):
        command.add_argument("weights", type=Path, help="of a ReLU ResNet-20, a safetensors file")
    for command in (nq, dsr, distil):
        command.add_argument("--seeds", type=int, default=3, metavar="N")
    demo = commands.add_parser("demo", help="draw docs/demo.svg from a run of spikewright demo")
    demo.add_argument("folder", type=Path, nargs="?", default=Path("out/demo"))
    intrinsic = commands.add_parser("intrinsic", help="measure what docs/intrinsic.md shows")
    intrinsic.add_argument("--redo", action="store_true", help="also what the record has")
    commands.add_parser("mechanistic", help="measure differential equations; writes docs/results")
    commands.add_parser("reservoir", help="measure what docs/reservoir.md shows")
    recurrent = commands.add_parser("recurrent", help="train what docs/recurrent.md shows")
    recurrent.add_argument("--redo", action="store_true", help="also what the record has")
    search = commands.add_parser("search", help="search and train what docs/search.md shows")
    search.add_argument("--redo", action="store_true", help="also what the record has")
    given = parser.parse_args(words)
    if given.command == "census":
        return _census(given)
    if given.command == "codes":
        return _codes(given)
    if given.command == "real":
        return _real(given)
    if given.command == "few-spikes":
        return _few_spikes()
    if given.command == "nq":
        return _nq(given)
    if given.command == "events":
        return _events(given.recordings, given.network)
    if given.command == "dense":
        return _dense()
    if given.command == "tandem":
        return _tandem(given)
    if given.command == "bits":
        return _bits(given)
    if given.command in ("dsr", "distil"):
        return _gain(given)
    if given.command == "demo":
        return _demo(given.folder)
    if given.command == "intrinsic":
        return _intrinsic(given.redo)
    if given.command == "mechanistic":
        return _mechanistic()
    if given.command == "reservoir":
        return _reservoir()
    if given.command == "recurrent":
        return _recurrent(given.redo)
    if given.command == "search":
        return _search(given.redo)
    return _support(given.operations_only) if given.command == "support" else _peers()


def _support(operations_only: bool) -> int:
    from docs_tools.support import models, page

    operations = page.operations_part()
    if operations_only:
        told = page.kept_models_part()
    else:
        told = page.models_part(_reported(models.rows()))
    page.PAGE.write_text(operations + told, encoding="utf-8")
    print(f"written: {page.PAGE}")
    return 0


def _census(given: argparse.Namespace) -> int:
    from docs_tools.census import entries, page, record, run

    sources = [given.source] if given.source else list(entries.PACKAGES)
    chosen = [e for source in sources for e in entries.entries(source)]
    chosen = [e for e in chosen if re.search(given.only, e.name)]
    how = run.How(given.jobs, given.redo, given.survey, given.seconds)
    tried = chosen if not given.kept else []
    for found in run.run(tried, given.records, how):
        print(f"{found.source} {found.name}: {found.verdict} {found.message[:100]}", flush=True)
    records, missing = record.read_all(given.records, [(e.source, e.name) for e in chosen])
    for row in page.summary(records):
        print("".join(cell.rjust(14) for cell in row))
    for line in page.most_wanted(records):
        print(line)
    if given.page:
        if given.source or given.only:
            print("the page is of every architecture: leave --source and --only out")
            return 1
        record.write_kept(records)
        page.PAGE.write_text(page.page(records, missing), encoding="utf-8")
        print(f"written: {record.KEPT}, {page.PAGE}")
    return 0


def _codes(given: argparse.Namespace) -> int:
    from docs_tools import codes

    subject = codes.Subject.of(given.file)
    config = {name: getattr(given, name) for name in ("samples", "calibration", "batch")}
    named = [pair.split("@") for pair in given.neurons.split(",") if pair]
    compared = [(name, int(steps)) for name, steps in named] or codes.COMPARED
    rows = list(_reported(codes.measured(subject, **config, compared=compared)))
    print(codes.table(rows))
    print(f"written: {codes.write(subject, rows, config)}")
    return 0


def _real(given: argparse.Namespace) -> int:
    from docs_tools.real import measure, networks, page

    unknown = set(given.names) - set(networks.NETWORKS)
    if unknown:
        print(
            f"no network is named {', '.join(sorted(unknown))}: take {', '.join(networks.NETWORKS)}"
        )
        return 1
    for name in given.names:
        for found in measure.measured(name, given.samples, given.calibration, given.batch):
            measure.write(found)
            print(f"{name}: {found.rows[-1]}", flush=True)
    page.PAGE.write_text(page.page(), encoding="utf-8")
    print(f"written: {page.PAGE}")
    return 0


def _few_spikes() -> int:
    from docs_tools import few_spikes

    few_spikes.write()
    print("\n\n".join(few_spikes.tables()))
    return 0


def _nq(given: argparse.Namespace) -> int:
    from docs_tools import nq

    rows = nq.measured(given.data, range(given.seeds), **nq.SETTINGS)
    print(nq.table(_kept(nq.RECORD, {"source": nq.SOURCE, **nq.SETTINGS}, rows)))
    return 0


def _events(recordings: Path, network: str) -> int:
    from docs_tools import events, events_page

    record = events.measured(recordings, network)
    print("\n\n".join(told(record) for told in events_page.PARTS))
    print(f"written: {events.write(record)}")
    return 0


def _dense() -> int:
    from docs_tools.dense import measure, picture

    record = measure.measured()
    print(*record.rows, sep="\n")
    print(f"written: {measure.write(record)}, {picture.write(record)}")
    return 0


def _tandem(given: argparse.Namespace) -> int:
    from docs_tools import tandem

    rows = tandem.measured(given.data, given.weights, **tandem.SETTINGS)
    config = {"source": tandem.SOURCE, "steps": tandem.STEPS, **tandem.SETTINGS}
    print(tandem.table(_kept(tandem.RECORD, config, rows)))
    return 0


def _bits(given: argparse.Namespace) -> int:
    from docs_tools import bits

    found = bits.measured(given.data, **bits.SETTINGS)
    config = {"source": bits.SOURCE, "learning_rate": bits.RATE, **bits.SETTINGS}
    rows = _kept(bits.RECORD, config, found)
    print(bits.choosing_table(rows), bits.table(rows), sep="\n\n")
    return 0


def _gain(given: argparse.Namespace) -> int:
    from docs_tools import gains

    trial = gains.TRIALS[given.command]
    done = gains.done(trial)
    seeds = [seed for seed in range(given.seeds) if seed not in {row.seed for row in done}]
    rows = gains.measured(trial, given.data, seeds, getattr(given, "weights", None))
    print(gains.table(_kept(trial.record, trial.config, chain(done, rows))))
    return 0


def _kept(record: Path, config: Mapping[str, Any], found: Iterable[_Row]) -> list[_Row]:
    """Rows of fine-tuning, written as far as they are: each takes minutes."""
    from docs_tools import finetuned

    rows: list[_Row] = []
    for row in _reported(found):
        rows.append(row)
        finetuned.write(record, rows, config)
    return rows


def _demo(folder: Path) -> int:
    from docs_tools import demo_chart

    demo_chart.PICTURE.write_text(demo_chart.demo_chart(folder), encoding="utf-8")
    print(f"written: {demo_chart.PICTURE}")
    return 0


def _intrinsic(redo: bool) -> int:
    from docs_tools import intrinsic, intrinsic_page, intrinsic_training

    for record in intrinsic.measured(None if redo else intrinsic.read()):
        print(*record.runs[-1:], file=sys.stderr, flush=True)
        intrinsic.write(record)  # a measurement that is stopped goes on at the next training
        if len(record.runs) == intrinsic_training.ALL_RUNS:
            print("\n\n".join(intrinsic_page.tables(record)))
    return 0


def _mechanistic() -> int:
    from docs_tools import mechanistic

    record = mechanistic.measured()
    print("\n\n".join((*mechanistic.tables(record), *(row.equations for row in record.lorenz))))
    print(f"written: {mechanistic.write(record)}")
    return 0


def _reservoir() -> int:
    from docs_tools import reservoir, reservoir_page

    record = reservoir.Record(
        reservoir.versions(),
        tuple(_reported(reservoir.memories())),
        tuple(_reported(reservoir.prunings())),
        tuple(_reported(reservoir.linear())),
    )
    print("\n\n".join(reservoir_page.tables(record)))
    print(f"written: {reservoir.write(record)}")
    return 0


def _recurrent(redo: bool) -> int:
    from docs_tools import recurrent

    found = [] if redo else list(recurrent.read())
    for run in _reported(recurrent.runs(done=tuple(found))):
        found.append(run)
        recurrent.write(found)  # a run that is stopped goes on at the next network
    for task in recurrent.TASKS:
        print(recurrent.table(found, task), end="\n\n")
    for task in ("recall", "alone"):
        print(f"{task}, ALIF above LIF:", recurrent.difference(found, task, "ALIF", "LIF"))
    return 0


def _search(redo: bool) -> int:
    from docs_tools import search

    for record in search.measured(redo=redo):
        newest = record.runs[-1] if record.runs else record.searches[-1]
        print(newest, file=sys.stderr, flush=True)
    record = search.read()
    for table in (search.agreement_table, search.accuracy_table, search.search_table):
        print(table(record), end="\n\n")
    return 0


def _reported(rows: Iterable[_Row]) -> Iterator[_Row]:
    """Pass rows on and tell of each: it takes a while."""
    for row in rows:
        print(row, file=sys.stderr, flush=True)
        yield row


def _peers() -> int:
    from docs_tools.peers import CLAIMS, missing_package

    wrong = 0
    for claim in CLAIMS:
        package = missing_package(claim)
        if package is not None:
            print(f"skipped: {claim.name} ({package} is not installed)")
            continue
        finding = claim.run()
        wrong += not finding.holds
        print(f"{'holds' if finding.holds else 'DOES NOT HOLD'}: {claim.name}\n  {finding.told}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
