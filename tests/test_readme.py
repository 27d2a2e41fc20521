"""The README's terminal sessions are what a reader sees who types them."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

import pytest
from cli_support import spawn

from bnstats.api import compute
from bnstats.backends import missing
from bnstats.layers import LAYERS, Law

README = Path(__file__).parent.parent / "README.md"
NUMBER = re.compile(r"−?\d[\d,]*(?:\.\d+)?(?:\(\d+\))?")
SECONDS = re.compile(r" · \d+\.\d s$")


def sessions() -> list[tuple[str, str]]:
    """Return each command of the README's console blocks with what it prints there."""
    text = README.read_text("utf-8")
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            if command.startswith("bnstats "):
                found.append((command, printed))
    return found


def modules(readme: str) -> dict[str, str]:
    """Return the files that sessions import: Python blocks that begin with ``# name.py``."""
    return dict(re.findall(r"^```py\n# (\w+\.py)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL))


def test_a_block_that_names_its_file_is_one() -> None:
    text = "```py\n# acts.py\ndef f(x):\n    return x\n```\n\n```py\n@elementwise\n```\n"
    assert modules(text) == {"acts.py": "def f(x):\n    return x\n"}


def test_the_readme_has_sessions() -> None:
    commands = [command for command, _ in sessions()]
    assert "bnstats compute sigmoid" in commands
    assert any(command.startswith("bnstats exact ") for command in commands)
    assert any(command.startswith("bnstats verify ") for command in commands)


def test_the_layer_with_structure_is_one() -> None:
    blocks = re.findall(r"^```py\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if "@structured(" in block)
    try:
        exec(code, {"__name__": "bnstats.layers.centring"})
        assert LAYERS["centring"].family == "centring"
        result = compute("centring:n=4", samples=20_000, law=Law(0.7, 1.9, 0.6))
        for name in ("mean_y", "std_y", "mean_dx", "std_dx"):
            assert abs(result.quantities[name].z or 0.0) < 4.5, name
        # Of four elements, three dimensions are left.
        exact = {name: result.quantities[name].exact.value for name in ("std_y", "std_dx")}
        share = math.sqrt(0.75)
        assert exact == pytest.approx({"std_y": 1.9 * share, "std_dx": 0.6 * share}, rel=1e-14)
    finally:
        LAYERS.pop("centring", None)


@pytest.mark.parametrize(("command", "printed"), sessions())
def test_a_session_prints_what_the_readme_shows(command: str, printed: str, tmp_path: Path) -> None:
    backend = re.search(r"--backend (\w+)", command)
    if backend and missing(backend[1]):
        pytest.skip(f"{backend[1]} is not installed")
    for name, text in modules(README.read_text("utf-8")).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    outcome = spawn(*shlex.split(command)[1:], cwd=tmp_path)
    assert "Traceback" not in outcome.err
    # A terminal shows warnings and errors above the result, and its prompt after a blank line.
    assert_alike(printed.rstrip("\n"), (outcome.err + outcome.out).rstrip("\n"))


def assert_alike(there: str, here: str) -> None:
    """Assert that texts are equal, but for seconds and the last digit of measured numbers.

    Vector instructions differ between processors, and so may the last bits of a sum.
    """
    for old, new in zip(there.splitlines(), here.splitlines(), strict=True):
        old, new = (SECONDS.sub("", line) for line in (old, new))
        assert NUMBER.sub("#", old) == NUMBER.sub("#", new)
        for a, b in zip(NUMBER.findall(old), NUMBER.findall(new), strict=True):
            assert abs(units(a) - units(b)) <= 1, (old, new)


def units(number: str) -> int:
    """Return a printed number in units of its last decimal, its standard error left out."""
    digits = number.partition("(")[0].replace("−", "-")
    return int(re.sub(r"[.,]", "", digits))


@pytest.mark.parametrize(
    ("old", "new", "alike"),
    [
        ("x 0.211763(52) · 0.2 s", "x 0.211764(51) · 11.0 s", True),
        ("x 0.211763(52)", "x 0.211765(52)", False),
        ("x 0.2117(52)", "x 0.21170(52)", False),
        ("z −1.77", "z +1.77", False),
        ("refuted: 1", "reproduced: 1", False),
        ("a", "a\nb", False),
    ],
)
def test_the_comparison_can_fail(old: str, new: str, alike: bool) -> None:
    if alike:
        assert_alike(old, new)
    else:
        with pytest.raises((AssertionError, ValueError)):
            assert_alike(old, new)
