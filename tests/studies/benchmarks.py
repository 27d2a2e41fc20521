"""Speed, precision per second, start-up and memory of bnstats and of what else a user has.

    python tests/studies/benchmarks.py [--rounds 5] [--out results] [--quick]

Contenders (contenders.py, fused.c) take turns, each round in another order, so that a slow minute
of a shared machine falls on all of them. Every process's σ[dx] is checked. Writes benchmarks.json
and, from it alone, benchmarks.md (benchmarks_report.py). torch, jax and a C compiler are used
where they are installed. This process imports no numpy: a child's peak memory counts from its
parent's at the fork.
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
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from benchmarks_report import PRECISIONS, markdown

HERE = Path(__file__).parent
ONE_THREAD = {"NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}  # for jax
CFLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp-simd", "-mprefer-vector-width=512"]
BNSTATS = [sys.executable, "-m", "bnstats"]
CONTENDERS = [sys.executable, str(HERE / "contenders.py")]
STD_DX = 0.21174569972066581  # sigmoid's, exactly
SPREAD = 0.7764  # of its estimate: relative standard error times √n

Command = list[str]
Job = list[Command]  # run at once


@dataclass
class Cost:
    """What one run of a job took: wall and CPU seconds, and the largest process."""

    seconds: float
    cpu_seconds: float
    megabytes: float
    outputs: list[str]

    def record(self) -> dict[str, float]:
        return {k: v for k, v in asdict(self).items() if k != "outputs"}


@dataclass(frozen=True)
class Contender:
    """A job of two sizes: their difference leaves start-up out."""

    job: Callable[[int], Job]
    small: int
    large: int

    def sizes(self) -> dict[str, Job]:
        return {"small": self.job(self.small), "large": self.job(self.large)}


def cost(job: Job, env: dict[str, str]) -> Cost:
    """Run a job to its end; a failure raises CalledProcessError."""
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile("w+")) for _ in job]
        start = time.perf_counter()
        children = [subprocess.Popen(c, stdout=f, env=env) for c, f in zip(job, files, strict=True)]
        usages = []
        for child in children:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            usages.append(usage)
        seconds = time.perf_counter() - start
        for child in children:
            if child.returncode:
                raise subprocess.CalledProcessError(child.returncode, child.args)
        for file in files:
            file.seek(0)
        outputs = [file.read() for file in files]
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # ru_maxrss: bytes there, else KiB
    return Cost(
        round(seconds, 4),
        round(sum(u.ru_utime + u.ru_stime for u in usages), 4),
        round(max(u.ru_maxrss for u in usages) / unit, 1),
        outputs,
    )


def alternate(jobs: dict[str, Job], rounds: int, env: dict[str, str]) -> dict[str, list[Cost]]:
    """Run all jobs in turn, each round starting further on."""
    names = list(jobs)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for round_ in range(rounds):
        at = round_ * max(len(names) // rounds, 1) % len(names)
        for name in names[at:] + names[:at]:
            costs[name].append(cost(jobs[name], env))
            print(f"{name}: {costs[name][-1].seconds:.2f} s", flush=True)
    return costs


def environment(bytecode: str) -> dict[str, str]:
    """Return the environment of an installed package: its bytecode is cached."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": bytecode} | ONE_THREAD


def compute(spec: str, *options: str | int) -> Job:
    return [[*BNSTATS, "-q", "compute", spec, *map(str, options)]]


def sigmoid(*options: str | int) -> Callable[[int], Job]:
    return lambda n: compute("sigmoid", "--get", "sigmoid.std_dx.value", "-n", n, *options)


def script(*arguments: str) -> Callable[[int], Job]:
    return lambda n: [[*CONTENDERS, *arguments, str(n)]]


def compiled(folder: str) -> str | None:
    """Compile the fused kernel, if there is a compiler that can."""
    compiler, program = shutil.which("cc"), f"{folder}/fused"
    if not compiler:
        return None
    command = [compiler, *CFLAGS, str(HERE / "fused.c"), "-o", program, "-lm"]
    return None if subprocess.run(command, check=False).returncode else program


def throughput_contenders(draws: int, kernel: str | None) -> tuple[dict[str, Contender], list[str]]:
    """Return the contenders, and a line on each that this machine cannot run."""
    jobs: dict[str, Callable[[int], Job]] = {"plain script": script("plain")}
    skipped = []
    for library, names in (("torch", ("torch", "autograd")), ("jax", ("jax",))):
        if find_spec(library):
            labels = {"torch": "torch eager", "autograd": "torch autograd", "jax": "jax jit"}
            jobs |= {labels[name]: script(name) for name in names}
        else:
            skipped.append(f"{library} is not installed: its contenders are left out.")
    if kernel:
        jobs["C kernel"] = lambda n: [[kernel, str(n)]]
        jobs["C kernel, two copies"] = lambda n: [[kernel, str(n // 2), str(s)] for s in (0, 1)]
    else:
        skipped.append("No C compiler: the kernel is left out.")
    for dtype in ("float64", "float32"):
        for workers, label in ((1, "one worker"), (2, "two workers")):
            jobs[f"bnstats {dtype}, {label}"] = sigmoid("--dtype", dtype, "--workers", workers)
        alone = ("--dtype", dtype, "--direction", "backward")  # the kernel's work
        jobs[f"bnstats {dtype}, one worker, dx alone"] = sigmoid(*alone, "--workers", 1)
        if find_spec("jax"):
            on_jax = ("--backend", "jax", "--device", "cpu")
            jobs[f"bnstats {dtype} on jax"] = sigmoid("--dtype", dtype, *on_jax)
            jobs[f"bnstats {dtype} on jax, dx alone"] = sigmoid(*alone, *on_jax)
    contenders = {name: Contender(job, draws // 10, draws) for name, job in jobs.items()}
    points = min(2**24, 1 << draws.bit_length())
    for workers, label in ((1, "one worker"), (2, "two workers")):
        job = sigmoid("--sampler", "sobol", "--workers", workers)
        contenders[f"bnstats sobol, {label}"] = Contender(job, points // 8, points)
    return contenders, skipped


def measured(
    contenders: dict[str, Contender], extra: dict[str, Job], rounds: int, env: dict[str, str]
) -> tuple[dict[str, Any], dict[str, list[Cost]]]:
    """Run contenders in both sizes, and other jobs among them; return both, contenders' checked."""
    jobs = {f"{n}, {s}": job for n, c in contenders.items() for s, job in c.sizes().items()}
    costs = alternate(jobs | extra, rounds, env)
    found = {
        name: {"samples": [c.small, c.large]}
        | {size: [run.record() for run in costs[f"{name}, {size}"]] for size in c.sizes()}
        for name, c in contenders.items()
    }
    return found, costs


def check(name: str, n: int, runs: list[Cost]) -> None:
    """Raise unless every process printed sigmoid's σ[dx] within six standard errors."""
    for output in (o for run in runs for o in run.outputs):
        value = float(output.split()[0])
        if not abs(value / STD_DX - 1) < 6 * SPREAD / n**0.5:
            raise SystemExit(f"{name} found σ[dx] = {value} in {n} draws: it does other work")


def measure_throughput(
    draws: int, rounds: int, kernel: str | None, env: dict[str, str]
) -> tuple[dict[str, Any], list[str]]:
    contenders, skipped = throughput_contenders(draws, kernel)
    alternate({name: c.job(2 * 10**5) for name, c in contenders.items()}, 1, env)  # bytecode
    found, costs = measured(contenders, {}, rounds, env)
    for name, c in contenders.items():
        check(name, c.small, costs[f"{name}, small"])
        check(name, c.large, costs[f"{name}, large"])
    return found, skipped


MAX_POOL = "max_pool2d:kernel_size=3"
LAYERS = ("relu", "sigmoid", "tanh", "gelu", MAX_POOL, "avg_pool2d:kernel_size=3", "dropout")


def measure_precision(draws: int, rounds: int, env: dict[str, str]) -> dict[str, Any]:
    """Time each layer's iid contenders at two sizes, and sobol until each precision is reached."""
    found = {}
    for spec, direction in [(s, "backward") for s in LAYERS] + [(MAX_POOL, "forward")]:
        quantity = {"backward": "std_dx", "forward": "std_y"}[direction]
        options = ("--direction", direction, "--workers", 1)
        plain = draws // 100 if "pool" in spec else draws // 10
        label = spec if direction == "backward" else f"{spec} forward"
        jobs = {"plain script": script("layer", label)}
        for dtype in ("float64", "float32"):
            jobs[f"bnstats {dtype}"] = lambda n, spec=spec, options=options, dtype=dtype: compute(
                spec, "-n", n, "--dtype", dtype, *options
            )
        # σ[y] of max pooling has no smoothing to gain from: one precision is enough to wait for.
        targets = PRECISIONS if direction == "backward" else PRECISIONS[:1]
        sobol = {
            f"sobol {r:g}": compute(
                spec, "--sampler", "sobol", "--precision", repr(r), "--json", *options
            )
            for r in targets
        }
        sizes = {name: plain if name == "plain script" else 2 * plain for name in jobs}
        contenders = {name: Contender(jobs[name], n // 10, n) for name, n in sizes.items()}
        print(f"{spec}, {quantity}")
        row, costs = measured(contenders, sobol, rounds, env)
        printed = cost([[*CONTENDERS, "spread", spec, quantity]], env).outputs[0]
        found[f"{spec}, σ[{'dx' if quantity == 'std_dx' else 'y'}]"] = {
            "spread": float(printed),
            "iid": row,
            "sobol": {
                f"{r:g}": [reached(run, quantity) for run in costs[f"sobol {r:g}"]] for r in targets
            },
        }
    return found


def reached(run: Cost, quantity: str) -> dict[str, float]:
    """Return a run's cost with its points and the relative half-width that it ended with."""
    result = json.loads(run.outputs[0])["results"][0]
    low, high = result[quantity]["interval"]
    width = (high - low) / (2 * result[quantity]["value"])
    return run.record() | {"points": result["samples"], "reached": width}


STARTUP: dict[str, Job] = {
    "python -c pass": [[sys.executable, "-c", "pass"]],
    "python -c 'import numpy'": [[sys.executable, "-c", "import numpy"]],
    "bnstats --version": [[*BNSTATS, "--version"]],
    "bnstats --help": [[*BNSTATS, "--help"]],
    "bnstats compute sigmoid -n 1e6": [[*BNSTATS, "compute", "sigmoid", "-n", "1e6"]],
}
MEMORY = (
    *(("sigmoid", n, "iid", "float64", 1) for n in ("1e6", "1e7", "1e8", "1e9")),
    ("sigmoid", "1e9", "iid", "float64", 2),
    ("sigmoid", "1e9", "iid", "float32", 1),
    *(("sigmoid", n, "sobol", "float64", w) for w in (1, 2) for n in ("2**21", "2**24")),
    (MAX_POOL, "1e7", "iid", "float64", 1),
    (MAX_POOL, "2**21", "sobol", "float64", 1),
)


def measure_memory(quick: bool, env: dict[str, str]) -> list[dict[str, Any]]:
    found = []
    for spec, n, sampler, dtype, workers in MEMORY:
        size = "1e6" if quick else n
        job = compute(
            spec, "-n", size, "--sampler", sampler, "--dtype", dtype, "--workers", workers
        )
        run = cost(job, env)
        print(f"{spec} {size} {sampler}, {workers}: {run.megabytes:.0f} MB", flush=True)
        row = {"spec": spec, "n": size, "sampler": sampler, "dtype": dtype, "workers": workers}
        found.append(row | run.record())
    return found


def machine() -> dict[str, Any]:
    packages = [p for p in ("numpy", "scipy", "torch", "jax") if find_spec(p)]
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": processor(),
        "processors": len(affinity(0)) if affinity else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def processor() -> str:
    found = {}
    path = Path("/proc/cpuinfo")
    for line in path.read_text().split("\n\n")[0].splitlines() if path.exists() else []:
        key, _, value = line.partition(":")
        found[key.strip()] = value.strip()
    name = found.get("model name") or platform.machine()
    model = f", family {found['cpu family']} model {found['model']}" if "model" in found else ""
    return name + model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="5, or 1 with --quick")
    parser.add_argument("--samples", type=float, default=2e8, help="draws of a throughput run")
    parser.add_argument("--quick", action="store_true", help="little work, to test this command")
    parser.add_argument("--render", action="store_true", help="only rewrite benchmarks.md")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    path = options.out / "benchmarks.json"
    if not options.render:
        path.parent.mkdir(parents=True, exist_ok=True)
        rounds = options.rounds or (1 if options.quick else 5)
        draws = 10**7 if options.quick else int(options.samples)
        begin, load = time.monotonic(), os.getloadavg()[0]
        with TemporaryDirectory() as folder:
            env = environment(folder)
            throughput, skipped = measure_throughput(draws, rounds, compiled(folder), env)
            precision = measure_precision(draws, rounds, env)
            startup = alternate(STARTUP, 3 * rounds, env)
            memory = measure_memory(options.quick, env)
        record = {
            "machine": machine(),
            "quick": options.quick,
            "rounds": rounds,
            "minutes": round((time.monotonic() - begin) / 60, 1),
            "load_before": round(load, 2),
            "skipped": skipped,
            "throughput": throughput,
            "precision": precision,
            "startup": {name: [run.record() for run in runs] for name, runs in startup.items()},
            "memory": memory,
        }
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = markdown(json.loads(path.read_text(encoding="utf-8")))
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text[text.index("## Bars") :])


if __name__ == "__main__":
    main()
