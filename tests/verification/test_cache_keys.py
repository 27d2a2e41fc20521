"""The keys of the cache: versions, the code of users' layers, and what the first draws show."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bnstats.sampling.settings import Sampling
from bnstats.specs.spec import Spec, parse
from bnstats.statistics.moments import Moments, Tally
from bnstats.verification import cache as module
from bnstats.verification.cache import _first_draws, _users_code

GELU = parse("gelu")
SAMPLES = 100
MOMENTS = Moments(100.0, 100.0, 0.0, 0.25, 0.5, 1.0, 2.0, -3.0, 4.0, 5.0)
TALLY = Tally({"y": MOMENTS, "dx": replace(MOMENTS, mean_a=-0.5)})


# --- what an entry is of ------------------------------------------------------------------------


def test_the_key_names_versions_and_users_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "whole_code", lambda: "code")

    def key(spec: Spec) -> dict[str, Any]:
        found = module._key(spec, Sampling(SAMPLES), SAMPLES, ())
        assert found is not None
        return found

    assert key(GELU)["users_code"] == ""
    assert key(GELU)["versions"]["numpy"] == version("numpy")
    assert key(GELU)["versions"] is key(GELU)["versions"]
    assert key(parse("2*gelu..abs"))["users_code"] == ""
    own = replace(GELU, layer=replace(GELU.layer))  # of the same name, and not the same
    assert key(own)["users_code"] == _users_code(own.layer) != ""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a package that is loaded: two modules, a library within, one beside."""
    files = {
        "own": "own/__init__.py",
        "own.acts": "own/acts.py",
        "own.near": "own/near.py",
        "own.library": "own/site-packages/library.py",
        "beside": "beside.py",
    }
    modules: dict[str, Any] = {"builtins": sys}  # which has no file either
    for name, file in files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        loaded = ModuleType(name)
        loaded.__file__ = str(path)
        modules[name] = loaded
    monkeypatch.setattr(module, "sys", SimpleNamespace(modules=modules))
    return tmp_path


def code(of: str | None, of_type: str = "nowhere") -> str | None:
    """Return the digest of the code of a layer that is made by a module, or by a module's type."""
    kind = type("Bind", (), {"__module__": of_type, "__call__": lambda self: None})
    bind = kind()
    bind.__module__ = of
    return _users_code(replace(GELU.layer, bind=bind))


def test_code_is_all_that_is_loaded_of_a_package(package: Path) -> None:
    before = code("own.acts")
    assert before is not None
    assert before == code("own.near") == code("own") == code(None, "own.acts")
    for name, differs in [
        ("beside.py", False),
        ("own/site-packages/library.py", False),
        ("own/not_loaded.py", False),
        ("own/near.py", True),
        ("own/acts.py", True),
        ("own/__init__.py", True),
    ]:
        (package / name).write_text("# a word\n")
        assert (code("own.acts") != before) is differs
        (package / name).write_text("")
    (package / "own/near.py").unlink()
    assert code("own.acts") is None


def test_code_without_a_file_is_none(package: Path) -> None:
    assert code("own.absent") is None
    assert code("absent") is None
    assert code(None) is None
    vars(module)["sys"].modules["own"].__file__ = None
    assert code("own.acts") is None


# --- the first draws ----------------------------------------------------------------------------


def test_a_difference_in_one_draw_of_a_thousand_shows() -> None:
    def scaled(beyond: float) -> Spec:
        def forward(xp: Any, draws: Any) -> Any:
            y, backward = GELU.bound.forward(xp, draws)
            return xp.where(draws["x"] > beyond, 2 * y, y), backward

        return replace(GELU, bound=replace(GELU.bound, forward=forward))

    sampling = Sampling(10**6)
    found = {at: _first_draws(scaled(at), sampling, 10**6) for at in (3.0, 9.0)}
    assert found[9.0] == _first_draws(GELU, sampling, 10**6)
    assert found[3.0] != found[9.0]  # x > 3 in 1.3 draws of a thousand


@pytest.mark.parametrize(
    ("layer", "samples", "draws"),
    [("gelu", 10**6, None), ("gelu", 5, 5), ("softmax:n=20000", 10**6, 1)],
)
def test_the_first_draws_are_few_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, layer: str, samples: int, draws: int | None
) -> None:
    asked = []

    def chunk_tally(spec: Spec, sampling: Sampling, pivot: float, chunk: Any) -> Tally:
        asked.append((sampling.backend, chunk.draws))
        return TALLY

    monkeypatch.setattr(module, "chunk_tally", chunk_tally)
    ((y, _), (dx, numbers)) = _first_draws(parse(layer), Sampling(samples), samples)
    assert (y, dx, [float.fromhex(n) for n in numbers][4]) == ("y", "dx", -0.5)
    ((backend, found),) = asked
    assert backend == "numpy"
    assert found == draws if draws else 1000 <= found <= 20_000
