"""The command line of the benchmarks; the only part of them that prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import memory, record
from benchmarks.compare import compare
from benchmarks.render import PAGE, page
from benchmarks.run import run
from benchmarks.settings import BenchmarkError, Settings
from benchmarks.workloads import WORKLOADS
from spikewright.errors import SpikewrightError

_NUMBERS = ("batch", "images", "rounds", "calibration_images", "calibration_batch", "seed")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it worked, 2 when it could not be done as asked."""
    arguments = _parser().parse_args(words)
    try:
        arguments.command(arguments)
    except (BenchmarkError, SpikewrightError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(arguments: argparse.Namespace) -> None:
    names = arguments.workload or [name for name, each in WORKLOADS.items() if each.by_default]
    for name in names:
        if name not in WORKLOADS:
            raise BenchmarkError(f"unknown workload '{name}'; there are {', '.join(WORKLOADS)}")
    for name in names:
        path = arguments.output / record.file_name(name, arguments.device, arguments.label)
        earlier = record.read(path) if path.exists() else None  # refused before hours are spent
        made = run(_settings(name, arguments, len(names)), _tell) | {"label": arguments.label}
        record.write(made, arguments.output)
        print(f"wrote {path.name}")
        print(compare(earlier, made) if earlier else "  nothing recorded to compare with")
    _write_page(arguments)


def _settings(name: str, arguments: argparse.Namespace, workloads: int) -> Settings:
    """Options over the workload's defaults; paths go to the workload that has a data set."""
    workload = WORKLOADS[name]
    given = {key: getattr(arguments, key) for key in _NUMBERS}
    numbers = {key: value for key, value in given.items() if value is not None}
    takes_paths = workload.dataset is not None or workloads == 1
    return Settings(
        workload=name,
        device=arguments.device,
        threads=arguments.threads or torch.get_num_threads(),
        contenders=tuple(arguments.contenders),
        weights=arguments.weights if takes_paths else None,
        data=arguments.data if takes_paths else None,
        dataset=workload.dataset,
        memory=not arguments.no_memory,
        seconds=arguments.seconds and arguments.seconds / workloads,
        **{**workload.defaults, **numbers},
    )


def _render(arguments: argparse.Namespace) -> None:
    _write_page(arguments)


def _write_page(arguments: argparse.Namespace) -> None:
    record.write_text(arguments.page, page(record.read_all(arguments.output)))
    print(f"wrote {arguments.page.name}")


def _compare(arguments: argparse.Namespace) -> None:
    print(compare(record.read(arguments.old), record.read(arguments.new)))


def _alone(arguments: argparse.Namespace) -> None:
    found = memory.alone(Settings.from_json(arguments.settings), arguments.name)
    print(json.dumps(found))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_run(commands.add_parser("run", help="measure, record, compare with the record before"))
    render = commands.add_parser("render", help="write the page from the recorded results")
    _add_places(render)
    render.set_defaults(command=_render)
    comparing = commands.add_parser("compare", help="say which ratios moved")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.set_defaults(command=_compare)
    alone = commands.add_parser("alone", help="used by `run`: one measurement of memory")
    alone.add_argument("name")
    alone.add_argument("settings")
    alone.set_defaults(command=_alone)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workload", nargs="*", help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--weights", type=Path, help="safetensors file; random without it")
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ class folders")
    parser.add_argument("--contenders", nargs="+", default=["*"], help="patterns of names")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--label", default="", help="of the machine, beside the record of another")
    parser.add_argument("--threads", type=int, help="of torch's operations; torch's own default")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument("--seconds", type=float, help="about how long, all workloads together")
    for name in _NUMBERS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    _add_places(parser)
    parser.set_defaults(command=_run)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, default=record.RESULTS, help="folder of results")
    parser.add_argument("--page", type=Path, default=PAGE)
