"""What a mutation run found, in numbers and as a page."""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from report_text import wrapped

if TYPE_CHECKING:
    from mutants import Mutant

_COLUMNS = ("mutants", "judged", "killed", "timeout", "survived", "explained")


def summary(
    judged: list[tuple[Mutant, dict[str, Any]]],
    sizes: dict[str, int],
    explained: dict[tuple[str, str], str],
) -> dict[str, Any]:
    """Return counts per file and the survivors with their explanations."""
    rows = {name: Counter(mutants=size) for name, size in sizes.items() if size}
    survivors = []
    for mutant, outcome in judged:
        name, now = mutant.place
        row = rows[name]
        row["judged"] += 1
        row[outcome["outcome"]] += 1
        row["at_first"] += outcome["first"] != "survived"
        if outcome["outcome"] == "survived":
            why = explained.get((name, now), "")
            row["explained"] += bool(why)
            survivors.append(
                {"file": name, "line": mutant.line, "was": mutant.was, "now": now, "why": why}
            )
    total = sum(rows.values(), Counter())
    untaught = {k: total[k] for k in ("mutants", "judged")} | {"killed": total["at_first"]}
    return {
        "total": {c: total[c] for c in _COLUMNS} | _score(total),
        "at_first": {"noticed": total["at_first"]} | _score(Counter(untaught)),
        "files": {name: {c: row[c] for c in _COLUMNS} | _score(row) for name, row in rows.items()},
        "survivors": sorted(survivors, key=lambda s: (s["file"], s["line"], s["now"])),
    }


def _score(row: Counter[str]) -> dict[str, float | None]:
    """Return the share of the judged that tests notice, and Wilson's 95 % interval.

    In an interval for a share of a finite number of mutants, those judged are no longer uncertain.
    """
    n, dead = row["judged"], row["killed"] + row["timeout"]
    if not n:
        return {"score": None, "low": None, "high": None}
    z2 = 1.959964**2 * (row["mutants"] - n) / max(row["mutants"] - 1, 1)
    p = dead / n
    centre, half = (p + z2 / (2 * n)), math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
    low, high = ((centre + s * half) / (1 + z2 / n) for s in (-1, 1))
    return {"score": p, "low": low, "high": min(high, 1.0)}


def _cells(name: str, row: dict[str, Any]) -> str:
    dead = row["killed"] + row["timeout"]
    score = "–" if not row["judged"] else f"{row['score']:.1%}"
    if 0 < row["judged"] < row["mutants"]:
        score += f" ({row['low']:.1%} to {row['high']:.1%})"
    counts = (row["mutants"], row["judged"], dead, row["survived"], row["explained"])
    return f"| {name} | " + " | ".join(map(str, counts)) + f" | {score} |"


def _table(of: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    interval = " (95 %)" * any(0 < row["judged"] < row["mutants"] for row in rows.values())
    return [
        f"| {of} | mutants | judged | noticed | survived | explained | score{interval} |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(_cells(name, row) for name, row in rows.items()),
        "",
    ]


def _files(files: dict[str, dict[str, Any]], room: str) -> dict[str, dict[str, Any]]:
    return {name: row for name, row in files.items() if name.startswith(f"{room}/")}


def _of_room(files: dict[str, dict[str, Any]], room: str) -> dict[str, Any]:
    rows = [{c: row[c] for c in _COLUMNS} for row in _files(files, room).values()]
    total = sum(map(Counter, rows), Counter())
    return {c: total[c] for c in _COLUMNS} | _score(total)


def markdown(record: dict[str, Any]) -> str:
    total, first = record["total"], record["at_first"]
    noticed, kept = total["killed"] + total["timeout"], total["survived"]
    rooms = dict.fromkeys(name.partition("/")[0] for name in record["files"])
    of_all = f" (95 % interval for all mutants {first['low']:.1%} to {first['high']:.1%})"
    of_all *= total["judged"] < total["mutants"]
    lines = [
        "# Mutation score of the tests",
        "",
        wrapped(
            f"**The tests notice {total['score']:.1%}** of the {total['judged']:,} judged mutants "
            f"among {total['mutants']:,} of {', '.join(rooms)} ({noticed:,}; {total['timeout']} of "
            "them by a time limit). "
            f"Survivors: {kept:,}, of which {total['explained']} are explained below; all are in "
            "mutation.json, and are judged again with more time and more tests. When each was "
            f"first judged, before tests were added because of it, {first['score']:.1%} were "
            f"noticed{of_all}."
        ),
        "",
        "A mutant changes one operator to its nearest neighbour (`+` to `-`, `<` to `<=` or `>=`),",
        "one number by one, one truth value, one condition, one loop, one finite end of a legal",
        "range, or drops one decorator. Texts for people (formulas, citations, docstrings) are",
        "not changed, nor is what does not compile. Tests that run the changed statement come",
        "first, and those that noticed others of its module; one survives those of the first",
        f"{record['limit']:g} s.",
        "",
        *_table(
            "room", {room: _of_room(record["files"], room) for room in rooms} | {"**all**": total}
        ),
        *chain.from_iterable(
            [f"## {room}", "", *_table("file", _files(record["files"], room))] for room in rooms
        ),
        "## Survivors that are explained",
        "",
    ]
    for s in (s for s in record["survivors"] if s["why"]):
        was = "" if s["now"].startswith("without ") else s["was"]
        diff = [f"- {part}" for part in was.split("\n") if part]
        diff += [f"+ {part}" for part in s["now"].split("\n")]
        lines += [f"{s['file']}:{s['line']}", "", "```diff", *diff, "```", ""]
        lines += [s["why"], ""]
    return "\n".join([*lines, "Written by `python tests/studies/mutation.py`.", ""])
