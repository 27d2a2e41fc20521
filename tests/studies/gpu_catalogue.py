"""Every row of the table on a device: moments against exact values and numpy, and layer outputs.

Rows run in processes of their own: each compiles a program or two, which takes one processor
seconds, and a row that breaks its process takes no other with it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures import TimeoutError as OutOfTime
from multiprocessing import active_children, get_context
from typing import Any, NamedTuple

from gpu_statistics import MEASURED, two_sample_z, ulps

from bnstats.api import compute
from bnstats.backends import chosen, load
from bnstats.runs.drawing import default_samples
from bnstats.specs.spec import parse
from bnstats.tables.constants import table_specs

QUICK_ROWS = ("sigmoid", "dropout", "max_pool1d:kernel_size=2", "softmax")
DTYPES = ("float32", "float64")
NUMPY_SEEDS = 1000  # beyond the device's seed
OUTPUT_DRAWS = 4096
EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}

Row = dict[str, Any]


class Job(NamedTuple):
    """A row of the table on a backend."""

    spec: str
    backend: str
    dtype: str
    device: str
    seed: int
    share: int  # draws are the default's by this

    @property
    def key(self) -> str:
        return f"{self.backend} {self.dtype} {self.spec}"


def jobs(backends: list[str], device: str, seed: int, *, quick: bool) -> list[Job]:
    """Return all rows, backend by backend."""
    specs = [parse(text).text for text in (QUICK_ROWS if quick else table_specs())]
    share = 100 if quick else 1
    return [
        Job(spec, backend, dtype, device, seed, share)
        for dtype in DTYPES
        for backend in backends
        for spec in specs
    ]


def row(job: Job) -> Row:
    """Run one row; what fails in it is told by its message."""
    begin = time.perf_counter()
    found: Row = {}
    for part in (moments, outputs):
        try:
            found |= part(job)
        except Exception as error:
            found[f"{part.__name__}_error"] = message(error)
    return found | {"seconds": round(time.perf_counter() - begin, 2)}


def message(error: BaseException) -> str:
    told = " ".join(str(error).split())
    return f"{type(error).__name__}: {told}"[:600]


def moments(job: Job) -> Row:
    """Return z against exact values and against numpy's engine."""
    spec = parse(job.spec)
    draws = max(default_samples(spec.bound) // job.share, 1000)
    counted = fusion_counters(job.backend)
    one = compute(
        spec,
        samples=draws,
        seed=job.seed,
        dtype=job.dtype,
        backend=job.backend,
        device=job.device,
    )
    found: Row = {"draws": draws, "warnings": list(one.warnings), **counted()}
    found["nonfinite"] = max(one.nonfinite.values(), default=0)
    other = compute(spec, samples=draws, seed=job.seed + NUMPY_SEEDS)
    exact, numpy, apart = {}, {}, []
    for name in MEASURED:
        a, b = one.quantities[name], other.quantities[name]
        if not (a.reliable and b.reliable):
            apart.append(name)
            continue
        if a.z is not None:
            exact[name] = a.z
        z = two_sample_z(a, b)
        if z is not None:
            numpy[name] = z
    return found | {"exact": exact, "numpy": numpy, "apart": apart}


def fusion_counters(backend: str) -> Callable[[], Row]:
    """Return a function that tells how many graphs and kernels torch has compiled since."""
    if backend != "torch":
        return dict
    from torch._dynamo.utils import counters
    from torch._inductor import metrics

    counters.clear()
    before = metrics.generated_kernel_count

    def told() -> Row:
        return {
            "graphs": counters["stats"]["unique_graphs"],
            "breaks": sum(counters["graph_break"].values()),
            "kernels": metrics.generated_kernel_count - before,
        }

    return told


def outputs(job: Job) -> Row:
    """Return how far y and dx lie from numpy's on equal inputs, in ulps (`ulps`).

    ``own`` is how far numpy's float32 lies from its float64: the rounding that the formula has.
    """
    import numpy as np

    from bnstats.backends import numpy_backend

    bound = parse(job.spec).bound
    rng = np.random.default_rng(job.seed)
    draws = {
        name: (rng.normal if i.distribution == "normal" else rng.random)(
            size=(*i.shape, OUTPUT_DRAWS)
        )
        for name, i in bound.inputs.items()
    }
    draws = {k: v.astype(np.float32) for k, v in draws.items()}  # right in both dtypes
    single = evaluate_numpy(bound, numpy_backend, draws)
    double = evaluate_numpy(bound, numpy_backend, {k: np.float64(v) for k, v in draws.items()})
    ours = evaluate(job, bound, {k: v.astype(job.dtype) for k, v in draws.items()})
    wrong = [str(v.dtype) for v in ours if str(v.dtype) != job.dtype]
    if wrong:
        raise TypeError(f"{job.dtype} went in, {wrong[0]} came out")
    e = EPSILON[job.dtype]
    return {
        "ulps": max(ulps(a, b, e) for a, b in zip(ours, double, strict=True)),
        "own": max(ulps(a, b, EPSILON["float32"]) for a, b in zip(single, double, strict=True)),
    }


def evaluate_numpy(bound: Any, xp: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
    import numpy as np

    with np.errstate(all="ignore"):
        y, backward = bound.forward(xp, draws)
        return y, backward(draws["dy"])


def evaluate(job: Job, bound: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
    """Return y and dx, computed by a backend on the device, as numpy arrays."""
    import numpy as np

    xp = load(job.backend)
    device = chosen(job.backend, xp, job.device)[0]

    def both(inputs: dict[str, Any]) -> tuple[Any, Any]:
        y, backward = bound.forward(xp, inputs)
        return y, backward(inputs["dy"])

    if job.backend == "torch":
        import torch

        with device.handle, torch.no_grad():
            found = both({k: torch.as_tensor(v, device=device.handle) for k, v in draws.items()})
            return found[0].cpu().numpy(), found[1].cpu().numpy()
    import jax

    with xp.scope(device):
        found = jax.jit(both)({k: xp.asarray(v) for k, v in draws.items()})
        return np.asarray(found[0]), np.asarray(found[1])


def finished(wanted: list[Job], workers: int, deadline: float) -> Iterator[tuple[Job, Row]]:
    """Yield rows as they are done; those that the deadline cuts off are not yielded."""
    if workers == 0:
        for job in wanted:
            if time.monotonic() > deadline:
                return
            yield job, row(job)
        return
    waiting = list(wanted)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # of each worker
    while waiting and time.monotonic() < deadline:
        # A worker that dies takes the pool with it: those that it did not finish get a new one,
        # and the first of them, the likely culprit, is left out.
        pool = ProcessPoolExecutor(workers, get_context("spawn"))
        futures = {pool.submit(row, job): job for job in waiting}
        broken = False
        try:
            for future in as_completed(futures, timeout=max(deadline - time.monotonic(), 0.1)):
                job = futures[future]
                try:
                    found = future.result()
                except Exception as error:
                    if not broken:
                        broken = True
                        waiting.remove(job)
                        yield job, {"moments_error": message(error), "seconds": 0.0}
                    continue
                waiting.remove(job)
                yield job, found
        except OutOfTime:
            return
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.kill()


def agrees(found: Row) -> bool:
    """Whether outputs are as near to numpy's float64 as numpy's own float32 is, or nearly."""
    return math.isfinite(found["ulps"]) and found["ulps"] <= 4 * found["own"] + 4
