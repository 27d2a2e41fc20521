"""Which pyproject.toml is read, when its modules are imported, and what it may hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome

from bnstats.custom import finding
from bnstats.layers import USER_LAYERS

Cli = Callable[..., Outcome]

TABLE = (
    '[tool.bnstats]\nclaims = ["own.csv", "feng2016-repost"]\nimport = ["ours"]\nsamples = 2000\n'
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose module leaves a file when it is imported; we are in a folder of it."""
    (tmp_path / "pyproject.toml").write_text(TABLE)
    (tmp_path / "ours.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\ndef f(x): return 2 * x\n"
    )
    (tmp_path / "own.csv").write_text("layer,quantity,value\nours:f,std_dx,2.0\n")
    (tmp_path / "other.csv").write_text("layer,quantity,value\nrelu,std_dx,0.7071\n")
    (tmp_path / "below").mkdir()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finding, "_trusted", set())
    sys.modules.pop("ours", None)
    USER_LAYERS.pop("ours:f", None)
    return tmp_path


def test_it_is_sought_up_to_the_root_of_the_repository(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may write to /tmp; a folder above the repository is not the project's."""
    monkeypatch.chdir(home / "below")
    code, _, err = cli("verify")
    assert code == 2
    assert err.startswith("error: nothing to verify")
    (home / "below" / ".git").mkdir()
    assert cli("verify").code == 2
    (home / "below" / ".git").rmdir()
    assert not (home / "ran").exists()
    (home / ".git").write_text("gitdir: elsewhere\n")  # as of a worktree
    assert cli("verify").code == 1  # of the reposts' claims
    assert (home / "ran").exists()


@pytest.mark.parametrize("foreign", ["", "pyproject.toml", ".git"])
def test_as_git_does_it_runs_nothing_in_another_users_repository(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, foreign: str
) -> None:
    (home / ".git").mkdir()
    whose = {home: 1234, home / "pyproject.toml": 1234, home / ".git": 1234, home / foreign: 4321}
    stat = Path.stat

    def as_owned(self: Path, **how: Any) -> Any:
        found = stat(self, **how)
        owner = whose.get(self, found.st_uid)
        return os.stat_result((*found[:4], owner, *found[5:10]))

    monkeypatch.setattr(Path, "stat", as_owned)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    code, _, err = cli("verify", "own.csv")
    assert code == 2
    assert "belongs to another user: nothing of [tool.bnstats] import is run" in err
    assert "--import ours" in err
    assert not (home / "ran").exists()
    assert cli("verify", "other.csv").code == 0  # which needs none of it
    monkeypatch.setenv("SUDO_UID", "4321")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    whose.update(dict.fromkeys(whose, 4321))
    assert cli("verify", "own.csv").code in (0, 1)
    assert (home / "ran").exists()


def test_what_belongs_to_who_runs_it_is_imported(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".git").mkdir()
    assert cli("verify", "own.csv").code in (0, 1)
    assert (home / "ran").exists()


@pytest.mark.parametrize(
    ("what", "imports"),
    [
        ((), True),
        (("own.csv",), True),
        (("./below/../own.csv",), True),
        (("feng2016",), False),
        (("feng2016-repost",), False),
        (("other.csv",), False),
        (("other.csv", "own.csv"), True),
    ],
)
def test_its_modules_are_imported_for_its_files_alone(
    cli: Cli, home: Path, what: tuple[str, ...], imports: bool
) -> None:
    assert cli("verify", *what).code in (0, 1)
    assert (home / "ran").exists() is imports


def test_isolated_reads_none(cli: Cli, home: Path) -> None:
    code, out, err = cli("verify", "--isolated")
    assert (code, out) == (2, "")
    assert err.startswith("error: nothing to verify")
    code, _, err = cli("verify", "--isolated", "own.csv")
    assert code == 2
    assert "ours:f is not loaded" in err
    assert not (home / "ran").exists()
    assert cli("verify", "--isolated", "own.csv", "--import", "ours", "-n", "2000").code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a" + ".a" * 200_000 + " = 1", "cannot be parsed: too long a key or number"),
        ("[tool.bnstats]\na = " + "[" * 100_000, "cannot be parsed: nested too deeply or too long"),
        ("#" * 2_000_001, "cannot be parsed: it is larger than 2 MB"),
        ("[tool.bnstats]\nseed = 0x" + "f" * 1_000_000, "cannot be parsed: too long a key or num"),
    ],
)
def test_it_cannot_hurt(cli: Cli, home: Path, content: str, message: str) -> None:
    (home / "pyproject.toml").write_text(content)
    code, out, err = cli("verify")
    assert (code, out) == (2, "")
    assert message in err
