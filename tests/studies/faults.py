"""Runs that lose something on the way, counted: are the digits those of a run that lost nothing?

    python tests/studies/faults.py [--out results] [--only FAULT] [--runs 10]
                                   [--render]

Workers of a dask cluster are killed with 9 at random moments, the client is, under a checkpoint,
and so is the scheduler; the disk is full while a checkpoint is written (a tmpfs, which needs root),
and runs share one folder at once. Whatever the fault, a run must end within a time limit, and with
the digits of an undisturbed run or, where it ends early, with those of a run of as many draws.

Each run is written to faults.json when it ends, and faults.md from that alone. Begun anew, the
study goes on where it was; delete faults.json to have all runs again. --render only writes the
page.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from dask_processes import Cluster, killed
from faults_report import markdown

from bnstats.api import compute
from bnstats.errors import BnstatsError
from bnstats.runs.drawing import sample
from bnstats.sampling import connection, muster
from bnstats.sampling.checkpoints import folder as folders
from bnstats.sampling.files import write_together
from bnstats.sampling.iid import chunk_draws
from bnstats.sampling.settings import Sampling
from bnstats.sampling.versions import drawing_code
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import parse
from bnstats.version import __version__

LAYER = "max_pool2d:input_size=8,kernel_size=3,padding=1,stride=2"
CHUNK = chunk_draws(parse(LAYER).bound)
SAMPLES = 40 * CHUNK + 5  # half a second for one process
LIMIT = 300  # seconds, after which a run counts as one that hangs
RUNS = {
    "workers killed": 200,
    "client killed": 100,
    "scheduler killed": 20,
    "disk full": 40,
    "two runs in one folder": 40,
}

Outcome = str  # "same digits", "other digits", "hangs", …
Study = Iterator[Callable[[random.Random], Counter[Outcome]]]


def digits(result: Any) -> Any:
    return {n: (q.value, q.stderr) for n, q in result.quantities.items()}, result.samples


@cache
def undisturbed() -> tuple[Any, float]:
    """Return the digits of a run that loses nothing, and the processor time that it takes."""
    begin = time.process_time()
    return digits(compute(LAYER, samples=SAMPLES)), time.process_time() - begin


def work(share: float) -> float:
    """Return the processor time of a share of a run, so that kills fall into it at any load."""
    return share * undisturbed()[1]


def _spent(processes: Iterable[Any]) -> float:
    """Return the processor time of processes and of those that they have begun."""
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            of = psutil.Process(process.pid)
            for one in (of, *of.children(recursive=True)):
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    total += times.user + times.system
    return total


def _await(processes: Sequence[Any], seconds: float, is_over: Callable[[], bool]) -> bool:
    """Wait until processes have worked for some time, and return true, or until all is over."""
    begin = _spent(processes)
    while not is_over():
        if _spent(processes) - begin >= seconds:
            return True
        time.sleep(0.03)  # looking through all processes takes some milliseconds
    return False


def _judged(found: Any) -> Outcome:
    return "same digits" if found == undisturbed()[0] else "other digits"


def _drawn(**how: Any) -> Outcome:
    try:
        return _judged(digits(compute(LAYER, samples=SAMPLES, **how)))
    except BnstatsError as error:
        return f"error: {error.message[:60]}"


@contextmanager
def worker_kills() -> Study:
    """Kill one of three workers, or two, at random moments of a run, and have others join."""
    running = Cluster(3)

    def one(chance: random.Random) -> Counter[Outcome]:
        found, over = Counter[Outcome](), threading.Event()

        def ruin() -> None:
            for _ in range(chance.choice([1, 1, 2])):
                if _await(running.workers, work(chance.uniform(0, 0.6)), over.is_set):
                    killed(running.workers.pop(chance.randrange(len(running.workers))))
                    running.add()
                    found["kills"] += 1

        ruins = threading.Thread(target=ruin)
        ruins.start()
        found[_drawn(cluster=running.address)] += 1
        over.set()
        ruins.join()
        return found

    try:
        yield one
    finally:
        connection.close()
        running.close()


def _child(folder: Path, workers: int, pipe: Any) -> None:
    """Draw under a checkpoint, in a process that is made to be killed."""
    folders.SECONDS, folders._MOST_OF_THE_TIME = 0.0, 1e9
    told: list[str] = []
    how = Sampling(SAMPLES, workers=workers, checkpoint=folder)
    result = sample(parse(LAYER), how, Watch(on_note=told.append))
    pipe.send((digits(result), told))


def _begun(folder: Path, workers: int) -> tuple[Any, Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(folder, workers, theirs))
    process.start()
    theirs.close()
    return process, ours


def _ended(process: Any, pipe: Any) -> tuple[Outcome, list[str]]:
    """Return what came of a child, and what it told."""
    outcome, told = "hangs", list[str]()
    if pipe.poll(LIMIT):
        try:
            found, told = pipe.recv()
            outcome = _judged(found)
        except EOFError:
            outcome = "dies"
    killed(process)
    return outcome, told


def _fell(process: Any, chance: random.Random) -> bool:
    """Kill a process at a random moment of its work; return false if it has ended before."""
    is_alive = _await([process], work(chance.uniform(0, 0.6)), lambda: not process.is_alive())
    killed(process)
    return is_alive


@contextmanager
def client_kills() -> Study:
    """Kill a run under a checkpoint again and again, and let the last one end."""

    def one(chance: random.Random) -> Counter[Outcome]:
        found = Counter[Outcome]()
        with TemporaryDirectory() as folder:
            for _ in range(5):
                process, _ = _begun(Path(folder), chance.choice([1, 2]))
                found["kills"] += _fell(process, chance)
            found[_ended(*_begun(Path(folder), chance.choice([1, 2])))[0]] += 1
        return found

    yield one


def _cut_short(running: Cluster, folder: str, seconds: float) -> Outcome:
    """Kill the scheduler of a run, and return what came of the run's result so far."""
    failed: list[BnstatsError] = []
    watch = Watch(on_failure=failed.append, should_stop=lambda: bool(failed))

    def ruin() -> None:
        _await(running.workers, seconds, lambda: False)
        killed(running.scheduler)

    killer = threading.Thread(target=ruin)
    killer.start()
    try:
        how = Sampling(10**12, cluster=running.address, checkpoint=folder)
        result = sample(parse(LAYER), how, watch)
    except BnstatsError as error:  # before a draw was there
        return "error: the scheduler is lost" if "lost" in error.message else error.message[:60]
    finally:
        killer.join()
    if not failed or "lost" not in failed[0].message:
        return "no error"
    whole = compute(LAYER, samples=result.samples)
    return "same digits" if digits(whole) == digits(result) else "other digits"


@contextmanager
def scheduler_kills() -> Study:
    """Kill the scheduler of a run under a checkpoint, and go on with another scheduler."""

    def one(chance: random.Random) -> Counter[Outcome]:
        found = Counter[Outcome]()
        with TemporaryDirectory() as folder:
            for kill in (True, False):
                running = Cluster(2)
                try:
                    if kill:
                        seconds = work(chance.uniform(0, 2))
                        found[f"so far: {_cut_short(running, folder, seconds)}"] += 1
                    else:
                        again = _drawn(cluster=running.address, checkpoint=folder)
                        found[f"gone on with: {again}"] += 1
                finally:
                    connection.close()
                    running.close()
        return found

    yield one


@contextmanager
def full_disks() -> Study:
    """Fill a tmpfs of 64 KB while a run keeps its checkpoint there, and empty it later."""

    def one(chance: random.Random) -> Counter[Outcome]:
        found = Counter[Outcome]()
        with TemporaryDirectory() as folder:
            mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
            subprocess.run(mount, capture_output=True, check=True)
            try:
                kept = Path(folder, "kept")
                kept.mkdir()
                process, pipe = _begun(kept, 1)
                _await([process], work(chance.uniform(0, 0.6)), lambda p=process: not p.is_alive())
                with suppress(OSError):
                    Path(folder, "filler").write_bytes(b"\0" * 10**6)
                outcome, told = _ended(process, pipe)
                found["was told"] += bool(told)
                found[f"while full: {outcome}"] += 1
                Path(folder, "filler").unlink(missing_ok=True)
                found[f"afterwards: {_ended(*_begun(kept, 2))[0]}"] += 1
                found["files left behind"] += len(list(kept.iterdir())) - 1
            finally:
                subprocess.run(["umount", folder], check=True)
        return found

    yield one


@contextmanager
def shared_folders() -> Study:
    """Have two runs draw under one checkpoint at once, one of which is killed half of the time."""

    def one(chance: random.Random) -> Counter[Outcome]:
        found = Counter[Outcome]()
        with TemporaryDirectory() as folder:
            first, second = (_begun(Path(folder), chance.choice([1, 2])) for _ in range(2))
            if chance.random() < 0.5:
                found["kills"] += _fell(first[0], chance)
            else:
                found[_ended(*first)[0]] += 1
            found[_ended(*second)[0]] += 1
            found[_ended(*_begun(Path(folder), 1))[0]] += 1
        return found

    yield one


STUDIES: dict[str, Callable[[], Any]] = {
    "workers killed": worker_kills,
    "client killed": client_kills,
    "scheduler killed": scheduler_kills,
    "disk full": full_disks,
    "two runs in one folder": shared_folders,
}


class Record:
    """What came of the runs so far, on the disk after each of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / "faults.json"
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.found |= {
            "layer": LAYER,
            "samples": SAMPLES,
            "machine": f"{os.cpu_count()} processors, {platform.system()}-{platform.machine()}",
            "bnstats": __version__,
            "drawing": drawing_code(),
        }
        self.found.setdefault("studies", {})

    def done(self, name: str) -> int:
        """Return how many runs have ended."""
        return int(self.found["studies"].get(name, {"runs": 0})["runs"])

    def add(self, name: str, outcomes: Counter[Outcome], seconds: float) -> None:
        """Add a run."""
        fresh: dict[str, Any] = {"runs": 0, "outcomes": {}, "seconds": 0.0, "load": []}
        row = self.found["studies"].setdefault(name, fresh)
        total = Counter(row["outcomes"])
        total.update(outcomes)  # an outcome that never came keeps its 0
        load = [*row["load"], os.getloadavg()[0]]
        row |= {"runs": row["runs"] + 1, "outcomes": dict(sorted(total.items()))}
        row |= {"seconds": round(row["seconds"] + seconds, 3), "load": [min(load), max(load)]}
        order = {n: self.found["studies"][n] for n in RUNS if n in self.found["studies"]}
        self.found["studies"] = order
        page = {"faults.json": json.dumps(self.found, indent=1) + "\n"}
        page["faults.md"] = markdown(self.found)
        write_together({self._folder / name: text for name, text in page.items()})

    def hang(self, name: str) -> None:
        """Add a run that does not end, and end the study: nothing else can end that run."""
        self.add(name, Counter({"hangs": 1}), LIMIT)
        os._exit(9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--only", action="append", choices=STUDIES, help="some of the faults")
    parser.add_argument("--render", action="store_true", help="only rewrite faults.md")
    parser.add_argument("--runs", type=int, default=10**9, help="of each fault, at most")
    asked = parser.parse_args()
    muster.PATIENCE = 60.0
    record = Record(asked.out)
    if asked.render:
        (asked.out / "faults.md").write_text(markdown(record.found), encoding="utf-8")
        return
    for name in asked.only or STUDIES:
        with STUDIES[name]() as one:
            for number in range(record.done(name), min(RUNS[name], asked.runs)):
                begin = time.monotonic()
                timer = threading.Timer(4 * LIMIT, record.hang, (name,))
                timer.start()
                outcomes = one(random.Random(f"{name} {number}"))
                timer.cancel()
                record.add(name, outcomes, time.monotonic() - begin)
                print(name, number + 1, dict(outcomes), flush=True)


if __name__ == "__main__":
    main()
