"""What a mutation run keeps, and under which names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cosmic_ray")

from mutants import Mutant, mutants_of
from mutation import by_need, by_outcome, committed, may_die, read_outcomes, stale
from mutation_runs import Known, chosen
from mutation_session import exchange

pytestmark = pytest.mark.studies
MODULE = '''"""A module."""


def area(side: float) -> float:
    """Return an area."""
    return side * side


def less(a: int, b: int) -> bool:
    return a < b
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text(MODULE)
    return path


def test_a_change_is_named_by_its_statement_alone(module: Path) -> None:
    before = {m.now: m.key for m in mutants_of(module)}
    assert {"return side / side", "return a <= b", "return a >= b"} <= before.keys()
    assert len(set(before.values())) == len(before)
    module.write_text(MODULE.replace("side * side", "side * side * 1"))
    after = {m.now: m.key for m in mutants_of(module)}
    same = {now for now, key in after.items() if before.get(now) == key}
    assert same == {"return a <= b", "return a >= b"}
    assert not {after[now] for now in after.keys() - same} & set(before.values())


def test_a_report_holds_what_the_next_run_begins_with(module: Path, tmp_path: Path) -> None:
    found = mutants_of(module)
    ends = [("killed", "killed"), ("survived", "survived"), ("killed", "survived")]
    judged: list[tuple[Mutant, dict[str, Any]]] = [
        (mutant, {"outcome": outcome, "first": first})
        for mutant, (outcome, first) in zip(found, ends, strict=False)
    ]
    path = tmp_path / "mutation.json"
    path.write_text(
        json.dumps({"tests_digest": "abc", "limit": 3.0, "outcomes": by_outcome(judged)})
    )
    kept = committed(path)
    assert [(kept[m.key]["outcome"], kept[m.key]["first"]) for m, _ in judged] == ends
    assert {row["tests_digest"] for row in kept.values()} == {"abc"}

    log = tmp_path / "outcomes.jsonl"
    survivor = judged[1][0].key
    rows = [{"key": survivor, "outcome": "killed"}, {"key": "new", "outcome": "timeout"}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"key": "tor')
    now = read_outcomes(log, kept)
    assert (now[survivor]["outcome"], now[survivor]["first"]) == ("killed", "survived")
    assert (now["new"]["outcome"], now["new"]["first"]) == ("timeout", "timeout")
    assert len(now) == len(kept) + 1


def test_survivors_of_other_tests_or_of_less_time_are_judged_again() -> None:
    survivor = {"outcome": "survived", "tests_digest": "abc", "limit": 3.0}
    assert not may_die(survivor, "abc", 3.0)
    assert may_die(survivor, "abc", 3.5)
    assert may_die(survivor, "abd", 3.0)
    assert not may_die(survivor | {"outcome": "killed"}, "abd", 9.0)


def test_what_was_never_judged_comes_first_and_what_is_explained_last(module: Path) -> None:
    new, alive, known = mutants_of(module)[:3]
    parts = by_need([known, alive, new], {alive.key, known.key}, {known.place})
    assert parts == [[new], [alive], [known]]


def test_an_explanation_is_of_a_change_that_is_not_noticed(module: Path) -> None:
    one, other = mutants_of(module)[:2]
    absent = (one.file, "return nothing")
    places = dict.fromkeys([one.place, other.place, absent], "so")
    found = stale(places, [one, other], {one.key: {"outcome": "killed"}})
    assert found == [
        f"{one.file}: explained, but tests notice {one.now!r}",
        f"{one.file}: no mutant reads 'return nothing'",
    ]


def test_without_a_report_nothing_is_known(tmp_path: Path) -> None:
    assert committed(tmp_path / "mutation.json") == {}


def test_code_is_exchanged_where_nothing_has_run_it(module: Path) -> None:
    known = Known({}, defaultdict(lambda: defaultdict(set)), [])
    namespace: dict[str, Any] = {}
    exec(compile(MODULE, str(module), "exec", dont_inherit=True), namespace)
    area, found = namespace["area"], {m.now: m for m in mutants_of(module)}
    changed = exchange(found["return side / side"], known)
    assert changed is not None
    area.__code__ = changed[area.__code__]
    assert area(3.0) == 1.0
    known.runs["/".join(module.parts[-2:])][6] = {""}  # while tests are collected
    assert exchange(found["return side / side"], known) is None


def test_a_case_of_each_test_comes_before_a_second_of_one(module: Path) -> None:
    names = [f"t.py::test_area[{n}]" for n in range(4)] + ["t.py::test_side"]
    known = Known(dict.fromkeys(names, 0.1), defaultdict(lambda: defaultdict(set)), [])
    mutant = next(m for m in mutants_of(module) if m.now == "return side / side")
    known.runs[mutant.file][6] = set(names)
    known.noticed[mutant.file].update({names[2]: 5, names[0]: 4, names[3]: 3, names[1]: 2})
    assert chosen(mutant, known) == [names[i] for i in (2, 4, 0, 3, 1)]


CHILDREN = """
import os
from mutation_runs import in_child
said = b"x" * 200_000
assert in_child(lambda out: 3 * (os.write(out, said) == len(said))) == (3, said.decode())
assert in_child(lambda out: [][0])[0] == 70
"""


def test_a_child_may_say_much() -> None:
    """In a process of its own, as jax warns of forks where it has threads."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", CHILDREN], env=environment, check=True, timeout=120)
