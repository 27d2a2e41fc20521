"""Every check and every timing of the torch and jax backends on a GPU, in one go.

    python tests/studies/gpu.py [--part all|speed|checks|catalogue] [--device cuda]
                                   [--backend torch --backend jax] [--max-time 460] [--workers 8]
                                   [--seed 1] [--quick] [--out results]

Parts: speed (gpu_speed.py: throughput against gpu_contenders.py and gpu_kernels.py, bandwidth, and
jax on the processor), checks (gpu_checks.py: float32 sums, one stream whatever the blocks, errors)
and catalogue (gpu_catalogue.py: every row of the table against exact values and numpy).

Writes gpu.json and, from it alone, gpu.md (gpu_report.py) after every piece, so that a run that is
cut off leaves what it has. A piece that fails leaves its message, and the rest goes on. Rerun on
the same device, it does what is missing or failed; remove gpu.json to measure anew. On a machine
without a GPU, ``--device cpu --quick --out DIR`` runs all of it that needs none.

On an H100 with 16 processors a part takes minutes, mostly of compiling: where a command may run for
ten, call it once for each part, and again for what a part left.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Before jax is imported, here or in a worker: torch and other processes want memory as well.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import gpu_catalogue as catalogue
import gpu_checks as checks
import gpu_speed as speed
from benchmarks import machine
from gpu_contenders import LAYERS
from gpu_report import markdown

from bnstats.backends import ACCELERATORS, load, missing

PARTS = ("speed", "checks", "catalogue")
PACKAGES = ("torch", "triton", "jax", "jaxlib", "array-api-compat")
LEAST = 10.0  # seconds: with less left no piece is begun


class Stopped(BaseException):
    """The time of a piece is over. No ``except Exception`` on the way may keep it."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise Stopped after so many seconds, where the system has such a clock."""

    def stop(*_: Any) -> None:
        raise Stopped(f"stopped after {seconds:.0f} s")

    if not hasattr(signal, "setitimer"):
        yield
        return
    kept = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)


def about(device: str, backends: list[str]) -> dict[str, Any]:
    """Return what the device is called, its driver, and the libraries' versions."""
    found: dict[str, Any] = {"kind": device, "backends": backends}
    absent = [p for b in ACCELERATORS for p in missing(b)]
    if absent:
        found["not installed"] = " and ".join(absent)
    for backend in backends:
        try:
            names = [d.about for d in load(backend).devices() if d.kind == device]
        except Exception as error:
            found[f"{backend} fails with"] = catalogue.message(error)
            continue
        found["devices"] = max(found.get("devices", 0), len(names))
        if names:
            found.setdefault("name", names[0])
        if device == "cuda" and backend == "torch":
            import torch

            found["cuda"] = torch.version.cuda
    if device == "cuda" and shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
        told = subprocess.run(query, capture_output=True, text=True, check=False).stdout
        found["driver"], _, found["memory"] = told.partition("\n")[0].partition(", ")
    for package in (*PACKAGES, "cupy-cuda13x", "cupy-cuda12x", "cupy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class Session:
    """The record, what it is written to, and how long there is."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.begin, self.options = time.monotonic(), options
        self.deadline = self.begin + options.max_time
        self.backends = options.backend or [b for b in ACCELERATORS if not missing(b)]
        self.path = options.out / "gpu.json"
        fixed = {
            "quick": options.quick,
            "seed": options.seed,
            "device": about(options.device, self.backends),
            "machine": machine(),
        }
        kept = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.record = kept if {k: kept.get(k) for k in fixed} == fixed else fixed
        for part in PARTS:
            self.record.setdefault(part, {})
        print(", ".join(f"{k} {v}" for k, v in fixed["device"].items()), flush=True)

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def missing(self, part: str, key: str) -> bool:
        found = self.record[part].get(key)
        return found is None or any(k.endswith("error") for k in found)

    def do(self, part: str, key: str, work: Callable[[], dict[str, Any]]) -> None:
        """Record what a piece of work returns, or the message with which it failed."""
        if not self.missing(part, key):
            return
        if self.left() < LEAST:
            self.record[part][key] = {"error": "not begun: the time was over"}
            return
        begin = time.monotonic()
        try:
            with within(self.left()):
                found = work()
        except (Exception, Stopped) as error:
            found = {"error": catalogue.message(error)}
        self.record[part][key] = found | {"took": round(time.monotonic() - begin, 1)}
        self.save()
        told = found.get("error", found.get("passed", found.get("skipped", "done")))
        print(f"{part}: {key}: {told} ({time.monotonic() - begin:.1f} s)", flush=True)

    def save(self) -> None:
        text = json.dumps(self.record, indent=1, ensure_ascii=False) + "\n"
        self.path.write_text(text, encoding="utf-8")
        self.path.with_suffix(".md").write_text(markdown(json.loads(text)), encoding="utf-8")

    def speed(self) -> None:
        o = self.options
        if "torch" in self.backends:
            self.do("speed", "bandwidth", partial(speed.bandwidth, o.device, quick=o.quick))
        for layer in LAYERS:
            work = partial(speed.throughput, layer, o.device, self.backends, quick=o.quick)
            self.do("speed", layer, work)
            if layer == LAYERS[0]:
                self.do("speed", "processor", partial(speed.on_processor, quick=o.quick))

    def checks(self) -> None:
        o = self.options
        settings = checks.Settings(o.device, self.backends, o.seed, o.quick)
        for name, work in checks.pieces(settings).items():
            self.do("checks", name, work)

    def catalogue(self) -> None:
        o = self.options
        wanted = catalogue.jobs(self.backends, o.device, o.seed, quick=o.quick)
        self.record["rows"] = len(wanted)
        left = [job for job in wanted if self.missing("catalogue", job.key)]
        saved = time.monotonic()
        for job, found in catalogue.finished(left, o.workers, self.deadline):
            self.record["catalogue"][job.key] = found
            if time.monotonic() - saved > 10:
                self.save()
                saved = time.monotonic()
        done = sum(job.key in self.record["catalogue"] for job in wanted)
        print(f"catalogue: {done} of {len(wanted)} rows", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=("all", *PARTS), default="all")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to test this command")
    parser.add_argument("--backend", action="append", choices=tuple(ACCELERATORS))
    parser.add_argument("--max-time", type=float, default=460, help="s; then no further piece")
    parser.add_argument(
        "--workers", type=int, default=min(os.cpu_count() or 1, 12), help="of the catalogue"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="little work, to test this command")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    session = Session(options)
    for part in PARTS if options.part == "all" else (options.part,):
        getattr(session, part)()
        session.save()
    text = session.path.with_suffix(".md").read_text(encoding="utf-8")
    print(text[text.index("## Bars") :])


if __name__ == "__main__":
    main()
