"""Runs that lose something on the way, counted: are the digits those of a run that lost nothing?

    python tests/studies/faults.py [--out results] [--scale 1.0]

Workers of a dask cluster are killed with 9 at random moments, the client is, under a checkpoint,
and so is the scheduler; the disk is full while a checkpoint is written (a tmpfs, which needs root),
and runs share one folder at once. Whatever the fault, a run must end within a time limit, and with
the digits of an undisturbed run or, where it ends early, with those of a run of as many draws.
Writes faults.json, and faults.md from it alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dask_processes import Cluster, killed

from bnstats.api import compute
from bnstats.errors import BnstatsError
from bnstats.runs.drawing import sample
from bnstats.sampling import cluster, connection
from bnstats.sampling.checkpoints import folder as folders
from bnstats.sampling.iid import chunk_draws
from bnstats.sampling.settings import Sampling
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import parse
from bnstats.version import __version__

LAYER = "max_pool2d:input_size=8,kernel_size=3,padding=1,stride=2"
CHUNK = chunk_draws(parse(LAYER).bound)
SAMPLES = 40 * CHUNK + 5  # half a second for one process
LIMIT = 180  # seconds, after which a run counts as one that hangs
RUNS = {
    "workers killed": 200,
    "client killed": 100,
    "scheduler killed": 20,
    "disk full": 40,
    "two runs in one folder": 40,
}

Outcome = str  # "same digits", "other digits", "error as it should be", "hangs", …


def digits(result: Any) -> Any:
    return {n: (q.value, q.stderr) for n, q in result.quantities.items()}, result.samples


def worker_kills(count: int, chance: random.Random) -> Counter[Outcome]:
    """Kill one of three workers, or two, at random moments of a run, and have others join."""
    expected, found = digits(compute(LAYER, samples=SAMPLES)), Counter[Outcome]()
    running = Cluster(3)
    try:
        for _ in range(count):
            moments = sorted(chance.uniform(0, 0.8) for _ in range(chance.choice([1, 1, 2])))

            def ruin(moments: list[float] = moments) -> None:
                begin = time.monotonic()
                for moment in moments:
                    time.sleep(max(0.0, begin + moment - time.monotonic()))
                    killed(running.workers.pop(chance.randrange(len(running.workers))))
                    running.add()

            ruins = threading.Thread(target=ruin)
            ruins.start()
            found[_limited(lambda: _same(expected, cluster=running.address))] += 1
            ruins.join()
    finally:
        running.close()
    return found


def _same(expected: Any, **how: Any) -> Outcome:
    return "same digits" if digits(compute(LAYER, samples=SAMPLES, **how)) == expected else "other"


def _limited(run: Callable[[], Outcome]) -> Outcome:
    """Run something; a run that takes too long counts, and ends the study."""
    timer = threading.Timer(LIMIT, os._exit, (9,))
    timer.start()
    try:
        return run()
    except BnstatsError as error:
        return f"error: {error.message[:60]}"
    finally:
        timer.cancel()


def _child(folder: Path, workers: int, seconds: float, pipe: Any, samples: int = SAMPLES) -> None:
    """Draw under a checkpoint, in a process that is made to be killed."""
    folders.SECONDS, folders._MOST_OF_THE_TIME = seconds, 1e9
    told: list[str] = []
    how = Sampling(samples, workers=workers, checkpoint=folder)
    result = sample(parse(LAYER), how, Watch(on_note=told.append))
    pipe.send((digits(result), told))


def _begun(folder: Path, workers: int, seconds: float = 0.0) -> tuple[Any, Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(folder, workers, seconds, theirs))
    process.start()
    theirs.close()
    return process, ours


def _ended(process: Any, pipe: Any) -> Any:
    """Return what a child has found, or None if it hangs or was killed."""
    found = None
    if pipe.poll(LIMIT):
        with suppress(EOFError):
            found = pipe.recv()
    killed(process)
    return found


def client_kills(count: int, chance: random.Random) -> Counter[Outcome]:
    """Kill a run under a checkpoint again and again, until it ends before it is killed."""
    expected, found = digits(compute(LAYER, samples=SAMPLES)), Counter[Outcome]()
    for _ in range(count):
        with TemporaryDirectory() as folder:
            for _ in range(5):
                process, _ = _begun(Path(folder), chance.choice([1, 2]))
                process.join(chance.uniform(0.02, 0.6))
                if process.is_alive():
                    found["kills"] += 1
                killed(process)
            last = _ended(*_begun(Path(folder), chance.choice([1, 2])))
            found[_judged(last, expected)] += 1
    return found


def _judged(last: Any, expected: Any) -> Outcome:
    if last is None:
        return "hangs or dies"
    return "same digits" if last[0] == expected else "other"


def scheduler_kills(count: int, chance: random.Random) -> Counter[Outcome]:
    """Kill the scheduler of a run under a checkpoint, and go on with another scheduler."""
    expected, found = digits(compute(LAYER, samples=SAMPLES)), Counter[Outcome]()
    for _ in range(count):
        running = Cluster(2)
        failed: list[BnstatsError] = []
        with TemporaryDirectory() as folder:
            killer = threading.Timer(chance.uniform(0.1, 1.5), killed, (running.scheduler,))

            def partial_run(folder: str = folder, running: Cluster = running) -> Outcome:
                watch = Watch(
                    on_failure=failed.append,  # noqa: B023
                    should_stop=lambda: bool(failed),  # noqa: B023
                )
                how = Sampling(10**12, cluster=running.address, checkpoint=folder)
                result = sample(parse(LAYER), how, watch)
                if not failed or "lost" not in failed[0].message:  # noqa: B023
                    return "no error"
                whole = compute(LAYER, samples=result.samples) if result.samples else result
                return "same digits" if digits(whole) == digits(result) else "other"

            killer.start()
            try:
                found[f"so far: {_limited(partial_run)}"] += 1
            except Exception as error:
                found[f"so far: {type(error).__name__}"] += 1
            killer.join()
            running.close()
            other = Cluster(2)
            again = _limited(
                lambda f=folder, o=other: _same(expected, cluster=o.address, checkpoint=f)
            )
            found[f"gone on with: {again}"] += 1
            other.close()
    return found


def full_disks(count: int, chance: random.Random) -> Counter[Outcome]:
    """Fill a tmpfs of 64 KB while a run keeps its checkpoint there, and empty it later."""
    expected, found = digits(compute(LAYER, samples=SAMPLES)), Counter[Outcome]()
    for _ in range(count):
        with TemporaryDirectory() as folder:
            mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
            if subprocess.run(mount, capture_output=True, check=False).returncode:
                return Counter({"no tmpfs could be mounted": 1})
            try:
                kept = Path(folder, "kept")
                kept.mkdir()
                process, pipe = _begun(kept, 1)
                time.sleep(chance.uniform(0, 0.3))
                with suppress(OSError):
                    Path(folder, "filler").write_bytes(b"\0" * 10**6)
                last = _ended(process, pipe)
                found["was told"] += bool(last and last[1])
                found[f"while full: {_judged(last, expected)}"] += 1
                Path(folder, "filler").unlink(missing_ok=True)
                last = _ended(*_begun(kept, 2))
                found[f"afterwards: {_judged(last, expected)}"] += 1
                found["files left behind"] += len(list(kept.iterdir())) - 1
            finally:
                subprocess.run(["umount", folder], check=True)
    return found


def shared_folders(count: int, chance: random.Random) -> Counter[Outcome]:
    """Have two runs draw under one checkpoint at once, one of which is killed half of the time."""
    expected, found = digits(compute(LAYER, samples=SAMPLES)), Counter[Outcome]()
    for _ in range(count):
        with TemporaryDirectory() as folder:
            first, second = (_begun(Path(folder), chance.choice([1, 2])) for _ in range(2))
            if chance.random() < 0.5:
                first[0].join(chance.uniform(0.05, 0.6))
                found["kills"] += first[0].is_alive()
                killed(first[0])
            else:
                found[_judged(_ended(*first), expected)] += 1
            found[_judged(_ended(*second), expected)] += 1
            found[_judged(_ended(*_begun(Path(folder), 1)), expected)] += 1
    return found


STUDIES: dict[str, Callable[[int, random.Random], Counter[Outcome]]] = {
    "workers killed": worker_kills,
    "client killed": client_kills,
    "scheduler killed": scheduler_kills,
    "disk full": full_disks,
    "two runs in one folder": shared_folders,
}


def markdown(record: dict[str, Any]) -> str:
    """Return the page."""
    lines = [
        "# Faults",
        "",
        f"Runs of {record['samples']:,} draws of `{record['layer']}` that lost something on the",
        "way. Every run that ended is compared with an undisturbed one, digit by digit. Written by",
        "`python tests/studies/faults.py`.",
        "",
        "| fault | runs | what came of them | seconds |",
        "|---|--:|---|--:|",
    ]
    for name, row in record["studies"].items():
        came = ", ".join(f"{what} {n:,}" for what, n in sorted(row["outcomes"].items()))
        lines.append(f"| {name} | {row['runs']} | {came} | {row['seconds']:.0f} |")
    return "\n".join([*lines, "", f"{record['machine']}, bnstats {record['bnstats']}.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs")
    parser.add_argument("--only", action="append", choices=STUDIES, help="some of the faults")
    asked = parser.parse_args()
    cluster.PATIENCE = 20.0
    path = asked.out / "faults.json"
    kept = json.loads(path.read_text())["studies"] if asked.only and path.exists() else {}
    record: dict[str, Any] = {
        "layer": LAYER,
        "samples": SAMPLES,
        "machine": f"{os.cpu_count()} processors, {platform.system()}-{platform.machine()}",
        "bnstats": __version__,
        "studies": kept,
    }
    for name in asked.only or STUDIES:
        runs, begin = max(1, round(RUNS[name] * asked.scale)), time.monotonic()
        outcomes = STUDIES[name](runs, random.Random(name))
        connection.close()
        seconds = time.monotonic() - begin
        record["studies"][name] = {"runs": runs, "outcomes": outcomes, "seconds": seconds}
        print(name, runs, dict(outcomes), f"{seconds:.0f} s", flush=True)
        record["studies"] = {n: record["studies"][n] for n in STUDIES if n in record["studies"]}
        path.write_text(json.dumps(record, indent=1) + "\n")
        (asked.out / "faults.md").write_text(markdown(record))


if __name__ == "__main__":
    assert shutil.which("mount")
    main()
