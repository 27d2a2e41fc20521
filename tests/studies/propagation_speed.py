"""How long `bnstats propagate` takes beside loops that people would write, in one run.

    python tests/studies/propagation_speed.py [--rounds 5] [--out results] [--quick] [--render]

Counted are the processor's seconds, which others on a shared machine change little, in one thread;
contenders take turns, and ratios are of medians. Writes the part ``speed`` of propagation.json and,
from that alone, propagation.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from propagation_report import render, write

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
WIDTH, DEPTH, NETWORKS = 256, 30, 400
COMMAND = [sys.executable, "-m", "bnstats", "propagate", "linear", "relu"]
COMMAND += ["--width", str(WIDTH), "--depth", str(DEPTH), "--networks"]


def seconds(run: Callable[[], Any]) -> float:
    """Return the processor's seconds that a call takes, its processes included."""
    begin = sum(os.times()[:4])
    run()
    return sum(os.times()[:4]) - begin


def medians(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, who take turns."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for at in range(rounds):
        for name in sorted(contenders, reverse=at % 2 == 1):
            found[name].append(seconds(contenders[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def command(networks: int) -> Callable[[], Any]:
    """Return a call of the command line in a process of its own."""
    argv = [*COMMAND, str(networks)]
    return lambda: subprocess.run(argv, check=True, capture_output=True)


def numpy_loop(networks: int) -> None:
    """Draw networks with matrices as a script would, one by one, and keep ln of mean squares."""
    import numpy as np

    generator = np.random.default_rng(0)
    y, dx = np.empty((networks, DEPTH)), np.empty((networks, DEPTH))
    for network in range(networks):
        h, tape = generator.standard_normal((WIDTH, 2)), []
        for layer in range(DEPTH):
            w = generator.standard_normal((WIDTH, WIDTH)) * (2 / WIDTH) ** 0.5
            z = w @ h
            tape.append((w, z > 0))
            h = np.maximum(z, 0)
            y[network, layer] = np.mean(h * h)
        d = generator.standard_normal((WIDTH, 2))
        for layer, (w, on) in zip(reversed(range(DEPTH)), reversed(tape), strict=True):
            d = w.T @ (d * on)
            dx[network, layer] = np.mean(d * d)
    np.log(y).mean(axis=0), np.log(dx).mean(axis=0)


def matrices(networks: int) -> Any:
    """Draw as many with bnstats."""
    import bnstats

    return bnstats.propagate(
        "linear relu", width=WIDTH, depth=DEPTH, networks=networks, matrices=True
    )


def torch_loop(networks: int, side: int) -> None:
    """Send noise forward and backward through fresh models, and keep nothing."""
    import torch
    from models import ResNet18

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as propagate computes
    for seed in range(networks):
        torch.manual_seed(seed)
        x = torch.randn(8, 3, side, side, requires_grad=True)
        y = ResNet18()(x)
        torch.autograd.grad(y, [x], torch.randn(y.shape))
    torch.set_num_threads(before)


def watched(networks: int, side: int) -> Any:
    """Do the same with every layer watched."""
    from models import ResNet18

    import bnstats

    return bnstats.propagate(ResNet18, input=(3, side, side), batch=8, networks=networks)


def peak(networks: int) -> float:
    """Return the megabytes of a process that draws so many networks without matrices."""
    code = (
        "import bnstats, resource, sys; bnstats.propagate('linear relu', width=64, depth=10, "
        f"networks={networks}); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def measured(rounds: int, *, quick: bool) -> dict[str, Any]:
    """Return the record of all comparisons."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before numpy is imported
    few, side, models = (4, 32, 2) if quick else (40, 64, 20)
    loads = [os.getloadavg()[0]]
    # before torch: a child's peak counts from its parent's
    peaks = {str(n): peak(n) for n in (1_000, 20_000)}
    start = medians({"one network": command(1), "all networks": command(NETWORKS)}, rounds)
    dense = medians(
        {"numpy loop": lambda: numpy_loop(few), "bnstats": lambda: matrices(few)}, rounds
    )
    torch_loop(1, side), watched(1, side)  # imports and first allocations
    models_ = {
        "torch loop": lambda: torch_loop(models, side),
        "bnstats": lambda: watched(models, side),
    }
    resnet = medians(models_, 3 if rounds > 3 else rounds)
    loads.append(os.getloadavg()[0])
    return {
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load": loads,
        "rounds": rounds,
        "start": start | {"networks": NETWORKS, "width": WIDTH, "depth": DEPTH},
        "matrices": dense | {"networks": few, "width": WIDTH, "depth": DEPTH},
        "resnet18": resnet | {"networks": models, "side": side, "batch": 8},
        "megabytes": peaks,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--render", action="store_true", help="only rewrite propagation.md")
    options = parser.parse_args(argv)
    if options.render:
        render(options.out)
        return
    record = measured(options.rounds, quick=options.quick)
    write(options.out, "speed", record)
    print(record)


if __name__ == "__main__":
    main()
