"""Throughput: contenders calibrated, then timed in turns, and the bandwidth of memory."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gpu_catalogue import message
from gpu_contenders import VARIANT, Contender, calibrated, contenders, per_draw, timed

from bnstats.api import exact
from bnstats.backends import missing

FIRST_DRAWS = {True: 2**16, False: 2**24}
SECONDS = {True: 0.02, False: 0.4}  # of one timed run: bnstats' own 10 ms count for little
TRIAL = 0.25  # of that, to learn the rate
ROUNDS = {True: 3, False: 5}
COPIED = 2**31  # bytes: far more than a cache holds


def throughput(
    layer: str,
    device: str,
    backends: list[str],
    *,
    quick: bool,
    others: list[Contender] | None = None,
) -> dict[str, Any]:
    """Time a layer's contenders in turns; of one contender's block sizes only the best.

    What cannot be made, or does not run, is told by its message. ``dx`` is what σ[dx] came out as.
    """
    wanted = contenders(layer, device, backends, quick=quick) if others is None else others
    found: dict[str, Any] = {}
    ready: dict[str, Any] = {}
    for contender in wanted:
        try:
            begin = time.perf_counter()
            run = contender.make()
            run(FIRST_DRAWS[quick])
            first = time.perf_counter() - begin
            trial = calibrated(run, FIRST_DRAWS[quick], TRIAL * SECONDS[quick])
            rate = trial / timed(run, trial)[0]
            draws = max(round(rate * SECONDS[quick]), trial)
        except Exception as error:
            found[contender.name] = {"error": message(error)}
            continue
        found[contender.name] = {"first": round(first, 2), "draws": draws, "rate": rate}
        ready[contender.name] = run
    best: dict[str, str] = {}
    for name in ready:
        kind = name.partition(VARIANT)[0]
        if kind not in best or found[name]["rate"] > found[best[kind]]["rate"]:
            best[kind] = name
    names = list(best.values())
    for round_ in range(ROUNDS[quick]):
        at = round_ * max(len(names) // ROUNDS[quick], 1) % max(len(names), 1)
        for name in names[at:] + names[:at]:
            row = found[name]
            if "error" in row:
                continue
            try:
                seconds, row["dx"] = timed(ready[name], row["draws"])
            except Exception as error:
                found[name] = {"error": message(error)}
                continue
            row.setdefault("seconds", []).append(seconds)
    known = exact(layer).std_dx
    for name in (n for n in names if "error" not in found[n]):
        row = found[name]
        spread = (known.asymptotic_std or known.value) / math.sqrt(row["draws"])
        row["z"] = (row["dx"] - known.value) / spread
    return {"per_draw": per_draw(layer), "contenders": found}


def bandwidth(device: str, *, quick: bool) -> dict[str, Any]:
    """Return bytes per second, read and written, of a large copy on the device."""
    import torch

    size = COPIED // 64 if quick or device == "cpu" else COPIED
    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    seconds = []
    for round_ in range(12):
        wait()
        begin = time.perf_counter()
        target.copy_(source)
        wait()
        if round_ >= 2:
            seconds.append(time.perf_counter() - begin)
    return {"bytes": 2 * size, "seconds": seconds}


def on_processor(*, quick: bool) -> dict[str, Any]:
    """Time jax on the processor in a process that sees no GPU (gpu_contenders.py)."""
    if missing("jax"):
        return {"skipped": "jax is not installed"}
    script = Path(__file__).with_name("gpu_contenders.py")
    command = [sys.executable, str(script), *(("2e6", "3") if quick else ("1e8", "9"))]
    done = subprocess.run(
        command,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
