"""Wall time and memory of whole processes, start-up included, against a plain numpy script.

    python tests/benchmarks/speed.py [--repetitions 7] [--out results]

The commands of a group take turns, each round in another order, so that a slow minute of the
machine falls on all of them; ratios are formed within a round. Where there is a C compiler, fused.c
shows what one core could do. Writes speed.json and speed.md.
This process imports no numpy: a child's peak memory counts from its parent's at the fork.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

DRAWS = 10**8
SCRIPT = f"""
import numpy as np
block, sums = 10**6, np.zeros(4)
for _ in range({DRAWS} // block):
    x, dy = np.random.randn(block), np.random.randn(block)
    y = 1 / (1 + np.exp(-x))
    dx = dy * y * (1 - y)
    sums += STATISTICS
print(sums / {DRAWS})
"""
PLAIN = SCRIPT.replace("STATISTICS", "y.mean(), y.std(), dx.mean(), dx.std()")
LEAN = SCRIPT.replace("STATISTICS", "y.sum(), (y * y).sum(), dx.sum(), (dx * dx).sum()")
BNSTATS = [sys.executable, "-m", "bnstats"]
SIGMOID = [*BNSTATS, "compute", "sigmoid"]


def sigmoid(samples: str, *options: str) -> list[str]:
    return [*SIGMOID, "-n", samples, *options]


THROUGHPUT = {
    "plain script": [sys.executable, "-c", PLAIN],
    "plain script, sums of squares": [sys.executable, "-c", LEAN],
    "bnstats, 1 worker": sigmoid("1e8", "--workers", "1"),
    "bnstats, 2 workers": sigmoid("1e8", "--workers", "2"),
    "bnstats, 1 worker, float32": sigmoid("1e8", "--workers", "1", "--dtype", "float32"),
    "bnstats, 2 workers, float32": sigmoid("1e8", "--workers", "2", "--dtype", "float32"),
}
STARTUP = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "python -c 'import numpy'": [sys.executable, "-c", "import numpy"],
    "bnstats --version": [*BNSTATS, "--version"],
    "bnstats --help": [*BNSTATS, "--help"],
    "bnstats compute sigmoid -n 1e6": sigmoid("1e6"),
}
MEMORY = {
    f"{samples}, {workers} worker{'s'[: workers > 1]}": sigmoid(samples, "--workers", str(workers))
    for samples, workers in (("1e6", 1), ("1e7", 1), ("1e8", 1), ("1e9", 1), ("1e9", 2))
}

COMPILER = ("cc", "-O3", "-march=native", "-ffast-math", "-fopenmp-simd")

LEAST_RATIO = 2.0
MOST_MEGABYTES = 150


@dataclass
class Cost:
    """What one run of a process took."""

    seconds: float
    megabytes: float


def cost(command: list[str], env: dict[str, str]) -> Cost:
    """Run a command to its end; a failure raises CalledProcessError."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes there, KiB elsewhere
    return Cost(round(seconds, 4), round(usage.ru_maxrss * (1 if unit == 1e6 else 1.024) / unit, 1))


Costs = dict[str, list[Cost]]


def environment(bytecode: str) -> dict[str, str]:
    """Return the environment of an installed package: its bytecode is cached."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": bytecode}


def fused(folder: Path) -> dict[str, list[str]]:
    """Compile the fused kernel and return its command, or nothing without a compiler."""
    if shutil.which(COMPILER[0]) is None:
        return {}
    source, program = Path(__file__).with_name("fused.c"), folder / "fused"
    wide = ["-mprefer-vector-width=512"] if platform.machine() == "x86_64" else []
    subprocess.run([*COMPILER, *wide, str(source), "-o", str(program), "-lm"], check=True)
    return {"fused C, 1 core, float32, dx only": [str(program), str(DRAWS)]}


def alternate(commands: dict[str, list[str]], repetitions: int, env: dict[str, str]) -> Costs:
    """Run all commands in turn, each round starting with the next one."""
    names = list(commands)
    costs: Costs = {name: [] for name in commands}
    for round_ in range(repetitions):
        at = round_ % len(names)
        for name in names[at:] + names[:at]:
            costs[name].append(cost(commands[name], env))
            print(f"{name}: {costs[name][-1].seconds:.2f} s", flush=True)
    return costs


def machine() -> dict[str, str | int]:
    return {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }


def processor() -> str:
    found = {}
    path = Path("/proc/cpuinfo")
    for line in path.read_text().split("\n\n")[0].splitlines() if path.exists() else []:
        key, _, value = line.partition(":")
        found[key.strip()] = value.strip()
    name = found.get("model name", platform.processor() or platform.machine())
    model = f", family {found['cpu family']} model {found['model']}" if "model" in found else ""
    return name + model


def spread(values: list[float], digits: int) -> str:
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def throughput_table(costs: Costs) -> list[str]:
    plain, *_ = costs.values()
    rows = []
    for name, runs in costs.items():
        ratios = [p.seconds / r.seconds for p, r in zip(plain, runs, strict=True)]
        seconds = [r.seconds for r in runs]
        rows.append(
            f"| {name} | {spread(seconds, 2)} | {median(seconds) / DRAWS * 1e9:.1f} "
            f"| {spread(ratios, 2)} |"
        )
    head = "| sigmoid, 10⁸ draws | seconds | ns per draw | times as fast as the plain script |"
    return [head, "|---|--:|--:|--:|", *rows]


def startup_table(costs: Costs) -> list[str]:
    bare = median(run.seconds for run in next(iter(costs.values())))
    rows = [
        f"| `{name}` | {spread([1e3 * r.seconds for r in runs], 0)} "
        f"| {1e3 * (median(r.seconds for r in runs) - bare):.0f} |"
        for name, runs in costs.items()
    ]
    return ["| command | ms | above a bare interpreter |", "|---|--:|--:|", *rows]


def memory_table(costs: Costs) -> list[str]:
    rows = [
        f"| {name} | {max(r.megabytes for r in runs):.0f} | {median(r.seconds for r in runs):.2f} |"
        for name, runs in costs.items()
    ]
    return ["| `compute sigmoid`, draws | peak MB | seconds |", "|---|--:|--:|", *rows]


def verdicts(throughput: Costs, memory: Costs) -> list[str]:
    plain, single = throughput["plain script"], throughput["bnstats, 1 worker"]
    ratio = median(p.seconds / s.seconds for p, s in zip(plain, single, strict=True))
    peak = max(run.megabytes for name, runs in memory.items() if "1e9" in name for run in runs)
    return [
        f"- One worker is {ratio:.2f} times as fast as the plain script; the bar is "
        f"{LEAST_RATIO:.0f}: {'met' if ratio >= LEAST_RATIO else '**missed**'}.",
        f"- Peak memory at 10⁹ draws is {peak:.0f} MB; the bar is {MOST_MEGABYTES}: "
        f"{'met' if peak < MOST_MEGABYTES else '**missed**'}.",
    ]


def markdown(throughput: Costs, startup: Costs, memory: Costs) -> str:
    m = machine()
    lines = [
        "# Speed and memory of whole processes",
        "",
        f"{m['processor']}; {m['processors']} processors, shared and noisy; {m['system']}, Python",
        f"{m['python']}, numpy {m['numpy']}. Medians of {len(next(iter(throughput.values())))} "
        f"runs for throughput and {len(next(iter(startup.values())))} for",
        "start-up, with the range in brackets; commands took turns, and ratios are between runs of",
        "the same round.",
        "",
        *verdicts(throughput, memory),
        "",
        "The plain script calls numpy.random.randn twice for each block of 10⁶ draws, then",
        "y = 1/(1 + np.exp(-x)), dx = dy*y*(1 - y), and mean() and std() of both; a leaner one",
        "sums squares instead. bnstats gives the same four numbers and, behind their",
        "intervals, the fourth-order moments.",
        "",
        *throughput_table(throughput),
        "",
        "## Start-up",
        "",
        *startup_table(startup),
        "",
        "## Memory",
        "",
        *memory_table(memory),
        "",
        "Written by `python tests/benchmarks/speed.py`.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        env = environment(folder)
        alternate(STARTUP, 1, env)  # compiles what is imported
        startup = alternate(STARTUP, 3 * options.repetitions, env)
        throughput = alternate(THROUGHPUT | fused(Path(folder)), options.repetitions, env)
        memory = alternate(MEMORY, 1, env)
    record = {
        "machine": machine(),
        "draws": DRAWS,
        **{
            group: {name: [asdict(run) for run in runs] for name, runs in costs.items()}
            for group, costs in (
                ("throughput", throughput),
                ("startup", startup),
                ("memory", memory),
            )
        },
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speed.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "speed.md").write_text(markdown(throughput, startup, memory), encoding="utf-8")


if __name__ == "__main__":
    main()
