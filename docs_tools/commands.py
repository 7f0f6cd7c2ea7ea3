"""What each command of `python -m docs_tools` does; every one returns the exit code."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

_Row = TypeVar("_Row")


def run_support(given: Namespace) -> int:
    from docs_tools.support import models, page

    operations = page.operations_part()
    if given.operations_only:
        told = page.kept_models_part()
    else:
        told = page.models_part(_reported(models.rows()))
    page.PAGE.write_text(operations + told, encoding="utf-8")
    print(f"written: {page.PAGE}")
    return 0


def run_census(given: Namespace) -> int:
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


def run_codes(given: Namespace) -> int:
    from docs_tools import codes

    subject = codes.Subject.of(given.file)
    config = {name: getattr(given, name) for name in ("samples", "calibration", "batch")}
    named = [pair.split("@") for pair in given.neurons.split(",") if pair]
    compared = [(name, int(steps)) for name, steps in named] or codes.COMPARED
    rows = list(_reported(codes.measured(subject, **config, compared=compared)))
    print(codes.table(rows))
    print(f"written: {codes.write(subject, rows, config)}")
    return 0


def run_real(given: Namespace) -> int:
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


def run_few_spikes(_: Namespace) -> int:
    from docs_tools import few_spikes

    few_spikes.write()
    print("\n\n".join(few_spikes.tables()))
    return 0


def run_nq(given: Namespace) -> int:
    from docs_tools import nq

    rows = nq.measured(given.data, range(given.seeds), **nq.SETTINGS)
    print(nq.table(_kept(nq.RECORD, {"source": nq.SOURCE, **nq.SETTINGS}, rows)))
    return 0


def run_events(given: Namespace) -> int:
    from docs_tools import events, events_page

    record = events.measured(given.recordings, given.network)
    print("\n\n".join(told(record) for told in events_page.PARTS))
    print(f"written: {events.write(record)}")
    return 0


def run_dense(_: Namespace) -> int:
    from docs_tools.dense import measure, picture

    record = measure.measured()
    print(*record.rows, sep="\n")
    print(f"written: {measure.write(record)}, {picture.write(record)}")
    return 0


def run_tandem(given: Namespace) -> int:
    from docs_tools import tandem

    rows = tandem.measured(given.data, given.weights, **tandem.SETTINGS)
    known = {"source": tandem.SOURCE, "steps": tandem.STEPS, "more": tandem.MORE}
    config = {**known, **tandem.SETTINGS}
    print(tandem.table(_kept(tandem.RECORD, config, rows)))
    return 0


def run_bits(given: Namespace) -> int:
    from docs_tools import bits

    found = bits.measured(given.data, given.folder, **bits.SETTINGS)
    config = {"source": bits.SOURCE, "learning_rate": bits.RATE, **bits.SETTINGS}
    print(bits.table(_kept(bits.RECORD, config, found)))
    return 0


def run_gain(given: Namespace) -> int:
    from docs_tools import gains

    trial = gains.TRIALS[given.command]
    done = gains.done(trial)
    seeds = [seed for seed in range(given.seeds) if seed not in {row.seed for row in done}]
    rows = gains.measured(trial, given.data, seeds, getattr(given, "weights", None))
    print(gains.table(_kept(trial.record, trial.config, chain(done, rows))))
    return 0


def run_demo(given: Namespace) -> int:
    from docs_tools import demo_chart

    demo_chart.PICTURE.write_text(demo_chart.demo_chart(given.folder), encoding="utf-8")
    print(f"written: {demo_chart.PICTURE}")
    return 0


def run_intrinsic(given: Namespace) -> int:
    from docs_tools import intrinsic, intrinsic_page, intrinsic_training

    for record in intrinsic.measured(None if given.redo else intrinsic.read()):
        print(*record.runs[-1:], file=sys.stderr, flush=True)
        intrinsic.write(record)  # a measurement that is stopped goes on at the next training
        if len(record.runs) == intrinsic_training.ALL_RUNS:
            print("\n\n".join(intrinsic_page.tables(record)))
    return 0


def run_mechanistic(_: Namespace) -> int:
    from docs_tools import mechanistic

    record = mechanistic.measured()
    print("\n\n".join((*mechanistic.tables(record), *(row.equations for row in record.lorenz))))
    print(f"written: {mechanistic.write(record)}")
    return 0


def run_reservoir(_: Namespace) -> int:
    from docs_tools import records, reservoir, reservoir_page

    record = reservoir.Record(
        records.versions(),
        tuple(_reported(reservoir.memories())),
        tuple(_reported(reservoir.prunings())),
        tuple(_reported(reservoir.linear())),
    )
    print("\n\n".join(reservoir_page.tables(record)))
    print(f"written: {reservoir.write(record)}")
    return 0


def run_recurrent(given: Namespace) -> int:
    from docs_tools import recurrent

    found = [] if given.redo else list(recurrent.read())
    for run in _reported(recurrent.runs(done=tuple(found))):
        found.append(run)
        recurrent.write(found)  # a run that is stopped goes on at the next network
    for task in recurrent.TASKS:
        print(recurrent.table(found, task), end="\n\n")
    for task in ("recall", "alone"):
        print(f"{task}, ALIF above LIF:", recurrent.difference(found, task, "ALIF", "LIF"))
    return 0


def run_search(given: Namespace) -> int:
    from docs_tools import search

    for record in search.measured(redo=given.redo):
        newest = record.runs[-1] if record.runs else record.searches[-1]
        print(newest, file=sys.stderr, flush=True)
    record = search.read()
    for table in (search.agreement_table, search.accuracy_table, search.search_table):
        print(table(record), end="\n\n")
    return 0


def run_peers(_: Namespace) -> int:
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


def _kept(record: Path, config: Mapping[str, Any], found: Iterable[_Row]) -> list[_Row]:
    """Rows of fine-tuning, written as far as they are: each takes minutes."""
    from docs_tools import finetuned

    rows: list[_Row] = []
    for row in _reported(found):
        rows.append(row)
        finetuned.write(record, rows, config)
    return rows


def _reported(rows: Iterable[_Row]) -> Iterator[_Row]:
    """Pass rows on and tell of each: it takes a while."""
    for row in rows:
        print(row, file=sys.stderr, flush=True)
        yield row
