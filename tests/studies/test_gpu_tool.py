"""The GPU script's verdicts, record and report; what needs no GPU is run on a processor."""

from __future__ import annotations

import json
import math
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpu
import gpu_catalogue
import gpu_checks
import gpu_contenders
import gpu_report
import gpu_speed
import gpu_statistics
import numpy as np
import pytest
from scipy.stats import norm

from bnstats.api import compute
from bnstats.backends import ACCELERATORS, missing
from bnstats.sampling.counter import devices

pytestmark = pytest.mark.studies
INSTALLED = [b for b in ACCELERATORS if not missing(b)]
TRITON = "Triton kernel, libdevice in 1024 lanes, 4 warps"


@pytest.fixture(scope="module")
def tool() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        yield SimpleNamespace(
            gpu=gpu,
            catalogue=gpu_catalogue,
            checks=gpu_checks,
            contenders=gpu_contenders,
            report=gpu_report,
            speed=gpu_speed,
            statistics=gpu_statistics,
        )


@pytest.fixture
def record() -> dict[str, Any]:
    """Return what a GPU might have left behind, in round numbers: 1e11 dx per second."""

    def row(seconds: list[float], z: float = 0.5) -> dict[str, Any]:
        return {"draws": 10**10, "rate": 1.0, "first": 9.0, "seconds": seconds, "dx": 0.2, "z": z}

    contenders = {
        "bnstats torch, backward": row([0.1, 0.1, 0.2]),
        "bnstats jax, backward": row([0.2, 0.2, 0.2]),
        "torch eager in blocks of 2^20": {"draws": 1, "rate": 1.0, "first": 1.0},
        "torch eager in blocks of 2^23": row([0.25, 0.25, 0.4]),
        TRITON: row([0.04, 0.06, 0.05]),
        "cupy in blocks of 2^20": {"error": "ModuleNotFoundError: No module named 'cupy'"},
    }
    return {
        "quick": False,
        "seed": 1,
        "device": {"kind": "cuda", "name": "H100", "devices": 1, "backends": ["torch", "jax"]},
        "machine": {"processor": "p", "processors": 16, "system": "Linux", "python": "3.12"},
        "rows": 4,
        "speed": {
            "sigmoid": {"per_draw": 1, "contenders": contenders},
            "relu": {"error": "OutOfMemoryError: no"},
            "bandwidth": {"bytes": 56 * 10**9, "seconds": [0.5, 0.5]},
            "processor": {
                "seconds": {"bnstats jax": [1.0, 2.0], "slow": [9.0, 9.0], "script": [1.1, 2.2]}
            },
        },
        "checks": {
            "absurd device, jax": {"told": "jax finds no device", "passed": True},
            "naive, relu": {"draws": 10**8, "relative": -0.42},
            "all devices, jax": {"skipped": "1 device here"},
            "across, sigmoid": {"error": "RuntimeError: a | b"},
        },
        "catalogue": {
            "torch float32 relu": {
                "exact": {"std_dx": 1.0, "std_y": -7.0},
                "numpy": {"std_dx": 0.5},
                "ulps": 3.0,
                "own": 0.0,
                "warnings": [],
                "breaks": 0,
                "apart": ["mean_y"],
            },
            "torch float32 abs": {"moments_error": "Unsupported: x", "ulps": 90.0, "own": 2.0},
        },
    }


def test_a_family_fails_by_one_z_too_large(tool: SimpleNamespace) -> None:
    for tests in (1, 1000):
        limit = -norm.ppf(1e-6 / 2 / tests)
        zs = [0.5] * (tests - 1)
        passing = tool.statistics.family([*zs, -limit * 0.999])
        assert passing["threshold"] == pytest.approx(limit, rel=1e-9)
        assert passing["passed"]
        for z in (limit * 1.001, -limit * 1.001, math.nan, -math.inf):
            assert not tool.statistics.family([*zs, z])["passed"]
    assert tool.statistics.family([2.5, -2.5, 3.5, 0])["beyond_2"] == 0.75
    assert tool.statistics.family([2.5, -2.5, 3.5, 0])["beyond_3"] == 0.25
    assert tool.statistics.family([]) == {"tests": 0}


def test_two_sample_z_of_equal_layers_is_standard_normal(tool: SimpleNamespace) -> None:
    pairs = [
        (compute("sigmoid", samples=2000, seed=s), compute("sigmoid", samples=3000, seed=s + 500))
        for s in range(200)
    ]
    for name in ("mean_y", "std_dx"):
        zs = [
            tool.statistics.two_sample_z(a.quantities[name], b.quantities[name]) for a, b in pairs
        ]
        assert abs(np.mean(zs)) < 4 / math.sqrt(len(zs))
        assert abs(np.std(zs) - 1) < 4 / math.sqrt(2 * len(zs))
    a, b = compute("sigmoid", samples=10**5), compute("tanh", samples=10**5)
    assert tool.statistics.two_sample_z(a.std_dx, b.std_dx) < -100


def test_ulps_are_of_the_value_or_of_the_whole(tool: SimpleNamespace) -> None:
    wanted = np.array([1.0, -2.0, 1e-9, np.inf, np.nan])
    rms = math.sqrt((1 + 4 + 1e-18) / 3)
    for i, scale in ((0, rms), (1, 2.0), (2, rms)):
        off = wanted.copy()
        off[i] += 3e-7
        assert tool.statistics.ulps(off, wanted, 1e-7) == pytest.approx(3 / scale, rel=1e-6)
    assert tool.statistics.ulps(wanted, wanted, 1e-7) == 0
    for i, other in ((0, np.nan), (0, np.inf), (3, -np.inf), (4, 0.0)):
        off = wanted.copy()
        off[i] = other
        assert tool.statistics.ulps(off, wanted, 1e-7) == math.inf
    assert tool.catalogue.agrees({"ulps": 11.9, "own": 2.0})
    assert not tool.catalogue.agrees({"ulps": 12.1, "own": 2.0})
    assert not tool.catalogue.agrees({"ulps": math.inf, "own": math.inf})


def test_bars_are_ratios_of_the_same_rounds(tool: SimpleNamespace, record: dict[str, Any]) -> None:
    rate, eager, kernel, processor = tool.report.bars(record)
    assert rate.met
    assert "1.0·10¹¹" in rate.shown
    assert eager.met
    assert eager.shown.startswith("2.50 (2.00–2.50)")
    assert kernel.met is False
    assert kernel.shown.startswith("0.400 (0.250–0.600)")
    assert processor.met
    assert processor.shown.startswith("1.10 (1.10–1.10) (script)")


def test_a_contender_that_does_other_work_does_not_count(
    tool: SimpleNamespace, record: dict[str, Any]
) -> None:
    contenders = record["speed"]["sigmoid"]["contenders"]
    contenders["bnstats torch, backward"]["z"] = -9.0
    contenders[TRITON]["z"] = math.nan
    rate, eager, kernel, _ = tool.report.bars(record)
    assert "bnstats jax" in rate.shown
    assert eager.met is False
    assert kernel.met is None
    text = tool.report.markdown(record)
    assert "off by -9.0 standard errors" in text


def test_nothing_measured_is_no_pass(tool: SimpleNamespace, record: dict[str, Any]) -> None:
    record["speed"] = {"sigmoid": {"error": "RuntimeError: no device"}}
    assert [bar.met for bar in tool.report.bars(record)] == [None] * 4
    assert "RuntimeError: no device" in tool.report.bars(record)[0].shown
    record["device"]["kind"] = "cpu"
    assert [bar.met for bar in tool.report.bars(record)] == [None] * 4
    record["speed"], record["checks"], record["catalogue"] = {}, {}, {}
    text = tool.report.markdown(record)
    assert text.count("not measured") >= 4 + 5 + 1
    assert "nothing here is a figure of a GPU" in text


def test_the_report_tells_what_failed(tool: SimpleNamespace, record: dict[str, Any]) -> None:
    text = tool.report.markdown(record)
    for told in (
        "| relu | all | not measured: OutOfMemoryError: no |",
        "not measured: ModuleNotFoundError: No module named 'cupy'",
        "limited by it to 2.00 (2.00–2.00) ·10⁹ dx",
        "| across, sigmoid | not measured | RuntimeError: a \\| b |",
        "| all devices, jax | not measured | 1 device here |",
        "off by -42 %",
        "| torch, float32 | 1 of 1 | exact | 2 | 7.00",
        "**differ**",
        "Outputs agree in 1 of 2 rows.",
        "- torch float32 abs: Unsupported: x",
        "Rows that raised an error: 1;",
        "left out as unreliable: 1.",
    ):
        assert told in text, told
    assert "| torch eager in blocks of 2^23 |" in text
    assert "| torch eager in blocks of 2^20 |" not in text  # only the best is shown


def options(out: Path, **changed: Any) -> Namespace:
    settings = {"out": out, "max_time": 60.0, "backend": INSTALLED, "device": "cpu"}
    return Namespace(**settings | {"quick": True, "seed": 1, "workers": 0} | changed)


def test_a_failure_is_recorded_and_only_it_is_done_again(
    tool: SimpleNamespace, tmp_path: Path
) -> None:
    called = []

    def works() -> dict[str, Any]:
        called.append("works")
        return {"told": "x", "passed": True}

    def fails() -> dict[str, Any]:
        called.append("fails")
        raise RuntimeError("CUDA error:\nan illegal access")

    for _ in range(2):
        session = tool.gpu.Session(options(tmp_path))
        session.do("checks", "absurd, one", works)
        session.do("checks", "absurd, two", fails)
    assert called == ["works", "fails", "fails"]
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["checks"]
    assert found["absurd, two"]["error"] == "RuntimeError: CUDA error: an illegal access"
    assert "illegal access" in (tmp_path / "gpu.md").read_text(encoding="utf-8")
    other = tool.gpu.Session(options(tmp_path, seed=2))
    assert other.record["checks"] == {}


def test_a_piece_that_hangs_is_stopped(
    tool: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs() -> dict[str, Any]:
        while True:
            try:
                sum(range(1000))
            except Exception:
                continue

    session = tool.gpu.Session(options(tmp_path))
    # Enough to begin a piece, then little to end it in, then nothing: no clock of a busy machine.
    monkeypatch.setattr(session, "left", iter([60.0, 0.1, 0.0]).__next__)
    session.do("checks", "hangs", hangs)
    assert session.record["checks"]["hangs"]["error"].startswith("Stopped")
    session.do("checks", "later", hangs)
    assert "the time was over" in session.record["checks"]["later"]["error"]


def test_contenders_are_timed_and_checked(tool: SimpleNamespace) -> None:
    def make(value: float, work: int = 1) -> Any:
        return lambda: lambda draws: (sum(range(work * min(draws, 10**5))), value)[1]

    def broken() -> Any:
        raise ImportError("no such library")

    def breaks() -> Any:
        runs = iter(range(3))  # one to compile, one at least to calibrate, one for the rate

        def run(draws: int) -> float:
            if next(runs, None) is None:
                raise RuntimeError("out of memory")
            time.sleep(0.02)
            return 0.2

        return run

    contender = tool.contenders.Contender
    others = [
        contender("bnstats torch, backward", make(0.21174569972066581)),
        contender("torch eager in blocks of 2^4", make(0.21174569972066581, work=50)),
        contender("torch eager in blocks of 2^5", make(0.21174569972066581)),
        contender("torch eager in blocks of 2^6", make(0.21174569972066581, work=50)),
        contender("wrong", make(0.2)),
        contender("absent", broken),
        contender("breaks", breaks),
    ]
    found = tool.speed.throughput("sigmoid", "cpu", [], quick=True, others=others)
    rows = found["contenders"]
    assert rows["absent"]["error"] == "ImportError: no such library"
    assert rows["breaks"] == {"error": "RuntimeError: out of memory"}
    assert tool.report.timed(found, "torch eager") == "torch eager in blocks of 2^5"
    assert [n for n in rows if n.startswith("torch eager") and "seconds" in rows[n]] == [
        "torch eager in blocks of 2^5"
    ]
    assert len(rows["wrong"]["seconds"]) == tool.speed.ROUNDS[True]
    assert tool.report.right(found, "bnstats torch, backward")
    assert not tool.report.right(found, "wrong")
    assert tool.report.fastest(found, ["wrong"]) is None


def test_a_library_that_fails_or_is_missing_is_named(
    tool: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str) -> Any:
        raise RuntimeError(f"{name} sees no driver")

    monkeypatch.setattr(tool.gpu, "load", fails)
    lacks = {"torch": ("array-api-compat",)}
    monkeypatch.setattr(tool.gpu, "missing", lambda name: lacks.get(name, ()))
    session = tool.gpu.Session(options(tmp_path, backend=None))
    assert session.backends == ["jax"]
    session.save()
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "not installed array-api-compat" in text
    assert "jax fails with RuntimeError: jax sees no driver" in text


@pytest.mark.skipif("jax" not in INSTALLED, reason="needs jax")
def test_a_script_that_would_run_on_the_processor_is_no_contender_on_a_gpu(
    tool: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(RuntimeError, match="jax finds no GPU"):
        tool.contenders.jax_user("sigmoid", "cuda", 1024)
    assert tool.contenders.jax_user("sigmoid", "cpu", 1024)(1024) == pytest.approx(0.21, rel=0.2)


def test_every_contender_on_a_gpu_has_a_name_of_its_own(tool: SimpleNamespace) -> None:
    for layer in tool.contenders.LAYERS:
        names = [c.name for c in tool.contenders.contenders(layer, "cuda", INSTALLED, quick=False)]
        assert len(set(names)) == len(names)
        kinds = {n.partition(tool.contenders.VARIANT)[0] for n in names}
        assert {"torch eager", "torch autograd", "torch.compile", "cupy", "jax script"} <= kinds
        assert ("Triton kernel, libdevice" in kinds) == (layer == "sigmoid")


def test_blocks_are_put_back(tool: SimpleNamespace) -> None:
    kept = devices._BLOCK_NUMBERS, devices._LARGEST_BLOCK
    with tool.checks.blocks_of(64):
        assert kept[1] != devices._LARGEST_BLOCK == 64
    assert kept == (devices._BLOCK_NUMBERS, devices._LARGEST_BLOCK)


@pytest.mark.skipif(not INSTALLED, reason="needs torch or jax")
def test_checks_run_on_a_processor(tool: SimpleNamespace, tmp_path: Path) -> None:
    settings = tool.checks.Settings("cpu", INSTALLED, 1, True)
    pieces = tool.checks.pieces(settings)
    session = tool.gpu.Session(options(tmp_path))
    backend = INSTALLED[-1]
    for name in ("absurd device", "repeats", "sums", "across", "naive", "all devices"):
        key = next(k for k in pieces if k.startswith(name) and (backend in k or "," not in k[7:]))
        session.do("checks", key, pieces[key])
        found = session.record["checks"][key]
        assert found.get("passed", True), found
        assert "error" not in found, found
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "quantum:7" in text
    assert "standard errors" in text


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_row_of_the_catalogue(tool: SimpleNamespace, backend: str) -> None:
    (job, *_) = tool.catalogue.jobs([backend], "cpu", 1, quick=True)
    found = tool.catalogue.row(job)
    assert not [k for k in found if k.endswith("error")], found
    assert set(found["exact"]) == set(found["numpy"]) == set(tool.statistics.MEASURED)
    assert max(abs(z) for z in [*found["exact"].values(), *found["numpy"].values()]) < 5
    assert tool.catalogue.agrees(found)
    wrong = tool.catalogue.row(job._replace(spec="no_such_layer"))
    assert "no_such_layer" in wrong["moments_error"]
