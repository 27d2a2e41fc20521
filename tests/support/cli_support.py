"""Running bnstats as a program, and reading its documents strictly."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

ROOT = str(Path(__file__).parents[2])
COMMAND = [sys.executable, "-m", "bnstats"]
SCHEMA = json.loads(resources.files("bnstats.documents").joinpath("schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


class Outcome(NamedTuple):
    """What a call left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]  # the fixture of this name


def environment(**changes: str) -> dict[str, str]:
    """Return an environment without the variables that change colours, or a test's process set.

    matplotlib names a temporary folder where it may write no other.
    """
    unwanted = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "_BNSTATS_COMPLETE", "MPLCONFIGDIR")
    kept = {k: v for k, v in os.environ.items() if k not in unwanted}
    return kept | {"PYTHONPATH": ROOT, "PYTHONUTF8": "1"} | changes


def spawn(*argv: object, cwd: object = None, **changes: str) -> Outcome:
    """Run the program in a process of its own, its output piped."""
    done = subprocess.run(
        [*COMMAND, *map(str, argv)],
        capture_output=True,
        encoding="utf-8",
        env=environment(**changes),
        cwd=cwd,  # type: ignore[arg-type]
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


class Terminal:
    """A run whose stderr, and stdout if asked, is a pseudo-terminal."""

    def __init__(
        self,
        *argv: object,
        stdout: bool = False,
        own_group: bool = False,
        cwd: object = None,
        **changes: str,
    ) -> None:
        self._end, theirs = pytest.importorskip("pty").openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=theirs if stdout else subprocess.PIPE,
            stderr=theirs,
            env=environment(TERM="xterm", **changes),
            start_new_session=own_group,
            cwd=cwd,  # type: ignore[arg-type]
        )
        os.close(theirs)
        self.screen = ""

    def wait_for(self, pattern: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.screen):
            assert time.monotonic() < deadline, self.screen
            assert self._read(0.2) or self.process.poll() is None, self.screen

    def finish(self, seconds: float = 60) -> tuple[int, str]:
        """Return the exit code and what came through the pipe; a run that goes on is killed."""
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        pipe = self.process.stdout
        out = pipe.read().decode() if pipe else ""
        while self._read(0.5) or self.process.poll() is None:
            pass
        watchdog.cancel()
        if pipe:
            pipe.close()
        os.close(self._end)
        return self.process.returncode, out

    def _read(self, seconds: float) -> bool:
        if not select.select([self._end], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError:  # the other end is closed
            return False
        self.screen += data.decode("utf-8", "replace")
        return bool(data)


def read_document(text: str) -> dict[str, Any]:
    """Parse exactly one valid document: no NaN, no key twice, nothing that the schema lacks."""

    def no_constant(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), keys
        return dict(pairs)

    document: dict[str, Any] = json.loads(
        text, parse_constant=no_constant, object_pairs_hook=unique
    )
    VALIDATOR.validate(document)
    return document
