"""Processes for tests, forked from one that holds the library, as importing it takes seconds.

Two of them talk through gloo on the CPU, as a launcher starts them, without one.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["spikewright.cli.app", "accelerate", "sklearn.datasets"])


class Forked:
    """Python with words of a command line; what `subprocess.Popen` has of it that is used here."""

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str] = os.environ,
        out: str = os.devnull,
        err: str = os.devnull,
    ) -> None:
        self._process = FORKED.Process(target=_python, args=(list(words), dict(env), out, err))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def _python(words: list[str], env: dict[str, str], out: str, err: str) -> None:
    """What `python WORDS` does: `-c CODE`, `-m MODULE` or a script, and its arguments."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(env)
    import torch  # not by the tests that import this file and start nothing

    torch.set_num_threads(1)
    kind = words[0] if words[0] in ("-c", "-m") else ""
    program, *more = words[1:] if kind else words
    sys.argv = [kind or program, *more]
    if kind == "-c":
        exec(program, {"__name__": "__main__"})
    elif kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(program, run_name="__main__")


class Ended(NamedTuple):
    """How a process ended, and what it printed."""

    code: int | None
    out: str
    err: str


def ended(words: Sequence[str], environments: Sequence[Mapping[str, str]]) -> list[Ended]:
    """Start Python with the same words in every environment, and wait for the end of all."""
    with TemporaryDirectory() as folder:
        count = len(environments)
        files = [(Path(folder, f"{n}.out"), Path(folder, f"{n}.err")) for n in range(count)]
        running = [
            Forked(words, env, *map(str, both))
            for env, both in zip(environments, files, strict=True)
        ]
        try:
            codes = [process.wait(timeout=300) for process in running]
        finally:
            for process in running:
                process.kill()
        return [
            Ended(code, *(file.read_text(encoding="utf-8") for file in both))
            for code, both in zip(codes, files, strict=True)
        ]


def ranks(count: int = 2) -> list[dict[str, str]]:
    """The environments in which a launcher starts processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    common["OMP_NUM_THREADS"] = "1"  # else accelerate deals out the cores
    return [
        os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)
    ]


def together(*words: str) -> list[str]:
    """What two processes print, by rank; both must end well."""
    found = ended(words, ranks())
    for process in found:
        assert process.code == 0, process.err
    return [process.out for process in found]
