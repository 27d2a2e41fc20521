"""Coverage of the intervals and uniformity of z, measured by replication against exact values.

    python tests/studies/interval_coverage.py [SPEC ...] [--replications 10000] [--seed 0]
                                              [--sampler iid|sobol] [--budget 200] [--workers 2]
                                              [--max-time 3500] [--out results] [--quick] [--plan]
                                              [--render]

Every replication (replication.py) is an independent run of the production engine. An iid one of
2^12 draws is a chunk; one of 2^15 merges eight of these, one of 2^18 eight of 2^15, and the smaller
ones within a larger one count as well. A sobol one is a run with a seed of its own: --seed 0 is the
seeds 0, 1, 2, …, which `bnstats compute SPEC --sampler sobol --seed` repeats. Sizes whose
replications would take a layer more CPU seconds than --budget are left out, and named.

Writes coverage.json and, from it alone, coverage.md and coverage.csv (interval_coverage_report.py)
after every layer and sampler; rerun, it takes up where it stopped, and drops rows of an engine that
drew other digits. --render draws nothing, and only writes the two anew.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from benchmarks import machine
from interval_coverage_report import by_layer, markdown
from replication import (
    CONFIDENCES,
    MEASURED,
    SIZES,
    Count,
    Counts,
    Job,
    bound,
    no_counts,
    replicate,
    tallies,
)

from bnstats.claims import claims_on
from bnstats.errors import BnstatsError
from bnstats.layers import CONSTANT
from bnstats.specs.spec import parse
from bnstats.statistics.estimate import Estimator
from bnstats.tables.constants import table_specs

BATCH = 20  # replications per parcel of work

# Around the trust rule's n_eff of 100 at 2^12 or 2^15 draws.
EDGE = ("dropout:p=0.9", "dropout:p=0.95", "dropout:p=0.97", "dropout:p=0.99")

Mapper = Callable[[Callable[[Job], Any], Iterable[Job]], Iterable[Any]]


def default_specs() -> list[str]:
    """Return the table's layers: those with published values first, the cheaper ones first."""
    found = dict.fromkeys((*table_specs(), *EDGE))
    return sorted(found, key=lambda text: (not claims_on(text), parse(text).bound.numbers))


@dataclass
class Row:
    """One layer under one sampler: what was counted, and what fixes it."""

    layer: str
    sampler: str
    seed: int
    replications: int  # of the largest size
    budget: float
    first: str = ""  # digits of the first replication: the engine's mark
    refused: str = ""  # why the sampler cannot draw the layer
    unknown: list[str] = field(default_factory=list)  # quantities without an exact value
    constant: list[str] = field(default_factory=list)  # those that are the same in every draw
    left_out: dict[int, float] = field(default_factory=dict)  # sizes, and the CPU seconds they want
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    counts: Counts = field(default_factory=dict)

    def answers(self, other: Row) -> bool:
        """Whether this row, counted already, is what the other one would become."""
        fixed = ("seed", "replications", "first", "refused", "unknown")
        same = all(getattr(self, key) == getattr(other, key) for key in fixed)
        return same and (self.budget == other.budget or not self.left_out)

    def job(self, size: int, replications: range) -> Job:
        return Job(self.layer, self.sampler, self.seed, size, replications)

    def __str__(self) -> str:
        if self.refused:
            return f"{self.layer}, {self.sampler}: {self.refused}"
        left = [f"{n} would take {seconds:.0f}" for n, seconds in self.left_out.items()]
        sizes = " ".join(map(str, self.counts)) or "no size"
        done = f"{self.layer}, {self.sampler}: {sizes} in {self.cpu_seconds:.0f} CPU seconds"
        return f"{done} ({', '.join(left)})" if left else done

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        left_out = {int(n): seconds for n, seconds in data.pop("left_out").items()}
        counts = {
            int(n): {q: Count(**c) for q, c in by_name.items()}
            for n, by_name in data.pop("counts").items()
        }
        return cls(**data, left_out=left_out, counts=counts)


Rows = dict[tuple[str, str], Row]


def blank(text: str, sampler: str, options: argparse.Namespace) -> Row:
    """Return the row to be filled, with the engine's mark."""
    row = Row(text, sampler, options.seed, options.replications, options.budget)
    known = bound(text)[1]
    row.unknown = [name for name in MEASURED if name not in known]
    row.constant = [n for n in MEASURED if n in known and known[n].by == CONSTANT]
    try:
        row.first = mark(row)
    except BnstatsError as error:
        row.refused = str(error)
    return row


def mark(row: Row) -> str:
    """Return σ[dx] and σ[y] of the first replication of the smallest size, with their errors."""
    ((_, tally),) = tallies(row.job(SIZES[row.sampler][0], range(1)))
    found = Estimator(confidence=CONFIDENCES[0]).estimates(tally)
    pairs = ((found[name].value, found[name].stderr or 0.0) for name in ("std_dx", "std_y"))
    return " ".join(f"{value:.9g} {error:.3g}" for value, error in pairs)


def plan(row: Row, sizes: tuple[int, ...]) -> None:
    """Choose the sizes that fit the budget by the CPU time of one replication; note the others."""
    for size in () if row.refused else sizes:
        seconds = row.replications * min(replicate(row.job(size, range(1)))[1] for _ in range(2))
        if seconds > row.budget:
            row.left_out = {n: round(seconds * n / size, 1) for n in sizes if n >= size}
            break
        row.counts |= no_counts((size,), bound(row.layer)[1])
        row.cpu_seconds = seconds


def measure(row: Row, mapper: Mapper) -> None:
    """Fill a planned row."""
    start, row.cpu_seconds = time.perf_counter(), 0.0
    for counts, seconds in mapper(replicate, jobs(row)):
        row.cpu_seconds += seconds
        for n, by_name in counts.items():
            for name, counted in by_name.items():
                row.counts[n][name] += counted
    row.cpu_seconds = round(row.cpu_seconds, 2)
    row.wall_seconds = round(time.perf_counter() - start, 2)


def jobs(row: Row) -> Iterator[Job]:
    for start in range(0, row.replications if row.counts else 0, BATCH):
        batch = range(start, min(start + BATCH, row.replications))
        yield row.job(max(row.counts), batch)


def load(path: Path, quick: bool) -> Rows:
    """Return the rows of a former run whose first replication is what the engine draws now."""
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if record.get("quick") is not quick:
        return {}
    kept: Rows = {}
    for row in map(Row.from_json, record["rows"]):
        try:
            same = bool(row.refused) or mark(row) == row.first
        except BnstatsError:  # no such layer now
            same = False
        if same:
            kept[row.layer, row.sampler] = row
        else:
            print(f"{row.layer}, {row.sampler}: dropped, the engine draws other digits", flush=True)
    return kept


def save(rows: Rows, wanted: list[str], options: argparse.Namespace) -> None:
    """Write both files: the record with one row a line, and the report on it."""
    place = {text: i for i, text in enumerate(wanted)}
    ordered = sorted(rows.values(), key=lambda row: place.get(row.layer, len(place)))
    reached = {text for text, _ in rows}
    record = {
        "machine": machine(),
        "workers": options.workers,
        "load_before": options.load,
        "quick": options.quick,
        "confidences": CONFIDENCES,
        "not_reached": [text for text in wanted if text not in reached],
        "rows": [],
    }
    lines = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in ordered)
    text = json.dumps(record, indent=1, ensure_ascii=False)
    text = text.replace('"rows": []', f'"rows": [\n{lines}\n ]') + "\n"
    (options.out / "coverage.json").write_text(text, encoding="utf-8")
    render(options.out)


def render(out: Path) -> None:
    """Write what is made of the record."""
    record = json.loads((out / "coverage.json").read_text(encoding="utf-8"))
    (out / "coverage.md").write_text(markdown(record), encoding="utf-8")
    (out / "coverage.csv").write_text(by_layer(record), encoding="utf-8")


def study(options: argparse.Namespace, mapper: Mapper) -> None:
    """Measure layer after layer, until the time is over."""
    begin = time.monotonic()
    rows = {} if options.plan else load(options.out / "coverage.json", options.quick)
    wanted = list(dict.fromkeys(parse(text).text for text in options.specs or default_specs()))
    for text in wanted:
        if time.monotonic() - begin > options.max_time:
            break
        for sampler in [options.sampler] if options.sampler else SIZES:
            row, former = blank(text, sampler, options), rows.get((text, sampler))
            if former and former.answers(row):
                continue
            plan(row, options.sizes[sampler])
            if not options.plan:
                measure(row, mapper)
            rows[text, sampler] = row
            print(row, flush=True)
            if not options.plan:
                save(rows, wanted, options)
    if options.plan:
        seconds = sum(row.cpu_seconds for row in rows.values())
        print(f"in all {seconds:.0f} CPU seconds, of {options.workers} workers", end=" ")
        print(f"{seconds / options.workers / 60:.0f} minutes")
    else:
        save(rows, wanted, options)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("specs", nargs="*", help="layers; by default the table's")
    parser.add_argument("--replications", type=int, help="10,000, or 500 with --quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sampler", choices=SIZES, help="only this one")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--budget", type=float, default=200, help="CPU s per layer and sampler")
    parser.add_argument("--max-time", type=float, default=3500, help="s; then no further layer")
    parser.add_argument("--plan", action="store_true", help="only estimate what it would cost")
    parser.add_argument("--quick", action="store_true", help="little work, to test this command")
    parser.add_argument("--render", action="store_true", help="draw nothing")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    if options.render:
        render(options.out)
        return
    options.replications = options.replications or (500 if options.quick else 10_000)
    options.sizes = {k: v[:-1] if options.quick else v for k, v in SIZES.items()}
    options.budget = 1e9 if options.quick else options.budget  # what is tested is not the clock
    options.load = round(os.getloadavg()[0], 2)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.workers == 1:
        study(options, map)
    else:
        with Pool(options.workers) as pool:
            study(options, pool.imap)


if __name__ == "__main__":
    main()
