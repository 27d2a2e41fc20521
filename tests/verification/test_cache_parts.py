"""The cache by parts: what is kept, what makes room, who may write there, what is believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bnstats.sampling.checkpoints.document import read_moments
from bnstats.sampling.settings import Sampling
from bnstats.sampling.supervised import Supervised
from bnstats.sampling.watch import Target, Watch
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.moments import Moments, Tally
from bnstats.verification import cache as module
from bnstats.verification.cache import Cache, _is_of, _is_private

GELU = parse("gelu")
SAMPLES = 100
MOMENTS = Moments(100.0, 100.0, 0.0, 0.25, 0.5, 1.0, 2.0, -3.0, 4.0, 5.0)
TALLY = Tally({"y": MOMENTS, "dx": replace(MOMENTS, mean_a=-0.5)})

# --- what is kept -------------------------------------------------------------------------------


class Runs:
    """Stands for runs: how often one was asked for, and what it is to do."""

    def __init__(self, patch: pytest.MonkeyPatch, done: int = SAMPLES, said: str = "") -> None:
        self.count, self.done, self.said = 0, done, said
        patch.setattr(module, "run", self)
        patch.setattr(module, "whole_code", lambda: "code")

    def __call__(self, spec: Spec, sampling: Sampling, samples: int, **how: Any) -> Any:
        self.count += 1
        if self.said:
            how["watch"].warn(self.said)
        return TALLY, self.done


def kept(folder: Path, sampling: Sampling, watch: Watch | None = None) -> int:
    """Draw a layer and return how many entries there are then."""
    supervised = Supervised(watch or Watch(), Target(), None, lambda tally: False)
    found, done = Cache(folder).run(GELU, sampling, SAMPLES, watch=supervised)
    assert found == TALLY
    assert done <= SAMPLES
    return len(list(folder.rglob("*.json")))


def test_what_was_drawn_is_kept_in_folders_that_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, folder = Runs(monkeypatch), tmp_path / "not" / "yet"
    assert kept(folder, Sampling(SAMPLES)) == kept(folder, Sampling(SAMPLES)) == 1
    assert runs.count == 1
    (path,) = folder.rglob("*.json")
    (entry,) = read_moments(path)
    ((span, tally),) = entry.subtrees
    assert (span.unit, span.first, span.leaves, span.draws) == (0, 0, 1, SAMPLES)
    assert tally == TALLY


@pytest.mark.parametrize(
    "more",
    [{"precision": 0.1}, {"quantities": ("chi",)}, {"precision": 0.1, "quantities": ("chi",)}],
)
def test_a_precision_and_joint_moments_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    Runs(monkeypatch)
    assert kept(tmp_path, Sampling(SAMPLES, **more)) == 0


def test_what_ended_early_or_was_warned_of_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Runs(monkeypatch, said="float32")
    assert kept(tmp_path, Sampling(SAMPLES)) == 0
    Runs(monkeypatch, done=SAMPLES - 1)
    assert kept(tmp_path, Sampling(SAMPLES)) == 0
    Runs(monkeypatch)
    assert kept(tmp_path, Sampling(SAMPLES), Watch(should_stop=lambda: True)) == 0
    assert kept(tmp_path, Sampling(SAMPLES)) == 1


def test_how_to_run_is_named(tmp_path: Path) -> None:
    positional: Callable[..., Any] = Cache(tmp_path).run
    with pytest.raises(TypeError, match="positional"):
        positional(GELU, Sampling(SAMPLES), SAMPLES, ())


# --- making room --------------------------------------------------------------------------------


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Return a cache of eight entries, one more than there may be, the first the oldest."""
    monkeypatch.setattr(module, "_MOST_ENTRIES", 7)
    found = Cache(tmp_path)
    found.folder.mkdir()
    for number in range(8):
        path = found.folder / f"{number}.json"
        path.touch()
        os.utime(path, (number, number))
    return found


def names(cache: Cache) -> list[str]:
    return sorted(path.stem for path in cache.folder.iterdir())


def test_the_older_half_makes_room_once(crowded: Cache) -> None:
    crowded._tidy()
    assert names(crowded) == ["4", "5", "6", "7"]
    for number in range(8):
        (crowded.folder / f"more{number}.json").touch()
    crowded._tidy()
    assert len(names(crowded)) == 12


def test_as_many_as_there_may_be_stay(crowded: Cache) -> None:
    (crowded.folder / "0.json").rename(crowded.folder / "0.text")
    crowded._tidy()
    assert len(names(crowded)) == 8


def test_what_another_process_has_removed_is_gone(
    crowded: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def after_another(path: Path, missing_ok: bool = False) -> None:
        os.unlink(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", after_another)
    crowded._tidy()
    assert names(crowded) == ["4", "5", "6", "7"]


# --- trust --------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
@pytest.mark.parametrize(
    ("mode", "is_private"),
    [(0o700, True), (0o755, True), (0o711, True), (0o720, False), (0o702, False), (0o777, False)],
)
def test_only_who_owns_a_folder_may_write_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_private: bool
) -> None:
    tmp_path.chmod(mode)
    assert _is_private(tmp_path) is is_private
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert not _is_private(tmp_path)
    monkeypatch.delattr(os, "geteuid")  # on Windows a home is its owner's
    assert _is_private(tmp_path)


@pytest.mark.parametrize(
    ("change", "believed"),
    [
        ({}, True),
        ({"points": 90.0, "nonfinite": 10.0}, True),
        ({"points": 110.0, "nonfinite": 10.0}, False),
        ({"points": 99.0}, False),
        ({"points": 110.0, "nonfinite": -10.0}, False),
        ({"mean_a": float("nan")}, False),
        ({"mean_b": -1.0}, False),
        ({"sum_bb": -1.0}, False),
        ({"ab": -9.0}, True),
    ],
)
def test_moments_are_those_of_so_many_draws(change: dict[str, float], believed: bool) -> None:
    tally = Tally(TALLY | {"dx": replace(MOMENTS, **change)})
    assert _is_of(tally, Sampling(SAMPLES), SAMPLES) is believed
    assert not _is_of(Tally(y=MOMENTS), Sampling(SAMPLES), SAMPLES)
