"""What was drawn before: found again only if nothing has changed, and never believed too much."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli

import bnstats
from bnstats.claims.files import claim
from bnstats.custom import trust
from bnstats.errors import BnstatsError
from bnstats.layers import USER_LAYERS
from bnstats.sampling.checkpoints.identity import digest_of
from bnstats.verification import cache as module
from bnstats.verification.cache import Cache
from bnstats.verification.check import Check
from bnstats.verification.claims import verify_claims
from bnstats.verification.gate import VerifySettings

Draws = list[tuple[str, int]]


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> Draws:
    """Return the layers and seeds that are drawn from now on."""
    found: Draws = []

    def run(spec: Any, sampling: Any, *rest: Any, **more: Any) -> Any:
        found.append((spec.text, sampling.seed))
        return original(spec, sampling, *rest, **more)

    original = module.run
    monkeypatch.setattr(module, "run", run)
    return found


def check(folder: Path, layer: str = "gelu", value: str = "1.7009", **more: Any) -> Check:
    fields = {"layer": layer, "quantity": "gain_y", "value": value}
    fields |= {k: more.pop(k) for k in ("x_std",) if k in more}
    settings = VerifySettings(samples=20_000, cache=Cache(folder))
    (found,) = verify_claims([claim(fields)], replace(settings, **more))
    return found


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "draws").glob("*.json"))


def test_an_unchanged_verification_draws_nothing(tmp_path: Path, draws: Draws) -> None:
    first = check(tmp_path)
    assert draws == [("gelu", 1)]
    assert check(tmp_path) == first
    assert draws == [("gelu", 1)]
    # The verdict is today's, of another claim as well.
    assert (first.outcome, check(tmp_path, value="1.7015").outcome) == ("ok", "fail")
    assert check(tmp_path, value="1.7015").reason.startswith("wrong: 1.701")
    assert draws == [("gelu", 1)]


@pytest.mark.parametrize(
    "more",
    [
        {"layer": "silu"},
        {"layer": "gelu:approximate=tanh"},
        {"seed": 2},
        {"samples": 20_001},
        {"x_std": "2"},
    ],
)
def test_what_the_digits_depend_on_is_drawn(
    tmp_path: Path, draws: Draws, more: dict[str, Any]
) -> None:
    check(tmp_path)
    draws.clear()
    check(tmp_path, **more)
    assert len(draws) >= 1
    before = draws.copy()
    check(tmp_path, **more)
    assert draws == before


@pytest.mark.parametrize("name", ["whole_code", "_versions"])
def test_other_code_draws_anew(
    tmp_path: Path, draws: Draws, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    check(tmp_path)
    monkeypatch.setattr(module, name, lambda *_: {"code": "another"})
    check(tmp_path)
    assert draws == [("gelu", 1)] * 2


def test_a_layer_that_has_changed_shows_in_its_first_draws(tmp_path: Path, draws: Draws) -> None:
    factors = {"slope": 3.0}  # no code shows it

    def act(x: Any) -> Any:
        return factors["slope"] * x

    bnstats.register(act, name="cache_test_act")
    try:
        check(tmp_path, "cache_test_act", "0.333")
        check(tmp_path, "cache_test_act", "0.333")
        assert len(draws) == 1
        factors["slope"] += 1e-9
        check(tmp_path, "cache_test_act", "0.333")
        assert len(draws) == 2
    finally:
        del USER_LAYERS["cache_test_act"]


ACTS = "from helper import factor\n\n\ndef act(x):\n    return factor() * x\n"
HELPER = "def factor():\n    return {}\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what writes a layer of one's own and its helper, and forgets what was imported."""
    before = dict(USER_LAYERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(acts: str = ACTS, helper: str = HELPER.format(3)) -> None:
        for name, text in (("cacheacts", acts), ("helper", helper)):
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        USER_LAYERS.clear()
        USER_LAYERS.update(before)
        trust("cacheacts", tmp_path)

    return write


@pytest.mark.parametrize(
    ("layer", "gain"),
    [("cacheacts:act", "0.333"), ("2*cacheacts:act", "0.167"), ("tanh..cacheacts:act", "0.531")],
)
def test_a_layer_of_ones_own_is_drawn_anew_when_its_code_or_a_helper_changes(
    layer: str, gain: str, tmp_path: Path, draws: Draws, own: Callable[..., None]
) -> None:
    def of_layer() -> int:
        check(tmp_path, layer, gain)
        return len(draws)

    own()
    assert (of_layer(), of_layer()) == (1, 1)
    own()
    assert of_layer() == 1
    own(acts=ACTS + "# a word\n")
    assert of_layer() == 2
    own(helper=HELPER.format(3) + "# a word\n")
    assert of_layer() == 3
    own(helper=HELPER.format("3 + 1e-9"))
    after = of_layer()
    assert after > 3
    assert of_layer() == after


def test_of_code_without_a_file_nothing_is_kept(tmp_path: Path, draws: Draws) -> None:
    made: dict[str, Any] = {"__name__": "nowhere"}
    exec("def act(x): return 3 * x", made)
    bnstats.register(made["act"], name="cache_test_act")
    try:
        check(tmp_path, "cache_test_act", "0.333")
        check(tmp_path, "cache_test_act", "0.333")
    finally:
        del USER_LAYERS["cache_test_act"]
    assert len(draws) == 2
    assert entries(tmp_path) == []


# --- trust -------------------------------------------------------------------------------------


def forged(text: str, change: Callable[[dict[str, Any]], object]) -> str:
    """Return an entry that was changed by someone who knows how its digest is made."""
    document = json.loads(text)
    del document["digest"]
    change(document["runs"][0])
    return json.dumps(document | {"digest": digest_of(document)})


def moments(run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = run["subtrees"][0]["moments"]["y"]
    return found


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "[1, 2]",
        lambda text: "{" * 100_000,
        lambda text: "\0" * 100,
        lambda text: text.replace('"mean_b": 0.', '"mean_b": 1.'),
        lambda text: text.replace('"gelu"', '"relu"'),
        lambda text: json.dumps(json.loads(text) | {"digest": "0" * 64}),
        lambda text: json.dumps({"runs": json.loads(text)["runs"]}),
        *(
            partial(forged, change=change)
            for change in (
                lambda run: run["run"].update(layer="relu"),
                lambda run: run.pop("subtrees"),
                lambda run: run["subtrees"].clear(),
                lambda run: run["subtrees"][0]["moments"].pop("dx"),
                lambda run: run["subtrees"][0]["moments"].clear(),
                lambda run: moments(run).pop("aa"),
                lambda run: moments(run).update(more=1.0),
                lambda run: moments(run).update(mean_b=-1.0),
                lambda run: moments(run).update(mean_a="nan"),
                lambda run: moments(run).update(points=19_999.0),
                lambda run: moments(run).update(mean_a="0.5"),
                lambda run: moments(run).update(mean_a=True),
                lambda run: moments(run).update(mean_a=None),
            )
        ),
    ],
)
def test_a_damaged_entry_is_passed_over_and_mended(
    tmp_path: Path, draws: Draws, damage: Callable[[str], str]
) -> None:
    first = check(tmp_path)
    (path,) = entries(tmp_path)
    text = path.read_text()
    path.write_text(damage(text))
    assert path.read_text() != text
    assert check(tmp_path) == first
    assert len(draws) == 2
    assert path.read_text() == text
    assert check(tmp_path) == first
    assert len(draws) == 2


def test_an_entry_for_another_layer_is_no_answer(tmp_path: Path, draws: Draws) -> None:
    check(tmp_path)
    (gelu,) = entries(tmp_path)
    check(tmp_path, "silu")
    (silu,) = set(entries(tmp_path)) - {gelu}
    silu.write_text(gelu.read_text())
    draws.clear()
    check(tmp_path, "silu")
    assert draws == [("silu", 1)]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o720, 0o702])  # the group, and everybody
def test_what_others_may_write_is_not_read(tmp_path: Path, draws: Draws, mode: int) -> None:
    check(tmp_path)
    assert (tmp_path / "draws").stat().st_mode & 0o777 == 0o700
    (tmp_path / "draws").chmod(mode)
    check(tmp_path)
    assert len(draws) == 2
    (tmp_path / "draws").chmod(0o700)
    (path,) = entries(tmp_path)
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    check(tmp_path)
    assert len(draws) == 3


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path, draws: Draws) -> None:
    (tmp_path / "file").write_text("")
    assert check(tmp_path / "file").outcome == "ok"
    assert check(tmp_path / "file").outcome == "ok"
    assert len(draws) == 2


def test_what_was_stopped_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(BnstatsError):
        check(tmp_path, on_layer=lambda *_: (_ for _ in ()).throw(BnstatsError("no")))
    fields = {"layer": "gelu", "quantity": "gain_y", "value": "1.7009"}
    asked = iter(range(10**6))
    settings = VerifySettings(
        samples=10**7, cache=Cache(tmp_path), should_stop=lambda: next(asked) > 3
    )
    assert verify_claims([claim(fields)], settings) == ()
    assert entries(tmp_path) == []


def test_old_entries_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ENTRIES", 5)
    for seed in range(5):
        check(tmp_path, samples=1000, seed=seed)
    before = entries(tmp_path)
    assert len(before) == 5
    for age, path in enumerate(before):
        os.utime(path, (-age, -age))
    check(tmp_path, samples=1000, seed=5)
    assert set(before) & set(entries(tmp_path)) == set(before[:2])
    assert len(entries(tmp_path)) == 3


# --- where, and how it is told -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "env", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/somewhere"}, "/somewhere/bnstats"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/bnstats"),  # the spec says so
        ("linux", {}, "/home/me/.cache/bnstats"),
        ("darwin", {}, "/home/me/Library/Caches/bnstats"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/bnstats/Cache"),
        ("darwin", {"XDG_CACHE_HOME": "/somewhere"}, "/somewhere/bnstats"),
    ],
)
def test_the_folder_is_where_caches_are(
    monkeypatch: pytest.MonkeyPatch, platform: str, env: dict[str, str], folder: str
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **env}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module.sys, "platform", platform)
    assert Cache().folder == Path(folder, "draws")


def test_the_command_says_what_it_did_not_draw(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    argv = ("verify", "normalized-tanh", "-n", "2e4")
    plain = cli(*argv, "--no-cache")
    assert not (tmp_path / "cache").exists()
    assert cli(*argv) == plain
    again = cli(*argv)
    assert (again.code, again.out) == (plain.code, plain.out)
    assert again.err == "note: 1 layer drawn before, by the same code; --no-cache draws anew\n"
    assert cli(*argv, "--no-cache") == plain
    assert cli("-q", *argv).err == ""
