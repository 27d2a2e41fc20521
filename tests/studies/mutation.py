"""Mutation score of the tests over layers, statistics and verification: what they notice.

    python tests/studies/mutation.py [--sample N] [--seed 0] [--only FILE] [--workers 2]
                                     [--limit 10] [--minutes M] [--strict] [--out results]
                                     [--work .mutation] [--render]

Judges every mutant, or a random sample with the files in proportion; a larger sample holds the
smaller one. A run goes on where another stopped, also that which results/mutation.json is of: what
was noticed stays so as long as its statement does, and survivors are judged again after a change of
the tests, and with a longer --limit. All survivors are in mutation.json; the page lists those that
mutation.toml, beside this file, explains. With --strict the exit code is 1 where one is not
explained, or where an explanation fits no survivor. --render judges none, and only writes
mutation.md anew from mutation.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import tomllib
import traceback
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from mutants import Mutant, file_of, mutants_of, stratified
from mutation_report import markdown, summary
from mutation_runs import SOURCES, Known, judge, known_tests, preload, tests_digest
from mutation_session import exchange, judge_in_session

EXPLANATIONS = Path(__file__).with_name("mutation.toml")


def read_outcomes(log: Path, before: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the last outcome of each mutant, and its first; a torn last line is left out."""
    found = dict(before)
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            first = found.get(row["key"], row)
            found[row["key"]] = row | {"first": first.get("first", first["outcome"])}
    return found


def committed(path: Path) -> dict[str, dict[str, Any]]:
    """Return the outcomes that a report was made of, as `read_outcomes` does."""
    if not path.exists():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    kept = record.get("outcomes", {})
    late = set(kept.get("survived at first", ()))
    return {
        key: {
            "key": key,
            "outcome": outcome,
            "first": "survived" if key in late else outcome,
            "tests_digest": record.get("tests_digest"),
            "limit": record["limit"],
        }
        for outcome in ("killed", "timeout", "survived")
        for key in kept.get(outcome, ())
    }


def by_outcome(judged: list[tuple[Mutant, dict[str, Any]]]) -> dict[str, list[str]]:
    """Return what `committed` reads."""
    found: dict[str, list[str]] = {"killed": [], "timeout": [], "survived": []}
    for mutant, outcome in judged:
        found[outcome["outcome"]].append(mutant.key)
        if outcome["first"] == "survived" != outcome["outcome"]:
            found.setdefault("survived at first", []).append(mutant.key)
    return {name: sorted(keys) for name, keys in found.items()}


def explanations() -> dict[tuple[str, str], str]:
    """Return why a change is not noticed, by file and changed line."""
    with EXPLANATIONS.open("rb") as file:
        entries = tomllib.load(file).get("survivor", [])
    return {(e["file"], now): e["because"] for e in entries for now in e["now"]}


def stale(
    explained: dict[tuple[str, str], str],
    mutants: list[Mutant],
    outcomes: dict[str, dict[str, Any]],
) -> list[str]:
    """Return what is wrong with the explanations: no such change, or one that tests notice."""
    ends: dict[tuple[str, str], set[str]] = {}  # several changes may read alike
    for m in mutants:
        ends.setdefault(m.place, set()).add(outcomes.get(m.key, {}).get("outcome", "survived"))
    wrong = []
    for place in explained:
        if place not in ends:
            wrong.append(f"{place[0]}: no mutant reads {place[1]!r}")
        elif "survived" not in ends[place]:
            wrong.append(f"{place[0]}: explained, but tests notice {place[1]!r}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, metavar="N", help="by default every mutant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--limit", type=float, default=10, help="seconds of tests for a mutant")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then none is begun")
    parser.add_argument("--strict", action="store_true", help="exit 1 for what is unexplained")
    parser.add_argument("--only", metavar="FILE", help="judge those of one file; writes no report")
    parser.add_argument("--report", action="store_true", help="judge none, report what is known")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--work", type=Path, default=Path(".mutation"), help="outcomes so far")
    parser.add_argument("--render", action="store_true", help="only rewrite mutation.md")
    options = parser.parse_args()
    path = options.out / "mutation.json"
    if options.render:
        record = json.loads(path.read_text(encoding="utf-8"))
        path.with_suffix(".md").write_text(markdown(record), encoding="utf-8")
        return 0

    by_file = {path: mutants_of(path) for path in SOURCES}
    every = stratified(by_file, options.seed)
    sample = every[: options.sample]
    log, tests = options.work / "outcomes.jsonl", tests_digest()
    before = committed(path)
    outcomes, explained = read_outcomes(log, before), explanations()
    todo = [
        m
        for m in sample
        if m.file == (options.only or m.file)
        and (m.key not in outcomes or may_die(outcomes[m.key], tests, options.limit))
    ]
    if todo and not options.report:
        preload()
        known = known_tests(options.work)
        for mutant in every:
            if (by := outcomes.get(mutant.key, {}).get("by")) in known.seconds:
                known.noticed[mutant.file][by] += 1
        for test in known.failed:
            print(f"left out, because it does not pass without a mutation: {test}")
        control = replace(todo[0], source=todo[0].path.read_text(encoding="utf-8"))
        if (found := judge(control, known, options.limit))["outcome"] != "survived":
            raise SystemExit(f"without a mutation, {found['by']} fails too")
        deadline = time.monotonic() + 60 * options.minutes
        for part in by_need(todo, outcomes, explained):
            if part and part[0].key in outcomes:
                # It has met the tests that notice the most: quick ones have their turn first.
                known.noticed.clear()
            children = [
                started(
                    part[i :: options.workers], known, options.limit, _Log(log, tests, deadline)
                )
                for i in range(options.workers)
            ]
            ended = [os.waitpid(child, 0)[1] for child in children]
            if any(ended):
                raise SystemExit("a worker failed; what it logged is kept")
        outcomes = read_outcomes(log, before)
    if options.only:
        return 0
    judged = [(m, outcomes[m.key]) for m in sample if m.key in outcomes]
    found = summary(judged, {file_of(p): len(m) for p, m in by_file.items()}, explained)
    alive = [o for _, o in judged if o["outcome"] == "survived"]
    limit = min((o["limit"] for o in alive), default=options.limit)
    record = {"seed": options.seed, "sample": len(judged), "limit": limit, **found}
    same = all(o["tests_digest"] == tests for o in alive)
    record |= {"tests_digest": tests if same else None, "outcomes": by_outcome(judged)}
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(record), encoding="utf-8")
    wrong = stale(explained, every, outcomes)
    wrong += [f"{s['file']}:{s['line']}: unexplained" for s in found["survivors"] if not s["why"]]
    print(*wrong, sep="\n")
    return int(options.strict and bool(wrong))


def by_need(
    todo: list[Mutant], outcomes: Collection[str], explained: Collection[tuple[str, str]]
) -> list[list[Mutant]]:
    """Return the mutants that were never judged, the survivors, and those that are explained."""
    parts: list[list[Mutant]] = [[], [], []]
    for m in todo:
        if m.key not in outcomes:
            parts[0].append(m)
        else:
            parts[2 if m.place in explained else 1].append(m)
    return parts


class _Log(NamedTuple):
    """Where outcomes are logged, which tests they are of, and until when more are judged."""

    path: Path
    tests: str
    deadline: float


def started(todo: list[Mutant], known: Known, limit: float, log: _Log) -> int:
    """Fork a process that judges mutants and logs what becomes of each."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with log.path.open("a", encoding="utf-8") as file:
            telling = _Telling(file, log, limit, known, len(todo))
            ready = [m for m in todo if exchange(m, known)]
            judge_in_session(ready, known, limit, telling)
            done = {m.key for m in ready}
            telling.count = len(ready)
            for mutant in (m for m in todo if m.key not in done):
                if not telling(mutant, judge(mutant, known, limit)):
                    break
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


@dataclass
class _Telling:
    """Logs outcomes and shows survivors; says whether there is time for more."""

    file: TextIO
    log: _Log
    limit: float
    known: Known
    of: int
    count: int = 0

    def __post_init__(self) -> None:
        self.screen = os.fdopen(os.dup(1), "w")  # a session of pytest keeps what is printed

    def __call__(self, mutant: Mutant, found: dict[str, Any]) -> bool:
        row = {"key": mutant.key, "tests_digest": self.log.tests, "limit": self.limit, **found}
        self.file.write(json.dumps(row) + "\n")  # a short line is one write, appended whole
        self.file.flush()
        self.known.noticed[mutant.file][found["by"]] += 1
        self.count += 1
        if row["outcome"] == "survived":
            place = f"{self.count}/{self.of} {mutant.file}:{mutant.line} survived"
            print(
                f"{place} {row['tests']} of {row['of']} tests in {row['seconds']} s",
                file=self.screen,
            )
            print(f"  - {mutant.was}\n  + {mutant.now}", file=self.screen, flush=True)
        elif self.count % 20 == 0:
            print(f"{self.count}/{self.of}", file=self.screen, flush=True)
        return time.monotonic() < self.log.deadline


def may_die(outcome: dict[str, Any], tests: str, limit: float) -> bool:
    """Whether a mutant has survived, but neither all the tests there are nor all the time."""
    given = outcome["tests_digest"] == tests and outcome["limit"] >= limit
    return outcome["outcome"] == "survived" and not given


if __name__ == "__main__":
    sys.exit(main())
