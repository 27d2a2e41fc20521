"""Clusters of dask: the digits of one process, whoever draws, dies, joins or is refused."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cli_support import ROOT, Cli, environment, read_document, spawn

distributed = pytest.importorskip("distributed")

from cluster_support import Processes, kill  # noqa: E402

from bnstats import api  # noqa: E402
from bnstats.errors import BnstatsError, HostError  # noqa: E402
from bnstats.layers import Law  # noqa: E402
from bnstats.networks import sweep as sweeps  # noqa: E402
from bnstats.result import Result  # noqa: E402
from bnstats.runs.drawing import sample  # noqa: E402
from bnstats.sampling import cluster, connection, muster  # noqa: E402
from bnstats.sampling.cluster_worker import task_for  # noqa: E402
from bnstats.sampling.iid import chunk_draws  # noqa: E402
from bnstats.sampling.settings import Sampling  # noqa: E402
from bnstats.sampling.watch import Watch  # noqa: E402
from bnstats.specs.spec import Spec, parse  # noqa: E402


def compute(spec: Any, **how: Any) -> Result:
    """Call `bnstats.compute`, whose first argument has no name to be given by."""
    return api.compute(spec, **how)


POOL = "max_pool2d:input_size=8,kernel_size=3,padding=1,stride=2"
CHUNK = chunk_draws(parse(POOL).bound)
LONG = 150 * CHUNK + 5  # a second or two for one process


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    found = Processes(tmp_path_factory.mktemp("dask"), 2)
    found.await_workers(2)
    yield found
    connection.close()
    found.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Processes]:
    """A cluster of this test's own, which it may ruin."""
    found = Processes(tmp_path, 2)
    found.await_workers(2)
    yield found
    connection.close()
    found.close()


def digits(result: Any) -> Any:
    return {n: (q.value, q.stderr) for n, q in result.quantities.items()}, result.samples


HOW: list[dict[str, Any]] = [
    {"spec": POOL, "samples": 40 * CHUNK + 3},
    {"spec": POOL, "samples": 3},
    {"spec": "dropout", "samples": 3_000_000, "dtype": "float32", "law": Law(0.5, 2.0, 1.5)},
    {"spec": "sigmoid", "samples": 1 << 23, "sampler": "sobol"},  # bands of several chunks
    {"spec": "gelu", "precision": 0.002},
    {"spec": POOL, "samples": 10 * CHUNK, "direction": "backward"},
    {"spec": "tanh", "samples": 3_000_000, "quantities": ("chi", "stability")},
]


@pytest.mark.parametrize("how", HOW)
def test_the_digits_are_those_of_one_process(how: Any, processes: Processes) -> None:
    expected = digits(compute(**how))
    assert digits(compute(**how, cluster=processes.address)) == expected


def test_moments_may_come_long_before_their_task_ends(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(future: Any) -> Any:
        await asyncio.sleep(1.0)
        return await future

    monkeypatch.setattr(cluster, "_ended", late)
    expected = digits(compute(POOL, samples=40 * CHUNK))
    assert digits(compute(POOL, samples=40 * CHUNK, cluster=processes.address)) == expected


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_backend_of_the_workers_draws(backend: str, processes: Processes) -> None:
    pytest.importorskip(backend)
    pytest.importorskip("array_api_compat")
    law = Law(1e6, 1e-2, 1.0)  # the first leaf says about which means all sums are taken
    how: Any = {"samples": 20_000_000, "backend": backend, "device": "cpu", "law": law}
    there = compute("identity", **how, cluster=processes.address)
    here = compute("identity", **how)
    assert digits(there) == digits(here)
    assert there.device == here.device


def test_a_scheduler_file_and_a_client_lead_there_as_well(processes: Processes, cli: Cli) -> None:
    expected = compute("elu", samples=2_000_000)
    assert digits(compute("elu", samples=2_000_000, cluster=processes.file)) == digits(expected)
    with distributed.Client(processes.address, set_as_default=False) as client:
        assert digits(compute("elu", samples=2_000_000, cluster=client)) == digits(expected)
        assert client.status == "running"  # it is not ours to close
    found = cli("compute", "elu", "-n", "2e6", "--cluster", processes.address, "--json")
    assert read_document(found.out)["results"][0]["std_y"]["value"] == expected.std_y.value


def test_verify_and_table_draw_there(processes: Processes, cli: Cli) -> None:
    argv = ("verify", "feng2016", "-n", "2e5", "--json")
    there, here = cli(*argv, "--cluster", processes.address), cli(*argv)
    assert there.code == here.code
    assert there.out.partition('"provenance"')[0] == here.out.partition('"provenance"')[0]


def test_sweeps_draw_there(processes: Processes, cli: Cli) -> None:
    argv = ("sweep", "sparsemax:n=3", "relu", "--over", "x_std=1,2", "-n", "1e6", "--json")
    there, here = cli(*argv, "--cluster", processes.address), cli(*argv)
    assert (there.code, there.err) == (here.code, here.err) == (0, "")
    found = read_document(there.out)
    assert found["results"] == read_document(here.out)["results"]
    assert found["results"][0]["points"][0]["samples"] == 1_000_000


def test_a_function_of_the_users_is_drawn_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    (tmp_path / "far.py").write_text("def act(x):\n    return x * (x > 0), 1.0 * (x > 0)\n")
    argv = ("compute", "far:act", "-n", "3e6", "--get", "std_dx.value")
    here = spawn(*argv, cwd=tmp_path)
    there = spawn(*argv, "--cluster", "local:2", cwd=tmp_path)
    assert (there.code, there.out) == (here.code, here.out), there.err


def test_a_script_without_a_guard_begins_a_local_cluster(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import bnstats\nprint('once')\n"
        "print(bnstats.compute('elu', samples=2_000_000, cluster='local:2').std_y.value)\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    expected = compute("elu", samples=2_000_000).std_y.value
    assert (done.returncode, done.stdout) == (0, f"once\n{expected}\n"), done.stderr


# --- who is refused, and what is told -------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "said", "code"),
    [
        ("tcp://127.0.0.1:9", "no scheduler of dask answers at tcp://127.0.0.1:9", 4),
        ("nowhere.json", "neither an address nor a file", 2),
        ("local:0", "not local or local:4", 2),
        ("local:two", "not local or local:4", 2),
        ("tcp://", "no scheduler of dask answers", 4),
    ],
)
def test_no_cluster_is_an_error(
    where: str, said: str, code: int, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT", 2)
    found = cli("compute", "relu", "-n", "1000", "--cluster", where)
    assert (found.code, found.out) == (code, "")
    assert said in found.err
    assert "hint:" in found.err


def test_without_dask_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    found = cli("compute", "relu", "-n", "1000", "--cluster", "tcp://127.0.0.1:9")
    assert found.code == 4
    assert "pip install 'bnstats[dask]'" in found.err


@pytest.mark.parametrize("what", [3, ["tcp://127.0.0.1:9"]])
def test_what_is_no_cluster_at_all(what: Any) -> None:
    with pytest.raises(BnstatsError, match="not an address, a scheduler file or a client"):
        compute("relu", samples=1000, cluster=what)


@pytest.mark.parametrize("name", ["bnstats", "numpy", "Python"])
def test_workers_with_other_versions_are_refused_by_name(
    name: str, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = muster.versions()
    monkeypatch.setattr(muster, "versions", lambda: real | {name: "9.9"})
    begun: list[int] = []
    with pytest.raises(HostError, match=rf"worker tcp://127.* has {name} .*, not 9.9") as error:
        compute(
            POOL, samples=LONG, cluster=processes.address, on_progress=lambda *a: begun.append(1)
        )
    assert "1 more worker" in str(error.value)
    assert not begun


@pytest.fixture
def other_version(tmp_path: Path) -> str:
    """Return a directory with a bnstats of another version."""
    root = tmp_path / "other"
    shutil.copytree(Path(ROOT) / "bnstats", root / "bnstats")
    (root / "bnstats" / "version.py").write_text('"""."""\n__version__ = "0.0.7"\n')
    return str(root)


def test_a_worker_of_another_version_that_joins_late_draws_nothing(
    own: Processes, other_version: str
) -> None:
    told: list[str] = []
    begun = threading.Event()
    joined = threading.Thread(target=lambda: (begun.wait(), own.add_worker(other_version)))
    joined.start()
    watch = Watch(on_progress=lambda *a: begun.set(), on_note=told.append)
    result = sample(parse(POOL), Sampling(10**12, max_time=4.0, cluster=own.address), watch)
    joined.join()
    assert digits(compute(POOL, samples=result.samples)) == digits(result)
    assert not told or "has bnstats 0.0.7, not" in told[0]
    own.await_workers(3)
    with pytest.raises(HostError, match=r"has bnstats 0\.0\.7, not"):
        compute("relu", samples=1000, cluster=own.address)


# --- what is lost ---------------------------------------------------------------------------------


def test_a_killed_worker_costs_its_parcels_and_new_ones_are_used(own: Processes) -> None:
    expected = digits(compute(POOL, samples=LONG))

    def ruin(own: Processes) -> None:
        for _ in range(3):
            time.sleep(0.4)
            own.add_worker()
            kill(own.workers.pop(0))

    ruins = threading.Thread(target=ruin, args=(own,))
    ruins.start()
    assert digits(compute(POOL, samples=LONG, cluster=own.address)) == expected
    ruins.join()


@pytest.mark.parametrize("what", ["workers", "scheduler"])
def test_all_workers_or_the_scheduler_lost_is_an_error_with_the_result_so_far(
    what: str, own: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muster, "PATIENCE", 2.0)
    failed: list[BnstatsError] = []
    seen: list[int] = []

    def progress(draws: int, tally: object) -> None:
        seen.append(draws)
        if len(seen) == 20:
            for process in own.workers if what == "workers" else [own.scheduler]:
                kill(process)

    watch = Watch(on_progress=progress, on_failure=failed.append, should_stop=lambda: bool(failed))
    result = sample(parse(POOL), Sampling(10**12, cluster=own.address), watch)
    (error,) = failed
    assert isinstance(error, HostError)
    assert what in str(error)
    assert "lost" in str(error)
    assert result.status == "interrupted"
    assert result.samples == seen[-1] >= 19 * CHUNK
    assert digits(result) == digits(compute(POOL, samples=result.samples))


def _ruins(own: Processes, patch: pytest.MonkeyPatch, at: int, *, before: bool) -> None:
    """Kill the scheduler before a sweep's sample of this number is begun, or in the midst of it."""
    patch.setattr(muster, "PATIENCE", 2.0)
    patch.setattr(connection, "_TIMEOUT", 2)
    begun: list[Spec] = []

    def ruined(spec: Spec, how: Sampling, watch: Watch) -> Result:
        begun.append(spec)
        if len(begun) == at and before:
            kill(own.scheduler)
        elif len(begun) == at:
            watch.on_progress = lambda draws, tally: kill(own.scheduler)
            how = replace(how, samples=10**12)  # of which some are left to be lost
        return sample(spec, how, watch)

    patch.setattr(sweeps, "sample", ruined)


@pytest.mark.parametrize("before", [True, False])
def test_a_sweep_whose_cluster_is_lost_keeps_what_is_done(
    before: bool, own: Processes, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    argv = ("sweep", "relu", "sparsemax:n=3", "--over", "x_std=1,2", "--json")
    whole = read_document(cli("sweep", "relu", "--over", "x_std=1,2", "--json").out)
    _ruins(own, monkeypatch, 1, before=before)
    found = cli(*argv, "--cluster", own.address)
    assert found.code == HostError.exit_code
    assert "scheduler" in found.err
    document = read_document(found.out)
    assert document["status"] == "interrupted"
    assert document["results"] == whole["results"]


def test_a_program_hears_that_its_sweep_has_failed(
    own: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"over": "x_std=1,2,3", "samples": 1e5, "cluster": own.address}
    _ruins(own, monkeypatch, 2, before=False)
    failures: list[BnstatsError] = []
    found = sweeps.sweep("sparsemax:n=3", "sparsemax:n=4", **how, on_failure=failures.append)
    assert found.status == "interrupted"
    assert [[point.text for point in curve.points] for curve in found.curves] == [["1"]]
    (error,) = failures
    assert isinstance(error, HostError)
    with pytest.raises(HostError):
        sweeps.sweep("sparsemax:n=3", **how)


def test_no_worker_at_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muster, "PATIENCE", 1.0)
    alone = Processes(tmp_path, 0)
    try:
        with pytest.raises(HostError, match="no worker has come"):
            compute("relu", samples=1000, cluster=alone.address)
    finally:
        connection.close()
        alone.close()


def _tasks(client: Any) -> int:
    def count(dask_scheduler: Any) -> int:  # within, so that it travels as a whole
        return sum(str(key).startswith("bnstats") for key in dask_scheduler.tasks)

    return int(client.run_on_scheduler(count))


def test_stopping_gives_what_is_drawn_and_cancels_the_tasks(processes: Processes) -> None:
    seen: list[int] = []
    result = compute(
        POOL,
        samples=10**15,
        cluster=processes.address,
        on_progress=lambda draws, tally: seen.append(draws),
        should_stop=lambda: len(seen) >= 10,
    )
    assert result.status == "interrupted"
    assert result.samples == seen[-1]
    assert digits(result) == digits(compute(POOL, samples=result.samples))
    with distributed.Client(processes.address, set_as_default=False) as client:
        deadline = time.monotonic() + 30
        while _tasks(client):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_scheduler_holds_few_tasks_at_any_n(processes: Processes) -> None:
    counts: list[int] = []
    client = distributed.Client(processes.address, set_as_default=False)
    seen: list[int] = []

    def progress(draws: int, tally: object) -> None:
        seen.append(draws)
        counts.append(_tasks(client))

    with client:
        compute(
            POOL,
            samples=10**15,
            cluster=client,
            on_progress=progress,
            should_stop=lambda: len(seen) >= 40,
        )
    assert 2 <= max(counts) <= 2 * 8


def _bytes_sent(client: Any) -> int:
    """Return what client, scheduler and workers have sent each other in their streams."""

    def by_scheduler(dask_scheduler: Any) -> int:
        comms = (*dask_scheduler.stream_comms.values(), *dask_scheduler.client_comms.values())
        return sum(comm.byte_count for comm in comms)

    def by_worker(dask_worker: Any) -> int:
        return int(dask_worker.batched_stream.byte_count)

    workers = sum(client.run(by_worker).values())
    return int(client.scheduler_comm.byte_count + client.run_on_scheduler(by_scheduler) + workers)


def test_what_travels_for_a_span_is_short(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers of packets come on top; results/scale.md has what goes over the wire."""
    monkeypatch.setattr(cluster, "_SPAN_SECONDS", 0.02)
    seen: list[int] = []
    with distributed.Client(processes.address, set_as_default=False) as client:
        before = _bytes_sent(client)
        compute(
            POOL,
            samples=10**15,
            cluster=client,
            on_progress=lambda draws, tally: seen.append(draws),
            should_stop=lambda: len(seen) >= 200,
        )
        assert (_bytes_sent(client) - before) / len(seen) < 1500


def test_an_error_of_the_layer_is_told_as_it_is_here(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bnstats

    bnstats.register(partial(_identity), name="nowhere_else")
    with pytest.raises(BnstatsError):
        compute("nowhere_else", samples=1000, cluster=processes.address)


def _identity(x: Any) -> Any:
    return x


@pytest.mark.parametrize("text", ["own", "2*own", "abs..own", "own..abs", "abs..1+2*own"])
def test_workers_import_the_module_of_a_function_within_a_layer(text: str) -> None:
    import bnstats

    bnstats.register(_identity, name="own")
    assert task_for(parse(text), Sampling(), 0.0).modules == (__name__,)
    assert task_for(parse(text.replace("own", "tanh")), Sampling(), 0.0).modules == ()


def test_workers_import_the_modules_of_all_functions_within_a_layer() -> None:
    import bnstats

    def other(x: Any) -> Any:
        return x

    other.__module__ = "elsewhere"
    bnstats.register(_identity, name="own")
    bnstats.register(other, name="other")
    task = task_for(parse("own..2*other"), Sampling(), 0.0)
    assert task.modules == (__name__, "elsewhere")
