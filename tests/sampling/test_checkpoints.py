"""Checkpoints: a run that is ended anyhow goes on where it was, and ends with the same digits."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from checkpoint_support import write_after_each_chunk
from cli_support import COMMAND, Cli, environment

from bnstats import api
from bnstats.errors import BnstatsError, HostError
from bnstats.layers import Law
from bnstats.result import Result
from bnstats.runs.drawing import sample
from bnstats.sampling import run as runs
from bnstats.sampling.checkpoints.document import RunMoments, moments_document, read_moments, render
from bnstats.sampling.iid import chunk_draws
from bnstats.sampling.kept import Subtrees
from bnstats.sampling.layout import Layout
from bnstats.sampling.settings import Sampling
from bnstats.sampling.sobol import REPLICATES
from bnstats.sampling.watch import Watch
from bnstats.specs.spec import parse
from bnstats.statistics.moments import Moments, Tally


def compute(spec: Any, **how: Any) -> Result:
    """Call `bnstats.compute`, whose first argument has no name to be given by."""
    return api.compute(spec, **how)


POOL = "max_pool2d:input_size=8,kernel_size=3,padding=1,stride=2"
CHUNK = chunk_draws(parse(POOL).bound)
SAMPLES = 13 * CHUNK + 7


@pytest.fixture(autouse=True)
def at_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    write_after_each_chunk(monkeypatch)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of spans that are drawn, in this process."""
    spans: list[Any] = []
    real = runs.span_tally

    def span_tally(spec: Any, sampling: Any, pivot: Any, layout: Any, span: Any) -> Any:
        spans.append(span)
        return real(spec, sampling, pivot, layout, span)

    monkeypatch.setattr(runs, "span_tally", span_tally)
    return spans


def digits(result: Any) -> Any:
    return {n: (q.value, q.stderr) for n, q in result.quantities.items()}, result.samples


def stopped_after(spec: str, chunks: int, **how: Any) -> None:
    left = iter(range(chunks))
    compute(spec, should_stop=lambda: next(left, None) is None, **how)


HOW: list[dict[str, Any]] = [
    {"spec": POOL, "samples": SAMPLES},
    {"spec": "dropout", "samples": 2_500_000, "dtype": "float32", "law": Law(0.5, 2.0, 1.5)},
    {"spec": "sigmoid", "samples": REPLICATES << 14, "sampler": "sobol"},
    {"spec": POOL, "samples": SAMPLES, "direction": "forward", "seed": 9},
]


@pytest.mark.parametrize("how", HOW)
def test_a_stopped_run_goes_on_where_it_was(how: Any, tmp_path: Path, drawn: list[Any]) -> None:
    expected = digits(compute(**how))
    all_spans = len(drawn)
    for chunks in (1, 6, 90):
        kept = tmp_path / str(chunks)
        stopped_after(chunks=chunks, checkpoint=kept, **how)
        drawn.clear()
        assert digits(compute(**how, checkpoint=kept)) == expected
        assert len(drawn) == max(all_spans - chunks, 1 if how.get("sampler") != "sobol" else 0)
        drawn.clear()
        assert digits(compute(**how, checkpoint=kept)) == expected
        assert len(drawn) <= 1  # the last leaf, which is not whole


def test_longer_shorter_tighter_and_looser_runs_have_the_digits_of_fresh_ones(
    tmp_path: Path, drawn: list[Any]
) -> None:
    runs_: list[dict[str, Any]] = [
        {"samples": 6 * CHUNK},
        {"samples": 23 * CHUNK + 5},
        {"samples": 9 * CHUNK + 1},
        {"precision": 0.02},
        {"precision": 0.005},
        {"precision": 0.1},
        {"samples": 23 * CHUNK, "confidence": 0.5},
    ]
    for how in runs_:
        fresh = digits(compute(POOL, **how))
        drawn.clear()
        assert digits(compute(POOL, **how, checkpoint=tmp_path)) == fresh, how
    assert not drawn  # the last one found all
    assert len(list(tmp_path.iterdir())) == 1


def test_processes_take_up_what_one_has_drawn(tmp_path: Path) -> None:
    expected = digits(compute(POOL, samples=SAMPLES))
    stopped_after(POOL, 5, samples=SAMPLES, checkpoint=tmp_path, workers=1)
    assert digits(compute(POOL, samples=SAMPLES, checkpoint=tmp_path, workers=3)) == expected


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize("spec", ["sigmoid", "identity"])
def test_other_backends_go_on_as_well(backend: str, spec: str, tmp_path: Path) -> None:
    """Far from 0 the sums cancel: the first leaf says about which means they are taken."""
    pytest.importorskip(backend)
    pytest.importorskip("array_api_compat")
    law = Law(1e6, 1e-2, 1.0) if spec == "identity" else Law()
    how: Any = {"samples": 9_000_000, "backend": backend, "device": "cpu", "law": law}
    expected = digits(compute(spec, **how))
    stopped_after(spec, 2, checkpoint=tmp_path, **how)
    assert digits(compute(spec, **how, checkpoint=tmp_path)) == expected


CHANGES: list[dict[str, Any]] = [
    {"seed": 1},
    {"dtype": "float32"},
    {"direction": "forward"},
    {"sampler": "sobol"},
    {"law": Law(0.0, 2.0, 1.0)},
    {"spec": "elu:alpha=2"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_digits_depend_on_has_a_file_of_its_own(change: Any, tmp_path: Path) -> None:
    how = {"spec": "elu", "samples": 600_000, "checkpoint": tmp_path}
    compute(**how)
    assert len(list(tmp_path.iterdir())) == 1
    other = digits(compute(**(how | change)))
    assert len(list(tmp_path.iterdir())) == 2
    assert other == digits(compute(**(how | change | {"checkpoint": None})))


@pytest.mark.parametrize(
    ("layer", "factor"),
    [("grown:act", 1.0), ("2*grown:act", 2.0), ("abs..grown:act", math.sqrt(1 - 2 / math.pi))],
)
def test_the_source_of_a_function_is_part_of_the_key(
    layer: str, factor: float, user_modules: Path, cli: Cli, tmp_path: Path
) -> None:
    module = user_modules / "grown.py"
    argv = ("compute", layer, "-n", "600000", "--checkpoint", tmp_path / "kept", "--get")
    for slope in ("1.0", "2.00"):  # of one size within a second they would be one bytecode
        module.write_text(f"def act(x):\n    return {slope} * x, {slope} + 0 * x\n")
        found = subprocess.run(
            [*COMMAND, *map(str, argv), "std_y.value"],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=user_modules,
            timeout=120,
            check=True,
        )
        assert float(found.stdout) == pytest.approx(factor * float(slope), rel=0.01)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_the_code_and_the_arithmetic_are_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bnstats.sampling.checkpoints import identity

    for name in ("drawing_code", "arithmetic"):
        compute("elu", samples=600_000, checkpoint=tmp_path)
        monkeypatch.setattr(identity, name, lambda n=name: f"another {n}")
    compute("elu", samples=600_000, checkpoint=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_another_code_has_another_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bnstats.sampling import versions

    before = versions.drawing_code()
    monkeypatch.setattr(versions, "_ROOT", tmp_path)
    for name in versions._DRAWING:
        path = tmp_path / name
        (path.parent if path.suffix else path).mkdir(exist_ok=True)
        if path.suffix:
            path.write_text("a = 1\n")
    found = {before}
    for file, text in (
        ("layers/x.py", "b = 1\n"),
        ("layers/x.py", "b = 2\n"),
        ("statistics/moments.py", "a = 2\n"),
        ("statistics/joint.py", "a = 2\n"),
    ):
        (tmp_path / file).write_text(text)
        versions.drawing_code.cache_clear()
        found.add(versions.drawing_code())
    versions.drawing_code.cache_clear()
    assert len(found) == 5


DAMAGES: dict[str, Any] = {
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "a digit": lambda text: text.replace('"count": ', '"count": 1', 1),
    "another run": lambda text: render(
        moments_document([RunMoments({"layer": "x", "leaf": 8}, Subtrees(Layout(8, 8)))])
    ),
    "not JSON": lambda text: "\0\1\2",
    "a list": lambda text: "[1, 2]",
    "another version": lambda text: text.replace("bnstats-moments/1", "bnstats-moments/9"),
    "deep": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told_and_left_alone(
    damage: str, tmp_path: Path, cli: Cli, drawn: list[Any]
) -> None:
    samples = 13 * chunk_draws(parse("relu").bound) + 7
    argv = ("compute", "relu", "-n", samples, "--workers", 1, "--get", "std_dx.value")
    expected = cli(*argv).out
    argv = (*argv, "--checkpoint", tmp_path)
    assert cli(*argv).out == expected
    (path,) = tmp_path.iterdir()
    path.write_text(DAMAGES[damage](path.read_text()))
    there = path.read_bytes()
    drawn.clear()
    again = cli(*argv)
    assert (again.code, again.out) == (0, expected)
    assert "left alone" in again.err
    assert path.name in again.err
    assert len(drawn) == 14
    assert path.read_bytes() == there
    drawn.clear()
    assert cli(*argv).out == expected
    assert len(drawn) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        path.name.replace(".json", ".2.json"),
        path.name,
    ]


def test_other_files_of_the_folder_stay_as_they_are(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    compute("elu", samples=600_000, checkpoint=tmp_path)
    assert other.read_text() == "mine"


def test_a_folder_that_cannot_be_is_an_error_before_anything_is_drawn(
    tmp_path: Path, drawn: list[Any]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BnstatsError, match="is a file"):
        compute("elu", checkpoint=tmp_path / "file")
    with pytest.raises(BnstatsError, match="no directory") as error:
        compute("elu", checkpoint=tmp_path / "a" / "b")
    assert "mkdir -p" in str(error.value.hint)
    with pytest.raises(HostError, match="cannot be made"):
        compute("elu", checkpoint=tmp_path / ("n" * 300))
    assert not drawn


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES])
def test_a_full_disk_costs_the_checkpoint_but_not_the_run(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stopped_after(POOL, 3, samples=SAMPLES, checkpoint=tmp_path)
    (path,) = tmp_path.iterdir()
    there, told = path.read_bytes(), list[str]()

    def refuse(*rest: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse)
        how = Sampling(SAMPLES, checkpoint=tmp_path)
        result = sample(parse(POOL), how, Watch(on_note=told.append))
    assert digits(result) == digits(compute(POOL, samples=SAMPLES))
    assert len(told) == 1
    assert os.strerror(number) in told[0]
    assert path.read_bytes() == there
    assert list(tmp_path.iterdir()) == [path]


def test_runs_at_once_in_one_folder_have_the_same_digits(tmp_path: Path) -> None:
    expected = digits(compute(POOL, samples=SAMPLES))
    found: list[Any] = []

    def one() -> None:
        found.append(digits(compute(POOL, samples=SAMPLES, checkpoint=tmp_path)))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    (path,) = tmp_path.iterdir()
    (kept,) = read_moments(path)
    assert sum(span.draws for span, _ in kept.subtrees) == 13 * CHUNK


def test_a_shorter_run_beside_takes_nothing_from_the_file(tmp_path: Path) -> None:
    compute(POOL, samples=SAMPLES, checkpoint=tmp_path)
    (path,) = tmp_path.iterdir()
    compute(POOL, samples=2 * CHUNK, checkpoint=tmp_path)
    (kept,) = read_moments(path)
    assert sum(span.draws for span, _ in kept.subtrees) == 13 * CHUNK


def test_a_file_is_small_however_long_the_run(tmp_path: Path) -> None:
    compute("elu:alpha=3", samples=64 * chunk_draws(parse("elu").bound), checkpoint=tmp_path)
    (path,) = tmp_path.iterdir()
    (kept,) = read_moments(path)
    assert [span.leaves for span, _ in kept.subtrees] == [1, 1, 2, 4, 8, 16, 32]
    assert path.stat().st_size < 7000


def test_a_run_without_end_keeps_something_at_once(tmp_path: Path) -> None:
    for samples in (10**9, 10**15):
        stopped_after(POOL, 3, samples=samples, checkpoint=tmp_path)
        (path,) = tmp_path.iterdir()
        (kept,) = read_moments(path)
        assert sum(span.draws for span, _ in kept.subtrees) >= 3 * CHUNK


@pytest.mark.slow
def test_killed_with_9_it_goes_on(tmp_path: Path) -> None:
    argv = [*COMMAND, "compute", POOL, "-n", "3e6", "--json"]
    argv += ["--workers", "2", "--checkpoint", str(tmp_path)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment())
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("max*.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    (path,) = tmp_path.glob("max*.json")
    (kept,) = read_moments(path)
    before = sum(span.draws for span, _ in kept.subtrees)
    assert 0 < before < 3e6
    ended = subprocess.run(argv, capture_output=True, text=True, env=environment(), check=True)
    found = json.loads(ended.stdout)["results"][0]["std_dx"]["value"]
    assert found == compute(POOL, samples=3e6, workers=2).std_dx.value


def test_the_commands_that_draw_keep_what_they_draw(cli: Cli, tmp_path: Path) -> None:
    claims = tmp_path / "claims.toml"
    claims.write_text('[[claim]]\nlayer = "sigmoid"\nquantity = "std_dx"\nvalue = 0.2117457\n')
    kept = tmp_path / "kept"
    argv, found = ("verify", claims, "-n", "600000", "--json"), list[Any]()
    for more in ((), ("--checkpoint", kept), ("--checkpoint", kept)):
        document = json.loads(cli(*argv, *more).out)
        del document["provenance"]
        found.append(document)
    assert found[0] == found[1] == found[2]
    assert [p.name.split("-")[0] for p in kept.iterdir()] == ["sigmoid"]


# --- files --------------------------------------------------------------------------------------


def test_every_field_of_moments_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    names = [field.name for field in fields(Moments)]
    odd = [0.1, -0.0, 5e-324, 1.7e308, float("inf"), -float("inf"), 1 / 3, 2.0**53, 3.0, 1e-7]
    moments = Moments(**dict(zip(names, odd * 2, strict=False)))
    subtrees = Subtrees(Layout(8, 4))
    subtrees.add(subtrees.layout.span(0, 0, 1), Tally({"dx": moments}))
    path = tmp_path / "m.json"
    path.write_text(render(moments_document([RunMoments({"leaf": 4}, subtrees)])))
    (found,) = read_moments(path)
    ((_, tally),) = found.subtrees
    assert repr(tally) == repr(Tally({"dx": moments}))


def test_joint_moments_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    how: dict[str, Any] = {"samples": 2_000_000, "quantities": ("chi", "stability")}
    expected = digits(compute("tanh", **how))
    stopped_after("tanh", 3, **how, checkpoint=tmp_path)
    assert digits(compute("tanh", **how, checkpoint=tmp_path)) == expected
    (path,) = tmp_path.iterdir()
    (kept,) = read_moments(path)
    assert all(tally.joint is not None for _, tally in kept.subtrees)


def test_a_sum_that_is_no_number_stays_one(tmp_path: Path) -> None:
    subtrees = Subtrees(Layout(4, 4))
    subtrees.add(subtrees.layout.span(0, 0, 1), Tally({"y": Moments(aa=float("nan"))}))
    path = tmp_path / "m.json"
    path.write_text(render(moments_document([RunMoments({"leaf": 4}, subtrees)])))
    ((_, tally),) = read_moments(path)[0].subtrees
    assert tally["y"].aa != tally["y"].aa
