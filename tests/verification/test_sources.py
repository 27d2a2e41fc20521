"""What is verified, and for how long: sets, files and folders told apart, hours, seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from bnstats.claims import ClaimSet
from bnstats.claims.files import claim
from bnstats.errors import BnstatsError
from bnstats.layers import STANDARD
from bnstats.sampling import iid
from bnstats.verification import sources
from bnstats.verification.gate import VerifySettings
from bnstats.verification.sources import Committed, hours_of, read_source, verify, verify_source


def document(*layers: str, **provenance: Any) -> dict[str, Any]:
    law = {"law": STANDARD._asdict()}
    rows = [{"layer": layer} for layer in layers]
    return {"schema": "bnstats/1", "results": rows, "provenance": law | provenance}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder whose documents are believed to be whole."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "read_constants", lambda path: {"read": path.as_posix()})
    return tmp_path


CLAIM = {"layer": "gelu", "quantity": "std_y", "value": "0.588"}


@pytest.mark.parametrize(
    ("what", "read"),
    [
        ("results", "results/constants.json"),  # though no such folder is here
        ("folder", "folder/constants.json"),
        (Path("folder"), "folder/constants.json"),
        ("constants.json", "constants.json"),  # though it is none
        ("folder/constants.json", "folder/constants.json"),
        ("another.json", "another.json"),
    ],
)
def test_documents_are_folders_and_what_says_so(here: Path, what: str | Path, read: str) -> None:
    (here / "folder").mkdir()
    (here / "constants.json").write_text(json.dumps([CLAIM]))
    (here / "another.json").write_text(json.dumps(document()))
    found = read_source(what)
    assert isinstance(found, Committed)
    assert (found.path.as_posix(), found.document) == (read, {"read": read})
    with pytest.raises(FrozenInstanceError):
        found.path = Path()  # type: ignore[misc]


def test_claims_are_files_and_sets(here: Path) -> None:
    (here / "feng2016").mkdir()
    (here / "feng2016" / "own.json").write_text(json.dumps([CLAIM]))
    (here / "gains.py").write_text("GAINS = {'relu': 1.71}\nOTHERS = {'gelu': 1.7, 'elu': 1.2}\n")

    def read(what: str | Path, quantity: str | None = None) -> tuple[str, int]:
        found = read_source(what, quantity)
        assert isinstance(found, ClaimSet)
        return found.name, len(found.claims)

    assert read("feng2016/own.json") == read(Path("feng2016/own.json")) == ("own", 1)
    assert read("gains.py:GAINS", "1/σ[y]") == ("gains", 1)
    assert read("gains.py:OTHERS", "gain_y") == ("gains", 2)
    (here / "feng2016" / "own.json").unlink()
    (here / "feng2016").rmdir()
    assert read("feng2016") == ("feng2016", 24)


@pytest.mark.parametrize("what", ["folder/name", "name.toml", Path("feng2016")])
def test_what_looks_like_a_file_is_no_name_of_a_set(here: Path, what: str | Path) -> None:
    with pytest.raises(BnstatsError, match=r"no such file|is none of"):
        read_source(what)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OSError(36, "File name too long"), "cannot read name: File name too long"),
        (ValueError("embedded null byte"), "no file has such a name: name"),
    ],
)
def test_a_name_that_the_system_refuses(
    here: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str
) -> None:
    def is_dir(path: Path) -> bool:
        raise fault

    monkeypatch.setattr(Path, "is_dir", is_dir)
    with pytest.raises(BnstatsError) as caught:
        read_source("name")
    assert caught.value.message == said


def test_the_quantity_is_named() -> None:
    positional: Callable[..., Any] = verify
    with pytest.raises(TypeError, match="positional"):
        positional("feng2016", None, "std_y")
    with pytest.raises(BnstatsError, match="unknown quantity 'sdt_y'"):
        verify("feng2016", quantity="sdt_y")


# --- hours --------------------------------------------------------------------------------------


def claims_on(*layers: str) -> ClaimSet:
    return ClaimSet("a", tuple(claim(CLAIM | {"layer": layer}) for layer in layers))


@pytest.mark.parametrize(
    ("samples", "workers", "hours"),
    [
        # A draw of tanh is two numbers, x and dy; a process draws 2e7 a second.
        (36 * 10**9, 1, 1.0),
        (36 * 10**9 - 10, 1, 0.0),
        (54 * 10**9, 1, 1.5),
        (36 * 10**9, 2, 0.0),
        (36 * 10**10, 2, 5.0),
        (36 * 10**10, 8, 1.25),
    ],
)
def test_hours_are_told_from_one_on(samples: int, workers: int, hours: float) -> None:
    settings = VerifySettings(samples=samples, workers=workers)
    assert hours_of([claims_on("tanh")], settings) == hours
    assert hours_of([claims_on("tanh", "tanh"), claims_on("tanh")], settings) == hours


def test_every_layer_of_all_that_is_verified_is_drawn_once() -> None:
    both: list[ClaimSet | Committed] = [
        claims_on("tanh"),
        Committed(Path(), document("sigmoid", "tanh")),
    ]
    assert hours_of(both, VerifySettings(samples=36 * 10**9)) == 2.0
    assert hours_of(both[1:], VerifySettings(samples=36 * 10**9)) == 2.0


def test_what_is_too_wide_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = claims_on("tanh", "max_pool2d:kernel_size=3")
    settings = VerifySettings(samples=36 * 10**9)
    monkeypatch.setattr(iid, "MAX_NUMBERS", 2)
    assert hours_of([wide], settings) == 1.0


def test_by_default_no_layer_takes_an_hour() -> None:
    assert hours_of([claims_on("tanh")], VerifySettings()) == 0.0


# --- seeds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "asked", "drawn"),
    [(1, 1, 2), (2, 1, 3), (3, 1, 1), (0, 1, 1), (7, 7, 8), (8, 7, 9), (None, 1, 1)],
)
def test_fresh_draws_of_both_stages_are_others_than_those_committed(
    monkeypatch: pytest.MonkeyPatch, own: int | None, asked: int, drawn: int
) -> None:
    seeds, places = [], []

    def verify_constants(document: Any, settings: VerifySettings, place: Any) -> tuple[()]:
        seeds.append(settings.seed)
        places.append(place.path)
        return ()

    monkeypatch.setattr(sources, "verify_constants", verify_constants)
    provenance = {} if own is None else {"seed": own}
    committed = Committed(Path("there"), document("relu", **provenance))
    assert verify_source(committed, VerifySettings(seed=asked)) == ()
    assert (seeds, places) == ([drawn], [Path("there")])
    assert own not in (drawn, drawn + 1)
