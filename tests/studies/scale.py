"""How runs scale over processes and hosts, and what a task of a cluster costs.

    python tests/studies/scale.py [--out results] [--seconds 30] [--rounds 3] [--only PART]
                                  [--render]

- throughput: one and two processes, forked (--workers) and of dask (--cluster), in turns; the work
  fixed (strong scaling) and growing with the processes (weak scaling). Needs a quiet machine.
- start: seconds until the first draws of --cluster local:2.
- task: bytes on the wire and processor time of the scheduler for each span.
- hosts: scheduler and workers in network namespaces of their own, with delay and loss (root only).
- thousand: a scheduler with 1,000 workers whose tasks sleep instead of drawing.
- endless: seconds until the first checkpoint of 1e9 and of 1e15 draws, and the client's memory.

Writes scale.json, and scale.md from it alone, which is all that --render does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from cluster_support import Processes
from dask_processes import Cluster
from distributed import Client, get_worker
from scale_report import markdown

from bnstats.api import compute
from bnstats.sampling import cluster, connection
from bnstats.sampling.cluster_worker import Task
from bnstats.sampling.layout import Span
from bnstats.statistics.moments import Moments, Tally
from bnstats.version import __version__

LAYER = "sigmoid"
NETWORKS = {  # netem's words, and the delay each way in seconds where the kernel lacks netem
    "no delay": ("", 0.0),
    "1 ms": ("delay 0.5ms", 0.0005),
    "50 ms": ("delay 25ms 2ms", 0.025),
    "200 ms": ("delay 100ms 10ms", 0.1),
    "50 ms, 1 % lost": ("delay 25ms 2ms loss 1%", None),
    "200 ms, 3 % lost": ("delay 100ms 10ms loss 3%", None),
}


def seconds_of(**how: Any) -> float:
    """Return how long a run takes."""
    begin = time.perf_counter()
    compute(LAYER, **how)
    return time.perf_counter() - begin


def throughput(asked: argparse.Namespace) -> dict[str, Any]:
    """Return draws per second of each engine, round by round."""
    samples = 10**8
    rate = samples / seconds_of(samples=samples, workers=2)
    samples = int(rate * asked.seconds)
    ways: dict[str, dict[str, Any]] = {
        "--workers 1": {"workers": 1, "samples": samples // 2},
        "--workers 2": {"workers": 2, "samples": samples},
        "--cluster, 1 worker": {"cluster": "local:1", "samples": samples // 2},
        "--cluster, 2 workers": {"cluster": "local:2", "samples": samples},
        "--workers 1, all of it": {"workers": 1, "samples": samples},
    }
    for where in ("local:1", "local:2"):
        compute(LAYER, samples=1000, cluster=where)  # start-up is not what is measured here
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(asked.rounds):
        for name in [*ways][:: 1 if number % 2 else -1]:
            rates[name].append(ways[name]["samples"] / seconds_of(**ways[name]))
    connection.close()
    pairs = zip(rates["--cluster, 2 workers"], rates["--workers 2"], strict=True)
    return {
        "samples": samples,
        "rates": rates,
        "dask_over_forked": sorted(a / b for a, b in pairs),
        "load": os.getloadavg()[0],
    }


def start(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of whole calls that draw next to nothing."""
    argv = [sys.executable, "-m", "bnstats", "compute", LAYER, "-n", "1000", "--get", "std_y.value"]
    found: dict[str, list[float]] = {"": [], "local:2": []}
    for _ in range(asked.rounds):
        for where, seconds in found.items():
            begin = time.perf_counter()
            more = ["--cluster", where] if where else []
            subprocess.run([*argv, *more], check=True, capture_output=True)
            seconds.append(time.perf_counter() - begin)
    return {"none": found[""], "local:2": found["local:2"], "load": os.getloadavg()[0]}


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@contextmanager
def _short_spans(seconds: float) -> Iterator[None]:
    before = cluster._SPAN_SECONDS
    cluster._SPAN_SECONDS = seconds
    try:
        yield
    finally:
        cluster._SPAN_SECONDS = before


def task(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the bytes and the scheduler's seconds that many short spans cost, each."""
    with namespaces("") as hosts, TemporaryDirectory() as folder:
        # In a namespace of its own the loopback carries nothing but this.
        argv = [*hosts.prefix("a"), sys.executable, __file__, "--inside", folder]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def inside(folder: Path, seconds: float = 8.0) -> dict[str, Any]:
    """Do what `task` does, where the loopback belongs to it alone."""
    processes = Processes(folder, 2)
    processes.await_workers(2)
    counts: list[int] = []
    pid = processes.scheduler.pid
    with _short_spans(0.02):
        compute(LAYER, samples=10**7, cluster=processes.address)
        idle = _traffic(), _cpu_seconds(pid), time.monotonic()
        time.sleep(3)
        quiet = (_traffic() - idle[0]) / 3, (_cpu_seconds(pid) - idle[1]) / 3
        before = _traffic(), _cpu_seconds(pid), time.monotonic()
        end = before[2] + seconds
        compute(
            LAYER,
            samples=10**15,
            cluster=processes.address,
            on_progress=lambda draws, tally: counts.append(draws),
            should_stop=lambda: time.monotonic() > end,
        )
        passed = time.monotonic() - before[2]
        traffic = _traffic() - before[0] - quiet[0] * passed
        cpu = _cpu_seconds(pid) - before[1] - quiet[1] * passed
    connection.close()
    processes.close()
    number = len(counts)
    return {
        "spans": number,
        "bytes": traffic / number,
        "scheduler_seconds": cpu / number,
        "span_seconds_per_worker": cluster._SPAN_SECONDS_PER_WORKER,
    }


def _traffic() -> int:
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


class Hosts:
    """Two network namespaces, and a wire between them."""

    def __init__(self, name: str) -> None:
        self._name = name

    def prefix(self, host: str) -> list[str]:
        """Return what runs a command on a host."""
        return ["ip", "netns", "exec", f"{self._name}{host}"]

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return f"10.77.{os.getpid() % 250}.{1 if host == 'a' else 2}"


@contextmanager
def namespaces(netem: str) -> Iterator[Hosts]:
    """Have two hosts whose packets are delayed and lost, each way."""
    hosts = Hosts(f"bn{os.getpid() % 100000}")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    ends = {host: f"{hosts._name}{host}" for host in "ab"}
    for name in ends.values():
        ip("netns", "add", name)
    try:
        ip("link", "add", ends["a"], "type", "veth", "peer", "name", ends["b"])
        for host, name in ends.items():
            ip("link", "set", name, "netns", name)
            ip("-n", name, "addr", "add", f"{hosts.address(host)}/24", "dev", name)
            ip("-n", name, "link", "set", name, "up")
            ip("-n", name, "link", "set", "lo", "up")
            if netem:
                words = ["tc", "-n", name, "qdisc", "add", "dev", name, "root", "netem"]
                subprocess.run([*words, *netem.split()], check=True, capture_output=True)
        yield hosts
    finally:
        for name in ends.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _has(netem: str) -> bool:
    try:
        with namespaces(netem):
            return True
    except subprocess.CalledProcessError:
        return False


def _digits(document: dict[str, Any]) -> float:
    return float(document["results"][0]["std_dx"]["value"])


def apart(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of one run, the client and the scheduler on one host, workers beyond."""
    rate = 10**8 / seconds_of(samples=10**8, workers=2)
    samples = int(rate * asked.seconds / 3)
    expected = compute(LAYER, samples=samples, workers=2).std_dx.value
    argv = [sys.executable, "-m", "bnstats", "compute", LAYER, "-n", str(samples)]
    found: dict[str, Any] = {"samples": samples, "networks": {}}
    for name, (netem, delay) in NETWORKS.items():
        is_slowed = bool(netem) and not _has(netem)
        if is_slowed and delay is None:
            found["networks"][name] = {"refused": "this kernel has no netem"}
            continue
        with ExitStack() as held:
            both = held.enter_context(namespaces("" if is_slowed else netem))
            folder = Path(held.enter_context(TemporaryDirectory()))
            ends = {"scheduler_prefix": both.prefix("a"), "worker_prefix": both.prefix("b")}
            processes = Processes(folder, 0, host=both.address("a"), **ends)
            held.callback(processes.close)
            if is_slowed:
                held.enter_context(_slowed(processes, both, delay))
            for _ in range(2):
                processes.add_worker()
            time.sleep(8)  # until the workers are there
            begin = time.perf_counter()
            done = subprocess.run(
                [*both.prefix("a"), *argv, "--cluster", str(processes.file), "--json"],
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.perf_counter() - begin
        same = bool(done.stdout) and _digits(json.loads(done.stdout)) == expected
        found["networks"][name] = {"seconds": seconds, "same_digits": same}
        found["networks"][name]["by"] = "a proxy" if is_slowed else "the kernel"
        print(name, f"{seconds:.1f} s", same, done.stderr, file=sys.stderr, flush=True)
    return found | {"load": os.getloadavg()[0]}


@contextmanager
def _slowed(processes: Processes, hosts: Hosts, delay: float) -> Iterator[None]:
    """Have everybody reach the scheduler by a wire that takes its time."""
    known = json.loads(processes.file.read_text())
    host, _, port = known["address"].removeprefix("tcp://").rpartition(":")
    argv = [sys.executable, str(Path(__file__).with_name("slow_wire.py")), host, port, str(delay)]
    with subprocess.Popen(
        [*hosts.prefix("a"), *argv], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        known["address"] = f"tcp://{host}:{process.stdout.readline().strip()}"
        processes.file.write_text(json.dumps(known))
        try:
            yield
        finally:
            process.kill()


_LEAF_SECONDS = 0.01


def sleeping(task: Task, spans: Sequence[Span], address: tuple[str, int]) -> None:
    """Sleep for as long as each span would take to draw; send moments of the usual size."""
    topic, run = address
    for unit, first, leaves, draws, _ in spans:
        seconds = _LEAF_SECONDS * leaves
        time.sleep(seconds)
        n = float(draws)
        moments = Moments(n, n, 0.0, 0.5, 1 / 3, 1 / 7, n / 3, n / 7, n, n)
        tally = Tally({"y": moments, "dx": moments})
        get_worker().log_event(topic, (run, unit, first, seconds, task.packed(tally)))


def thousand(asked: argparse.Namespace, workers: int = 1000, processes: int = 8) -> dict[str, Any]:
    """Return the share of a processor that the scheduler of many workers takes."""
    running = Cluster(0)
    for _ in range(processes):
        running.add(workers // processes)
    with Client(running.address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=900)
    pid = running.scheduler.pid
    idle_begin, idle_cpu = time.monotonic(), _cpu_seconds(pid)
    time.sleep(10)
    idle = (_cpu_seconds(pid) - idle_cpu) / (time.monotonic() - idle_begin)
    cluster.draw_parcel = sleeping
    seen: list[tuple[float, float]] = []
    begin = time.monotonic()
    end = begin + max(asked.seconds, 60) + 60
    own = time.process_time()
    compute(
        LAYER,
        samples=10**15,
        cluster=running.address,
        on_progress=lambda draws, tally: seen.append((time.monotonic(), _cpu_seconds(pid))),
        should_stop=lambda: time.monotonic() > end,
    )
    client_share = (time.process_time() - own) / (time.monotonic() - begin)
    late = [at for at in seen if at[0] > begin + 60]  # spans have found their length by then
    wall, cpu = late[-1][0] - late[0][0], late[-1][1] - late[0][1]
    connection.close()
    running.close()
    return {
        "workers": workers,
        "spans": len(late),
        "seconds": wall,
        "scheduler_share": cpu / wall,
        "scheduler_share_idle": idle,
        "client_share": client_share,
    }


def _first_checkpoint(samples: str) -> float:
    """Return the seconds from the start of a program to the first checkpoint of its run."""
    with TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "bnstats", "compute", LAYER, "-n", samples]
        begin = time.perf_counter()
        with subprocess.Popen(
            [*argv, "--checkpoint", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while not list(Path(folder).glob("*.json")):
                time.sleep(0.005)
            seconds = time.perf_counter() - begin
            process.kill()
    return seconds


def _megabytes(samples: float, seconds: float) -> list[float]:
    """Return what a client of two workers and of many short spans has in memory, over time."""
    found: list[float] = []
    begin = time.monotonic()

    def hear(draws: int, tally: Tally) -> None:
        if time.monotonic() - begin > seconds / 8 * (1 + len(found)):
            found.append(psutil.Process().memory_info().rss / 1e6)

    with _short_spans(0.01):
        end = begin + seconds
        stop = lambda: time.monotonic() > end  # noqa: E731
        compute(LAYER, samples=samples, cluster="local:2", on_progress=hear, should_stop=stop)
    connection.close()
    return found


def endless(asked: argparse.Namespace) -> dict[str, Any]:
    """Return what becomes of runs that are longer than anybody waits."""
    lengths = ("1e9", "1e15")
    seconds: dict[str, list[float]] = {n: [] for n in lengths}
    for _ in range(asked.rounds):
        for n in lengths:
            seconds[n].append(_first_checkpoint(n))
    memory = {n: _megabytes(float(n), asked.seconds) for n in ("1e12", "1e15")}
    load = os.getloadavg()[0]
    return {"first_checkpoint": seconds, "client_megabytes": memory, "load": load}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "start": start,
    "task": task,
    "throughput": throughput,
    "hosts": apart,
    "thousand": thousand,
    "endless": endless,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seconds", type=float, default=30.0, help="of one run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--render", action="store_true", help="only rewrite scale.md")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside is not None:
        print(json.dumps(inside(asked.inside)))
        return
    path = asked.out / "scale.json"
    if asked.render:
        path.with_suffix(".md").write_text(markdown(json.loads(path.read_text())))
        return
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    record["machine"] = f"{os.cpu_count()} processors, {platform.system()}-{platform.machine()}"
    record["bnstats"] = __version__
    for name in asked.only or PARTS:
        record[name] = PARTS[name](asked)
        print(name, json.dumps(record[name]), flush=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        path.with_suffix(".md").write_text(markdown(record))


if __name__ == "__main__":
    main()
