"""The terminal sessions of the README and the manual are what a reader sees who types them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from pages import (
    PAGES,
    Session,
    every_session,
    modules,
    printed_by,
    rewritten,
    sessions,
    write_modules,
)

from bnstats.api import compute
from bnstats.backends import missing
from bnstats.layers import LAYERS, Law
from bnstats.manual import topics

NUMBER = re.compile(r"−?\d[\d,]*(?:\.\d+)?(?:\(\d+\))?")
SECONDS = re.compile(r" · \d+\.\d s$")


def test_a_block_that_names_its_file_is_one() -> None:
    text = "```py\n# acts.py\ndef f(x):\n    return x\n```\n\n```py\n@elementwise\n```\n"
    assert modules(text) == {"acts.py": "# acts.py\ndef f(x):\n    return x\n"}


def test_a_session_is_read_and_printed_anew(tmp_path: Path) -> None:
    page = (
        "```console\n$ bnstats --version\nold\n\n$ bnstats list nothing-of-it\n```\n$ bnstats x\n"
    )
    commands = [(s.command, s.printed) for s in sessions(page)]
    assert commands == [("bnstats --version", "old"), ("bnstats list nothing-of-it", "")]
    new = rewritten(page.replace(" list nothing-of-it", " --version"), tmp_path)
    assert [s.printed.partition(" ")[0] for s in sessions(new)] == ["bnstats", "bnstats"]
    assert new.endswith("```\n$ bnstats x\n")


def test_pages_have_sessions() -> None:
    first = {s.command: s.page for s in reversed(every_session())}
    assert first["bnstats compute sigmoid"] == "README.md"
    assert len(first) >= 10


def test_every_link_of_a_page_leads_to_a_file() -> None:
    dead = [
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not dead


def test_the_readme_links_to_every_topic() -> None:
    readme = PAGES[0].read_text("utf-8")
    assert not [name for name in topics() if f"(bnstats/manual/{name}.md)" not in readme]


def test_the_layer_with_structure_is_one() -> None:
    (page,) = (p.read_text("utf-8") for p in PAGES if p.stem == "adding-a-layer")
    blocks = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
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


# A reader of the manual's is not kept waiting by each test run.
SESSIONS = [
    pytest.param(s, id=f"{s.page}: {s.command}", marks=[pytest.mark.slow] * (s.page != "README.md"))
    for s in every_session()
]


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_prints_what_the_page_shows(session: Session, tmp_path: Path) -> None:
    backend = re.search(r"--backend (\w+)", session.command)
    is_module = re.search("(deep|my_nets):", session.command)
    needed = backend[1] if backend else "torch" if is_module else "numpy"
    if missing(needed):
        pytest.skip(f"{needed} is not installed")
    write_modules(tmp_path)
    assert_alike(session.printed, printed_by(session.command, tmp_path))


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
