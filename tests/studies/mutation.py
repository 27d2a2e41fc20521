"""Mutation score of the tests over bnstats/layers: which small changes of a layer they notice.

    python tests/studies/mutation.py [--sample N] [--seed 0] [--all] [--only FILE]
                                        [--out results] [--work .mutation]

Judges a random sample of the mutants, the files in proportion; a run that is cut short goes on
where it stopped, and a larger sample holds the smaller one. Every survivor must be explained in
mutation.toml beside this file; exits 1 where one is not, or where an explanation fits no survivor.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from mutants import Mutant, mutants_of, stratified
from mutation_report import markdown, summary
from mutation_runs import LAYERS, judge, known_tests, preload, tests_digest

EXPLANATIONS = Path(__file__).with_name("mutation.toml")


def read_outcomes(log: Path) -> dict[str, dict[str, Any]]:
    """Return the last outcome of each mutant, and its first; a torn last line is left out."""
    found: dict[str, dict[str, Any]] = {}
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            first = found.get(row["key"], row)
            found[row["key"]] = row | {"first": first.get("first", first["outcome"])}
    return found


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
    possible = {(m.path.name, m.now or f"without {m.was}"): m for m in mutants}
    wrong = []
    for place in explained:
        if place not in possible:
            wrong.append(f"{place[0]}: no mutant reads {place[1]!r}")
        elif outcomes.get(possible[place].key, {}).get("outcome", "survived") != "survived":
            wrong.append(f"{place[0]}: explained, but tests notice {place[1]!r}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=400, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample")
    parser.add_argument("--only", metavar="FILE", help="judge those of one file; writes no report")
    parser.add_argument("--report", action="store_true", help="judge none, report what is known")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--work", type=Path, default=Path(".mutation"), help="outcomes so far")
    options = parser.parse_args()

    by_file = {path: mutants_of(path) for path in sorted(LAYERS.glob("*.py"))}
    every = stratified(by_file, options.seed)
    sample = every if options.all else every[: options.sample]
    log, tests = options.work / "outcomes.jsonl", tests_digest()
    outcomes = read_outcomes(log)
    todo = [
        m
        for m in sample
        if m.path.name == (options.only or m.path.name)
        and (m.key not in outcomes or _may_die(outcomes[m.key], tests))
    ]
    if todo and not options.report:
        preload()
        known = known_tests(options.work)
        for test in known.failed:
            print(f"left out, because it does not pass without a mutation: {test}")
        control = replace(todo[0], source=todo[0].path.read_text(encoding="utf-8"))
        if (found := judge(control, known))["outcome"] != "survived":
            raise SystemExit(f"without a mutation, {found['by']} fails too")
        with log.open("a", encoding="utf-8") as file:
            for i, mutant in enumerate(todo, 1):
                row = {"key": mutant.key, "tests_digest": tests, **judge(mutant, known)}
                first = outcomes.get(mutant.key, {}).get("first", row["outcome"])
                outcomes[mutant.key] = row | {"first": first}
                print(json.dumps(row), file=file, flush=True)
                if row["outcome"] == "survived":
                    print(f"{i}/{len(todo)} {mutant.path.name}:{mutant.line} survived", end="")
                    print(f" {row['tests']} of {row['of']} tests in {row['seconds']} s")
                    print(f"  - {mutant.was}\n  + {mutant.now}", flush=True)
                elif i % 20 == 0:
                    print(f"{i}/{len(todo)}", flush=True)
    if options.only:
        return 0
    explained = explanations()
    judged = [(m, outcomes[m.key]) for m in sample if m.key in outcomes]
    found = summary(judged, {p.name: len(m) for p, m in by_file.items()}, explained)
    record = {"seed": options.seed, "sample": len(judged), **found}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mutation.json").write_text(
        json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (options.out / "mutation.md").write_text(markdown(record), encoding="utf-8")
    wrong = stale(explained, every, outcomes)
    wrong += [f"{s['file']}:{s['line']}: unexplained" for s in found["survivors"] if not s["why"]]
    print(*wrong, sep="\n")
    return int(bool(wrong))


def _may_die(outcome: dict[str, Any], tests: str) -> bool:
    return outcome["outcome"] == "survived" and outcome["tests_digest"] != tests


if __name__ == "__main__":
    sys.exit(main())
